use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::AuditSink;
use crate::audit::batch::{Appended, Batch};
use crate::audit::error::AuditError;
use crate::audit::head::Tail;

/// A trail in memory: **it is lost with the process**, and grows with every record. For tests. Clones
/// share their lines.
#[derive(Clone, Default)]
pub struct MemorySink(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    tail: Option<Tail>,
}

impl MemorySink {
    /// Holds no line yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The lines so far, as a file would have them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lock().lines.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditSink for MemorySink {
    fn name(&self) -> String {
        "the audit trail in memory".to_owned()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        Ok(self.lock().tail)
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        let mut state = self.lock();
        let lines = batch.lines_after(state.tail.as_ref());
        state.lines.extend_from_slice(lines.as_bytes());
        state.tail = Some(lines.tail());
        Ok(lines.appended())
    }
}

impl fmt::Debug for MemorySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySink({} bytes)", self.lock().lines.len())
    }
}

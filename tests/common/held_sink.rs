//! A sink that can be held, and that can fail.
#![allow(dead_code, reason = "each test uses a part")]

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use waxseal::audit::{Appended, AuditError, AuditSink, Batch, Tail};

/// Takes records for another sink, as it is told to. Clones are one.
#[derive(Debug, Clone)]
pub struct HeldSink {
    inner: Arc<dyn AuditSink>,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Works {
    #[default]
    Well,
    /// As a full disk does.
    Full,
    Panics,
}

#[derive(Debug, Default)]
struct State {
    is_held: bool,
    works: Works,
    /// The writes that were begun.
    begun: usize,
    /// The sequence of the first record that is not yet written.
    end: u64,
}

impl HeldSink {
    pub fn new(inner: impl AuditSink + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            state: Arc::default(),
        }
    }

    /// Holds what is to be written from now on.
    pub fn hold(&self) {
        self.lock().is_held = true;
    }

    pub fn release(&self) {
        self.lock().is_held = false;
        self.state.1.notify_all();
    }

    pub fn set(&self, works: Works) {
        self.lock().works = works;
    }

    /// Waits until so many writes were begun.
    pub fn wait_for(&self, begun: usize) {
        let (_, changed) = &*self.state;
        let state = changed.wait_while(self.lock(), |state| state.begun < begun);
        drop(state.unwrap());
    }

    pub fn begun(&self) -> usize {
        self.lock().begun
    }

    pub fn has_written(&self, sequence: u64) -> bool {
        sequence < self.lock().end
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }
}

impl AuditSink for HeldSink {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        self.inner.tail()
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        let works = {
            let (_, changed) = &*self.state;
            let mut state = self.lock();
            state.begun += 1;
            changed.notify_all();
            changed
                .wait_while(state, |state| state.is_held)
                .unwrap()
                .works
        };
        match works {
            Works::Well => {}
            Works::Full => {
                return Err(AuditError::Full {
                    sink: self.name(),
                    source: Arc::new(io::ErrorKind::StorageFull.into()),
                });
            }
            Works::Panics => panic!("the sink panics, as it was told to"),
        }
        let appended = self.inner.append(batch)?;
        if let Some(first) = appended.first_record {
            self.lock().end = first + batch.len() as u64;
        }
        Ok(appended)
    }
}

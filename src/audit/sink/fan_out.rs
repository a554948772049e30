use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::AuditSink;
use crate::audit::batch::{Appended, Batch};
use crate::audit::error::{AuditError, ChangeError};
use crate::audit::head::Tail;
use crate::audit::line::LineHash;
use crate::fork::{ForkableState, PerProcess};
use crate::store::{KeyStore, Sequence, Transaction};

/// Records in several places. Each sink with a chain has a trail of its own; a record has the same
/// `eventID` in all. The first sink is the one whose head is saved.
pub struct FanOut {
    sinks: Vec<Arc<dyn AuditSink>>,
    best_effort: Vec<Arc<dyn AuditSink>>,
    missed: AtomicU64,
    turn: PerProcess<Turn>,
}

/// Held by who writes to the sinks that are written to if possible. Others are called one after
/// the other by the trail, or write with a transaction of the store.
#[derive(Default)]
struct Turn(Mutex<()>);

impl FanOut {
    /// Records in one place so far.
    #[must_use]
    pub fn new(sink: impl AuditSink + 'static) -> Self {
        Self::of(Arc::new(sink))
    }

    pub(crate) fn of(sink: Arc<dyn AuditSink>) -> Self {
        Self {
            sinks: vec![sink],
            best_effort: Vec::new(),
            missed: AtomicU64::new(0),
            turn: PerProcess::new(Turn::default()),
        }
    }

    /// Records here too: what cannot be recorded here is not done.
    #[must_use]
    pub fn and(mut self, sink: impl AuditSink + 'static) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Records here too if it works, and otherwise goes on without: see [`missed`](Self::missed).
    #[must_use]
    pub fn and_if_possible(mut self, sink: impl AuditSink + 'static) -> Self {
        self.best_effort.push(Arc::new(sink));
        self
    }

    /// How many batches a sink has missed that was only added
    /// [if possible](Self::and_if_possible).
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    pub(crate) fn push(&mut self, sink: Arc<dyn AuditSink>) {
        self.sinks.push(sink);
    }

    pub(crate) fn push_if_possible(&mut self, sink: Arc<dyn AuditSink>) {
        self.best_effort.push(sink);
    }

    fn append_to_best_effort(&self, batch: &Batch<'_>) {
        if self.best_effort.is_empty() {
            return;
        }
        let turn = &self.turn.get().0;
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        for sink in &self.best_effort {
            if sink.append(batch).is_err() {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl AuditSink for FanOut {
    fn name(&self) -> String {
        let names: Vec<_> = self.sinks.iter().map(|sink| sink.name()).collect();
        names.join(" and ")
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        let tails: Result<Vec<_>, _> = self.sinks.iter().map(|sink| sink.tail()).collect();
        Ok(tails?.into_iter().next().flatten())
    }

    fn hash_of_line(&self, sequence: u64) -> Result<Option<LineHash>, AuditError> {
        let first = self.sinks.first();
        first.map_or(Ok(None), |sink| sink.hash_of_line(sequence))
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        let mut first = None;
        for sink in &self.sinks {
            let appended = sink.append(batch)?;
            first.get_or_insert(appended);
        }
        self.append_to_best_effort(batch);
        Ok(first.unwrap_or_else(Appended::unchained))
    }

    fn commit(
        &self,
        batch: &Batch<'_>,
        store: &dyn KeyStore,
        transaction: &Transaction,
    ) -> Result<(Sequence, Appended), ChangeError> {
        let [sink] = self.sinks.as_slice() else {
            let appended = self.append(batch)?;
            return Ok((store.commit(transaction)?, appended));
        };
        let done = sink.commit(batch, store, transaction)?;
        self.append_to_best_effort(batch);
        Ok(done)
    }

    /// Only where no other sink is written before.
    fn records_with_commits(&self) -> bool {
        matches!(self.sinks.as_slice(), [sink] if sink.records_with_commits())
    }
}

impl ForkableState for Turn {
    fn for_child(&self) -> Self {
        Self::default()
    }

    fn try_clear(&self) -> bool {
        self.0.try_lock().is_ok()
    }
}

impl fmt::Debug for FanOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanOut")
            .field("sinks", &self.sinks)
            .field("best_effort", &self.best_effort)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

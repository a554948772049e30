//! The trail: from events to lines that are kept.

mod builder;
mod group;
mod pending;
mod round;
mod writer;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub use builder::AuditTrailBuilder;
pub(crate) use builder::KmsParts;
pub use pending::PendingRecord;
pub(crate) use pending::PendingRecords;

use self::group::Group;
use super::batch::{Appended, Batch, ChainRules};
use super::error::{AuditError, ChangeError};
use super::event::{AuditEvent, EventId};
use super::head::{HeadStore, Tail, TrailHead};
use super::line::{ContextValues, Entry};
use super::sink::AuditSink;
use crate::clock::{Clock, Timestamp};
use crate::fork::PerProcess;
use crate::rng::RandomSource;
use crate::store::{KeyStore, Sequence, Transaction};

/// Records what is done, so that it can be shown later that nothing was changed in the record.
///
/// A record is durable, as its [sink](AuditSink) promises, when [`record`](Self::record) returns, or
/// when what [`submit`](Self::submit) gives is ready. Threads and tasks that record at the same time
/// share one write. Clones share everything; the last one [closes](Self::close) the trail when it is
/// dropped and all is written.
///
/// See the [module](crate::audit) for what is recorded and what is promised.
#[derive(Clone)]
pub struct AuditTrail(Arc<Inner>);

struct Inner {
    sink: Arc<dyn AuditSink>,
    rules: ChainRules,
    values: ContextValues,
    checkpoint_interval: Duration,
    heads: Option<Arc<dyn HeadStore>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    group: PerProcess<Group>,
    checkpoints: Checkpoints,
}

/// What is known of checkpoints in this process.
#[derive(Default)]
struct Checkpoints {
    /// When the last was made, in milliseconds of the clock that does not follow the date.
    last: AtomicU64,
    /// Whether something was recorded since.
    stale: AtomicBool,
    /// Whether the head of the last is still to be saved.
    unsaved: AtomicBool,
}

impl Checkpoints {
    fn made_at(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The id of the record, the same in each sink.
    pub id: EventId,
    /// The sequence of its line, where the (first) sink has a chain.
    pub sequence: Option<u64>,
}

impl Recorded {
    /// What became of record number `index` of a batch.
    fn new(id: EventId, index: u64, appended: Appended) -> Self {
        let first = appended.first_record;
        Self {
            id,
            sequence: first.map(|first| first.saturating_add(index)),
        }
    }
}

impl AuditTrail {
    /// Begins to put a trail together that goes to `sink`.
    pub fn builder(sink: impl AuditSink + 'static) -> AuditTrailBuilder {
        AuditTrailBuilder::new(Some(Arc::new(sink)))
    }

    /// Begins to put a trail together that is kept in the store of the KMS to whose
    /// [builder](crate::KmsBuilder) it is given, if that store [keeps a log](KeyStore::read_log): a
    /// change of a key and its record are then one transaction.
    pub fn in_key_store() -> AuditTrailBuilder {
        AuditTrailBuilder::new(None)
    }

    /// Records an event. It is kept, durably as the sink promises, when this returns.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when it is not certain to be kept: then what it records must not be done, or
    /// its result not be given out.
    pub fn record(&self, event: &AuditEvent<'_>) -> Result<Recorded, AuditError> {
        let (id, entry) = self.0.entry(event)?;
        let (index, appended) = self.0.group.get().record(entry, &self.0)?;
        Ok(Recorded::new(id, index, appended))
    }

    /// Hands an event over to be recorded, for async code: what is given back is ready when the
    /// record is kept, durably as the sink promises. It blocks nothing, and shares its write with all
    /// that is [recorded](Self::record) and submitted meanwhile.
    ///
    /// A thread of the trail's own writes, so that no runtime is needed, and none that is shut down
    /// takes a record with it. What waits to be written is in memory, about half a kilobyte a record:
    /// who submits without waiting for what came before must bound it.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record): here for what cannot be a record, and otherwise when it is ready.
    pub fn submit(&self, event: &AuditEvent<'_>) -> Result<PendingRecord, AuditError> {
        let (id, entry) = self.0.entry(event)?;
        Ok(self.0.group.get().submit(id, entry, &self.0))
    }

    /// Makes a change to the KMS's key store that an event records: the change is not made unless
    /// the event is. Where the sink [can](Self::records_with_commits), both are one transaction;
    /// otherwise the event is durable before the change is made, and if it then cannot be made,
    /// a second event of the same request should say so.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; the change was not made, as far as a
    /// [`CommitError`](crate::CommitError) says that.
    pub fn commit(
        &self,
        event: &AuditEvent<'_>,
        store: &dyn KeyStore,
        transaction: &Transaction,
    ) -> Result<Sequence, ChangeError> {
        if !self.records_with_commits() {
            self.record(event)?;
            return Ok(store.commit(transaction)?);
        }
        let (_, entry) = self.0.entry(event)?;
        let entries = [entry];
        let batch = self.0.batch(&entries, false);
        let (sequence, appended) = self.0.sink.commit(&batch, store, transaction)?;
        self.0.appended(appended, batch.time);
        Ok(sequence)
    }

    /// Whether [`commit`](Self::commit) writes event and change in one transaction.
    #[must_use]
    pub fn records_with_commits(&self) -> bool {
        self.0.sink.records_with_commits()
    }

    /// The head of the trail that was saved last, if one was.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when the sink or the head store cannot tell.
    pub fn head(&self) -> Result<Option<TrailHead>, AuditError> {
        match (&self.0.heads, self.0.sink.tail()?) {
            (Some(heads), Some(tail)) => heads.load(tail.trail),
            _ => Ok(None),
        }
    }

    /// Writes a checkpoint, and saves the head of the trail.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when it could not be signed, written or saved.
    pub fn checkpoint(&self) -> Result<(), AuditError> {
        self.0.checkpoint()
    }

    /// Writes a checkpoint if something was recorded since the last one.
    ///
    /// # Errors
    ///
    /// As [`checkpoint`](Self::checkpoint).
    pub fn close(&self) -> Result<(), AuditError> {
        self.0.close()
    }

    /// The key of the trail.
    #[must_use]
    pub fn key(&self) -> &super::AuditKey {
        &self.0.rules.key
    }

    /// The name of the sink, as errors show it.
    #[must_use]
    pub fn sink_name(&self) -> String {
        self.0.sink.name()
    }
}

impl Inner {
    fn entry(&self, event: &AuditEvent<'_>) -> Result<(EventId, Entry), AuditError> {
        let id = EventId::generate(self.random.as_ref())?;
        let time = self.clock.unix_time();
        Ok((
            id,
            Entry::new(event, id, time, self.values, &self.rules.key)?,
        ))
    }

    fn batch<'a>(&'a self, entries: &'a [Entry], checkpoint: bool) -> Batch<'a> {
        // The checkpoints of a batch are as old as its last record.
        let last = entries.last().map(|entry| entry.time);
        let time = last.unwrap_or_else(|| self.clock.unix_time());
        let since = Duration::from_millis(self.checkpoints.last.load(Ordering::Relaxed));
        let passed = self.clock.now().saturating_sub(since);
        Batch {
            entries,
            rules: &self.rules,
            time,
            checkpoint: checkpoint || passed >= self.checkpoint_interval,
        }
    }

    fn append(&self, entries: &[Entry]) -> Result<Appended, AuditError> {
        let batch = self.batch(entries, false);
        let appended = self.sink.append(&batch)?;
        self.appended(appended, batch.time);
        Ok(appended)
    }

    /// Takes note of what was written. A head that cannot be saved is saved later: the records are
    /// kept all the same.
    fn appended(&self, appended: Appended, time: Timestamp) {
        let checkpoints = &self.checkpoints;
        checkpoints
            .stale
            .store(!appended.checkpoint, Ordering::Relaxed);
        if appended.checkpoint {
            checkpoints.made_at(self.clock.now());
        }
        // So that no trail is taken for one of this writer that is not.
        if appended.checkpoint || appended.begins {
            checkpoints.unsaved.store(true, Ordering::Relaxed);
            let _ = self.save_head(appended.tail, time);
        }
    }

    fn save_head(&self, tail: Option<Tail>, time: Timestamp) -> Result<(), AuditError> {
        if let (Some(heads), Some(tail)) = (&self.heads, tail) {
            heads.save(&TrailHead::new(tail, time))?;
        }
        self.checkpoints.unsaved.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), AuditError> {
        let batch = self.batch(&[], true);
        let appended = self.sink.append(&batch)?;
        self.appended(appended, batch.time);
        if appended.tail.is_some() && !appended.checkpoint {
            // It was left out because it could not be signed: why, is said by trying once more.
            self.rules.signer.sign(b"", &self.rules.key)?;
        }
        if self.checkpoints.unsaved.load(Ordering::Relaxed) {
            self.save_head(appended.tail, batch.time)?;
        }
        Ok(())
    }

    fn close(&self) -> Result<(), AuditError> {
        let checkpoints = &self.checkpoints;
        if checkpoints.stale.load(Ordering::Relaxed) || checkpoints.unsaved.load(Ordering::Relaxed)
        {
            self.checkpoint()?;
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Who wants to know calls `close`. The records are kept in any case. A sink that panics may
        // have had the trail dropped by a panic: another would abort the process.
        let _ = catch_unwind(AssertUnwindSafe(|| self.close()));
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditTrail({})", self.0.sink.name())
    }
}

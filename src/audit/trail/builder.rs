use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::group::Group;
use super::{AuditTrail, Checkpoints, Inner};
use crate::audit::batch::ChainRules;
use crate::audit::checkpoint::CheckpointSigner;
use crate::audit::error::AuditError;
use crate::audit::head::{HeadStore, Tail, TrailHead};
use crate::audit::line::ContextValues;
use crate::audit::sink::{AuditSink, FanOut, StoreSink};
use crate::audit::{AuditKey, TrailId};
use crate::clock::{Clock, SystemClock};
use crate::fork::PerProcess;
use crate::rng::{RandomSource, SystemRandom};
use crate::store::KeyStore;

/// Puts an [`AuditTrail`] together. Given to a [`KmsBuilder`](crate::KmsBuilder), it needs no
/// key, head store or clock: it has those of the KMS.
#[derive(Debug)]
#[must_use]
pub struct AuditTrailBuilder {
    sink: Option<Arc<dyn AuditSink>>,
    others: Vec<Arc<dyn AuditSink>>,
    best_effort: Vec<Arc<dyn AuditSink>>,
    key: Option<AuditKey>,
    signer: CheckpointSigner,
    checkpoint_every: u64,
    checkpoint_interval: Duration,
    values: ContextValues,
    patience: Duration,
    heads: Option<Arc<dyn HeadStore>>,
    clock: Option<Arc<dyn Clock>>,
    random: Option<Arc<dyn RandomSource>>,
}

/// What the trail of a KMS has of it.
pub(crate) struct KmsParts {
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) key: AuditKey,
    pub(crate) heads: Arc<dyn HeadStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
}

impl AuditTrailBuilder {
    /// How many lines there are between two checkpoints, unless set otherwise.
    pub const DEFAULT_CHECKPOINT_LINES: u64 = 1000;
    /// How much time passes between two checkpoints, unless set otherwise: a minute.
    pub const DEFAULT_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
    /// How long a write waits for other threads, unless set otherwise: half a millisecond.
    pub const DEFAULT_PATIENCE: Duration = Duration::from_micros(500);

    pub(super) fn new(sink: Option<Arc<dyn AuditSink>>) -> Self {
        Self {
            sink,
            others: Vec::new(),
            best_effort: Vec::new(),
            key: None,
            signer: CheckpointSigner::mac(),
            checkpoint_every: Self::DEFAULT_CHECKPOINT_LINES,
            checkpoint_interval: Self::DEFAULT_CHECKPOINT_INTERVAL,
            values: ContextValues::default(),
            patience: Self::DEFAULT_PATIENCE,
            heads: None,
            clock: None,
            random: None,
        }
    }

    /// Records in another place too: what cannot be recorded there is not done.
    pub fn also(mut self, sink: impl AuditSink + 'static) -> Self {
        self.others.push(Arc::new(sink));
        self
    }

    /// Records in another place too if it works, and otherwise goes on without.
    pub fn also_if_possible(mut self, sink: impl AuditSink + 'static) -> Self {
        self.best_effort.push(Arc::new(sink));
        self
    }

    /// The secret of the trail.
    pub fn key(mut self, key: AuditKey) -> Self {
        self.key = Some(key);
        self
    }

    /// What signs checkpoints, in place of MACs.
    pub fn signed_by(mut self, signer: CheckpointSigner) -> Self {
        self.signer = signer;
        self
    }

    /// Writes a checkpoint after so many lines, and with the first record after so much time, in
    /// place of [`DEFAULT_CHECKPOINT_LINES`](Self::DEFAULT_CHECKPOINT_LINES) and
    /// [`DEFAULT_CHECKPOINT_INTERVAL`](Self::DEFAULT_CHECKPOINT_INTERVAL). With each checkpoint the
    /// head of the trail is saved.
    pub fn checkpoint_every(mut self, lines: u64, interval: Duration) -> Self {
        self.checkpoint_every = lines;
        self.checkpoint_interval = interval;
        self
    }

    /// How values of encryption contexts are recorded.
    pub fn context_values(mut self, values: ContextValues) -> Self {
        self.values = values;
        self
    }

    /// How long a write waits at most for the threads that shared the last one, in place of
    /// [`DEFAULT_PATIENCE`](Self::DEFAULT_PATIENCE). One thread alone never waits.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where the head of the trail is kept.
    pub fn heads(mut self, heads: impl HeadStore + 'static) -> Self {
        self.heads = Some(Arc::new(heads));
        self
    }

    /// Takes the time from `clock` in place of [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Takes ids from `random` in place of [`SystemRandom`].
    pub fn random(mut self, random: impl RandomSource + 'static) -> Self {
        self.random = Some(Arc::new(random));
        self
    }

    /// Adds what a KMS has and was not set otherwise: its key, the place for heads, its clock and
    /// random source.
    ///
    /// # Errors
    ///
    /// [`AuditError::Store`] when the trail is to be in the KMS's store, and that keeps no log.
    pub(crate) fn for_kms(mut self, parts: KmsParts) -> Result<Self, AuditError> {
        if self.sink.is_none() {
            self.sink = Some(Arc::new(StoreSink::of_kms(parts.store)?));
        }
        self.key.get_or_insert(parts.key);
        self.heads.get_or_insert(parts.heads);
        self.clock.get_or_insert(parts.clock);
        self.random.get_or_insert(parts.random);
        Ok(self)
    }

    /// Opens the trail, to go on with what the sink has.
    ///
    /// # Errors
    ///
    /// [`AuditError::Setting`] without a [`key`](Self::key), [`AuditError::Truncated`] when the sink
    /// has less than the saved head says, [`AuditError::Damaged`] when it has another line there, and
    /// the failures of the sink and the head store.
    pub fn open(self) -> Result<AuditTrail, AuditError> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let random = self.random.unwrap_or_else(|| Arc::new(SystemRandom));
        let sink = self.sink.ok_or(AuditError::Setting {
            what: "this audit trail is kept in the store of a KMS; give it to the builder of that KMS",
        })?;
        let sink = fan_out(sink, self.others, self.best_effort);
        let key = self.key.ok_or(AuditError::Setting {
            what: "an audit trail outside of a KMS needs a key; give it one, and keep that",
        })?;
        if let (Some(heads), Some(tail)) = (&self.heads, sink.tail()?)
            && let Some(head) = heads.load(tail.trail)?
        {
            check_has(&sink, &tail, &head)?;
        }
        let checkpoints = Checkpoints::default();
        checkpoints.made_at(clock.now());
        Ok(AuditTrail(Arc::new(Inner {
            sink,
            rules: ChainRules {
                key,
                signer: self.signer,
                checkpoint_every: self.checkpoint_every,
                seed: *TrailId::generate(random.as_ref())?.as_bytes(),
                begun: AtomicU64::new(0),
                overdue: AtomicBool::new(false),
            },
            values: self.values,
            checkpoint_interval: self.checkpoint_interval,
            heads: self.heads,
            clock,
            random,
            group: PerProcess::new(Group::new(self.patience)),
            checkpoints,
        })))
    }
}

/// Refuses a trail that has lost what its head was sealed at, or has something else there: the next
/// checkpoint would sign it.
fn check_has(sink: &dyn AuditSink, tail: &Tail, head: &TrailHead) -> Result<(), AuditError> {
    if head.sequence > tail.sequence {
        return Err(AuditError::Truncated {
            sink: sink.name(),
            head: head.sequence,
            end: tail.sequence,
        });
    }
    match sink.hash_of_line(head.sequence)? {
        Some(hash) if hash != head.hash => Err(AuditError::Damaged {
            sink: sink.name(),
            found: format!(
                "the line with sequence {} is not the one that its head was sealed at",
                head.sequence
            ),
        }),
        _ => Ok(()),
    }
}

fn fan_out(
    sink: Arc<dyn AuditSink>,
    others: Vec<Arc<dyn AuditSink>>,
    best_effort: Vec<Arc<dyn AuditSink>>,
) -> Arc<dyn AuditSink> {
    if others.is_empty() && best_effort.is_empty() {
        return sink;
    }
    let mut all = FanOut::of(sink);
    others.into_iter().for_each(|sink| all.push(sink));
    best_effort
        .into_iter()
        .for_each(|sink| all.push_if_possible(sink));
    Arc::new(all)
}

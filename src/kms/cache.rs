//! What a process keeps of a store, and how it stays true.
//!
//! - A commit of this process puts what it wrote into the cache before it returns.
//! - What others commit is learned from the store's feed of changes. An operation that begins when
//!   the feed was last asked longer ago than the refresh interval asks it first, and fails if the
//!   store does not answer. So an operation sees every commit that returned one interval before it
//!   began, or earlier.
//! - What is read from the store is kept only if nothing was learned while it was read: otherwise it
//!   might be older than what was learned, and stay.

mod bounded;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use self::bounded::Bounded;
use super::entry::KeyEntry;
use super::name::AliasName;
use super::store_key::StoreRecord;
use super::stored_policy::StorePolicy;
use super::subject::SubjectKey;
use super::usage::Usage;
use crate::clock::Clock;
use crate::fork::ForkableState;
use crate::format::KeyId;
use crate::store::{Change, Collection, KeyStore, RecordId, Revision, Sequence, StoreError};

pub(super) struct Cache {
    capacity: usize,
    interval: Duration,
    contents: RwLock<Contents>,
    /// Up to where the feed was read. Held while the feed is asked, so that one asks for all.
    read_through: Mutex<Option<Sequence>>,
    /// When the feed was last asked, in nanoseconds of the clock. `NEVER` before.
    asked_at: AtomicU64,
    /// What was wrapped and is not in the store yet. Not of the store, but as the cache it belongs
    /// to one process.
    pub(super) usage: Usage,
}

struct Contents {
    /// Counts what was learned.
    epoch: u64,
    keys: Bounded<KeyId, Arc<KeyEntry>>,
    aliases: Bounded<AliasName, KeyId>,
    /// One at most, and kept whatever the capacity.
    store_policy: Bounded<(), Arc<StorePolicy>>,
    /// Nothing where it was changed: what was erased does not stay in memory.
    subjects: Bounded<RecordId, Option<Arc<SubjectKey>>>,
}

/// A moment in what was learned: a read that begins at it is kept if it is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch(u64);

const NEVER: u64 = u64::MAX;
/// Changes that are asked for at a time.
const FEED_PAGE: usize = 1000;

impl Cache {
    pub(super) fn new(capacity: usize, interval: Duration) -> Self {
        Self {
            capacity,
            interval,
            contents: RwLock::new(Contents::new(capacity)),
            read_through: Mutex::new(None),
            asked_at: AtomicU64::new(NEVER),
            usage: Usage::default(),
        }
    }

    /// Learns what others have changed, if that was not done within the refresh interval.
    pub(super) fn refresh(
        &self,
        store: &dyn KeyStore,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        if self.is_fresh(clock) {
            return Ok(());
        }
        let mut read_through = self
            .read_through
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.is_fresh(clock) {
            return Ok(());
        }
        let asking_at = nanos(clock.now());
        match *read_through {
            Some(since) => *read_through = Some(self.learn(store, since)?),
            // Nothing was read yet.
            None => *read_through = Some(store.latest()?),
        }
        self.asked_at.store(asking_at, Ordering::Release);
        Ok(())
    }

    pub(super) fn key(&self, id: KeyId) -> Option<Arc<KeyEntry>> {
        self.read().keys.get(&id).cloned()
    }

    /// The last state of a key that is known of, also if it is outdated.
    pub(super) fn last_key(&self, id: KeyId) -> Option<Arc<KeyEntry>> {
        self.read().keys.last(&id).cloned()
    }

    pub(super) fn alias(&self, name: &str) -> Option<KeyId> {
        self.read().aliases.get(name).copied()
    }

    /// The last generation of a key that this process knows of, to be asked for before a read of
    /// the key.
    pub(super) fn before_read(&self, id: KeyId) -> (Epoch, Option<u64>) {
        let contents = self.read();
        let known = contents.keys.last(&id);
        (
            Epoch(contents.epoch),
            known.map(|entry| entry.record.generation),
        )
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.read().epoch)
    }

    /// Keeps a key that was read, unless something was learned since `epoch`.
    pub(super) fn keep_key(&self, epoch: Epoch, entry: &Arc<KeyEntry>) {
        let mut contents = self.write();
        if contents.epoch == epoch.0 {
            let id = entry.record.key;
            contents.keys.put(id, Arc::clone(entry), entry.revision);
        }
    }

    /// Keeps an alias that was read, unless something was learned since `epoch`.
    pub(super) fn keep_alias(&self, epoch: Epoch, name: AliasName, key: KeyId, read: Revision) {
        let mut contents = self.write();
        if contents.epoch == epoch.0 {
            contents.aliases.put(name, key, read);
        }
    }

    pub(super) fn subject(&self, id: &RecordId) -> Option<Arc<SubjectKey>> {
        self.read().subjects.get(id).cloned().flatten()
    }

    /// Keeps the key of a subject that was read, unless something was learned since `epoch`.
    pub(super) fn keep_subject(
        &self,
        epoch: Epoch,
        id: RecordId,
        key: &Arc<SubjectKey>,
        read: Revision,
    ) {
        let mut contents = self.write();
        if contents.epoch == epoch.0 {
            contents.subjects.put(id, Some(Arc::clone(key)), read);
        }
    }

    /// Forgets the keys of subjects that this process has changed.
    pub(super) fn outdate_subjects(&self, revision: Revision, subjects: &[RecordId]) {
        if subjects.is_empty() {
            return;
        }
        let mut contents = self.write();
        contents.epoch = contents.epoch.wrapping_add(1);
        for id in subjects {
            contents.forget_subject(id, revision);
        }
    }

    /// Takes in what this process has committed.
    pub(super) fn committed(
        &self,
        revision: Revision,
        keys: &[Arc<KeyEntry>],
        aliases: impl IntoIterator<Item = (AliasName, Option<KeyId>)>,
    ) {
        let mut contents = self.write();
        contents.epoch = contents.epoch.wrapping_add(1);
        for entry in keys {
            let id = entry.record.key;
            contents.keys.put(id, Arc::clone(entry), revision);
        }
        for (name, key) in aliases {
            match key {
                Some(key) => contents.aliases.put(name, key, revision),
                None => contents.aliases.outdate(name.as_str(), revision),
            }
        }
    }

    /// The policy of the store, if it is known.
    pub(super) fn store_policy(&self) -> Option<Arc<StorePolicy>> {
        self.read().store_policy.get(&()).cloned()
    }

    /// The last policy of the store that is known of, also if it is outdated.
    pub(super) fn last_store_policy(&self) -> Option<Arc<StorePolicy>> {
        self.read().store_policy.last(&()).cloned()
    }

    /// Keeps the policy of the store that was read, unless something was learned since `epoch`.
    pub(super) fn keep_store_policy(&self, epoch: Epoch, policy: Arc<StorePolicy>, read: Revision) {
        let mut contents = self.write();
        if contents.epoch == epoch.0 {
            contents.store_policy.put((), policy, read);
        }
    }

    /// Takes in the policy of the store that this process has committed.
    pub(super) fn committed_store_policy(&self, policy: Arc<StorePolicy>, revision: Revision) {
        let mut contents = self.write();
        contents.epoch = contents.epoch.wrapping_add(1);
        contents.store_policy.put((), policy, revision);
    }

    /// Has the next operation learn what was changed, whenever that was last done.
    pub(super) fn expire(&self) {
        self.asked_at.store(NEVER, Ordering::Release);
    }

    /// Whether what others changed was asked for within the refresh interval.
    pub(super) fn is_fresh(&self, clock: &dyn Clock) -> bool {
        let asked_at = self.asked_at.load(Ordering::Acquire);
        asked_at != NEVER
            && clock
                .now()
                .saturating_sub(Duration::from_nanos(asked_at))
                .lt(&self.interval)
    }

    fn learn(&self, store: &dyn KeyStore, mut since: Sequence) -> Result<Sequence, StoreError> {
        loop {
            let changes = store.changes(since, FEED_PAGE)?;
            if changes.latest < since {
                self.forget_all();
                return Ok(changes.latest);
            }
            if !changes.changed.is_empty() {
                self.outdate(&changes.changed);
            }
            since = changes.through;
            if since >= changes.latest {
                return Ok(since);
            }
        }
    }

    fn outdate(&self, changed: &[Change]) {
        let mut contents = self.write();
        contents.epoch = contents.epoch.wrapping_add(1);
        for Change { key, sequence, .. } in changed {
            let revision = Revision::from(*sequence);
            let id = key.id.as_bytes();
            if key.collection == Collection::KEYS {
                if let Ok(id) = <[u8; 16]>::try_from(id) {
                    contents.keys.outdate(&KeyId::from_bytes(id), revision);
                }
            } else if key.collection == Collection::SUBJECTS {
                contents.forget_subject(&key.id, revision);
            } else if key.collection == Collection::ALIASES
                && let Ok(name) = std::str::from_utf8(id)
            {
                contents.aliases.outdate(name, revision);
            } else if *key == StoreRecord::address() {
                contents.store_policy.outdate(&(), revision);
            }
        }
    }

    fn forget_all(&self) {
        let mut contents = self.write();
        let epoch = contents.epoch.wrapping_add(1);
        *contents = Contents {
            epoch,
            ..Contents::new(self.capacity)
        };
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn new(capacity: usize) -> Self {
        Self {
            epoch: 0,
            keys: Bounded::new(capacity),
            aliases: Bounded::new(capacity),
            store_policy: Bounded::new(1),
            subjects: Bounded::new(capacity),
        }
    }

    fn forget_subject(&mut self, id: &RecordId, revision: Revision) {
        if self.subjects.last(id).is_some() {
            self.subjects.put(id.clone(), None, revision);
        }
    }
}

/// A child knows nothing yet, and what its parent wrapped is the parent's to count.
impl ForkableState for Cache {
    fn for_child(&self) -> Self {
        Self::new(self.capacity, self.interval)
    }

    fn try_clear(&self) -> bool {
        let Ok(mut contents) = self.contents.try_write() else {
            return false;
        };
        *contents = Contents::new(self.capacity);
        self.read_through.try_lock().is_ok() && self.usage.try_clear()
    }
}

fn nanos(time: Duration) -> u64 {
    // 584 years.
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

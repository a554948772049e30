use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{
    Change, Changes, Collection, CommitError, KeyStore, LogAppend, LogPage, Record, RecordId,
    RecordKey, Revision, ScanRequest, Sequence, StoreError, Transaction, TransactionStep, Write,
};

/// A store in memory: **it is lost with the process**, and so are the keys in it. For tests, and
/// for keys that must not outlive the process. Clones share their records.
#[derive(Clone, Default)]
pub struct MemoryKeyStore(Arc<RwLock<State>>);

#[derive(Default)]
struct State {
    latest: Sequence,
    records: BTreeMap<Collection, BTreeMap<RecordId, Entry>>,
    /// The records by the commit that changed them last.
    feed: BTreeMap<Sequence, BTreeSet<RecordKey>>,
    log: Vec<Vec<u8>>,
}

struct Entry {
    revision: Revision,
    /// None when the record was deleted.
    bytes: Option<Vec<u8>>,
}

impl MemoryKeyStore {
    /// Holds no record yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryKeyStore {
    fn name(&self) -> String {
        "the memory store".to_owned()
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.read().entry(key).and_then(Entry::record))
    }

    fn scan(&self, request: ScanRequest<'_>) -> Result<Vec<(RecordId, Record)>, StoreError> {
        let state = self.read();
        let Some(records) = state.records.get(&request.collection) else {
            return Ok(Vec::new());
        };
        let first = request.after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(records
            .range((first, Bound::Unbounded))
            .filter_map(|(id, entry)| Some((id.clone(), entry.record()?)))
            .take(request.limit)
            .collect())
    }

    fn commit(&self, transaction: &Transaction) -> Result<Sequence, CommitError> {
        transaction.validate()?;
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = transaction.log()
            && log.position != state.log.len() as u64
        {
            return Err(CommitError::Conflict {
                key: LogAppend::conflict_key(),
            });
        }
        for step in transaction.steps() {
            if !step.expected.matches(state.revision(&step.key)) {
                return Err(CommitError::Conflict {
                    key: step.key.clone(),
                });
            }
        }
        if !transaction.only_checks() {
            state.latest = Sequence::new(state.latest.get().saturating_add(1));
            for step in transaction.steps() {
                state.apply(step);
            }
        }
        if let Some(log) = transaction.log() {
            state.log.extend_from_slice(&log.entries);
        }
        Ok(state.latest)
    }

    fn latest(&self) -> Result<Sequence, StoreError> {
        Ok(self.read().latest)
    }

    fn changes(&self, since: Sequence, limit: usize) -> Result<Changes, StoreError> {
        let state = self.read();
        let mut changed = Vec::new();
        let mut through = since;
        for (&sequence, keys) in state.feed.range((Bound::Excluded(since), Bound::Unbounded)) {
            if changed.len() >= limit.max(1) {
                return Ok(Changes::new(changed, through, state.latest));
            }
            changed.extend(keys.iter().map(|key| Change::new(key.clone(), sequence)));
            through = sequence;
        }
        Ok(Changes::new(changed, state.latest, state.latest))
    }

    fn erase_replaced(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
        let state = self.read();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let entries = state.log.iter().skip(from).take(limit).cloned().collect();
        Ok(LogPage::new(entries, state.log.len() as u64))
    }
}

impl State {
    fn entry(&self, key: &RecordKey) -> Option<&Entry> {
        self.records.get(&key.collection)?.get(&key.id)
    }

    fn revision(&self, key: &RecordKey) -> Option<Revision> {
        let entry = self.entry(key)?;
        entry.bytes.is_some().then_some(entry.revision)
    }

    fn apply(&mut self, step: &TransactionStep) {
        let bytes = match &step.write {
            Write::Put(bytes) => Some(bytes.clone()),
            Write::Delete => None,
            Write::Check => return,
        };
        let entry = Entry {
            revision: self.latest.into(),
            bytes,
        };
        let records = self.records.entry(step.key.collection).or_default();
        if let Some(before) = records.insert(step.key.id.clone(), entry) {
            self.forget_change(before.revision.into(), &step.key);
        }
        let changed = self.feed.entry(self.latest).or_default();
        changed.insert(step.key.clone());
    }

    fn forget_change(&mut self, sequence: Sequence, key: &RecordKey) {
        if let Some(keys) = self.feed.get_mut(&sequence) {
            keys.remove(key);
            if keys.is_empty() {
                self.feed.remove(&sequence);
            }
        }
    }
}

impl Entry {
    fn record(&self) -> Option<Record> {
        let bytes = self.bytes.as_ref()?;
        Some(Record::new(self.revision, bytes.clone()))
    }
}

impl fmt::Debug for MemoryKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryKeyStore(sequence {})", self.read().latest)
    }
}

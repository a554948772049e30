//! A map that is bounded by the number of its entries, and by the age and the use of each.

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use hashlink::LinkedHashMap;

use super::limits::Budget;

/// What an entry is found by.
pub(super) type Id = Arc<[u8]>;

pub(super) struct Cache<V> {
    /// The least recently used first.
    entries: LinkedHashMap<Id, Entry<V>, RandomState>,
    /// The first to expire first.
    expiries: BTreeSet<(Duration, Id)>,
    max_entries: usize,
    evictions: u64,
}

pub(super) struct Entry<V> {
    pub(super) value: V,
    pub(super) left: Budget,
    pub(super) expires: Duration,
}

impl<V> Cache<V> {
    pub(super) fn new(max_entries: usize) -> Self {
        Self {
            entries: LinkedHashMap::default(),
            expiries: BTreeSet::new(),
            max_entries,
            evictions: 0,
        }
    }

    /// Uses an entry for one message, if it is young enough and the message fits what is left of
    /// it. An entry that is of no further use is dropped.
    pub(super) fn use_once<T>(
        &mut self,
        id: &[u8],
        bytes: u64,
        now: Duration,
        read: impl FnOnce(&V) -> T,
    ) -> Option<T> {
        let entry = self.most_recent(id)?;
        let left = entry.left.after_message(bytes);
        let left = left.filter(|_| entry.expires > now);
        let value = left.map(|_| read(&entry.value));
        match left {
            Some(left) if !left.is_spent() => entry.left = left,
            _ => self.evict(id),
        }
        value
    }

    /// Finds an entry, which is then the most recently used. Where it was before, as when many
    /// messages of one context follow each other, nothing is hashed.
    fn most_recent(&mut self, id: &[u8]) -> Option<&mut Entry<V>> {
        let is_last = self.entries.back().is_some_and(|(last, _)| **last == *id);
        if is_last {
            return self.entries.iter_mut().next_back().map(|(_, entry)| entry);
        }
        self.entries.to_back(id)
    }

    /// Adds an entry, dropping the least recently used where there are too many. Says whether the
    /// new one is the next to expire.
    pub(super) fn insert(&mut self, id: Id, entry: Entry<V>) -> bool {
        self.remove(&id);
        while self.entries.len() >= self.max_entries
            && let Some((oldest, _)) = self.entries.front()
        {
            let oldest = Arc::clone(oldest);
            self.evict(&oldest);
        }
        let expires = entry.expires;
        let is_next = self
            .expiries
            .first()
            .is_none_or(|(first, _)| expires < *first);
        self.expiries.insert((expires, Arc::clone(&id)));
        self.entries.insert(id, entry);
        is_next
    }

    /// Drops what has expired, and says when the next entry does.
    pub(super) fn drop_expired(&mut self, now: Duration) -> Option<Duration> {
        while let Some(&(expires, _)) = self.expiries.first() {
            if expires > now {
                return Some(expires);
            }
            if let Some((_, id)) = self.expiries.pop_first() {
                self.evict(&id);
            }
        }
        None
    }

    pub(super) fn drop_where(&mut self, mut condition: impl FnMut(&V) -> bool) {
        let Self {
            entries, expiries, ..
        } = self;
        entries.retain(|id, entry| {
            let drop = condition(&entry.value);
            if drop {
                expiries.remove(&(entry.expires, Arc::clone(id)));
            }
            !drop
        });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    fn evict(&mut self, id: &[u8]) {
        self.remove(id);
        self.evictions += 1;
    }

    fn remove(&mut self, id: &[u8]) {
        if let Some((id, entry)) = self.entries.remove_entry(id) {
            self.expiries.remove(&(entry.expires, id));
        }
    }
}

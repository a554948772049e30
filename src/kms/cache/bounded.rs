//! A map of bounded size that knows how new its values are.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::Revision;

/// Reading takes a shared borrow, so what was not used lately is found by *second chance*: a value
/// that was read since it came to the front of the queue goes to its end again.
pub(super) struct Bounded<K, V> {
    capacity: usize,
    slots: HashMap<K, Slot<V>>,
    /// The keys of `slots`, each once.
    queue: VecDeque<K>,
}

struct Slot<V> {
    value: V,
    /// The newest revision that is known of; `value` may be of an older one.
    revision: Revision,
    is_outdated: bool,
    was_read: AtomicBool,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            slots: HashMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// The value, if it is not outdated.
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let slot = self.slots.get(key).filter(|slot| !slot.is_outdated)?;
        slot.was_read.store(true, Ordering::Relaxed);
        Some(&slot.value)
    }

    /// The last value that is known of, also if it is outdated.
    pub(super) fn last<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.slots.get(key).map(|slot| &slot.value)
    }

    /// Takes a value in, unless a newer one is known of.
    pub(super) fn put(&mut self, key: K, value: V, revision: Revision) {
        if self.capacity == 0 {
            return;
        }
        if let Some(slot) = self.slots.get_mut(&key) {
            if slot.revision <= revision {
                slot.value = value;
                slot.revision = revision;
                slot.is_outdated = false;
            }
            return;
        }
        while self.slots.len() >= self.capacity && self.drop_one() {}
        let slot = Slot {
            value,
            revision,
            is_outdated: false,
            was_read: AtomicBool::new(false),
        };
        self.slots.insert(key.clone(), slot);
        self.queue.push_back(key);
    }

    /// Takes notice of a newer revision, whose value is not known.
    pub(super) fn outdate<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, revision: Revision)
    where
        K: Borrow<Q>,
    {
        if let Some(slot) = self.slots.get_mut(key)
            && slot.revision < revision
        {
            slot.revision = revision;
            slot.is_outdated = true;
        }
    }

    fn drop_one(&mut self) -> bool {
        while let Some(key) = self.queue.pop_front() {
            let was_read = self
                .slots
                .get_mut(&key)
                .is_some_and(|slot| std::mem::take(slot.was_read.get_mut()));
            if !was_read {
                self.slots.remove(&key);
                return true;
            }
            self.queue.push_back(key);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64) -> Revision {
        Revision::new(number)
    }

    #[test]
    fn what_was_read_stays_longer() {
        let mut map = Bounded::new(3);
        for key in 0..3 {
            map.put(key, key, revision(1));
        }
        assert_eq!(map.get(&0), Some(&0));
        map.put(3, 3, revision(1));
        map.put(4, 4, revision(1));
        let kept: Vec<_> = (0..5).filter(|key| map.last(key).is_some()).collect();
        assert_eq!(kept, [0, 3, 4]);
        assert_eq!(map.queue.len(), 3);
    }

    #[test]
    fn nothing_goes_back_to_an_older_revision() {
        let mut map = Bounded::new(3);
        map.put("a", 5, revision(5));
        map.put("a", 4, revision(4));
        assert_eq!(map.get("a"), Some(&5));
        map.outdate("a", revision(5));
        assert_eq!(
            map.get("a"),
            Some(&5),
            "a commit of our own comes back by the feed"
        );
        map.outdate("a", revision(7));
        assert_eq!((map.get("a"), map.last("a")), (None, Some(&5)));
        map.put("a", 6, revision(6));
        assert_eq!(map.get("a"), None);
        map.put("a", 7, revision(7));
        assert_eq!(map.get("a"), Some(&7));
    }

    #[test]
    fn capacity_of_nothing_keeps_nothing() {
        let mut map = Bounded::new(0);
        map.put(1, 1, revision(1));
        assert_eq!(map.last(&1), None);
    }
}

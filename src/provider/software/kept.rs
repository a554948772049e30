//! What a provider remembers between two calls: which keys were destroyed, and unwrapped keys.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError, RwLock};

use super::key_cache::KeyCache;
use crate::fork::ForkableState;
use crate::format::KeyId;

pub(super) struct Kept {
    pub(super) destroyed: Destroyed,
    pub(super) cache: KeyCache,
}

impl Kept {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            destroyed: Destroyed::default(),
            cache: KeyCache::new(capacity),
        }
    }

    /// Refuses the key from now on.
    pub(super) fn destroy(&self, key_id: KeyId) {
        self.destroyed.insert(key_id);
        self.cache.remove(key_id);
    }
}

impl ForkableState for Kept {
    fn for_child(&self) -> Self {
        Self {
            destroyed: self.destroyed.for_child(),
            cache: KeyCache::new(self.cache.capacity()),
        }
    }

    fn try_clear(&self) -> bool {
        self.cache.try_clear()
    }
}

/// The ids of keys that were destroyed, in two copies that are changed one after the other: so
/// whenever the process forks, the child can read one of them.
#[derive(Default)]
pub(super) struct Destroyed {
    copies: [RwLock<HashSet<KeyId>>; 2],
    changing: Mutex<()>,
}

impl Destroyed {
    pub(super) fn contains(&self, key_id: KeyId) -> bool {
        let [copy, _] = &self.copies;
        copy.read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&key_id)
    }

    fn insert(&self, key_id: KeyId) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        for copy in &self.copies {
            copy.write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key_id);
        }
    }

    fn for_child(&self) -> Self {
        let copy = self.copies.iter().find_map(|copy| copy.try_read().ok());
        let copy = copy.map(|copy| copy.clone()).unwrap_or_default();
        Self {
            copies: [RwLock::new(copy.clone()), RwLock::new(copy)],
            changing: Mutex::default(),
        }
    }
}

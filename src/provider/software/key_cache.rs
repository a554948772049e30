//! Unwrapped wrapping keys, kept in memory that is not swapped out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, TryLockError};

use crate::crypto::KeyWrap;
use crate::format::KeyId;
use crate::provider::KeyHandle;

/// What a [`SoftwareKeyProvider`](super::SoftwareKeyProvider) keeps of unwrapped keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCacheStats {
    /// The keys kept now.
    pub keys: usize,
    /// The most keys that are kept.
    pub capacity: usize,
    /// Keys that had to make room for others so far.
    pub evictions: u64,
    /// The memory taken for the keys themselves, in bytes.
    pub bytes: usize,
    /// How much of it the operating system locked: it is not swapped out. All of it, unless a
    /// limit such as `ulimit -l` stood in the way.
    pub locked_bytes: usize,
}

/// Wrapping keys by their handles. The least recently used go first, approximately: a use is one
/// bit that the search for a key to evict clears, so uses from many threads do not wait.
pub(super) struct KeyCache {
    capacity: AtomicUsize,
    slab: RwLock<Slab>,
}

/// Slots never move, and are erased in their place.
#[derive(Default)]
struct Slab {
    pages: Vec<Page>,
    /// An id has one handle that unwraps.
    slots_by_id: HashMap<KeyId, usize>,
    /// Slots that once held a key and hold none now.
    free: Vec<usize>,
    /// Where the search for a key to evict goes on.
    hand: usize,
    evictions: u64,
}

struct Page {
    lock: Option<region::LockGuard>,
    slots: Box<Slots>,
}

/// Memory that shares no page of the operating system with anything else, on most systems.
#[repr(align(16384))]
struct Slots([Slot; SLOTS_PER_PAGE]);

#[derive(Default)]
struct Slot {
    kept: Option<KeptKey>,
    used: AtomicBool,
}

struct KeptKey {
    key_id: KeyId,
    /// What the key was unwrapped from, and what alone it answers to.
    handle: KeyHandle,
    key: KeyWrap,
}

const PAGE_LEN: usize = 16384;
const SLOTS_PER_PAGE: usize = PAGE_LEN / size_of::<Slot>();

impl KeyCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: AtomicUsize::new(capacity),
            slab: RwLock::default(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Changes how many keys are kept, and drops those that are.
    pub(super) fn set_capacity(&self, capacity: usize) {
        let mut slab = self.slab.write().unwrap_or_else(PoisonError::into_inner);
        self.capacity.store(capacity, Ordering::Relaxed);
        *slab = Slab::default();
    }

    /// Calls `action` with the key that was unwrapped from just this handle and binding.
    pub(super) fn with_key<T>(
        &self,
        key_id: KeyId,
        handle: &KeyHandle,
        action: impl FnOnce(&KeyWrap) -> T,
    ) -> Option<T> {
        let slab = self.slab.read().unwrap_or_else(PoisonError::into_inner);
        slab.key(key_id, handle).map(action)
    }

    /// Keeps a key unless `is_refused`, which is asked while nothing else changes the cache.
    pub(super) fn insert(
        &self,
        key_id: KeyId,
        handle: &KeyHandle,
        key: KeyWrap,
        is_refused: impl FnOnce() -> bool,
    ) {
        if self.capacity() == 0 {
            return;
        }
        let kept = KeptKey {
            key_id,
            handle: handle.clone(),
            key,
        };
        let mut slab = self.slab.write().unwrap_or_else(PoisonError::into_inner);
        if !is_refused() {
            slab.insert(self.capacity(), kept);
        }
    }

    pub(super) fn remove(&self, key_id: KeyId) {
        self.slab
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key_id);
    }

    /// Erases all keys without waiting; `false` if somebody is at them.
    pub(super) fn try_clear(&self) -> bool {
        match self.slab.try_write() {
            Ok(mut slab) => *slab = Slab::default(),
            Err(TryLockError::Poisoned(slab)) => *slab.into_inner() = Slab::default(),
            Err(TryLockError::WouldBlock) => return false,
        }
        true
    }

    pub(super) fn stats(&self) -> KeyCacheStats {
        let slab = self.slab.read().unwrap_or_else(PoisonError::into_inner);
        let locked = slab.pages.iter().filter(|page| page.lock.is_some());
        KeyCacheStats {
            keys: slab.slots_by_id.len(),
            capacity: self.capacity(),
            evictions: slab.evictions,
            bytes: slab.pages.len() * size_of::<Slots>(),
            locked_bytes: locked.count() * size_of::<Slots>(),
        }
    }
}

impl Slab {
    fn key(&self, key_id: KeyId, handle: &KeyHandle) -> Option<&KeyWrap> {
        let slot = self.slot(*self.slots_by_id.get(&key_id)?)?;
        let kept = slot.kept.as_ref().filter(|kept| kept.handle == *handle)?;
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(&kept.key)
    }

    fn insert(&mut self, capacity: usize, kept: KeptKey) {
        let key_id = kept.key_id;
        self.remove(key_id);
        let Some(number) = self.take_slot(capacity) else {
            return;
        };
        if let Some(slot) = self.slot_mut(number) {
            slot.kept = Some(kept);
            *slot.used.get_mut() = true;
            self.slots_by_id.insert(key_id, number);
        }
    }

    fn remove(&mut self, key_id: KeyId) {
        let Some(number) = self.slots_by_id.remove(&key_id) else {
            return;
        };
        if let Some(slot) = self.slot_mut(number) {
            slot.kept = None;
            self.free.push(number);
        }
    }

    /// A slot without a key.
    fn take_slot(&mut self, capacity: usize) -> Option<usize> {
        if let Some(number) = self.free.pop() {
            return Some(number);
        }
        let number = self.slots_by_id.len();
        if number >= capacity {
            self.evict_one();
            return self.free.pop();
        }
        if number == self.pages.len() * SLOTS_PER_PAGE {
            self.pages.push(Page::new());
        }
        Some(number)
    }

    fn evict_one(&mut self) {
        // After one round no slot counts as used.
        for _ in 0..=self.slots_by_id.len() {
            let number = self.hand;
            self.hand = (number + 1) % self.slots_by_id.len().max(1);
            let Some(slot) = self.slot_mut(number) else {
                continue;
            };
            if std::mem::take(slot.used.get_mut()) {
                continue;
            }
            if let Some(key_id) = slot.kept.as_ref().map(|kept| kept.key_id) {
                self.remove(key_id);
                self.evictions += 1;
                return;
            }
        }
    }

    fn slot(&self, number: usize) -> Option<&Slot> {
        let page = self.pages.get(number / SLOTS_PER_PAGE)?;
        page.slots.0.get(number % SLOTS_PER_PAGE)
    }

    fn slot_mut(&mut self, number: usize) -> Option<&mut Slot> {
        let page = self.pages.get_mut(number / SLOTS_PER_PAGE)?;
        page.slots.0.get_mut(number % SLOTS_PER_PAGE)
    }
}

impl Page {
    fn new() -> Self {
        let slots = Box::new(Slots(std::array::from_fn(|_| Slot::default())));
        Self {
            lock: region::lock(&raw const *slots, size_of::<Slots>()).ok(),
            slots,
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // While the memory is still locked.
        for slot in &mut self.slots.0 {
            slot.kept = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_kept_key_takes_what_the_documentation_says() {
        assert_eq!(size_of::<Slots>(), PAGE_LEN);
        assert_eq!(PAGE_LEN.div_ceil(SLOTS_PER_PAGE), 469);
    }
}

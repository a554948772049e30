//! The headers that an opener has verified, by the id that their records begin with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroize;

use super::key::RecordKey;
use crate::fork::ForkableState;
use crate::format::{HeaderId, Record};

/// A header that was verified under the opener's context.
pub(super) struct OpenHeader {
    /// All of its bytes, by which it is known again.
    pub(super) bytes: Box<[u8]>,
    pub(super) key: RecordKey,
}

/// How many of the keys tried have opened a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// None, and the buffer holds zeros.
    NoneFits,
    /// One, and the buffer holds the plaintext.
    OneFits,
    /// Several, which an honest writer cannot bring about. The buffer holds zeros.
    SeveralFit,
}

/// Opens `record` with the one of `headers` that fits it. They have different keys.
pub(super) fn open_with_one(
    headers: &[Arc<OpenHeader>],
    record: &Record<'_>,
    aad: &[u8],
    plaintext: &mut [u8],
) -> Tried {
    let mut fits = None;
    let mut last_fits = false;
    for header in headers {
        last_fits = header.key.open_record(record, aad, plaintext).is_ok();
        if last_fits && fits.replace(header).is_some() {
            plaintext.zeroize();
            return Tried::SeveralFit;
        }
    }
    match fits {
        None => Tried::NoneFits,
        Some(_) if last_fits => Tried::OneFits,
        Some(header) => match header.key.open_record(record, aad, plaintext) {
            Ok(()) => Tried::OneFits,
            Err(_) => Tried::NoneFits,
        },
    }
}

/// The headers of a bounded number of ids; the id that was least recently used goes first.
pub(super) struct Cache {
    capacity: usize,
    slots: RwLock<BTreeMap<HeaderId, Slot>>,
    /// The `last_used` of the most recently used slot. Starts after that of a slot not used yet.
    clock: AtomicU64,
}

/// All the headers of one id, as the store gave them last.
struct Slot {
    headers: Vec<Arc<OpenHeader>>,
    last_used: AtomicU64,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            slots: RwLock::default(),
            clock: AtomicU64::new(1),
        }
    }

    /// Opens `record` with what is cached for its id.
    pub(super) fn open(&self, record: &Record<'_>, aad: &[u8], plaintext: &mut [u8]) -> Tried {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get(&record.id) else {
            return Tried::NoneFits;
        };
        self.touch(slot);
        open_with_one(&slot.headers, record, aad, plaintext)
    }

    /// What is cached for an id.
    pub(super) fn headers(&self, id: HeaderId) -> Vec<Arc<OpenHeader>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots
            .get(&id)
            .map(|slot| slot.headers.clone())
            .unwrap_or_default()
    }

    /// Replaces what is cached for an id.
    pub(super) fn put(&self, id: HeaderId, headers: Vec<Arc<OpenHeader>>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if headers.is_empty() || self.capacity == 0 {
            slots.remove(&id);
            return;
        }
        if slots.len() >= self.capacity && !slots.contains_key(&id) {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.last_used.load(Ordering::Relaxed))
                .map(|(id, _)| *id);
            oldest.and_then(|id| slots.remove(&id));
        }
        let slot = Slot {
            headers,
            last_used: AtomicU64::new(0),
        };
        self.touch(&slot);
        slots.insert(id, slot);
    }

    /// The number of ids.
    pub(super) fn len(&self) -> usize {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.len()
    }

    /// Makes a slot the most recently used, without a write to memory where it is already.
    fn touch(&self, slot: &Slot) {
        if slot.last_used.load(Ordering::Relaxed) != self.clock.load(Ordering::Relaxed) {
            let now = self.clock.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            slot.last_used.store(now, Ordering::Relaxed);
        }
    }
}

impl ForkableState for Cache {
    fn for_child(&self) -> Self {
        Self::new(self.capacity)
    }

    fn try_clear(&self) -> bool {
        self.slots
            .try_write()
            .map(|mut slots| slots.clear())
            .is_ok()
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::{Engine, Suite};

    fn id(number: u8) -> HeaderId {
        HeaderId::from_bytes([0x80, 0, 0, number])
    }

    fn header(key: u8) -> Arc<OpenHeader> {
        Arc::new(OpenHeader {
            bytes: Box::new([key]),
            key: RecordKey::new(Engine::Auto, Suite::Aes256Gcm, [key; 32].into()),
        })
    }

    fn record(number: u8) -> Vec<u8> {
        let mut record = vec![0; 32];
        header(number)
            .key
            .seal_record(id(number), &[0; 12], b"", b"", &mut record)
            .unwrap();
        record
    }

    fn use_of(cache: &Cache, number: u8) -> Tried {
        let record = record(number);
        cache.open(&Record::parse(&record).unwrap(), b"", &mut [])
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new(3);
        for number in 0..3 {
            cache.put(id(number), vec![header(number)]);
        }
        assert_eq!(use_of(&cache, 0), Tried::OneFits);
        cache.put(id(3), vec![header(3)]);
        assert_eq!(use_of(&cache, 1), Tried::NoneFits);
        assert_eq!(use_of(&cache, 2), Tried::OneFits);
        cache.put(id(4), vec![header(4)]);
        let cached = (0..5).map(|number| !cache.headers(id(number)).is_empty());
        assert_eq!(cached.collect::<Vec<_>>(), [false, false, true, true, true]);
        assert_eq!(cache.len(), 3);
    }

    #[test]
    fn what_is_put_again_takes_no_second_place() {
        let cache = Cache::new(2);
        cache.put(id(0), vec![header(0)]);
        cache.put(id(1), vec![header(1)]);
        cache.put(id(0), vec![header(9), header(0)]);
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.headers(id(0)).len(), 2);
        assert_eq!(use_of(&cache, 0), Tried::OneFits);
    }

    #[test]
    fn the_plaintext_is_there_whichever_header_fits() {
        let mut record = vec![0; 32 + 7];
        let fitting = header(5);
        fitting
            .key
            .seal_record(id(0), &[0; 12], b"aad", b"payload", &mut record)
            .unwrap();
        let record = Record::parse(&record).unwrap();
        for place in 0..3 {
            let mut headers = vec![header(1), header(2)];
            headers.insert(place, Arc::clone(&fitting));
            let mut plaintext = [0x55; 7];
            let tried = open_with_one(&headers, &record, b"aad", &mut plaintext);
            assert_eq!((tried, &plaintext), (Tried::OneFits, b"payload"), "{place}");
            let tried = open_with_one(&headers, &record, b"", &mut plaintext);
            assert_eq!((tried, plaintext), (Tried::NoneFits, [0; 7]), "{place}");
        }
    }

    #[test]
    fn no_place_for_any() {
        let cache = Cache::new(0);
        cache.put(id(0), vec![header(0)]);
        assert_eq!(cache.len(), 0);
    }
}

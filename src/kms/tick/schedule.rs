//! Which keys have work to do, and when.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::fork::ForkableState;
use crate::format::KeyId;
use crate::kms::error::KmsError;
use crate::kms::inner::Inner;
use crate::kms::scan::Scan;
use crate::store::{Collection, Record, RecordKey, Sequence};

/// The dates of all keys of a store that have any, so that a tick need not read all keys. Brought up
/// to date by the store's feed of changes.
#[derive(Default)]
pub(in crate::kms) struct Schedule(Mutex<Dates>);

#[derive(Default)]
struct Dates {
    /// Up to where the feed was read. Nothing before all keys were.
    read_through: Option<Sequence>,
    by_date: BTreeSet<(Timestamp, KeyId)>,
    by_key: HashMap<KeyId, Timestamp>,
}

const FEED_PAGE: usize = 1000;

impl Schedule {
    /// The keys that have work to do now, the one that has waited longest first.
    pub(super) fn due(&self, kms: &Inner, now: Timestamp) -> Result<Vec<KeyId>, KmsError> {
        let mut dates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let through = match dates.read_through {
            Some(since) => dates.follow(kms, since)?,
            None => dates.read_all(kms)?,
        };
        dates.read_through = Some(through);
        let due = dates.by_date.iter().take_while(|(date, _)| *date <= now);
        Ok(due.map(|&(_, key)| key).collect())
    }
}

impl Dates {
    fn read_all(&mut self, kms: &Inner) -> Result<Sequence, KmsError> {
        *self = Self::default();
        let through = kms.store.latest()?;
        for stored in Scan::all(kms.store.as_ref(), Collection::KEYS) {
            let (address, stored) = stored?;
            self.take_in(kms, &address, Some(stored));
        }
        Ok(through)
    }

    fn follow(&mut self, kms: &Inner, mut since: Sequence) -> Result<Sequence, KmsError> {
        loop {
            let changes = kms.store.changes(since, FEED_PAGE)?;
            if changes.latest < since {
                return self.read_all(kms);
            }
            for change in &changes.changed {
                if change.key.collection == Collection::KEYS {
                    self.take_in(kms, &change.key, kms.store.get(&change.key)?);
                }
            }
            since = changes.through;
            if since >= changes.latest {
                return Ok(since);
            }
        }
    }

    fn take_in(&mut self, kms: &Inner, address: &RecordKey, stored: Option<Record>) {
        let Ok(id) = <[u8; 16]>::try_from(address.id.as_bytes()) else {
            return;
        };
        let key = KeyId::from_bytes(id);
        let date = match stored.map(|stored| kms.decode_key(address, &stored)) {
            None => None,
            Some(Ok(record)) => record.first_due().map(|(date, _)| date),
            // Whoever works on it is told why it cannot be read.
            Some(Err(_)) => Some(Timestamp::UNIX_EPOCH),
        };
        if let Some(before) = self.by_key.remove(&key) {
            self.by_date.remove(&(before, key));
        }
        if let Some(date) = date {
            self.by_key.insert(key, date);
            self.by_date.insert((date, key));
        }
    }
}

impl ForkableState for Schedule {
    fn for_child(&self) -> Self {
        Self::default()
    }

    fn try_clear(&self) -> bool {
        self.0
            .try_lock()
            .map(|mut dates| *dates = Dates::default())
            .is_ok()
    }
}

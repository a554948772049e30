//! How often versions of keys wrap: counted here, and added to the store now and then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::format::{KeyId, KeyVersion};

/// The meters of a process.
#[derive(Default)]
pub(super) struct Usage(Mutex<HashMap<(KeyId, KeyVersion), Arc<Meter>>>);

/// Counts what a version wrapped in this process and the store does not know of.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU64);

/// The most wraps of a version that a process counts before it adds them to the store, however
/// large the budget.
pub(super) const MAX_UNCOUNTED: u64 = 1 << 20;

impl Usage {
    pub(super) fn meter(&self, key: KeyId, version: KeyVersion) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(meters.entry((key, version)).or_default())
    }

    /// Takes all counts out, by keys, and forgets meters that nobody counts on.
    pub(super) fn take(&self) -> Vec<(KeyId, Vec<(KeyVersion, u64)>)> {
        let mut taken: HashMap<KeyId, Vec<_>> = HashMap::new();
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.retain(|&(key, version), meter| {
            let count = meter.take();
            if count > 0 {
                taken.entry(key).or_default().push((version, count));
            }
            Arc::strong_count(meter) > 1
        });
        taken.into_iter().collect()
    }

    /// Puts back what could not be added to the store.
    pub(super) fn put_back(&self, key: KeyId, counts: &[(KeyVersion, u64)]) {
        for &(version, count) in counts {
            self.meter(key, version).add(count);
        }
    }

    /// Drops the counts of a process that this one was forked from.
    pub(super) fn try_clear(&self) -> bool {
        self.0.try_lock().map(|mut meters| meters.clear()).is_ok()
    }
}

impl Meter {
    /// Counts, and says how many there are now.
    pub(super) fn add(&self, count: u64) -> u64 {
        self.0
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count)
    }

    pub(super) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// How many wraps a process may count before it adds them to the store.
pub(super) fn uncounted(budget: Option<u64>) -> u64 {
    let share = budget.map_or(MAX_UNCOUNTED, |budget| budget / 64);
    share.clamp(1, MAX_UNCOUNTED)
}

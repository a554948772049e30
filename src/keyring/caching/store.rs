//! The data keys of one process, and the thread that drops them when they expire.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use super::decryption::{Found, KeyToOpen};
use super::encryption::KeyToSeal;
use super::limits::CacheLimits;
use super::side::Side;
use crate::clock::Clock;
use crate::fork::ForkGuard;

pub(super) struct Store {
    pub(super) limits: CacheLimits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keeps: bool,
    pub(super) encryption: Side<Arc<KeyToSeal>, Arc<KeyToSeal>>,
    pub(super) decryption: Side<KeyToOpen, Found>,
    expiry: Mutex<Option<Thread>>,
}

impl Store {
    fn new(limits: CacheLimits, clock: Arc<dyn Clock>, keeps: bool) -> Self {
        Self {
            limits,
            clock,
            keeps,
            encryption: Side::new(limits.max_entries),
            decryption: Side::new(limits.max_entries),
            expiry: Mutex::new(None),
        }
    }

    pub(super) fn clear(&self) {
        self.encryption.clear();
        self.decryption.clear();
    }

    /// Starts the thread that drops expired keys, if it does not run yet. Says whether it runs:
    /// without it nothing may be kept.
    pub(super) fn starts_expiry(self: &Arc<Self>) -> bool {
        let mut expiry = self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if expiry.is_none() {
            let (store, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
            *expiry = thread::Builder::new()
                .name("waxseal-expiry".to_owned())
                .spawn(move || drop_as_they_expire(&store, clock.as_ref()))
                .ok()
                .map(|handle| handle.thread().clone());
        }
        expiry.is_some()
    }

    /// Lets the thread look again at what expires next.
    pub(super) fn wake_expiry(&self) {
        let expiry = self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = expiry.as_ref() {
            thread.unpark();
        }
    }

    fn drop_expired(&self) -> Option<Duration> {
        let now = self.clock.now();
        let next = [
            self.encryption.drop_expired(now),
            self.decryption.drop_expired(now),
        ];
        next.into_iter().flatten().min()
    }
}

/// The thread finds the store gone, and ends.
impl Drop for Store {
    fn drop(&mut self) {
        let expiry = self
            .expiry
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = expiry {
            thread.unpark();
        }
    }
}

fn drop_as_they_expire(store: &Weak<Store>, clock: &dyn Clock) {
    while let Some(next) = store.upgrade().map(|store| store.drop_expired()) {
        match next {
            Some(deadline) => clock.park_until(deadline),
            None => thread::park(),
        }
    }
}

/// The store of this process, and of each process that is forked from it: a child shares neither
/// the counts of its parent's data keys, nor the thread, nor locks that were held at the fork.
pub(super) struct ProcessStore {
    /// None where forks cannot be noticed, so that nothing may be kept.
    guard: Option<ForkGuard>,
    store: Arc<Store>,
    child: OnceLock<Box<ProcessStore>>,
}

impl ProcessStore {
    pub(super) fn new(limits: CacheLimits, clock: Arc<dyn Clock>) -> Self {
        // Where a fork would go unnoticed, a guard takes itself for forked at once.
        let guard = Some(ForkGuard::new()).filter(|guard| !guard.is_forked());
        let keeps = guard.is_some() && !limits.keep_nothing();
        Self {
            guard,
            store: Arc::new(Store::new(limits, clock, keeps)),
            child: OnceLock::new(),
        }
    }

    pub(super) fn get(&self) -> &Arc<Store> {
        let mut this = self;
        while this.is_forked() {
            this = this.child.get_or_init(|| {
                this.clear_as_child();
                Box::new(Self::new(this.store.limits, Arc::clone(&this.store.clock)))
            });
        }
        &this.store
    }

    fn is_forked(&self) -> bool {
        self.guard.as_ref().is_some_and(ForkGuard::is_forked)
    }

    /// Erases what the parent kept. If a thread held a lock at the fork, what it guards is in
    /// disorder and must never be touched: not even dropped.
    fn clear_as_child(&self) {
        let store = &self.store;
        if !(store.encryption.try_clear() & store.decryption.try_clear()) {
            std::mem::forget(Arc::clone(store));
        }
    }
}

impl Drop for ProcessStore {
    fn drop(&mut self) {
        if self.is_forked() {
            self.clear_as_child();
        } else {
            self.store.clear();
        }
    }
}

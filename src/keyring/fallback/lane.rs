//! One of the keyrings, with what is known of it and the threads that call it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::FallbackLimits;
use super::breaker::Breaker;
use super::workers::Workers;
use crate::keyring::Keyring;

pub(super) struct Lane {
    keyring: Arc<dyn Keyring>,
    limits: FallbackLimits,
    breaker: Mutex<Breaker>,
    workers: Workers,
}

impl Lane {
    pub(super) fn new(keyring: Arc<dyn Keyring>, limits: FallbackLimits) -> Self {
        Self {
            keyring,
            limits,
            breaker: Mutex::default(),
            workers: Workers::new(limits.threads),
        }
    }

    pub(super) fn for_child(&self) -> Self {
        Self::new(Arc::clone(&self.keyring), self.limits)
    }

    pub(super) fn keyring(&self) -> &Arc<dyn Keyring> {
        &self.keyring
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    pub(super) fn limits(&self) -> &FallbackLimits {
        &self.limits
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_aside(&self, now: Duration) -> bool {
        self.breaker().is_aside(now)
    }

    pub(super) fn try_clear(&self) -> bool {
        self.workers.try_clear() && self.breaker.try_lock().is_ok()
    }
}

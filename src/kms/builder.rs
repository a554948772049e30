use std::sync::Arc;
use std::time::Duration;

use super::Kms;
use super::cache::Cache;
use super::error::KmsError;
use super::in_use::Inventories;
use super::inner::Inner;
use super::providers::Providers;
use super::store_key::OpenStore;
use super::tick::Schedule;
use crate::clock::{Clock, SystemClock};
use crate::fork::PerProcess;
use crate::provider::KeyProvider;
use crate::rng::{RandomSource, SystemRandom};
use crate::store::KeyStore;

/// Puts a [`Kms`] together.
#[derive(Debug)]
#[must_use]
pub struct KmsBuilder {
    store: Arc<dyn KeyStore>,
    providers: Vec<Arc<dyn KeyProvider>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    refresh_interval: Duration,
    cached_keys: usize,
}

impl KmsBuilder {
    pub(super) fn new(store: impl KeyStore + 'static) -> Self {
        Self {
            store: Arc::new(store),
            providers: Vec::new(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            refresh_interval: Kms::DEFAULT_REFRESH_INTERVAL,
            cached_keys: Kms::DEFAULT_CACHED_KEYS,
        }
    }

    /// Adds a provider. The first is the one that keys are made in unless another is named, and
    /// that wraps the key of a new store. Keys of a provider that is not given are
    /// [unavailable](super::KeyState::Unavailable).
    pub fn provider(mut self, provider: impl KeyProvider + 'static) -> Self {
        self.providers.push(Arc::new(provider));
        self
    }

    /// Takes the time from `clock` in place of [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Takes ids of keys, and the key of a new store, from `random` in place of [`SystemRandom`].
    pub fn random(mut self, random: impl RandomSource + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// How long what other processes change may stay unnoticed, in place of
    /// [`Kms::DEFAULT_REFRESH_INTERVAL`]. Zero asks the store before every operation.
    pub fn refresh_interval(mut self, interval: Duration) -> Self {
        self.refresh_interval = interval;
        self
    }

    /// How many keys, and as many aliases, are kept in memory, in place of
    /// [`Kms::DEFAULT_CACHED_KEYS`]. A key takes about 1.5 KiB with one version, and each further
    /// version half as much; what its provider keeps comes on top.
    pub fn cached_keys(mut self, keys: usize) -> Self {
        self.cached_keys = keys;
        self
    }

    /// Opens the store. One that is empty becomes the store of a new KMS.
    ///
    /// # Errors
    ///
    /// [`KmsError::StoreKey`] when the providers have not the key that the store was created
    /// under, [`KmsError::NoProvider`] when the provider that has it was not given,
    /// [`KmsError::Tampered`] and [`KmsError::NoStoreRecord`] when the store was interfered with,
    /// [`KmsError::NoProviders`], [`KmsError::SameProvider`], and the failures of the store and the
    /// provider.
    pub fn open(self) -> Result<Kms, KmsError> {
        let providers = Providers::new(self.providers)?;
        let store_key = OpenStore::open(
            self.store.as_ref(),
            &providers,
            self.random.as_ref(),
            self.clock.unix_time(),
        )?;
        Ok(Kms::from_inner(Inner {
            store: self.store,
            store_key,
            providers,
            clock: self.clock,
            random: self.random,
            cache: PerProcess::new(Cache::new(self.cached_keys, self.refresh_interval)),
            schedule: PerProcess::new(Schedule::default()),
            inventories: Inventories::default(),
        }))
    }
}

use std::sync::Arc;
use std::time::Duration;

use super::Kms;
use super::audit::open_trail;
use super::cache::Cache;
use super::error::KmsError;
use super::in_use::Inventories;
use super::inner::Inner;
use super::name::Principal;
use super::providers::Providers;
use super::store_key::OpenStore;
use super::tick::Schedule;
use crate::audit::AuditTrailBuilder;
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
    authorisation: Authorisation,
    trail: Option<AuditTrailBuilder>,
}

/// Whether who acts is asked what he may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Authorisation {
    /// As the store says: if it has a policy, nobody may do what no policy and no grant allows.
    /// Otherwise everybody may do everything, but for keys that have a policy of their own.
    #[default]
    OfStore,
    /// In any case: a store that has no policy gets one, under which this principal may do
    /// everything and nobody else anything.
    Enforced {
        /// Who looks after the store at first.
        admin: Principal,
    },
}

impl Authorisation {
    /// In any case; `admin` is who looks after a store that has no policy yet.
    pub fn enforced(admin: impl Into<Principal>) -> Self {
        Self::Enforced {
            admin: admin.into(),
        }
    }
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
            authorisation: Authorisation::default(),
            trail: None,
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

    /// Says whether policies are asked, in place of [`Authorisation::OfStore`]. A store that has had a
    /// policy put, in any process, is one whose policies are asked, in every process.
    pub fn authorisation(mut self, authorisation: Authorisation) -> Self {
        self.authorisation = authorisation;
        self
    }

    /// Records every operation in an audit trail, and does none that cannot be recorded. The trail
    /// needs no key, clock and place for its head: it has those of the KMS, unless they were set. If
    /// the store [came from a backup](Kms::restore), that is the first thing recorded.
    pub fn audit(mut self, trail: AuditTrailBuilder) -> Self {
        self.trail = Some(trail);
        self
    }

    /// Opens the store. One that is empty becomes the store of a new KMS.
    ///
    /// # Errors
    ///
    /// [`KmsError::StoreKey`] when the providers have not the key that the store was created
    /// under, [`KmsError::NoProvider`] when the provider that has it was not given,
    /// [`KmsError::Tampered`] and [`KmsError::NoStoreRecord`] when the store was interfered with,
    /// [`KmsError::NoProviders`], [`KmsError::SameProvider`], [`KmsError::Audit`], and the failures of
    /// the store and the provider.
    pub fn open(self) -> Result<Kms, KmsError> {
        let providers = Providers::new(self.providers)?;
        let store_key = OpenStore::open(
            self.store.as_ref(),
            &providers,
            self.random.as_ref(),
            self.clock.unix_time(),
        )?;
        let trail = self
            .trail
            .map(|trail| open_trail(trail, &self.store, &store_key, &self.clock, &self.random));
        let inner = Inner {
            store: self.store,
            store_key,
            providers,
            clock: self.clock,
            random: self.random,
            cache: PerProcess::new(Cache::new(self.cached_keys, self.refresh_interval)),
            schedule: PerProcess::new(Schedule::default()),
            inventories: Inventories::default(),
            trail: trail.transpose()?,
        };
        inner.refresh()?;
        inner.store_policy()?;
        let kms = Kms::from_inner(inner);
        kms.record_restore()?;
        if let Authorisation::Enforced { admin } = self.authorisation {
            kms.as_principal(admin).enforce()?;
        }
        Ok(kms)
    }
}

//! Keyrings that stand in for each other when a provider does not answer.

mod breaker;
mod call;
mod lane;
mod limits;
mod workers;

use std::fmt;
use std::sync::Arc;

pub use call::{NotAnswered, WhyNotAnswered};
pub use limits::FallbackLimits;

use self::call::Race;
use self::lane::Lane;
use super::report::Trials;
use super::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Unwrapped,
    WrapDataKeyRequest,
};
use crate::clock::{Clock, SystemClock};
use crate::crypto::SecretArray;
use crate::error::Error;
use crate::fork::{ForkableState, PerProcess};
use crate::format::{KeyEntriesBuf, KeyEntry};
use crate::rng::{RandomError, RandomSource, RngSource};
use crate::secret::DataKey;

/// Keyrings in the order in which they are preferred: when one does not answer, the next is asked.
///
/// **To seal**, the first keyring that answers wraps the data key, it alone; so those who open need
/// the keys of all. An answer that is no outage, such as a denial, is the answer. **To open**, the
/// keyrings that hold a key of the message are asked in their order, and one that refuses leaves the
/// others to try; when none opens, [`Error::NotOpened`] tells of each wrapped key.
///
/// **Who does not answer.** Each keyring is given [a time](FallbackLimits::timeout), 1 second unless
/// told. In it, outages are tried again after a pause that doubles. A keyring that uses up the time, or
/// has three outages one after the other, is put aside for 10 seconds, in which nobody waits for it;
/// then one call tries it while others still pass it by. So a provider that hangs delays those who
/// call before it is put aside by the timeout, and nobody after them. With
/// [`hedge_after`](FallbackLimits::hedge_after), the next keyring is asked too when the first takes
/// long, and the first answer is taken.
///
/// **Threads.** A call that may block runs on a thread of this keyring, and a call that hangs keeps its
/// thread until it returns, and the data key that it was to wrap: at most
/// [16](FallbackLimits::threads) for each keyring. Further calls wait for a thread, within their time.
/// What is given without asking a provider, from a cache for instance, takes no thread. Threads that
/// have nothing to do for 10 seconds end.
///
/// A [`CachingKeyring`](super::CachingKeyring) belongs around this one: what it keeps is then there
/// whoever answered.
///
/// ```
/// use std::time::Duration;
/// use waxseal::{
///     EncryptionContext, Envelope, EnvelopeEncryptor, FallbackKeyring, FallbackLimits, RootKey,
///     SingleKeyring,
/// };
///
/// let near = SingleKeyring::software(&RootKey::generate()?);
/// let far = SingleKeyring::software(&RootKey::generate()?);
/// let limits = FallbackLimits::default().with_timeout(Duration::from_millis(300));
/// let keyring = FallbackKeyring::new(near).or(far).with_limits(limits);
/// Envelope::new(keyring).encrypt(b"the payload", &EncryptionContext::empty())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FallbackKeyring {
    limits: FallbackLimits,
    lanes: Arc<PerProcess<Lanes>>,
}

/// Each keyring with what is known of it and what it is doing.
struct Lanes {
    lanes: Vec<Arc<Lane>>,
    clock: Arc<dyn Clock>,
}

impl FallbackKeyring {
    /// Begins with the keyring that is preferred.
    #[must_use]
    pub fn new(keyring: impl Keyring + 'static) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self::build(FallbackLimits::default(), clock, vec![Arc::new(keyring)])
    }

    /// Adds one that is asked where those before it do not answer.
    #[must_use]
    pub fn or(self, keyring: impl Keyring + 'static) -> Self {
        let mut keyrings = self.keyrings();
        keyrings.push(Arc::new(keyring));
        Self::build(self.limits, self.clock(), keyrings)
    }

    /// Waits, tries again and puts aside within `limits`.
    #[must_use]
    pub fn with_limits(self, limits: FallbackLimits) -> Self {
        Self::build(limits, self.clock(), self.keyrings())
    }

    /// Tells by `clock` how long a keyring was put aside. How long a call takes is told by the system.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self::build(self.limits, Arc::new(clock), self.keyrings())
    }

    /// Which keyrings are put aside now, by their numbers from 0.
    #[must_use]
    pub fn put_aside(&self) -> Vec<usize> {
        let lanes = self.lanes.get();
        let now = lanes.clock.now();
        let aside = lanes.lanes.iter().enumerate();
        aside
            .filter(|(_, lane)| lane.is_aside(now))
            .map(|(number, _)| number)
            .collect()
    }

    fn build(
        limits: FallbackLimits,
        clock: Arc<dyn Clock>,
        keyrings: Vec<Arc<dyn Keyring>>,
    ) -> Self {
        let limits = limits.within_reason();
        let lanes = keyrings
            .into_iter()
            .map(|keyring| Lane::new(keyring, limits));
        Self {
            limits,
            lanes: Arc::new(PerProcess::new(Lanes {
                lanes: lanes.map(Arc::new).collect(),
                clock,
            })),
        }
    }

    fn keyrings(&self) -> Vec<Arc<dyn Keyring>> {
        let lanes = self.lanes.get().lanes.iter();
        lanes.map(|lane| Arc::clone(lane.keyring())).collect()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.lanes.get().clock)
    }

    /// Asks to seal or wrap: the first answer that is no outage counts.
    fn first_answer<T: Send + 'static>(
        &self,
        at_once: impl Fn(&dyn Keyring) -> Option<Result<T, Error>>,
        ask: impl Fn(&dyn Keyring) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let lanes = self.lanes.get();
        let mut outage: Option<Error> = None;
        let race = Race::new(self.limits, lanes.clock.as_ref(), &lanes.lanes);
        let answer = race.run(&at_once, Arc::new(ask), |_, answer| match answer {
            Err(error) if error.is_retryable() => {
                outage.get_or_insert(error);
                None
            }
            answer => Some(answer),
        });
        answer.unwrap_or_else(|| Err(outage.unwrap_or(Error::NoWrappedKey)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Keyring for FallbackKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        let request = request.recorded_at_once();
        let random = random_for_others(request.random)?;
        let (context, suite) = (request.context.clone(), request.suite);
        let payload_len = request.payload_len;
        self.first_answer(
            |keyring| keyring.try_encryption_materials(request),
            move |keyring| {
                let mut request = EncryptionRequest::new(&context, suite, &random);
                request.payload_len = payload_len;
                keyring.encryption_materials(request)
            },
        )
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        let request = request.recorded_at_once();
        let lanes = self.lanes.get();
        let holds = |lane: &&Arc<Lane>| {
            let mut entries = request.entries.iter();
            entries.any(|entry| lane.keyring().holds(&entry))
        };
        let holding: Vec<_> = lanes.lanes.iter().filter(holds).cloned().collect();
        let (context, suite, share) = (request.context.clone(), request.suite, request.share);
        let entries = KeyEntriesBuf::from(request.entries);
        let ask = move |keyring: &dyn Keyring| {
            let mut request = DecryptionRequest::new(&context, suite, entries.as_entries());
            request.share = share;
            keyring.decryption_materials(request)
        };
        let mut trials = Trials::new(request.entries);
        let opened = Race::new(self.limits, lanes.clock.as_ref(), &holding).run(
            &|keyring| keyring.try_decryption_materials(request),
            Arc::new(ask),
            |lane, answer| match answer {
                Ok(Unwrapped::NotMine) => None,
                Ok(done) => Some(done),
                Err(error) => {
                    trials.failed(lane.keyring(), error);
                    None
                }
            },
        );
        opened.map_or_else(|| trials.end(), Ok)
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        let preferred = self.lanes.get().lanes.first()?;
        preferred
            .keyring()
            .try_encryption_materials(request.recorded_at_once())
            .filter(|answer| !matches!(answer, Err(error) if error.is_retryable()))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        let request = request.recorded_at_once();
        for lane in &self.lanes.get().lanes {
            match lane.keyring().try_decryption_materials(request)? {
                Ok(Unwrapped::NotMine) => {}
                Ok(done) => return Some(Ok(done)),
                Err(_) => return None,
            }
        }
        Some(Ok(Unwrapped::NotMine))
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        let random = random_for_others(request.random)?;
        let (context, share) = (request.context.clone(), request.share);
        let data_key = DataKey::from(SecretArray::from(*request.data_key.expose()));
        self.first_answer(
            |keyring| {
                keyring
                    .wraps_at_once()
                    .then(|| keyring.wrap_data_key(request))
            },
            move |keyring| {
                let mut request = WrapDataKeyRequest::new(&context, &data_key, &random);
                request.share = share;
                keyring.wrap_data_key(request)
            },
        )
    }

    fn wraps_at_once(&self) -> bool {
        let preferred = self.lanes.get().lanes.first();
        preferred.is_some_and(|lane| lane.keyring().wraps_at_once())
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        let mut lanes = self.lanes.get().lanes.iter();
        lanes.any(|lane| lane.keyring().holds(entry))
    }

    fn max_entries_len(&self) -> usize {
        let lanes = self.lanes.get().lanes.iter();
        lanes
            .map(|lane| lane.keyring().max_entries_len())
            .max()
            .unwrap_or_default()
    }
}

/// Random bytes for calls on other threads, which may outlive the caller's source.
fn random_for_others(
    random: &dyn RandomSource,
) -> Result<RngSource<chacha20::ChaCha20Rng>, RandomError> {
    let mut seed = SecretArray::<32>::zeroed();
    random.fill(seed.as_mut_slice())?;
    Ok(RngSource::new(rand_core::SeedableRng::from_seed(*seed)))
}

impl ForkableState for Lanes {
    fn for_child(&self) -> Self {
        let lanes = self.lanes.iter().map(|lane| Arc::new(lane.for_child()));
        Self {
            lanes: lanes.collect(),
            clock: Arc::clone(&self.clock),
        }
    }

    fn try_clear(&self) -> bool {
        let lanes = self.lanes.iter();
        lanes.fold(true, |all, lane| lane.try_clear() & all)
    }
}

impl fmt::Debug for FallbackKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackKeyring")
            .field("keyrings", &self.keyrings())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

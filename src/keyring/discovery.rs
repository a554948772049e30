//! Opening with whatever key a message names.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use super::report::{Subset, Trials};
use super::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Unwrapped,
    WrapDataKeyRequest,
};
use crate::error::Error;
use crate::format::{KeyEntriesBuf, KeyEntry, KeyReference};
use crate::kms::{KmsHandle, KmsKeyring};

/// Opens messages under any key that its sources hold and its filter lets pass. It seals none.
///
/// A keyring says which keys it trusts, and a message names the key it is under: who opens with any
/// key lets the message choose. That is right for tools that move or examine what others sealed, and
/// wrong for an application that serves a tenant, since what was sealed for another tenant opens too.
/// Therefore it is a type of its own, is never a default, and has a filter from the beginning.
///
/// ```
/// use waxseal::{DiscoveryKeyring, KeyReference, RootKey, SingleKeyring};
///
/// let keyring = DiscoveryKeyring::new(KeyReference::is_software)
///     .among(SingleKeyring::software(&RootKey::generate()?))
///     .among(SingleKeyring::software(&RootKey::generate()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DiscoveryKeyring {
    filter: Arc<Filter>,
    sources: Vec<Arc<dyn Keyring>>,
}

type Filter = dyn Fn(&KeyReference) -> bool + Send + Sync;

impl DiscoveryKeyring {
    /// Opens with the keys that `filter` lets pass, once there is a source of them. A share is judged
    /// by the key that it is under.
    #[must_use]
    pub fn new(filter: impl Fn(&KeyReference) -> bool + Send + Sync + 'static) -> Self {
        Self {
            filter: Arc::new(filter),
            sources: Vec::new(),
        }
    }

    /// Opens with the keys of `keyring`.
    #[must_use]
    pub fn among(mut self, keyring: impl Keyring + 'static) -> Self {
        self.sources.push(Arc::new(keyring));
        self
    }

    /// Opens with every key of a KMS that the principal of the handle may decrypt with.
    #[must_use]
    pub fn among_keys_of(self, kms: &KmsHandle) -> Self {
        self.among(KmsKeyring::discovering(kms))
    }

    fn lets_pass(&self, entry: &KeyEntry<'_>) -> bool {
        (self.filter)(&entry.reference().wrapping_key())
    }

    fn open(
        &self,
        request: DecryptionRequest<'_>,
        ask: impl Fn(&dyn Keyring, DecryptionRequest<'_>) -> Option<Result<Unwrapped, Error>>,
    ) -> Option<Result<Unwrapped, Error>> {
        let mut passed = Subset::new();
        for (number, entry) in request.entries.iter().enumerate() {
            if self.lets_pass(&entry)
                && let Err(error) = passed.push(number, &entry.reference(), entry.wrapped())
            {
                return Some(Err(error));
            }
        }
        if passed.numbers().is_empty() {
            return Some(Ok(Unwrapped::NotMine));
        }
        let entries = passed.entries.as_entries();
        let holds = |source: &&Arc<dyn Keyring>| entries.iter().any(|entry| source.holds(&entry));
        let holding: SmallVec<[_; 8]> = self.sources.iter().filter(holds).collect();
        let some = DecryptionRequest { entries, ..request }.with_recourse(holding.len());
        let mut trials = Trials::new(entries);
        for source in holding {
            match ask(source, some)? {
                Ok(Unwrapped::NotMine) => {}
                Err(error) => trials.failed(source, error),
                done => return Some(passed.widen(done, request.entries)),
            }
        }
        Some(passed.widen(trials.end(), request.entries))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Keyring for DiscoveryKeyring {
    fn encryption_materials(
        &self,
        _request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        Err(Error::OpensOnly)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.open(request, |source, some| {
            Some(source.decryption_materials(some))
        })
        .unwrap_or(Ok(Unwrapped::NotMine))
    }

    fn try_encryption_materials(
        &self,
        _request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        Some(Err(Error::OpensOnly))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        self.open(request, |source, some| {
            source.try_decryption_materials(some)
        })
    }

    fn wrap_data_key(&self, _request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        Err(Error::OpensOnly)
    }

    fn wraps_at_once(&self) -> bool {
        true
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.lets_pass(entry) && self.sources.iter().any(|source| source.holds(entry))
    }

    fn max_entries_len(&self) -> usize {
        0
    }
}

impl fmt::Debug for DiscoveryKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveryKeyring")
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

//! A key as it is kept in memory, ready to be used.
use std::fmt;
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::error::KmsError;
use super::grant::KeyGrants;
use super::key::{KeyMetadata, KeyState};
use super::operation::Operation;
use super::providers::Providers;
use super::record::{KeyRecord, VersionRecord};
use super::states;
use super::usage::{Meter, Usage};
use crate::context::EncryptionContext;
use crate::format::{KeyId, KeyReference, KeyVersion, Share};
use crate::keyring::BoundKey;
use crate::provider::{KeyHandle, KeyProvider};
use crate::store::Revision;

/// A key's record, and the handles of its versions.
pub(crate) struct KeyEntry {
    pub(crate) record: KeyRecord,
    pub(super) revision: Revision,
    pub(super) state: KeyState,
    /// Those that have material, by their numbers.
    versions: Vec<KeyVersionHandle>,
    /// What the primary version wrapped in this process.
    meter: Arc<Meter>,
    /// The grants that the record speaks of, once they were asked for.
    grants: OnceLock<Arc<KeyGrants>>,
}

/// A version of a key, and where it can be used. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct KeyVersionHandle(Arc<Version>);

#[derive(Debug)]
struct Version {
    number: KeyVersion,
    reference: KeyReference,
    bound_key: BoundKey,
    handle: KeyHandle,
    provider: Provider,
}

#[derive(Debug)]
enum Provider {
    Given(Arc<dyn KeyProvider>),
    Missing(String),
}

impl KeyEntry {
    pub(super) fn new(
        record: KeyRecord,
        revision: Revision,
        providers: &Providers,
        usage: &Usage,
    ) -> Self {
        let versions = record.versions.iter();
        Self {
            state: providers.state_of(&record),
            versions: versions
                .filter_map(|version| KeyVersionHandle::new(&record, version, providers))
                .collect(),
            meter: usage.meter(record.key, record.primary),
            revision,
            record,
            grants: OnceLock::new(),
        }
    }

    /// Its grants, if they were read.
    pub(super) fn known_grants(&self) -> Option<Arc<KeyGrants>> {
        self.grants.get().cloned()
    }

    /// Takes in its grants, and returns them.
    pub(super) fn learn_grants(&self, grants: Arc<KeyGrants>) -> Arc<KeyGrants> {
        Arc::clone(self.grants.get_or_init(|| grants))
    }

    pub(crate) fn id(&self) -> KeyId {
        self.record.key
    }

    /// Refuses a key that was deleted.
    pub(super) fn alive(&self) -> Result<(), KmsError> {
        match self.record.deleted() {
            None => Ok(()),
            Some(on) => Err(KmsError::Deleted { key: self.id(), on }),
        }
    }

    /// Refuses an operation that the key, in its state, is not fit for.
    pub(super) fn check(&self, operation: Operation) -> Result<(), KmsError> {
        states::check(operation, &self.record, self.state)
    }

    /// A version that has material.
    pub(super) fn version(&self, number: KeyVersion) -> Result<&KeyVersionHandle, KmsError> {
        let key = self.id();
        let found = self
            .versions
            .binary_search_by_key(&number, KeyVersionHandle::number)
            .ok()
            .and_then(|index| self.versions.get(index));
        found.ok_or_else(|| match self.record.version(number) {
            Some(VersionRecord {
                destroyed: Some(on),
                ..
            }) => KmsError::VersionDestroyed {
                key,
                version: number,
                on: *on,
            },
            Some(version) => KmsError::InvalidVersionState {
                key,
                version: number,
                state: version.state,
            },
            None => KmsError::NoVersion {
                key,
                version: number,
            },
        })
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn metadata(&self) -> KeyMetadata {
        let primary = self.version(self.record.primary);
        let provider = primary.and_then(KeyVersionHandle::provider).ok();
        self.record
            .metadata(self.state.seen_with(provider.map(AsRef::as_ref)))
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEntry({}, revision {})", self.id(), self.revision)
    }
}

impl KeyVersionHandle {
    fn new(record: &KeyRecord, version: &VersionRecord, providers: &Providers) -> Option<Self> {
        if version.is_condemned() {
            return None;
        }
        let reference = match version.mechanism {
            None => KeyReference::kms(record.key, version.number),
            Some(mechanism) => KeyReference::kms_token(record.key, version.number, mechanism),
        };
        Some(Self(Arc::new(Version {
            number: version.number,
            bound_key: BoundKey::new(&reference),
            reference,
            handle: record.bound_handle(version)?,
            provider: match providers.find(&version.provider) {
                Some(provider) => Provider::Given(Arc::clone(provider)),
                None => Provider::Missing(version.provider.clone()),
            },
        })))
    }

    /// Its number.
    pub(crate) fn number(&self) -> KeyVersion {
        self.0.number
    }

    /// How messages name it.
    pub(crate) fn reference(&self) -> &KeyReference {
        &self.0.reference
    }

    /// What a data key that it wraps, or a share of one, is bound to.
    pub(crate) fn binding(
        &self,
        context: &EncryptionContext,
        share: Option<Share>,
    ) -> SmallVec<[u8; 96]> {
        self.0.bound_key.with(context, share)
    }

    /// Its handle, bound to it.
    pub(crate) fn handle(&self) -> &KeyHandle {
        &self.0.handle
    }

    /// The provider that issued the handle.
    pub(crate) fn provider(&self) -> Result<&Arc<dyn KeyProvider>, KmsError> {
        match &self.0.provider {
            Provider::Given(provider) => Ok(provider),
            Provider::Missing(name) => Err(KmsError::NoProvider {
                provider: name.clone(),
            }),
        }
    }
}

//! The key of a store, from which the tags of its records come.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::commit::not_written;
use super::error::KmsError;
use super::name::Principal;
use super::providers::Providers;
use super::record::{Codec, StoredBytes};
use super::stored_policy::StorePolicyRecord;
use crate::clock::Timestamp;
use crate::crypto::{Expand, KEY_LEN, sha256};
use crate::format::{KeyId, label};
use crate::provider::{
    CreateKeyRequest, KeyHandle, KeyProvider, KeySpec, ProviderError, UnwrapRequest, WrapRequest,
};
use crate::rng::RandomSource;
use crate::secret::{DataKey, FreshDataKey};
use crate::store::{
    Collection, CommitError, Expected, KeyStore, RecordKey, ScanRequest, Transaction,
};

/// The record that says whose store it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreRecord {
    /// The id of the store.
    store: KeyId,
    created: Timestamp,
    /// The provider that holds the key which wraps the store's key.
    pub(super) provider: String,
    pub(super) handle: StoredBytes,
    wrapped: StoredBytes,
    /// Who may do what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<StorePolicyRecord>,
    /// Who began the store from a backup, until an audit trail is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) restored_by: Option<Principal>,
}

/// A store that was opened.
pub(super) struct OpenStore {
    pub(super) record: StoreRecord,
    pub(super) codec: Codec,
}

impl OpenStore {
    /// The id of the store.
    pub(super) fn id(&self) -> KeyId {
        self.record.store
    }

    /// Unwraps the key of a store, or makes one for a store that is empty.
    ///
    /// Order: create the provider's key, then commit the record; if another process was faster,
    /// destroy the provider's key again.
    pub(super) fn open(
        store: &dyn KeyStore,
        providers: &Providers,
        random: &dyn RandomSource,
        now: Timestamp,
    ) -> Result<Self, KmsError> {
        let address = StoreRecord::address();
        loop {
            if let Some(stored) = store.get(&address)? {
                return Self::read(store, providers, &stored.bytes);
            }
            if !store
                .scan(ScanRequest::new(Collection::KEYS, 1))?
                .is_empty()
            {
                return Err(KmsError::NoStoreRecord {
                    record: address,
                    store: store.name(),
                });
            }
            if let Some(opened) = Self::create(store, providers, random, now)? {
                return Ok(opened);
            }
        }
    }

    fn read(store: &dyn KeyStore, providers: &Providers, bytes: &[u8]) -> Result<Self, KmsError> {
        let address = StoreRecord::address();
        // The key that verifies the record is in the record.
        let claimed: StoreRecord =
            Codec::peek(bytes).map_err(|why| why.at(address.clone(), store.name()))?;
        let provider = providers.get(&claimed.provider)?;
        let key = claimed
            .unwrap(provider)
            .map_err(|source| KmsError::StoreKey {
                store: store.name(),
                provider: claimed.provider.clone(),
                source,
            })?;
        let codec = Codec::new(Expand::new(key.expose()));
        let record = codec
            .decode(&address, bytes)
            .map_err(|why| why.at(address, store.name()))?;
        Ok(Self { record, codec })
    }

    /// Makes the store's key and record. Nothing if another process was faster.
    fn create(
        store: &dyn KeyStore,
        providers: &Providers,
        random: &dyn RandomSource,
        now: Timestamp,
    ) -> Result<Option<Self>, KmsError> {
        let provider = providers.first()?;
        let mut id = [0; 16];
        random.fill(&mut id)?;
        let id = KeyId::from_bytes(id);
        let key = FreshDataKey::generate(random)?;
        let request = CreateKeyRequest::new(KeySpec::Wrapping256);
        let handle = provider.create_key(request.with_binding(&handle_binding(id)))?;
        let record = StoreRecord::new(id, now, provider, &handle, key.as_data_key());
        let committed = record.map_err(CreateError::Provider).and_then(|record| {
            let codec = Codec::new(Expand::new(key.as_data_key().expose()));
            let address = StoreRecord::address();
            let bytes = codec.encode(&address, &record);
            store
                .commit(&Transaction::new().put(address, Expected::Absent, bytes))
                .map_err(CreateError::Commit)?;
            Ok(Self { record, codec })
        });
        match committed {
            Ok(opened) => Ok(Some(opened)),
            Err(error) => {
                if error.is_undone() {
                    // It holds nothing, and failing here must not hide why.
                    let _ = provider.destroy_key(&handle);
                }
                error.into_result()
            }
        }
    }
}

enum CreateError {
    Provider(ProviderError),
    Commit(CommitError),
}

impl CreateError {
    fn is_undone(&self) -> bool {
        match self {
            Self::Provider(_) => true,
            Self::Commit(error) => not_written(error),
        }
    }

    fn into_result<T>(self) -> Result<Option<T>, KmsError> {
        match self {
            Self::Provider(error) => Err(error.into()),
            Self::Commit(CommitError::Conflict { .. }) => Ok(None),
            Self::Commit(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

impl StoreRecord {
    fn new(
        store: KeyId,
        created: Timestamp,
        provider: &dyn KeyProvider,
        handle: &KeyHandle,
        key: &DataKey,
    ) -> Result<Self, ProviderError> {
        let binding = key_binding(store, provider.name());
        let wrapped = provider.wrap_key(WrapRequest::new(handle, key, &binding))?;
        Ok(Self {
            store,
            created,
            provider: provider.name().to_owned(),
            handle: StoredBytes::new(handle.as_bytes()),
            wrapped: StoredBytes::new(wrapped.as_bytes()),
            policy: None,
            restored_by: None,
        })
    }

    pub(super) fn unwrap(&self, provider: &dyn KeyProvider) -> Result<DataKey, ProviderError> {
        let handle = self.bound_handle();
        let binding = key_binding(self.store, &self.provider);
        provider.unwrap_key(UnwrapRequest::new(
            &handle,
            self.wrapped.as_bytes(),
            &binding,
        ))
    }

    /// How often it was given a policy.
    pub(in crate::kms) fn policy_generation(&self) -> u64 {
        self.policy.as_ref().map_or(0, |policy| policy.generation)
    }

    /// Unwraps the store's key, for a backup.
    pub(super) fn open_key(
        &self,
        providers: &Providers,
        store: &str,
    ) -> Result<Zeroizing<[u8; KEY_LEN]>, KmsError> {
        let provider = providers.get(&self.provider)?;
        let key = self.unwrap(provider).map_err(|source| KmsError::StoreKey {
            store: store.to_owned(),
            provider: self.provider.clone(),
            source,
        })?;
        Ok(Zeroizing::new(*key.expose()))
    }

    pub(super) fn bound_handle(&self) -> KeyHandle {
        KeyHandle::from_bytes(self.handle.as_bytes()).with_binding(handle_binding(self.store))
    }

    /// Where it is in the store.
    pub(super) fn address() -> RecordKey {
        RecordKey::new(Collection::META, (*b"waxseal/v1/store").into())
    }
}

/// What the provider's key is for.
fn handle_binding(store: KeyId) -> Vec<u8> {
    [label!("kms-store"), store.as_bytes()].concat()
}

/// What the wrapped store key is bound to.
fn key_binding(store: KeyId, provider: &str) -> Vec<u8> {
    let provider = sha256(&[provider.as_bytes()]);
    [label!("kms-store-key"), store.as_bytes(), &provider].concat()
}

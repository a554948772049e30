//! What only the inside can see: the gate, the handles of versions, the counting of wraps.

mod gate;
mod records;
mod states;
mod wraps;

use std::sync::Arc;
use std::time::Duration;

use super::{CreateKey, Kms, KmsBuilder, KmsHandle};
use crate::clock::ManualClock;
use crate::format::KeyId;
use crate::provider::{
    Capabilities, CreateKeyRequest, KeyDescription, KeyHandle, KeyProvider, ProviderError, RootKey,
    SoftwareKeyProvider, UnwrapRequest, WrapRequest, WrappedKey,
};
use crate::secret::DataKey;
use crate::store::{KeyStore, MemoryKeyStore};

const DAY: Duration = Duration::from_secs(86_400);

struct World {
    clock: ManualClock,
    store: MemoryKeyStore,
    provider: SoftwareKeyProvider,
}

impl World {
    fn new() -> Self {
        Self {
            clock: ManualClock::default(),
            store: MemoryKeyStore::new(),
            provider: SoftwareKeyProvider::new(&RootKey::from_bytes(&[0xd1; 32])),
        }
    }

    fn builder(&self) -> KmsBuilder {
        Kms::builder(self.store.clone())
            .provider(self.provider.clone())
            .clock(self.clock.clone())
    }

    fn handle(&self) -> KmsHandle {
        self.builder().open().unwrap().as_principal("test")
    }
}

fn new_key(kms: &KmsHandle) -> KeyId {
    kms.create_key(CreateKey::new()).unwrap().id
}

/// The record of a key, as it is in the store, without its tag.
fn body(store: &MemoryKeyStore, key: KeyId) -> serde_json::Value {
    let address = super::record::KeyRecord::address(key);
    let bytes = store.get(&address).unwrap().unwrap().bytes;
    serde_json::from_slice(&bytes[1..bytes.len() - 32]).unwrap()
}

/// A provider under another name.
#[derive(Debug, Clone)]
struct Renamed(Arc<SoftwareKeyProvider>);

impl Renamed {
    fn new() -> Self {
        Self(Arc::new(SoftwareKeyProvider::generate().unwrap()))
    }
}

impl KeyProvider for Renamed {
    fn name(&self) -> &str {
        "other"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        self.0.create_key(request)
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        self.0.destroy_key(handle)
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        self.0.describe_key(handle)
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        self.0.wrap_key(request)
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        self.0.unwrap_key(request)
    }
}

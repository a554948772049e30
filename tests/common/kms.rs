//! Key management systems for tests: a store, a provider that knows its keys, and a clock.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use waxseal::kms::KeyVersionMetadata;
use waxseal::store::{Collection, Expected, Record, RecordId, RecordKey, ScanRequest, Transaction};
use waxseal::{
    Capabilities, CreateKeyRequest, DataKey, ImportKeyRequest, KeyDescription, KeyHandle, KeyId,
    KeyProvider, KeyStore, Kms, KmsBuilder, KmsHandle, ManualClock, MemoryKeyStore, ProviderError,
    RootKey, SoftwareKeyProvider, UnwrapRequest, WrapRequest, WrappedKey,
};

pub const DAY: Duration = Duration::from_secs(86_400);

/// A store and a provider, on which any number of KMSs can be opened.
#[derive(Debug, Clone)]
pub struct World {
    pub clock: ManualClock,
    pub store: MemoryKeyStore,
    pub provider: Ledger,
}

impl World {
    pub fn new() -> Self {
        Self {
            clock: ManualClock::default(),
            store: MemoryKeyStore::new(),
            provider: Ledger::new("software"),
        }
    }

    pub fn builder(&self) -> KmsBuilder {
        self.builder_over(self.store.clone())
    }

    pub fn builder_over(&self, store: impl KeyStore + 'static) -> KmsBuilder {
        Kms::builder(store)
            .provider(self.provider.clone())
            .clock(self.clock.clone())
    }

    pub fn open(&self) -> Kms {
        self.builder().open().unwrap()
    }

    pub fn handle(&self) -> KmsHandle {
        self.open().as_principal("test")
    }

    /// The record of a key, as bytes and revision.
    pub fn stored(&self, key: KeyId) -> Record {
        self.store.get(&key_address(key)).unwrap().unwrap()
    }

    /// Writes bytes where others are.
    pub fn overwrite(&self, address: &RecordKey, bytes: Vec<u8>) {
        let expected = match self.store.get(address).unwrap() {
            Some(record) => Expected::Revision(record.revision),
            None => Expected::Absent,
        };
        let put = Transaction::new().put(address.clone(), expected, bytes);
        self.store.commit(&put).unwrap();
    }

    /// What the record of a key says.
    pub fn body(&self, key: KeyId) -> serde_json::Value {
        body_of(&self.stored(key).bytes)
    }

    /// All records that the store has, but for heads of audit trails.
    pub fn store_contents(&self) -> BTreeMap<RecordKey, Vec<u8>> {
        let mut contents = BTreeMap::new();
        for collection in [
            Collection::META,
            Collection::KEYS,
            Collection::ALIASES,
            Collection::GRANTS,
            Collection::POLICIES,
            Collection::SUBJECTS,
            Collection::ERASURES,
        ] {
            let all = ScanRequest::new(collection, usize::MAX);
            for (id, record) in self.store.scan(all).unwrap() {
                contents.insert(RecordKey::new(collection, id), record.bytes);
            }
        }
        contents
    }

    /// The handles that the store has, of keys and of its own.
    pub fn stored_handles(&self) -> BTreeSet<Vec<u8>> {
        stored_handles(&self.store)
    }
}

pub fn stored_handles(store: &dyn KeyStore) -> BTreeSet<Vec<u8>> {
    let mut handles = BTreeSet::new();
    for collection in [Collection::KEYS, Collection::META] {
        for (_, record) in store
            .scan(ScanRequest::new(collection, usize::MAX))
            .unwrap()
        {
            let body = body_of(&record.bytes);
            let versions = body["versions"].as_array().cloned().unwrap_or_default();
            for holder in versions.iter().chain([&body]) {
                if let Some(handle) = holder["handle"].as_str() {
                    handles.insert(from_base64(handle));
                }
            }
        }
    }
    handles
}

pub fn key_address(key: KeyId) -> RecordKey {
    RecordKey::new(Collection::KEYS, (*key.as_bytes()).into())
}

pub fn alias_address(alias: &str) -> RecordKey {
    RecordKey::new(Collection::ALIASES, RecordId::new(alias).unwrap())
}

/// What a record says: without its version byte and its tag.
pub fn body_of(record: &[u8]) -> serde_json::Value {
    serde_json::from_slice(&record[1..record.len() - 32]).unwrap()
}

pub fn numbers(versions: &[KeyVersionMetadata]) -> Vec<u32> {
    versions
        .iter()
        .map(|version| version.version.get())
        .collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let position = digits.iter().position(|&digit| digit == byte);
        u32::try_from(position.unwrap()).unwrap()
    };
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::new();
    for group in text.chunks(4) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 6 | digit(byte));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

/// A software provider under a name, that knows which of its keys were not destroyed, and that can
/// be out of reach.
#[derive(Debug, Clone)]
pub struct Ledger {
    name: &'static str,
    inner: SoftwareKeyProvider,
    alive: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    created: Arc<AtomicUsize>,
    outage: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl Ledger {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            inner: SoftwareKeyProvider::new(&RootKey::from_bytes(&super::ROOT_KEY)),
            alive: Arc::default(),
            created: Arc::default(),
            outage: Arc::default(),
            panics: Arc::default(),
        }
    }

    pub fn alive(&self) -> BTreeSet<Vec<u8>> {
        self.alive.lock().unwrap().clone()
    }

    /// How many keys were created or imported, ever.
    pub fn created(&self) -> usize {
        self.created.load(Ordering::SeqCst)
    }

    pub fn set_outage(&self, outage: bool) {
        self.outage.store(outage, Ordering::SeqCst);
    }

    pub fn set_panics(&self, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<&SoftwareKeyProvider, ProviderError> {
        assert!(!self.panics.load(Ordering::SeqCst), "as it was told to");
        if self.outage.load(Ordering::SeqCst) {
            return Err(ProviderError::Unavailable {
                provider: self.name.to_owned(),
                source: "the cable is out".into(),
            });
        }
        Ok(&self.inner)
    }

    fn enter(&self, handle: KeyHandle) -> KeyHandle {
        self.created.fetch_add(1, Ordering::SeqCst);
        let mut alive = self.alive.lock().unwrap();
        assert!(alive.insert(handle.as_bytes().to_vec()));
        handle
    }
}

impl KeyProvider for Ledger {
    fn name(&self) -> &str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        let handle = self.reach()?.create_key(request)?;
        Ok(self.enter(handle))
    }

    fn import_key(&self, request: ImportKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        let handle = self.reach()?.import_key(request)?;
        Ok(self.enter(handle))
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        self.reach()?.destroy_key(handle)?;
        // Two who tick at once may both get so far.
        self.alive.lock().unwrap().remove(handle.as_bytes());
        Ok(())
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        self.reach()?.describe_key(handle)
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        self.reach()?.wrap_key(request)
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        self.reach()?.unwrap_key(request)
    }
}

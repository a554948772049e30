//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

pub mod caching;
pub mod header_store;
pub mod io;
pub mod kms;
pub mod kms_access;
pub mod kms_estate;
pub mod kms_model;
pub mod kms_stores;
pub mod openssl;
pub mod probe;
pub mod provider_contract;
pub mod vector;

use std::sync::{Arc, Mutex};

use waxseal::format::{KeyEntriesBuf, KeyEntry};
use waxseal::{
    CreateKeyRequest, DataKey, DecryptionRequest, EncryptionMaterials, EncryptionRequest, Envelope,
    Error, KeyProvider, Keyring, RandomError, RandomSource, RootKey, SingleKeyring,
    SoftwareKeyProvider, Unwrapped, WrapDataKeyRequest,
};

/// A generator that gives out the bytes it was made with, once.
#[derive(Debug)]
pub struct FixedRandom(Mutex<Vec<u8>>);

impl FixedRandom {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Mutex::new(bytes.into()))
    }
}

impl RandomSource for FixedRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        let mut rest = self.0.lock().unwrap();
        if rest.len() < buffer.len() {
            return Err(RandomError::new("no fixed bytes are left"));
        }
        let taken: Vec<u8> = rest.drain(..buffer.len()).collect();
        buffer.copy_from_slice(&taken);
        Ok(())
    }
}

/// Seals every message with one data key, as a caching keyring does.
#[derive(Debug)]
pub struct SharingKeyring {
    inner: SingleKeyring,
    data_key: Arc<DataKey>,
}

impl SharingKeyring {
    pub fn new(inner: SingleKeyring, data_key: &[u8]) -> Self {
        Self {
            inner,
            data_key: Arc::new(DataKey::from_bytes(data_key).unwrap()),
        }
    }
}

impl Keyring for SharingKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        let data_key = FixedRandom::new(self.data_key.expose().as_slice());
        let request = EncryptionRequest::new(request.context, request.suite, &data_key);
        let wrapped = self.inner.encryption_materials(request)?;
        Ok(EncryptionMaterials::shared(
            Arc::clone(&self.data_key),
            wrapped.entries().into(),
        ))
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.inner.decryption_materials(request)
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        self.inner.wrap_data_key(request)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.inner.holds(entry)
    }

    fn max_entries_len(&self) -> usize {
        self.inner.max_entries_len()
    }
}

pub const ROOT_KEY: [u8; 32] = *b"\x80a root key for tests not random";

/// An envelope under [`ROOT_KEY`].
pub fn envelope() -> Envelope {
    Envelope::new(SingleKeyring::software(&RootKey::from_bytes(&ROOT_KEY)))
}

/// The same, with one data key for all its messages.
pub fn sharing_envelope() -> Envelope {
    let inner = SingleKeyring::software(&RootKey::from_bytes(&ROOT_KEY));
    Envelope::new(SharingKeyring::new(inner, &[0x33; 32]))
}

/// An envelope under a key that was created under [`ROOT_KEY`].
pub fn created_key_envelope() -> Envelope {
    let provider = SoftwareKeyProvider::new(&RootKey::from_bytes(&ROOT_KEY));
    let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
    Envelope::new(SingleKeyring::new(provider, handle).unwrap())
}

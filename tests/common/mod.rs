//! What the tests share.
#![allow(dead_code, reason = "each test uses a part")]

pub mod vector;

use std::sync::{Arc, Mutex};

use waxseal::{
    DataKey, DecryptionRequest, EncryptionMaterials, EncryptionRequest, Error, Keyring,
    RandomError, RandomSource, SingleKeyring, Unwrapped,
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
        let wrapped = self.inner.encryption_materials(request)?;
        Ok(EncryptionMaterials::shared(
            Arc::clone(&self.data_key),
            wrapped.entries().into(),
        ))
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.inner.decryption_materials(request)
    }

    fn max_entries_len(&self) -> usize {
        self.inner.max_entries_len()
    }
}

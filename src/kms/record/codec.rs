//! The bytes of a record, and the tag that binds them to their place.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::KeyRecord;
use crate::crypto::{Expand, HASH_LEN, SecretArray, constant_time_eq, sha256};
use crate::format::label;
use crate::kms::error::KmsError;
use crate::store::RecordKey;

/// Writes and reads the records of one store: version, JSON, and a tag under the store's key.
#[derive(Clone)]
pub(in crate::kms) struct Codec(Arc<Expand>);

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kms) enum Unreadable {
    /// The tag is not the one of these bytes at this place.
    Tampered,
    /// The tag is right, and what it protects is of a newer version.
    Newer,
}

const VERSION: u8 = 1;

impl Codec {
    /// Takes the store's key.
    pub(in crate::kms) fn new(store_key: Expand) -> Self {
        Self(Arc::new(store_key))
    }

    /// Derives a key from the store's key, or a digest of what `info` digests.
    pub(in crate::kms) fn derive<const N: usize>(&self, info: &[&[u8]]) -> SecretArray<N> {
        self.0.derive(info)
    }

    pub(in crate::kms) fn encode(&self, address: &RecordKey, body: &impl Serialize) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        // Maps have text for keys, and nothing else in a record can fail to be written.
        let _ = serde_json::to_writer(&mut bytes, body);
        let tag = self.tag(address, &bytes);
        bytes.extend_from_slice(&tag);
        bytes
    }

    pub(in crate::kms) fn decode<T: DeserializeOwned>(
        &self,
        address: &RecordKey,
        bytes: &[u8],
    ) -> Result<T, Unreadable> {
        let (tagged, tag) = bytes
            .split_last_chunk::<HASH_LEN>()
            .ok_or(Unreadable::Tampered)?;
        if !constant_time_eq(&self.tag(address, tagged), tag) {
            return Err(Unreadable::Tampered);
        }
        match tagged.split_first() {
            Some((&VERSION, body)) => serde_json::from_slice(body).map_err(|_| Unreadable::Newer),
            _ => Err(Unreadable::Newer),
        }
    }

    pub(in crate::kms) fn decode_key(
        &self,
        address: &RecordKey,
        bytes: &[u8],
    ) -> Result<KeyRecord, Unreadable> {
        let record: KeyRecord = self.decode(address, bytes)?;
        record.is_sound().then_some(record).ok_or(Unreadable::Newer)
    }

    /// Reads a record that could not be verified yet.
    pub(in crate::kms) fn peek<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
        let (tagged, _tag) = bytes
            .split_last_chunk::<HASH_LEN>()
            .ok_or(Unreadable::Tampered)?;
        let body = match tagged.split_first() {
            Some((&VERSION, body)) => body,
            Some((1.., _)) => return Err(Unreadable::Newer),
            _ => return Err(Unreadable::Tampered),
        };
        serde_json::from_slice(body).map_err(|_| Unreadable::Tampered)
    }

    fn tag(&self, address: &RecordKey, tagged: &[u8]) -> [u8; HASH_LEN] {
        let collection = address.collection.as_str().as_bytes();
        let id = address.id.as_bytes();
        let hash = sha256(&[&len_of(collection), collection, &len_of(id), id, tagged]);
        *self.0.derive(&[label!("kms-record"), &hash])
    }
}

impl Unreadable {
    pub(in crate::kms) fn at(self, record: RecordKey, store: String) -> KmsError {
        match self {
            Self::Tampered => KmsError::Tampered { record, store },
            Self::Newer => KmsError::NewerRecord { record, store },
        }
    }
}

/// Names of collections and ids of records are at most 255 bytes.
fn len_of(name: &[u8]) -> [u8; 1] {
    [u8::try_from(name.len()).unwrap_or(u8::MAX)]
}

//! Data keys to seal with, each for many messages of one context and suite.

use std::sync::Arc;

use super::cache::Id;
use super::limits::Budget;
use super::side::{Asking, Kept, Look};
use super::store::Store;
use crate::crypto::HASH_LEN;
use crate::error::Error;
use crate::format::{KeyEntriesBuf, KeyReference};
use crate::keyring::{EncryptionMaterials, EncryptionRequest};
use crate::secret::DataKey;

/// A data key that seals many messages.
pub(super) struct KeyToSeal {
    data_key: Arc<DataKey>,
    entries: KeyEntriesBuf,
}

/// A message that may share its data key with others.
pub(super) struct Wanted {
    id: [u8; HASH_LEN + 1],
    payload_len: u64,
    /// What its data key could seal after it.
    left: Budget,
}

impl Wanted {
    /// Nothing where the message gets a data key of its own: its length is not known, or it leaves
    /// nothing to share.
    pub(super) fn new(request: &EncryptionRequest<'_>, store: &Store) -> Option<Self> {
        let payload_len = request.payload_len?;
        let left = Budget::to_seal(&store.limits).after_message(payload_len)?;
        if left.is_spent() || !store.keeps {
            return None;
        }
        let mut id = [request.suite.version_byte(); HASH_LEN + 1];
        if let Some((digest, _suite)) = id.split_first_chunk_mut() {
            *digest = *request.context.digest();
        }
        Some(Self {
            id,
            payload_len,
            left,
        })
    }
}

pub(super) type AskingToSeal<'a> = Asking<'a, Arc<KeyToSeal>, Arc<KeyToSeal>>;

impl Store {
    pub(super) fn look_to_seal<'a>(
        self: &'a Arc<Self>,
        wanted: &Wanted,
    ) -> Look<'a, Arc<KeyToSeal>, Arc<KeyToSeal>, Arc<KeyToSeal>> {
        let Wanted {
            id,
            payload_len,
            left,
        } = wanted;
        self.encryption.look(
            self,
            || Id::from(&id[..]),
            (*payload_len, *left),
            |cache, now| cache.use_once(id, *payload_len, now, Arc::clone),
        )
    }
}

impl AskingToSeal<'_> {
    pub(super) fn take(
        self,
        asked: Result<EncryptionMaterials, Error>,
    ) -> Result<EncryptionMaterials, Error> {
        match asked {
            Ok(materials) => {
                let (data_key, entries) = materials.into_shared_parts();
                let key = Arc::new(KeyToSeal { data_key, entries });
                let id = Id::clone(self.call());
                self.answered(Arc::clone(&key), Some((id, Arc::clone(&key))));
                Ok(key.materials())
            }
            Err(error) => {
                self.failed(&error);
                Err(error)
            }
        }
    }
}

impl KeyToSeal {
    pub(super) fn materials(&self) -> EncryptionMaterials {
        // Copies the entries in one piece, which their `clone` does not.
        let entries = self.entries.as_entries().into();
        EncryptionMaterials::shared(Arc::clone(&self.data_key), entries)
    }
}

impl Kept for Arc<KeyToSeal> {
    fn names(&self, key: &KeyReference) -> bool {
        self.entries
            .as_entries()
            .iter()
            .any(|entry| entry.names(key))
    }
}

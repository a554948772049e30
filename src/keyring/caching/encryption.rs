//! Data keys to seal with, each for many messages of one context and suite.

use std::sync::Arc;

use super::cache::Id;
use super::limits::Budget;
use super::side::{Asking, Kept, Look};
use super::store::Store;
use crate::crypto::HASH_LEN;
use crate::error::Error;
use crate::format::KeyReference;
use crate::keyring::{EncryptionMaterials, EncryptionRequest, KeptMaterials, Reuse};

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
        // The suite's byte stays behind the digest.
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

impl Store {
    pub(super) fn look_to_seal<'a>(
        self: &'a Arc<Self>,
        wanted: &Wanted,
    ) -> Look<'a, Arc<KeptMaterials>, Arc<KeptMaterials>> {
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

impl Asking<'_, Arc<KeptMaterials>, Arc<KeptMaterials>> {
    /// Takes what the keyring inside said. A fresh data key is shared from now on; one that was
    /// shared already has its uses counted there, and is neither kept nor given to those who wait.
    pub(super) fn take(
        self,
        asked: Result<EncryptionMaterials, Error>,
    ) -> Result<EncryptionMaterials, Error> {
        let kept = match asked {
            Ok(materials) if materials.reuse() == Reuse::Shared => {
                self.answered_to_one();
                return Ok(materials);
            }
            Ok(materials) => materials.into_kept(),
            Err(error) => {
                self.failed(&error);
                return Err(error);
            }
        };
        let id = Id::clone(self.call());
        self.answered(Arc::clone(&kept), Some((id, Arc::clone(&kept))));
        Ok(EncryptionMaterials::kept(kept))
    }
}

impl Kept for Arc<KeptMaterials> {
    fn names(&self, key: &KeyReference) -> bool {
        self.entries()
            .iter()
            .any(|entry| entry.names(key) || entry.reference().wrapping_key() == *key)
    }
}

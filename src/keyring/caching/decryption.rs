//! Data keys to open with, each found by the whole wrapped key, the context and the suite.

use std::sync::Arc;

use smallvec::SmallVec;

use super::cache::Id;
use super::limits::Budget;
use super::side::{Asking, Kept, Look};
use super::store::Store;
use crate::error::Error;
use crate::format::{KeyEntry, KeyReference};
use crate::keyring::{DecryptionMaterials, DecryptionRequest, Unwrapped};
use crate::secret::DataKey;

/// A data key that was unwrapped.
pub(super) struct KeyToOpen {
    data_key: Arc<DataKey>,
    /// What it was wrapped under.
    key: KeyReference,
}

/// A data key and the number of the wrapped key that gave it, or nothing where no wrapped key is of
/// a key that the keyring holds.
pub(super) type Found = Option<(Arc<DataKey>, usize)>;

impl Store {
    pub(super) fn look_to_open<'a>(
        self: &'a Arc<Self>,
        request: &DecryptionRequest<'_>,
    ) -> Look<'a, KeyToOpen, Found> {
        let call = || {
            let mut id = id_start(request);
            id.extend_from_slice(request.entries.as_bytes());
            Id::from(id.as_slice())
        };
        let uses = (0, Budget::UNLIMITED);
        self.decryption.look(self, call, uses, |cache, now| {
            let mut numbered = request.entries.iter().enumerate();
            numbered.find_map(|(number, entry)| {
                cache.use_once(&entry_id(request, entry), 0, now, |kept| {
                    Some((Arc::clone(&kept.data_key), number))
                })
            })
        })
    }
}

impl Asking<'_, KeyToOpen, Found> {
    /// Takes what the keyring inside said.
    pub(super) fn take(
        self,
        request: &DecryptionRequest<'_>,
        asked: Result<Unwrapped, Error>,
    ) -> Result<Unwrapped, Error> {
        let found = match asked {
            Ok(Unwrapped::Done(materials)) => Some(materials.into_shared_parts()),
            Ok(Unwrapped::NotMine) => None,
            Err(error) => {
                self.failed(&error);
                return Err(error);
            }
        };
        let kept = found.as_ref().and_then(|(data_key, number)| {
            let entry = request.entries.iter().nth(*number)?;
            // One share must not stand for all that it took.
            if entry.reference().share().is_some() {
                return None;
            }
            let kept = KeyToOpen {
                data_key: Arc::clone(data_key),
                key: entry.reference(),
            };
            Some((Id::from(entry_id(request, entry).as_slice()), kept))
        });
        self.answered(found.clone(), kept);
        Ok(unwrapped(found))
    }
}

pub(super) fn unwrapped(found: Found) -> Unwrapped {
    found.map_or(Unwrapped::NotMine, |(data_key, number)| {
        Unwrapped::Done(DecryptionMaterials::shared(data_key, number))
    })
}

impl Kept for KeyToOpen {
    fn names(&self, key: &KeyReference) -> bool {
        self.key == *key
    }
}

type IdBuf = SmallVec<[u8; 128]>;

fn id_start(request: &DecryptionRequest<'_>) -> IdBuf {
    let mut id = IdBuf::from_slice(request.context.digest());
    id.push(request.suite.version_byte());
    // One byte where there is no share, and more where there is: the two never look alike.
    id.push(u8::from(request.share.is_some()));
    if let Some(share) = request.share {
        id.extend_from_slice(&share.to_bytes());
    }
    id
}

/// The tag fixes where the prefix ends.
fn entry_id(request: &DecryptionRequest<'_>, entry: KeyEntry<'_>) -> IdBuf {
    let mut id = id_start(request);
    id.push(entry.tag());
    id.extend_from_slice(entry.reference().prefix());
    id.extend_from_slice(entry.wrapped());
    id
}

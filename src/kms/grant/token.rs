use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};

use super::GrantId;
use crate::crypto::{HASH_LEN, constant_time_eq};
use crate::format::{KeyId, label};
use crate::kms::KmsHandle;
use crate::kms::store_key::OpenStore;

/// Names a grant to the KMS that gave it, unforgeably: 81 bytes, as text base64url. Not secret: it
/// gives nobody a right but the grantee, who has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantToken {
    named: [u8; NAMED_LEN],
    tag: [u8; HASH_LEN],
}

/// The bytes are no token of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are not the bytes of a grant token; give those that create_grant gave")]
pub struct InvalidGrantToken;

const VERSION: u8 = 1;
/// Version, store, key, grant.
const NAMED_LEN: usize = 1 + 3 * 16;

impl GrantToken {
    pub(super) fn new(key: KeyId, grant: GrantId, store: &OpenStore) -> Self {
        let mut named = [VERSION; NAMED_LEN];
        let ids = [store.id(), key, KeyId::from_bytes(*grant.as_bytes())];
        for (to, id) in named
            .iter_mut()
            .skip(1)
            .zip(ids.iter().flat_map(KeyId::as_bytes))
        {
            *to = *id;
        }
        Self {
            tag: tag(store, &named),
            named,
        }
    }

    /// Takes the bytes that [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// [`InvalidGrantToken`] when they are too many or too few, or of a version that this crate
    /// does not know. Whether it is of a store is found when it is used.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidGrantToken> {
        let (named, tag) = bytes
            .split_first_chunk::<NAMED_LEN>()
            .ok_or(InvalidGrantToken)?;
        let tag = tag.try_into().map_err(|_| InvalidGrantToken)?;
        if named.first() != Some(&VERSION) {
            return Err(InvalidGrantToken);
        }
        Ok(Self { named: *named, tag })
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.named.as_slice(), self.tag.as_slice()].concat()
    }

    /// Whether this store gave it.
    pub(in crate::kms) fn is_of(&self, store: &OpenStore) -> bool {
        constant_time_eq(&tag(store, &self.named), &self.tag)
            && self.id(0) == Some(*store.id().as_bytes())
    }

    pub(in crate::kms) fn key(&self) -> KeyId {
        KeyId::from_bytes(self.id(1).unwrap_or_default())
    }

    pub(in crate::kms) fn grant(&self) -> GrantId {
        GrantId::from_bytes(self.id(2).unwrap_or_default())
    }

    /// One of the three ids, which are always there.
    fn id(&self, number: usize) -> Option<[u8; 16]> {
        let (ids, _) = self.named.get(1..)?.as_chunks::<16>();
        ids.get(number).copied()
    }
}

fn tag(store: &OpenStore, named: &[u8; NAMED_LEN]) -> [u8; HASH_LEN] {
    *store.codec.derive(&[label!("kms-grant-token"), named])
}

impl KmsHandle {
    /// Shows the token of a grant, so that it counts at once: in another process than the one that
    /// gave it, without waiting for the [refresh interval](crate::kms::KmsBuilder::refresh_interval).
    #[must_use]
    pub fn with_grant_token(mut self, token: GrantToken) -> Self {
        Arc::make_mut(&mut self.session).grant_tokens.push(token);
        self
    }
}

impl fmt::Display for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.to_bytes()))
    }
}

impl FromStr for GrantToken {
    type Err = InvalidGrantToken;

    fn from_str(text: &str) -> Result<Self, InvalidGrantToken> {
        let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| InvalidGrantToken)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantToken({} of {})", self.grant(), self.key())
    }
}

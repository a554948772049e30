use zeroize::Zeroizing;

use super::rustcrypto::Siv;
use super::{KEY_LEN, NONCE_LEN, Rejected, TAG_LEN};

/// Wraps key material of any length as [`KeyWrap`](super::KeyWrap) does its keys.
pub(crate) struct MaterialWrap(Siv);

impl MaterialWrap {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Siv::new(key, [0; NONCE_LEN]))
    }

    /// The wrapped material, longer by [`TAG_LEN`].
    pub(crate) fn wrap(&self, aad: &[u8], material: &[u8]) -> Vec<u8> {
        let mut wrapped = Zeroizing::new(Vec::with_capacity(material.len() + TAG_LEN));
        wrapped.extend_from_slice(material);
        let tag = self.0.seal(aad, &mut wrapped);
        wrapped.extend_from_slice(&tag);
        std::mem::take(&mut *wrapped)
    }

    pub(crate) fn unwrap(
        &self,
        aad: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Rejected> {
        let (ciphertext, tag) = wrapped.split_last_chunk().ok_or(Rejected)?;
        let mut material = Zeroizing::new(ciphertext.to_vec());
        self.0.open(aad, &mut material, tag)?;
        Ok(material)
    }
}

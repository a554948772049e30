//! Encrypting and decrypting a body, chunk by chunk.

#[cfg(test)]
mod wycheproof;

use crate::crypto::{Aead, NONCE_LEN, Rejected, TAG_LEN};
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN};

/// The cipher of one message's body: each chunk under the base nonce XOR its number.
pub(crate) struct BodyCipher {
    aead: Aead,
    base_nonce: [u8; NONCE_LEN],
}

impl BodyCipher {
    pub(crate) fn new(aead: Aead, base_nonce: [u8; NONCE_LEN]) -> Self {
        Self { aead, base_nonce }
    }

    /// Encrypts the rest of a payload, from chunk `first` to the last and short one, to `body`,
    /// which has the length of its sealed form.
    pub(crate) fn seal(&self, first: u64, payload: &[u8], body: &mut [u8]) -> Result<(), Rejected> {
        let chunks = payload.chunks_exact(CHUNK_LEN);
        let last = chunks.remainder();
        self.seal_each(first, chunks.chain([last]), body)
    }

    /// Encrypts full chunks, the first of them with the number `first`.
    pub(crate) fn seal_full(
        &self,
        first: u64,
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), Rejected> {
        self.seal_each(first, plain.chunks_exact(CHUNK_LEN), sealed)
    }

    /// Decrypts the rest of a body, from chunk `first` to the last and short one, to `payload`,
    /// which has the length of its opened form. On failure `payload` may hold chunks that verified.
    pub(crate) fn open(&self, first: u64, body: &[u8], payload: &mut [u8]) -> Result<(), Rejected> {
        let chunks = body.chunks_exact(SEALED_CHUNK_LEN);
        let last = chunks.remainder();
        self.open_each(first, chunks.chain([last]), payload)
    }

    /// Decrypts full chunks, the first of them with the number `first`.
    pub(crate) fn open_full(
        &self,
        first: u64,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), Rejected> {
        self.open_each(first, sealed.chunks_exact(SEALED_CHUNK_LEN), plain)
    }

    fn seal_each<'p>(
        &self,
        first: u64,
        plain: impl Iterator<Item = &'p [u8]>,
        sealed: &mut [u8],
    ) -> Result<(), Rejected> {
        let sealed = sealed.chunks_mut(SEALED_CHUNK_LEN);
        (first..)
            .zip(plain.zip(sealed))
            .try_for_each(|(number, (plain, sealed))| self.seal_chunk(number, plain, sealed))
    }

    fn open_each<'s>(
        &self,
        first: u64,
        sealed: impl Iterator<Item = &'s [u8]>,
        plain: &mut [u8],
    ) -> Result<(), Rejected> {
        let mut rest = plain;
        (first..).zip(sealed).try_for_each(|(number, sealed)| {
            let len = sealed.len().checked_sub(TAG_LEN).ok_or(Rejected)?;
            let (plain, next) = std::mem::take(&mut rest)
                .split_at_mut_checked(len)
                .ok_or(Rejected)?;
            rest = next;
            self.open_chunk(number, sealed, plain)
        })
    }

    /// Encrypts chunk `number` to `sealed`, which is longer by a tag.
    pub(crate) fn seal_chunk(
        &self,
        number: u64,
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), Rejected> {
        let (ciphertext, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(Rejected)?;
        *tag = self
            .aead
            .seal(&self.nonce(number), &[], plain, ciphertext)?;
        Ok(())
    }

    /// Decrypts chunk `number` to `plain`, which is shorter by a tag.
    pub(crate) fn open_chunk(
        &self,
        number: u64,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), Rejected> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Rejected)?;
        self.aead
            .open(&self.nonce(number), &[], ciphertext, tag, plain)
    }

    fn nonce(&self, number: u64) -> [u8; NONCE_LEN] {
        let mut nonce = self.base_nonce;
        nonce
            .iter_mut()
            .rev()
            .zip(number.to_le_bytes())
            .for_each(|(byte, number)| *byte ^= number);
        nonce
    }
}

//! Encrypting and decrypting a body, chunk by chunk.

#[cfg(test)]
mod wycheproof;

#[cfg(feature = "rayon")]
use rayon::prelude::*;
use zeroize::Zeroize;

use crate::crypto::{
    Aead, AeadAlgorithm, Engine, KEY_LEN, NONCE_LEN, OneTimeKey, Rejected, SecretArray, TAG_LEN,
};
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN};

/// How many processors work on one message.
///
/// The bytes are the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Parallelism {
    /// The calling thread alone.
    #[default]
    Serial,
    /// All threads of the current rayon pool, 64 chunks (1 MiB) at a time. A stream then takes
    /// 3 MiB of memory, and reads or writes one batch while the next is opened or sealed.
    #[cfg(feature = "rayon")]
    Rayon,
}

impl Parallelism {
    /// Chunks that a stream gathers, seals, opens, reads or writes at a time.
    pub(crate) const fn batch(self) -> usize {
        match self {
            Self::Serial => 4,
            #[cfg(feature = "rayon")]
            Self::Rayon => 64,
        }
    }

    /// Chunks that a stream seals or opens at a time between the buffers of others, where more of
    /// them cost it no memory, and the threads meet less often.
    pub(crate) const fn direct_batch(self) -> usize {
        match self {
            Self::Serial => Self::Serial.batch(),
            #[cfg(feature = "rayon")]
            Self::Rayon => 1024,
        }
    }
}

/// What a body is encrypted with, before it is set up: small, to be moved about.
pub(crate) struct BodyKey {
    pub(crate) algorithm: AeadAlgorithm,
    pub(crate) key: SecretArray<KEY_LEN>,
    pub(crate) base_nonce: [u8; NONCE_LEN],
    pub(crate) settings: BodySettings,
}

impl BodyKey {
    /// Encrypts a whole payload to `body`, which has the length of its sealed form.
    pub(crate) fn seal(&self, payload: &[u8], body: &mut [u8]) -> Result<(), Rejected> {
        if payload.len() >= CHUNK_LEN {
            return BodyCipher::new(self).seal(0, payload, body);
        }
        let (ciphertext, tag) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(Rejected)?;
        *tag = self
            .one_time()
            .seal(&self.base_nonce, payload, ciphertext)?;
        Ok(())
    }

    /// Decrypts a whole body to `payload`, which has the length of its opened form and holds zeros
    /// after a failure.
    pub(crate) fn open(&self, body: &[u8], payload: &mut [u8]) -> Result<(), Rejected> {
        if payload.len() >= CHUNK_LEN {
            return BodyCipher::new(self)
                .open(0, body, payload)
                .inspect_err(|_| payload.zeroize());
        }
        let (ciphertext, tag) = body.split_last_chunk::<TAG_LEN>().ok_or(Rejected)?;
        self.one_time()
            .open(&self.base_nonce, ciphertext, tag, payload)
    }

    fn one_time(&self) -> OneTimeKey<'_> {
        OneTimeKey {
            engine: self.settings.engine,
            algorithm: self.algorithm,
            key: &self.key,
        }
    }
}

/// What works on a body; the bytes are the same either way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BodySettings {
    pub(crate) engine: Engine,
    pub(crate) parallelism: Parallelism,
}

/// The cipher of one message's body: each chunk under the base nonce XOR its number.
pub(crate) struct BodyCipher {
    aead: Aead,
    base_nonce: [u8; NONCE_LEN],
    parallelism: Parallelism,
}

impl BodyCipher {
    #[inline(always)]
    pub(crate) fn new(key: &BodyKey) -> Self {
        Self {
            aead: Aead::new(key.settings.engine, key.algorithm, &key.key),
            base_nonce: key.base_nonce,
            parallelism: key.settings.parallelism,
        }
    }

    pub(crate) fn parallelism(&self) -> Parallelism {
        self.parallelism
    }

    /// Encrypts the rest of a payload, from chunk `first` to the last and short one, to `body`,
    /// which has the length of its sealed form.
    pub(crate) fn seal(&self, first: u64, payload: &[u8], body: &mut [u8]) -> Result<(), Rejected> {
        let full_chunks = payload.len() / CHUNK_LEN;
        let (full, last) = payload
            .split_at_checked(full_chunks * CHUNK_LEN)
            .ok_or(Rejected)?;
        let (sealed_full, sealed_last) = body
            .split_at_mut_checked(full_chunks * SEALED_CHUNK_LEN)
            .ok_or(Rejected)?;
        self.seal_full(first, full, sealed_full)?;
        self.seal_chunk(first + full_chunks as u64, last, sealed_last)
    }

    /// Decrypts the rest of a body, from chunk `first` to the last and short one, to `payload`,
    /// which has the length of its opened form. On failure `payload` may hold chunks that verified.
    pub(crate) fn open(&self, first: u64, body: &[u8], payload: &mut [u8]) -> Result<(), Rejected> {
        let full_chunks = body.len() / SEALED_CHUNK_LEN;
        let (sealed_full, sealed_last) = body
            .split_at_checked(full_chunks * SEALED_CHUNK_LEN)
            .ok_or(Rejected)?;
        let (full, last) = payload
            .split_at_mut_checked(full_chunks * CHUNK_LEN)
            .ok_or(Rejected)?;
        self.open_full(first, sealed_full, full)?;
        self.open_chunk(first + full_chunks as u64, sealed_last, last)
    }

    /// Encrypts full chunks, the first of them with the number `first`.
    pub(crate) fn seal_full(
        &self,
        first: u64,
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), Rejected> {
        match self.parallelism {
            Parallelism::Serial => (first..)
                .zip(plain.chunks_exact(CHUNK_LEN))
                .zip(sealed.chunks_exact_mut(SEALED_CHUNK_LEN))
                .try_for_each(|((number, plain), sealed)| self.seal_chunk(number, plain, sealed)),
            #[cfg(feature = "rayon")]
            Parallelism::Rayon => plain
                .par_chunks_exact(CHUNK_LEN)
                .zip(sealed.par_chunks_exact_mut(SEALED_CHUNK_LEN))
                .enumerate()
                .try_for_each(|(index, (plain, sealed))| {
                    self.seal_chunk(first + index as u64, plain, sealed)
                }),
        }
    }

    /// Decrypts full chunks, the first of them with the number `first`. On failure `plain` may
    /// hold chunks that verified.
    pub(crate) fn open_full(
        &self,
        first: u64,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), Rejected> {
        match self.parallelism {
            Parallelism::Serial => (first..)
                .zip(sealed.chunks_exact(SEALED_CHUNK_LEN))
                .zip(plain.chunks_exact_mut(CHUNK_LEN))
                .try_for_each(|((number, sealed), plain)| self.open_chunk(number, sealed, plain)),
            #[cfg(feature = "rayon")]
            Parallelism::Rayon => sealed
                .par_chunks_exact(SEALED_CHUNK_LEN)
                .zip(plain.par_chunks_exact_mut(CHUNK_LEN))
                .enumerate()
                .try_for_each(|(index, (sealed, plain))| {
                    self.open_chunk(first + index as u64, sealed, plain)
                }),
        }
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

//! The engine of the RustCrypto project: pure Rust, hardware-accelerated where the processor allows.

mod expand;
mod gcm;
mod siv;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use sha2::{Digest, Sha256};

pub(super) use self::expand::Expand;
pub(super) use self::gcm::Gcm;
pub(super) use self::siv::Siv;
use super::{
    AeadAlgorithm, HASH_LEN, KEY_LEN, NONCE_LEN, Rejected, SecretArray, TAG_LEN, WRAPPED_LEN,
};

#[expect(
    clippy::large_enum_variant,
    reason = "one per message, on the stack: a heap allocation would cost more than it saves"
)]
pub(super) enum Aead {
    Aes256Gcm(Gcm),
    ChaCha20Poly1305(ChaCha20Poly1305),
}

impl Aead {
    #[inline(always)]
    pub(super) fn new(algorithm: AeadAlgorithm, key: &[u8; KEY_LEN]) -> Self {
        match algorithm {
            AeadAlgorithm::Aes256Gcm => Self::Aes256Gcm(Gcm::new(key)),
            AeadAlgorithm::ChaCha20Poly1305 => {
                Self::ChaCha20Poly1305(ChaCha20Poly1305::new(key.into()))
            }
        }
    }

    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Rejected> {
        match self {
            Self::Aes256Gcm(cipher) => cipher.seal(nonce, aad, plaintext, ciphertext),
            Self::ChaCha20Poly1305(cipher) => seal(cipher, nonce, aad, plaintext, ciphertext),
        }
    }

    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Rejected> {
        match self {
            Self::Aes256Gcm(cipher) => cipher.open(nonce, aad, ciphertext, tag, plaintext),
            Self::ChaCha20Poly1305(cipher) => open(cipher, nonce, aad, ciphertext, tag, plaintext),
        }
    }
}

// Neither is inlined: with two ciphers in one function, the compiler makes either a twentieth slower.
#[inline(never)]
fn seal(
    cipher: &ChaCha20Poly1305,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> Result<[u8; TAG_LEN], Rejected> {
    let buffer = InOutBuf::new(plaintext, ciphertext).map_err(|_| Rejected)?;
    cipher
        .encrypt_inout_detached(nonce.into(), aad, buffer)
        .map(Into::into)
        .map_err(|_| Rejected)
}

#[inline(never)]
fn open(
    cipher: &ChaCha20Poly1305,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    plaintext: &mut [u8],
) -> Result<(), Rejected> {
    let buffer = InOutBuf::new(ciphertext, plaintext).map_err(|_| Rejected)?;
    cipher
        .decrypt_inout_detached(nonce.into(), aad, buffer, tag.into())
        .map_err(|_| Rejected)
}

pub(super) struct KeyWrap(Siv);

impl KeyWrap {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Siv::new(key, [0; NONCE_LEN]))
    }

    pub(super) fn wrap(&self, aad: &[u8], key: &[u8; KEY_LEN]) -> [u8; WRAPPED_LEN] {
        let mut wrapped = [0; WRAPPED_LEN];
        let (ciphertext, tag) = wrapped.split_at_mut(KEY_LEN);
        ciphertext.copy_from_slice(key);
        tag.copy_from_slice(&self.0.seal(aad, ciphertext));
        wrapped
    }

    pub(super) fn unwrap(
        &self,
        aad: &[u8],
        wrapped: &[u8; WRAPPED_LEN],
    ) -> Result<SecretArray<KEY_LEN>, Rejected> {
        let (ciphertext, tag) = wrapped.split_first_chunk::<KEY_LEN>().ok_or(Rejected)?;
        let tag = tag.try_into().map_err(|_| Rejected)?;
        let mut key = SecretArray::from(*ciphertext);
        self.0.open(aad, key.as_mut_slice(), tag)?;
        Ok(key)
    }
}

pub(super) fn sha256(parts: &[&[u8]]) -> [u8; HASH_LEN] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

pub(super) fn keystream(key: &[u8; KEY_LEN], output: &mut [u8]) {
    let nonce = [0; NONCE_LEN];
    output.fill(0);
    ChaCha20::new(key.into(), &nonce.into()).apply_keystream(output);
}

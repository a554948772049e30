//! The only place that calls a primitive. No policy, no I/O.
//!
//! This file is the vocabulary that the layers above use; [`rustcrypto`] and `aws_lc` are the engines
//! behind it.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod engine;
#[cfg(feature = "recipients")]
mod hpke;
mod info;
mod key_pair;
mod mac;
mod material;
mod oaep;
mod rustcrypto;
mod secret_array;
mod secret_vec;
mod shamir;
mod signing;
#[cfg(feature = "pkcs11")]
pub(crate) mod token;
#[cfg(test)]
mod wycheproof;

use engine::Chosen;
pub use engine::Engine;
#[cfg(feature = "recipients")]
pub(crate) use hpke::{HpkeKem, HpkePrivateKey, HpkePublicKey, InvalidHpkeKey, SealFailure};
pub(crate) use info::Info;
pub(crate) use key_pair::{InvalidKey, KeyPairFailure, RsaSize, spki_from_pem, spki_to_pem};
pub use mac::MacAlgorithm;
pub(crate) use mac::mac;
pub(crate) use material::MaterialWrap;
pub(crate) use oaep::ImportKeyPair;
pub use oaep::ImportWrapping;
pub(crate) use secret_array::SecretArray;
pub(crate) use secret_vec::SecretVec;
pub(crate) use shamir::{combine_shares, split_secret};
pub(crate) use signing::{KeyPair, SigningKey, VerifyingKey};
pub use signing::{MessageInput, SigningAlgorithm};
use zeroize::Zeroize;

pub(crate) const KEY_LEN: usize = 32;
pub(crate) const NONCE_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;
pub(crate) const HASH_LEN: usize = 32;
pub(crate) const WRAPPED_LEN: usize = KEY_LEN + TAG_LEN;

/// Why a primitive refused: a tag did not verify. Nothing more is known or said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejected;

/// The authenticated ciphers that payloads are encrypted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AeadAlgorithm {
    Aes256Gcm,
    ChaCha20Poly1305,
}

/// An authenticated cipher with its key set up.
pub(crate) struct Aead(Keyed);

#[cfg_attr(
    feature = "aws-lc",
    expect(
        clippy::large_enum_variant,
        reason = "made where it is used, and RustCrypto must not allocate"
    )
)]
enum Keyed {
    RustCrypto(rustcrypto::Aead),
    #[cfg(feature = "aws-lc")]
    AwsLc(aws_lc::Aead),
}

impl Aead {
    #[inline(always)]
    pub(crate) fn new(engine: Engine, algorithm: AeadAlgorithm, key: &[u8; KEY_LEN]) -> Self {
        Self(match engine.chosen() {
            Chosen::RustCrypto => Keyed::RustCrypto(rustcrypto::Aead::new(algorithm, key)),
            #[cfg(feature = "aws-lc")]
            Chosen::AwsLc => Keyed::AwsLc(aws_lc::Aead::new(algorithm, key)),
        })
    }

    /// Encrypts `plaintext` to `ciphertext`, a buffer of the same length.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Rejected> {
        match &self.0 {
            Keyed::RustCrypto(aead) => aead.seal(nonce, aad, plaintext, ciphertext),
            #[cfg(feature = "aws-lc")]
            Keyed::AwsLc(aead) => aead.seal(nonce, aad, plaintext, ciphertext),
        }
    }

    /// Decrypts `ciphertext` to `plaintext`, a buffer of the same length, which holds zeros when
    /// the tag does not verify.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Rejected> {
        match &self.0 {
            Keyed::RustCrypto(aead) => aead.open(nonce, aad, ciphertext, tag, plaintext),
            #[cfg(feature = "aws-lc")]
            Keyed::AwsLc(aead) => aead.open(nonce, aad, ciphertext, tag, plaintext),
        }
        .inspect_err(|_| plaintext.zeroize())
    }
}

/// The key of one short text: as an [`Aead`], but its key is not set up before it is used, and so
/// never moved about, which would take as long as a fifth of the work.
pub(crate) struct OneTimeKey<'k> {
    pub(crate) engine: Engine,
    pub(crate) algorithm: AeadAlgorithm,
    pub(crate) key: &'k [u8; KEY_LEN],
}

impl OneTimeKey<'_> {
    /// As [`Aead::seal`].
    #[inline(always)]
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Rejected> {
        match (self.engine.chosen(), self.algorithm) {
            (Chosen::RustCrypto, AeadAlgorithm::Aes256Gcm) => {
                rustcrypto::Gcm::new(self.key).seal(nonce, &[], plaintext, ciphertext)
            }
            _ => Aead::new(self.engine, self.algorithm, self.key).seal(
                nonce,
                &[],
                plaintext,
                ciphertext,
            ),
        }
    }

    /// As [`Aead::open`].
    #[inline(always)]
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Rejected> {
        match (self.engine.chosen(), self.algorithm) {
            (Chosen::RustCrypto, AeadAlgorithm::Aes256Gcm) => rustcrypto::Gcm::new(self.key)
                .open(nonce, &[], ciphertext, tag, plaintext)
                .inspect_err(|_| plaintext.zeroize()),
            _ => Aead::new(self.engine, self.algorithm, self.key).open(
                nonce,
                &[],
                ciphertext,
                tag,
                plaintext,
            ),
        }
    }
}

/// Wraps 32-byte keys with AES-256-GCM-SIV (RFC 8452) under a zero nonce: deterministic, and safe
/// to be, since a repeated nonce in this cipher shows equal keys and nothing more.
pub(crate) struct KeyWrap(rustcrypto::KeyWrap);

impl KeyWrap {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(rustcrypto::KeyWrap::new(key))
    }

    pub(crate) fn wrap(&self, aad: &[u8], key: &[u8; KEY_LEN]) -> [u8; WRAPPED_LEN] {
        self.0.wrap(aad, key)
    }

    pub(crate) fn unwrap(
        &self,
        aad: &[u8],
        wrapped: &[u8; WRAPPED_LEN],
    ) -> Result<SecretArray<KEY_LEN>, Rejected> {
        self.0.unwrap(aad, wrapped)
    }
}

/// HKDF-Expand with SHA-256 (RFC 5869 section 2.3; the feedback mode of NIST SP 800-108) from a
/// uniformly random key. Keeps the keyed state, so that further derivations from one key are
/// cheaper.
pub(crate) struct Expand(rustcrypto::Expand);

impl Expand {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(rustcrypto::Expand::new(key))
    }

    /// Derives `N` bytes; `info` is the concatenation of the parts given.
    pub(crate) fn derive<const N: usize>(&self, info: &[&[u8]]) -> SecretArray<N> {
        const { assert!(N <= 255 * HASH_LEN) };
        let mut output = SecretArray::zeroed();
        let mut whole = Info::new(&[]);
        info.iter().for_each(|part| whole.push(part));
        self.0.derive(&whole, output.as_mut_slice());
        output
    }

    /// As [`derive`](Self::derive), and at little more than its cost 32 bytes for the info
    /// `label || SHA-256(hashed)`, where `hashed` is the concatenation of its parts.
    #[inline(always)]
    pub(crate) fn derive_with_hash<const N: usize>(
        key: ExpandKey<'_>,
        info: &Info,
        label: &[u8],
        hashed: (&[u8; HASH_LEN], &[u8]),
    ) -> (SecretArray<N>, SecretArray<HASH_LEN>) {
        const { assert!(N <= 2 * HASH_LEN) };
        rustcrypto::Expand::derive_with_hash(key, info, label, hashed)
    }
}

/// What to derive from.
#[derive(Clone, Copy)]
pub(crate) enum ExpandKey<'k> {
    New(&'k [u8; KEY_LEN]),
    /// One that much is derived from.
    Kept(&'k Expand),
}

impl ExpandKey<'_> {
    /// As [`Expand::derive`].
    pub(crate) fn derive<const N: usize>(self, info: &[&[u8]]) -> SecretArray<N> {
        match self {
            Self::New(key) => Expand::new(key).derive(info),
            Self::Kept(kept) => kept.derive(info),
        }
    }
}

/// SHA-256 of the concatenation of `parts`.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; HASH_LEN] {
    rustcrypto::sha256(parts)
}

/// Fills `output` with ChaCha20 keystream (RFC 8439). One key must not be used twice.
pub(crate) fn keystream(key: &[u8; KEY_LEN], output: &mut [u8]) {
    rustcrypto::keystream(key, output);
}

/// Compares in a time that depends on the lengths alone.
pub(crate) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    use ctutils::CtEq;
    a.ct_eq(b).to_bool()
}

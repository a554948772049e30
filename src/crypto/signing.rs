//! Key pairs that sign: Ed25519 (RFC 8032), ECDSA (FIPS 186-5) and RSA (RFC 8017).

mod ecdsa;
mod ed25519;
mod rsa;
#[cfg(test)]
mod wycheproof;

use std::fmt;

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use smallvec::SmallVec;
use zeroize::Zeroizing;

use super::Rejected;
use super::key_pair::{
    InvalidKey, KeyPairFailure, RsaSize, read_private, read_public, seeded_rng, write_private,
    write_public,
};
use crate::names::named;
use crate::rng::{RandomError, RandomSource};

/// How a message is signed. The names are those of AWS KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// `ED25519_SHA_512`: Ed25519 (RFC 8032), which takes messages and no digests.
    Ed25519,
    /// `ECDSA_SHA_256`: ECDSA on P-256 with SHA-256, deterministic (RFC 6979).
    EcdsaSha256,
    /// `ECDSA_SHA_384`: ECDSA on P-384 with SHA-384, deterministic (RFC 6979).
    EcdsaSha384,
    /// `RSASSA_PSS_SHA_256`: RSA-PSS (RFC 8017) with SHA-256, also in MGF1, and a salt of 32 bytes.
    RsaPssSha256,
    /// `RSASSA_PSS_SHA_384`: RSA-PSS with SHA-384, also in MGF1, and a salt of 48 bytes.
    RsaPssSha384,
    /// `RSASSA_PSS_SHA_512`: RSA-PSS with SHA-512, also in MGF1, and a salt of 64 bytes.
    RsaPssSha512,
    /// `RSASSA_PKCS1_V1_5_SHA_256`: RSA PKCS #1 v1.5 (RFC 8017) with SHA-256.
    RsaPkcs1Sha256,
    /// `RSASSA_PKCS1_V1_5_SHA_384`: RSA PKCS #1 v1.5 with SHA-384.
    RsaPkcs1Sha384,
    /// `RSASSA_PKCS1_V1_5_SHA_512`: RSA PKCS #1 v1.5 with SHA-512.
    RsaPkcs1Sha512,
}

named!(SigningAlgorithm, "signing algorithm", {
    Ed25519 => "ED25519_SHA_512",
    EcdsaSha256 => "ECDSA_SHA_256",
    EcdsaSha384 => "ECDSA_SHA_384",
    RsaPssSha256 => "RSASSA_PSS_SHA_256",
    RsaPssSha384 => "RSASSA_PSS_SHA_384",
    RsaPssSha512 => "RSASSA_PSS_SHA_512",
    RsaPkcs1Sha256 => "RSASSA_PKCS1_V1_5_SHA_256",
    RsaPkcs1Sha384 => "RSASSA_PKCS1_V1_5_SHA_384",
    RsaPkcs1Sha512 => "RSASSA_PKCS1_V1_5_SHA_512",
});

impl SigningAlgorithm {
    /// The length of the digest that the algorithm signs in place of a message, in bytes; `None`
    /// where it takes messages alone.
    #[must_use]
    pub const fn digest_len(self) -> Option<usize> {
        match self.scheme() {
            Scheme::Ed25519 => None,
            Scheme::Ecdsa(hash) | Scheme::RsaPss(hash) | Scheme::RsaPkcs1(hash) => Some(hash.len()),
        }
    }

    pub(super) const fn scheme(self) -> Scheme {
        match self {
            Self::Ed25519 => Scheme::Ed25519,
            Self::EcdsaSha256 => Scheme::Ecdsa(Hash::Sha256),
            Self::EcdsaSha384 => Scheme::Ecdsa(Hash::Sha384),
            Self::RsaPssSha256 => Scheme::RsaPss(Hash::Sha256),
            Self::RsaPssSha384 => Scheme::RsaPss(Hash::Sha384),
            Self::RsaPssSha512 => Scheme::RsaPss(Hash::Sha512),
            Self::RsaPkcs1Sha256 => Scheme::RsaPkcs1(Hash::Sha256),
            Self::RsaPkcs1Sha384 => Scheme::RsaPkcs1(Hash::Sha384),
            Self::RsaPkcs1Sha512 => Scheme::RsaPkcs1(Hash::Sha512),
        }
    }
}

/// What is signed: a message, or its digest where somebody hashed it already.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum MessageInput<'a> {
    /// The message, of any length. It is hashed by the hash of the algorithm.
    Raw(&'a [u8]),
    /// The digest of the message by the hash of the algorithm, with its
    /// [`digest_len`](SigningAlgorithm::digest_len).
    Digest(&'a [u8]),
}

impl fmt::Debug for MessageInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(message) => write!(f, "Raw({} bytes)", message.len()),
            Self::Digest(digest) => write!(f, "Digest({} bytes)", digest.len()),
        }
    }
}

/// The kinds of key pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPair {
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    Rsa(RsaSize),
}

/// A private key. Erased when it is dropped.
pub(crate) enum SigningKey {
    Ed25519(ed25519_dalek::SigningKey),
    EcdsaP256(p256::ecdsa::SigningKey),
    EcdsaP384(p384::ecdsa::SigningKey),
    Rsa(::rsa::PrivateKey),
}

/// A public key, ready to verify.
#[derive(Clone)]
pub(crate) enum VerifyingKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    EcdsaP256(p256::ecdsa::VerifyingKey),
    EcdsaP384(p384::ecdsa::VerifyingKey),
    Rsa(::rsa::PublicKey),
}

impl SigningKey {
    pub(crate) fn generate(kind: KeyPair, random: &dyn RandomSource) -> Result<Self, RandomError> {
        let rng = &mut seeded_rng(random)?;
        Ok(match kind {
            KeyPair::Ed25519 => Self::Ed25519(ed25519::generate(rng)),
            KeyPair::EcdsaP256 => Self::EcdsaP256(ecdsa::generate(rng)),
            KeyPair::EcdsaP384 => Self::EcdsaP384(ecdsa::generate(rng)),
            KeyPair::Rsa(size) => Self::Rsa(size.generate(rng)),
        })
    }

    /// Reads a private key in DER: PKCS #8, or its successor `OneAsymmetricKey` (RFC 5958).
    pub(crate) fn from_pkcs8(kind: KeyPair, der: &[u8]) -> Result<Self, InvalidKey> {
        Ok(match kind {
            KeyPair::Ed25519 => Self::Ed25519(read_private(der)?),
            KeyPair::EcdsaP256 => Self::EcdsaP256(read_private(der)?),
            KeyPair::EcdsaP384 => Self::EcdsaP384(read_private(der)?),
            KeyPair::Rsa(size) => Self::Rsa(size.read_private_key(der)?),
        })
    }

    /// The private key in PKCS #8 DER, without its public half where that is optional.
    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
        match self {
            Self::Ed25519(key) => write_private(&ed25519::without_public_key(key)),
            Self::EcdsaP256(key) => write_private(key),
            Self::EcdsaP384(key) => write_private(key),
            Self::Rsa(key) => write_private(key),
        }
    }

    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::Ed25519(key) => VerifyingKey::Ed25519(key.verifying_key()),
            Self::EcdsaP256(key) => VerifyingKey::EcdsaP256(*key.verifying_key()),
            Self::EcdsaP384(key) => VerifyingKey::EcdsaP384(*key.verifying_key()),
            Self::Rsa(key) => VerifyingKey::Rsa(key.to_public_key()),
        }
    }

    pub(crate) fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message: MessageInput<'_>,
        random: &dyn RandomSource,
    ) -> Result<Vec<u8>, KeyPairFailure> {
        let signature = match (self, algorithm.scheme()) {
            (Self::Ed25519(key), Scheme::Ed25519) => ed25519::sign(key, message),
            (Self::EcdsaP256(key), Scheme::Ecdsa(hash @ Hash::Sha256)) => {
                ecdsa::sign::<_, p256::ecdsa::DerSignature>(key, &hash.digest(message))
            }
            (Self::EcdsaP384(key), Scheme::Ecdsa(hash @ Hash::Sha384)) => {
                ecdsa::sign::<_, p384::ecdsa::DerSignature>(key, &hash.digest(message))
            }
            (Self::Rsa(key), Scheme::RsaPss(hash)) => {
                let rng = &mut seeded_rng(random)?;
                rsa::sign_pss(key, hash, &hash.digest(message), rng)
            }
            (Self::Rsa(key), Scheme::RsaPkcs1(hash)) => {
                let rng = &mut seeded_rng(random)?;
                rsa::sign_pkcs1(key, hash, &hash.digest(message), rng)
            }
            _ => Err(Rejected),
        };
        Ok(signature?)
    }

    /// Checks that the public half verifies what this half signs: a key from elsewhere may have
    /// factors that are no primes.
    pub(crate) fn check_consistent(&self, random: &dyn RandomSource) -> Result<(), KeyPairFailure> {
        let algorithm = match self {
            Self::Ed25519(_) => SigningAlgorithm::Ed25519,
            Self::EcdsaP256(_) => SigningAlgorithm::EcdsaSha256,
            Self::EcdsaP384(_) => SigningAlgorithm::EcdsaSha384,
            Self::Rsa(_) => SigningAlgorithm::RsaPkcs1Sha256,
        };
        let message = MessageInput::Raw(b"consistent");
        let signature = self.sign(algorithm, message, random)?;
        Ok(self
            .verifying_key()
            .verify(algorithm, message, &signature)?)
    }
}

impl VerifyingKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5280) in DER, as [`to_spki`](Self::to_spki) writes it.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, InvalidKey> {
        let key = read_public(der)
            .map(Self::Ed25519)
            .or_else(|_| read_public(der).map(Self::EcdsaP256))
            .or_else(|_| read_public(der).map(Self::EcdsaP384))
            .or_else(|_| read_public(der).map(Self::Rsa))?;
        key.kind()?;
        (key.to_spki()? == der).then_some(key).ok_or(InvalidKey)
    }

    pub(crate) fn to_spki(&self) -> Result<Vec<u8>, InvalidKey> {
        match self {
            Self::Ed25519(key) => write_public(key),
            Self::EcdsaP256(key) => write_public(key),
            Self::EcdsaP384(key) => write_public(key),
            Self::Rsa(key) => write_public(key),
        }
    }

    pub(crate) fn kind(&self) -> Result<KeyPair, InvalidKey> {
        Ok(match self {
            Self::Ed25519(_) => KeyPair::Ed25519,
            Self::EcdsaP256(_) => KeyPair::EcdsaP256,
            Self::EcdsaP384(_) => KeyPair::EcdsaP384,
            Self::Rsa(key) => KeyPair::Rsa(RsaSize::of(key)?),
        })
    }

    pub(crate) fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message: MessageInput<'_>,
        signature: &[u8],
    ) -> Result<(), Rejected> {
        match (self, algorithm.scheme()) {
            (Self::Ed25519(key), Scheme::Ed25519) => ed25519::verify(key, message, signature),
            (Self::EcdsaP256(key), Scheme::Ecdsa(hash @ Hash::Sha256)) => {
                let digest = hash.digest(message);
                ecdsa::verify::<_, p256::ecdsa::DerSignature>(key, &digest, signature)
            }
            (Self::EcdsaP384(key), Scheme::Ecdsa(hash @ Hash::Sha384)) => {
                let digest = hash.digest(message);
                ecdsa::verify::<_, p384::ecdsa::DerSignature>(key, &digest, signature)
            }
            (Self::Rsa(key), Scheme::RsaPss(hash)) => {
                rsa::verify_pss(key, hash, &hash.digest(message), signature)
            }
            (Self::Rsa(key), Scheme::RsaPkcs1(hash)) => {
                rsa::verify_pkcs1(key, hash, &hash.digest(message), signature)
            }
            _ => Err(Rejected),
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Scheme {
    Ed25519,
    Ecdsa(Hash),
    RsaPss(Hash),
    RsaPkcs1(Hash),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of a message; of a digest, itself.
    pub(super) fn digest(self, message: MessageInput<'_>) -> SmallVec<[u8; 64]> {
        let message = match message {
            MessageInput::Raw(message) => message,
            MessageInput::Digest(digest) => return SmallVec::from_slice(digest),
        };
        match self {
            Self::Sha256 => SmallVec::from_slice(&Sha256::digest(message)),
            Self::Sha384 => SmallVec::from_slice(&Sha384::digest(message)),
            Self::Sha512 => SmallVec::from_slice(&Sha512::digest(message)),
        }
    }
}

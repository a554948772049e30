use std::fmt;

use super::SigningMismatch;
use crate::crypto::{KeyPair, MacAlgorithm, MessageInput, RsaSize, SigningAlgorithm};
use crate::names::named;

/// The kind of a key, which says all that the key can do.
///
/// The names, by [`name`](Self::name) and serde, are those of AWS KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum KeySpec {
    /// `SYMMETRIC_DEFAULT`: a symmetric key of 256 bits that wraps data keys.
    #[default]
    Wrapping256,
    /// `HMAC_256`: makes MACs by HMAC-SHA-256.
    Hmac256,
    /// `HMAC_384`: makes MACs by HMAC-SHA-384.
    Hmac384,
    /// `HMAC_512`: makes MACs by HMAC-SHA-512.
    Hmac512,
    /// `ECC_NIST_EDWARDS25519`: signs by Ed25519.
    Ed25519,
    /// `ECC_NIST_P256`: signs by ECDSA.
    EcdsaP256,
    /// `ECC_NIST_P384`: signs by ECDSA.
    EcdsaP384,
    /// `RSA_2048`: signs by RSA-PSS and PKCS #1 v1.5.
    Rsa2048,
    /// `RSA_3072`: signs by RSA-PSS and PKCS #1 v1.5.
    Rsa3072,
    /// `RSA_4096`: signs by RSA-PSS and PKCS #1 v1.5.
    Rsa4096,
}

named!(KeySpec, "key spec", {
    Wrapping256 => "SYMMETRIC_DEFAULT",
    Hmac256 => "HMAC_256",
    Hmac384 => "HMAC_384",
    Hmac512 => "HMAC_512",
    Ed25519 => "ECC_NIST_EDWARDS25519",
    EcdsaP256 => "ECC_NIST_P256",
    EcdsaP384 => "ECC_NIST_P384",
    Rsa2048 => "RSA_2048",
    Rsa3072 => "RSA_3072",
    Rsa4096 => "RSA_4096",
});

impl KeySpec {
    /// Whether such a key wraps data keys.
    #[must_use]
    pub fn wraps(self) -> bool {
        self == Self::Wrapping256
    }

    /// How such a key makes MACs; `None` if it makes none.
    #[must_use]
    pub fn mac_algorithm(self) -> Option<MacAlgorithm> {
        match self {
            Self::Hmac256 => Some(MacAlgorithm::HmacSha256),
            Self::Hmac384 => Some(MacAlgorithm::HmacSha384),
            Self::Hmac512 => Some(MacAlgorithm::HmacSha512),
            _ => None,
        }
    }

    /// The algorithms that such a key signs with; none if it does not sign.
    #[must_use]
    pub fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        use SigningAlgorithm as Algorithm;

        match self {
            Self::Ed25519 => &[Algorithm::Ed25519],
            Self::EcdsaP256 => &[Algorithm::EcdsaSha256],
            Self::EcdsaP384 => &[Algorithm::EcdsaSha384],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                Algorithm::RsaPssSha256,
                Algorithm::RsaPssSha384,
                Algorithm::RsaPssSha512,
                Algorithm::RsaPkcs1Sha256,
                Algorithm::RsaPkcs1Sha384,
                Algorithm::RsaPkcs1Sha512,
            ],
            _ => &[],
        }
    }

    /// Whether such a key is a pair, of which one half is public.
    #[must_use]
    pub fn has_public_key(self) -> bool {
        self.key_pair().is_some()
    }

    /// The byte for it in handles (FORMAT.md, section 12).
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Wrapping256 => 1,
            Self::Hmac256 => 2,
            Self::Hmac384 => 3,
            Self::Hmac512 => 4,
            Self::Ed25519 => 5,
            Self::EcdsaP256 => 6,
            Self::EcdsaP384 => 7,
            Self::Rsa2048 => 8,
            Self::Rsa3072 => 9,
            Self::Rsa4096 => 10,
        }
    }

    pub(super) fn of_code(byte: u8) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|spec| spec.code() == byte)
    }

    pub(crate) fn key_pair(self) -> Option<KeyPair> {
        match self {
            Self::Ed25519 => Some(KeyPair::Ed25519),
            Self::EcdsaP256 => Some(KeyPair::EcdsaP256),
            Self::EcdsaP384 => Some(KeyPair::EcdsaP384),
            Self::Rsa2048 => Some(KeyPair::Rsa(RsaSize::Bits2048)),
            Self::Rsa3072 => Some(KeyPair::Rsa(RsaSize::Bits3072)),
            Self::Rsa4096 => Some(KeyPair::Rsa(RsaSize::Bits4096)),
            _ => None,
        }
    }

    /// Passes an algorithm that such a key signs with, and a message that the algorithm takes.
    pub(crate) fn check_signs(
        self,
        algorithm: SigningAlgorithm,
        message: MessageInput<'_>,
    ) -> Result<(), SigningMismatch> {
        if !self.signing_algorithms().contains(&algorithm) {
            return Err(SigningMismatch::Algorithm {
                spec: self,
                algorithm,
            });
        }
        let MessageInput::Digest(digest) = message else {
            return Ok(());
        };
        let expected = algorithm
            .digest_len()
            .ok_or(SigningMismatch::Digest { algorithm })?;
        if digest.len() != expected {
            return Err(SigningMismatch::DigestLength {
                algorithm,
                expected,
                len: digest.len(),
            });
        }
        Ok(())
    }
}

/// A set of [`KeySpec`]s.
///
/// ```
/// use waxseal::{KeySpec, KeySpecs};
///
/// let specs = KeySpecs::from_iter([KeySpec::Ed25519, KeySpec::EcdsaP256]);
/// assert!(specs.contains(KeySpec::Ed25519) && !specs.contains(KeySpec::Rsa4096));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct KeySpecs(u32);

impl KeySpecs {
    /// Every kind of key.
    pub const ALL: Self = Self((1 << KeySpec::ALL.len()) - 1);
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Whether `spec` is one of them.
    #[must_use]
    pub fn contains(self, spec: KeySpec) -> bool {
        self.0 & Self::bit(spec) != 0
    }

    /// The set with `spec` in it.
    #[must_use]
    pub fn with(self, spec: KeySpec) -> Self {
        Self(self.0 | Self::bit(spec))
    }

    /// Each of them, once.
    pub fn iter(self) -> impl Iterator<Item = KeySpec> {
        let all = KeySpec::ALL.iter().copied();
        all.filter(move |&spec| self.contains(spec))
    }

    fn bit(spec: KeySpec) -> u32 {
        1 << spec as u32
    }
}

impl From<KeyPair> for KeySpec {
    fn from(kind: KeyPair) -> Self {
        match kind {
            KeyPair::Ed25519 => Self::Ed25519,
            KeyPair::EcdsaP256 => Self::EcdsaP256,
            KeyPair::EcdsaP384 => Self::EcdsaP384,
            KeyPair::Rsa(RsaSize::Bits2048) => Self::Rsa2048,
            KeyPair::Rsa(RsaSize::Bits3072) => Self::Rsa3072,
            KeyPair::Rsa(RsaSize::Bits4096) => Self::Rsa4096,
        }
    }
}

impl FromIterator<KeySpec> for KeySpecs {
    fn from_iter<I: IntoIterator<Item = KeySpec>>(specs: I) -> Self {
        specs.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for KeySpecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_each_of_them() {
        assert_eq!(KeySpecs::ALL, KeySpec::ALL.iter().copied().collect());
    }
}

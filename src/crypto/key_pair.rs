//! Key pairs, whatever they are used for: sizes, generators and encodings.

use chacha20::ChaCha20Rng;
use pkcs8::{
    DecodePrivateKey, DecodePublicKey, Document, EncodePrivateKey, EncodePublicKey, LineEnding,
    ObjectIdentifier, PrivateKeyInfoRef,
};
use rand_core::{CryptoRng, SeedableRng};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::{KEY_LEN, Rejected};
use crate::rng::{RandomError, RandomSource};

/// The bytes are no key of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidKey;

/// Why a private key did not do what it was asked.
#[derive(Debug)]
pub(crate) enum KeyPairFailure {
    Random(RandomError),
    /// What was given does not fit the key, or a fault in the computation was noticed.
    Rejected,
}

impl From<RandomError> for KeyPairFailure {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

impl From<Rejected> for KeyPairFailure {
    fn from(Rejected: Rejected) -> Self {
        Self::Rejected
    }
}

impl From<InvalidKey> for KeyPairFailure {
    fn from(InvalidKey: InvalidKey) -> Self {
        Self::Rejected
    }
}

/// The sizes of RSA keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RsaSize {
    Bits2048,
    Bits3072,
    Bits4096,
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl RsaSize {
    const EACH: [Self; 3] = [Self::Bits2048, Self::Bits3072, Self::Bits4096];

    pub(crate) fn bits(self) -> u16 {
        match self {
            Self::Bits2048 => 2048,
            Self::Bits3072 => 3072,
            Self::Bits4096 => 4096,
        }
    }

    /// The size of a public key, if it is one of these and its exponent one that FIPS 186-5
    /// allows: over 2^16.
    pub(super) fn of(key: &PublicKey) -> Result<Self, InvalidKey> {
        let bits = key.n().bit_width();
        if *key.e() <= BoxedUint::from(1u64 << 16) {
            return Err(InvalidKey);
        }
        Self::EACH
            .into_iter()
            .find(|size| u32::from(size.bits()) == bits)
            .ok_or(InvalidKey)
    }

    /// Generates a key. This takes from a tenth of a second to several seconds.
    #[expect(
        clippy::expect_used,
        reason = "only a size under 1024 bits is an error"
    )]
    pub(super) fn generate(self, rng: &mut impl CryptoRng) -> PrivateKey {
        PrivateKey::new(rng, self.bits().into()).expect("the size is large enough")
    }

    /// Reads a private key of this size in PKCS #8 DER.
    pub(super) fn read_private_key(self, der: &[u8]) -> Result<PrivateKey, InvalidKey> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| InvalidKey)?;
        if info.algorithm.oid != RSA_ENCRYPTION {
            return Err(InvalidKey);
        }
        let key: PrivateKey = read_private(der)?;
        if Self::of(key.as_ref())? != self {
            return Err(InvalidKey);
        }
        Ok(key)
    }
}

/// A generator for what takes as many random bytes as it takes, and cannot fail in between:
/// ChaCha20 under a key that `random` gives.
pub(super) fn seeded_rng(random: &dyn RandomSource) -> Result<ChaCha20Rng, RandomError> {
    let mut seed = Zeroizing::new([0; KEY_LEN]);
    random.fill(seed.as_mut_slice())?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

pub(super) fn read_private<K: DecodePrivateKey>(der: &[u8]) -> Result<K, InvalidKey> {
    K::from_pkcs8_der(der).map_err(|_| InvalidKey)
}

pub(super) fn write_private(key: &impl EncodePrivateKey) -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
    let document = key.to_pkcs8_der().map_err(|_| InvalidKey)?;
    Ok(document.to_bytes())
}

pub(super) fn read_public<K: DecodePublicKey>(der: &[u8]) -> Result<K, InvalidKey> {
    K::from_public_key_der(der).map_err(|_| InvalidKey)
}

pub(super) fn write_public(key: &impl EncodePublicKey) -> Result<Vec<u8>, InvalidKey> {
    let document = key.to_public_key_der().map_err(|_| InvalidKey)?;
    Ok(document.into_vec())
}

const PUBLIC_KEY: &str = "PUBLIC KEY";

/// A `SubjectPublicKeyInfo` in PEM (RFC 7468) from one in DER.
pub(crate) fn spki_to_pem(der: &[u8]) -> Result<String, InvalidKey> {
    let document = Document::try_from(der).map_err(|_| InvalidKey)?;
    document
        .to_pem(PUBLIC_KEY, LineEnding::LF)
        .map_err(|_| InvalidKey)
}

/// A `SubjectPublicKeyInfo` in DER, not looked into, from one in PEM (RFC 7468).
pub(crate) fn spki_from_pem(pem: &str) -> Result<Vec<u8>, InvalidKey> {
    match Document::from_pem(pem) {
        Ok((PUBLIC_KEY, document)) => Ok(document.into_vec()),
        _ => Err(InvalidKey),
    }
}

//! Encryption to a public key: HPKE (RFC 9180) in base mode, one message for each encapsulation.

use ::hpke::aead::{AeadTag, AesGcm256};
use ::hpke::inout::InOutBuf;
use ::hpke::kdf::HkdfSha256;
use ::hpke::kem::{X25519HkdfSha256, XWing};
use ::hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable,
    single_shot_open_inout_detached, single_shot_seal_inout_detached_with_rng,
};
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use super::{KEY_LEN, Rejected, SecretArray, TAG_LEN};
use crate::rng::{RandomError, RandomSource};

/// The key encapsulations. The rest of the suite is the same for both: HKDF-SHA-256 and AES-256-GCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HpkeKem {
    /// DHKEM(X25519, HKDF-SHA256), 0x0020 of RFC 9180.
    X25519,
    /// X-Wing (ML-KEM-768 and X25519), 0x647a of draft-ietf-hpke-pq.
    XWing,
}

/// The bytes are no key of that kind, or one to which nothing must be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidHpkeKey;

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum HpkePublicKey {
    X25519(<X25519HkdfSha256 as Kem>::PublicKey),
    XWing(Box<<XWing as Kem>::PublicKey>),
}

/// Erased on drop, as its parts are.
pub(crate) enum HpkePrivateKey {
    X25519(<X25519HkdfSha256 as Kem>::PrivateKey),
    XWing(Box<<XWing as Kem>::PrivateKey>),
}

impl HpkePublicKey {
    /// Takes the 32 bytes of an X25519 key, or the 1216 of an X-Wing key, and tries it: an X25519 key
    /// of low order gives secrets that everybody knows, and is refused.
    pub(crate) fn from_bytes(kem: HpkeKem, bytes: &[u8]) -> Result<Self, InvalidHpkeKey> {
        let key = match kem {
            HpkeKem::X25519 => Deserializable::from_bytes(bytes).map(Self::X25519),
            HpkeKem::XWing => {
                Deserializable::from_bytes(bytes).map(|key| Self::XWing(Box::new(key)))
            }
        };
        let key = key.map_err(|_| InvalidHpkeKey)?;
        key.seal_with(&[], &SecretArray::zeroed(), [0; 32])
            .map_err(|_| InvalidHpkeKey)?;
        Ok(key)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::X25519(key) => key.to_bytes().to_vec(),
            Self::XWing(key) => key.to_bytes().to_vec(),
        }
    }

    /// Encrypts a key to this one, bound to `info`: the encapsulated key, the ciphertext, the tag.
    pub(crate) fn seal(
        &self,
        info: &[u8],
        key: &[u8; KEY_LEN],
        random: &dyn RandomSource,
    ) -> Result<Vec<u8>, SealFailure> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut_slice())?;
        self.seal_with(info, key, *seed)
            .map_err(|_| SealFailure::Key(InvalidHpkeKey))
    }

    fn seal_with(
        &self,
        info: &[u8],
        key: &[u8; KEY_LEN],
        seed: [u8; 32],
    ) -> Result<Vec<u8>, HpkeError> {
        match self {
            Self::X25519(public) => seal::<X25519HkdfSha256>(public, info, key, seed),
            Self::XWing(public) => seal::<XWing>(public, info, key, seed),
        }
    }
}

/// Why nothing was encrypted.
#[derive(Debug)]
pub(crate) enum SealFailure {
    Random(RandomError),
    Key(InvalidHpkeKey),
}

impl From<RandomError> for SealFailure {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

impl HpkePrivateKey {
    /// Takes the 32 bytes of a private key: for X-Wing the seed of both of its halves.
    pub(crate) fn from_bytes(kem: HpkeKem, bytes: &[u8; 32]) -> Result<Self, InvalidHpkeKey> {
        match kem {
            HpkeKem::X25519 => Deserializable::from_bytes(bytes).map(Self::X25519),
            HpkeKem::XWing => {
                Deserializable::from_bytes(bytes).map(|key| Self::XWing(Box::new(key)))
            }
        }
        .map_err(|_| InvalidHpkeKey)
    }

    pub(crate) fn public_key(&self) -> HpkePublicKey {
        match self {
            Self::X25519(key) => HpkePublicKey::X25519(X25519HkdfSha256::sk_to_pk(key)),
            Self::XWing(key) => HpkePublicKey::XWing(Box::new(XWing::sk_to_pk(key))),
        }
    }

    /// Decrypts what [`HpkePublicKey::seal`] encrypted.
    pub(crate) fn open(
        &self,
        info: &[u8],
        sealed: &[u8],
    ) -> Result<SecretArray<KEY_LEN>, Rejected> {
        match self {
            Self::X25519(key) => open::<X25519HkdfSha256>(key, info, sealed),
            Self::XWing(key) => open::<XWing>(key, info, sealed),
        }
    }
}

fn seal<K: Kem>(
    public: &K::PublicKey,
    info: &[u8],
    key: &[u8; KEY_LEN],
    seed: [u8; 32],
) -> Result<Vec<u8>, HpkeError> {
    let mut rng = chacha20::ChaCha20Rng::from_seed(seed);
    let mut buffer = SecretArray::from(*key);
    let (encapsulated, tag) = single_shot_seal_inout_detached_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        public,
        info,
        InOutBuf::from(buffer.as_mut_slice()),
        &[],
        &mut rng,
    )?;
    Ok([
        encapsulated.to_bytes().as_slice(),
        buffer.as_slice(),
        tag.to_bytes().as_slice(),
    ]
    .concat())
}

fn open<K: Kem>(
    private: &K::PrivateKey,
    info: &[u8],
    sealed: &[u8],
) -> Result<SecretArray<KEY_LEN>, Rejected> {
    let (rest, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Rejected)?;
    let (encapsulated, ciphertext) = rest.split_last_chunk::<KEY_LEN>().ok_or(Rejected)?;
    let mut buffer = SecretArray::from(*ciphertext);
    let opened = K::EncappedKey::from_bytes(encapsulated).and_then(|encapsulated| {
        single_shot_open_inout_detached::<AesGcm256, HkdfSha256, K>(
            &OpModeR::Base,
            private,
            &encapsulated,
            info,
            InOutBuf::from(buffer.as_mut_slice()),
            &[],
            &AeadTag::from_bytes(tag)?,
        )
    });
    opened.map(|()| buffer).map_err(|_| Rejected)
}

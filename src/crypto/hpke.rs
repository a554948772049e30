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

#[cfg(test)]
mod tests {
    use ::hpke::aead::AesGcm128;
    use ::hpke::single_shot_open;

    use super::*;
    use crate::crypto::sha256;

    const X_WING: [(&str, &str); 3] = [
        (
            "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
            "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
        ),
        (
            "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
            "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
        ),
        (
            "ef58538b8d23f87732ea63b02b4fa0f4873360e2841928cd60dd4cee8cc0d4c9",
            "6b080d6b84f095342092fa7a22423e58bd681397ad0ef00eac92bd254db4fa95",
        ),
    ];

    fn hex(text: &str) -> Vec<u8> {
        base16ct::lower::decode_vec(text).unwrap()
    }

    fn array<const N: usize>(text: &str) -> [u8; N] {
        hex(text).try_into().unwrap()
    }

    /// RFC 9180, appendix A.1.1, sequence number 0. It differs from our suite by AES-128.
    #[test]
    fn rfc_9180_base_mode_with_x25519() {
        type Kem = X25519HkdfSha256;
        let private = hex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8");
        let private = <Kem as ::hpke::Kem>::PrivateKey::from_bytes(&private).unwrap();
        let encapsulated = hex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431");
        let opened = single_shot_open::<AesGcm128, HkdfSha256, Kem>(
            &OpModeR::Base,
            &private,
            &Deserializable::from_bytes(&encapsulated).unwrap(),
            b"Ode on a Grecian Urn",
            &hex(
                "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
            ),
            b"Count-0",
        );
        assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
    }

    /// draft-connolly-cfrg-xwing-kem-08, appendix C, by the SHA-256 of each public key.
    #[test]
    fn x_wing_key_pairs_of_the_draft() {
        for (seed, public) in X_WING {
            let private = HpkePrivateKey::from_bytes(HpkeKem::XWing, &array(seed)).unwrap();
            assert_eq!(sha256(&[&private.public_key().to_bytes()]), array(public));
        }
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_and_info_alone() {
        for kem in [HpkeKem::X25519, HpkeKem::XWing] {
            let keys = [1, 2].map(|byte| HpkePrivateKey::from_bytes(kem, &[byte; 32]).unwrap());
            let random = crate::rng::SystemRandom;
            let sealed = keys[0]
                .public_key()
                .seal(b"info", &[7; 32], &random)
                .unwrap();
            assert_eq!(*keys[0].open(b"info", &sealed).unwrap(), [7; 32]);
            assert!(keys[0].open(b"other", &sealed).is_err());
            assert!(keys[1].open(b"info", &sealed).is_err());
            for len in [0, 15, 16, 47, 48, sealed.len() - 1] {
                assert!(keys[0].open(b"info", &sealed[..len]).is_err());
            }
        }
    }
}

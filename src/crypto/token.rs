//! What the answers of a token are translated by, and the computations that they are held against.

use aes::Aes256Enc;
use aes::cipher::array::ArraySize;
use aes::cipher::consts::{U12, U16};
use aes::cipher::{Array, BlockCipherDecrypt, KeyInit};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use aes_kw::KwAes256;
use rsa::{BoxedUint, Oaep, PublicKey};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use smallvec::SmallVec;
use zeroize::Zeroizing;

use super::key_pair::{InvalidKey, KeyPairFailure, seeded_rng};
pub(crate) use super::signing::Hash;
use super::signing::Scheme;
use super::{KEY_LEN, KeyPair, MessageInput, Rejected, SigningAlgorithm, TAG_LEN, VerifyingKey};
use crate::rng::RandomSource;

/// What a token is to sign, by a mechanism that does not hash.
pub(crate) struct RawSigning {
    pub(crate) scheme: RawScheme,
    /// The message for Ed25519; the digest for ECDSA and RSA-PSS; for PKCS #1 v1.5 the `DigestInfo`.
    pub(crate) input: SmallVec<[u8; 128]>,
}

/// How it is to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawScheme {
    Ed25519,
    Ecdsa,
    RsaPss(Hash),
    RsaPkcs1,
}

impl RawSigning {
    pub(crate) fn new(algorithm: SigningAlgorithm, message: MessageInput<'_>) -> Self {
        let (scheme, hash) = match algorithm.scheme() {
            Scheme::Ed25519 => {
                let (MessageInput::Raw(message) | MessageInput::Digest(message)) = message;
                return Self {
                    scheme: RawScheme::Ed25519,
                    input: SmallVec::from_slice(message),
                };
            }
            Scheme::Ecdsa(hash) => (RawScheme::Ecdsa, hash),
            Scheme::RsaPss(hash) => (RawScheme::RsaPss(hash), hash),
            Scheme::RsaPkcs1(hash) => (RawScheme::RsaPkcs1, hash),
        };
        let mut input = SmallVec::new();
        if scheme == RawScheme::RsaPkcs1 {
            input.extend_from_slice(digest_info(hash));
        }
        input.extend_from_slice(&hash.digest(message));
        Self { scheme, input }
    }
}

/// What stands before the digest in a `DigestInfo` (RFC 8017, section 9.2).
fn digest_info(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha256 => {
            b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
        }
        Hash::Sha384 => {
            b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
        }
        Hash::Sha512 => {
            b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
        }
    }
}

/// An ECDSA signature in DER, from its two numbers one behind the other.
pub(crate) fn ecdsa_to_der(kind: KeyPair, numbers: &[u8]) -> Result<Vec<u8>, InvalidKey> {
    match kind {
        KeyPair::EcdsaP256 => p256::ecdsa::Signature::from_slice(numbers)
            .map(|signature| signature.to_der().as_bytes().to_vec()),
        KeyPair::EcdsaP384 => p384::ecdsa::Signature::from_slice(numbers)
            .map(|signature| signature.to_der().as_bytes().to_vec()),
        KeyPair::Ed25519 | KeyPair::Rsa(_) => return Err(InvalidKey),
    }
    .map_err(|_| InvalidKey)
}

impl VerifyingKey {
    /// A public key from its point: as in SEC 1, or for Ed25519 its 32 bytes.
    pub(crate) fn from_point(kind: KeyPair, point: &[u8]) -> Result<Self, InvalidKey> {
        Ok(match kind {
            KeyPair::Ed25519 => {
                let point = point.try_into().map_err(|_| InvalidKey)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(point);
                Self::Ed25519(key.map_err(|_| InvalidKey)?)
            }
            KeyPair::EcdsaP256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
                Self::EcdsaP256(key.map_err(|_| InvalidKey)?)
            }
            KeyPair::EcdsaP384 => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point);
                Self::EcdsaP384(key.map_err(|_| InvalidKey)?)
            }
            KeyPair::Rsa(_) => return Err(InvalidKey),
        })
    }

    /// An RSA key from modulus and exponent, big-endian.
    pub(crate) fn from_modulus(modulus: &[u8], exponent: &[u8]) -> Result<Self, InvalidKey> {
        rsa_public_key(modulus, exponent).map(Self::Rsa)
    }
}

fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, InvalidKey> {
    const MAX_MODULUS_LEN: usize = 512;
    const MAX_EXPONENT_LEN: usize = 8;

    let number = |bytes: &[u8], max| match bytes.len() {
        1.. if bytes.len() <= max => Ok(BoxedUint::from_be_slice_vartime(bytes)),
        _ => Err(InvalidKey),
    };
    let modulus = number(modulus, MAX_MODULUS_LEN)?;
    PublicKey::new(modulus, number(exponent, MAX_EXPONENT_LEN)?).map_err(|_| InvalidKey)
}

/// The hash of RSA-OAEP, also in MGF1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OaepHash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// Encrypts by RSA-OAEP, under a public key from modulus and exponent.
pub(crate) fn oaep_encrypt(
    modulus: &[u8],
    exponent: &[u8],
    hash: OaepHash,
    plaintext: &[u8],
    random: &dyn RandomSource,
) -> Result<Vec<u8>, KeyPairFailure> {
    let key = rsa_public_key(modulus, exponent)?;
    let rng = &mut seeded_rng(random)?;
    match hash {
        OaepHash::Sha1 => key.encrypt(rng, Oaep::<Sha1>::new(), plaintext),
        OaepHash::Sha256 => key.encrypt(rng, Oaep::<Sha256>::new(), plaintext),
        OaepHash::Sha384 => key.encrypt(rng, Oaep::<Sha384>::new(), plaintext),
        OaepHash::Sha512 => key.encrypt(rng, Oaep::<Sha512>::new(), plaintext),
    }
    .map_err(|_| KeyPairFailure::Rejected)
}

/// Opens AES-256-GCM with an IV of 12 or 16 bytes.
pub(crate) fn gcm_open(
    key: &[u8; KEY_LEN],
    iv: &[u8],
    aad: &[u8],
    ciphertext_and_tag: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Rejected> {
    let (ciphertext, tag) = ciphertext_and_tag
        .split_last_chunk::<TAG_LEN>()
        .ok_or(Rejected)?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let buffer = plaintext.as_mut_slice();
    match iv.len() {
        12 => open::<U12>(key, iv, aad, buffer, tag),
        16 => open::<U16>(key, iv, aad, buffer, tag),
        _ => Err(Rejected),
    }?;
    Ok(plaintext)
}

fn open<N: ArraySize>(
    key: &[u8; KEY_LEN],
    iv: &[u8],
    aad: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), Rejected> {
    let iv = Array::<u8, N>::try_from(iv).map_err(|_| Rejected)?;
    AesGcm::<Aes256Enc, N>::new(key.into())
        .decrypt_inout_detached(&iv, aad, buffer.into(), tag.into())
        .map_err(|_| Rejected)
}

/// Unwraps by AES key wrap (RFC 3394).
pub(crate) fn key_unwrap(
    key: &[u8; KEY_LEN],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Rejected> {
    let mut buffer = Zeroizing::new(vec![0; wrapped.len()]);
    let unwrapped = KwAes256::new(key.into())
        .unwrap_key(wrapped, &mut buffer)
        .map_err(|_| Rejected)?;
    Ok(Zeroizing::new(unwrapped.to_vec()))
}

/// Decrypts AES-256-CBC, padding and all.
pub(crate) fn cbc_decrypt(
    key: &[u8; KEY_LEN],
    iv: &[u8; BLOCK_LEN],
    ciphertext: &[u8],
) -> Zeroizing<Vec<u8>> {
    let cipher = aes::Aes256::new(key.into());
    let mut plaintext = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
    let mut before = *iv;
    for block in ciphertext.as_chunks::<BLOCK_LEN>().0 {
        let mut decrypted = Array::from(*block);
        cipher.decrypt_block(&mut decrypted);
        plaintext.extend(decrypted.iter().zip(before).map(|(a, b)| a ^ b));
        before = *block;
    }
    plaintext
}

pub(crate) const BLOCK_LEN: usize = 16;

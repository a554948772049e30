//! The two halves of a recipient's key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::text;
use crate::crypto::{
    HASH_LEN, HpkeKem, HpkePrivateKey, HpkePublicKey, InvalidHpkeKey, KEY_LEN, Rejected,
    SealFailure, SecretArray, sha256,
};
use crate::error::Error;
use crate::format::{KeyId, KeyReference, X_WING_WRAPPED_LEN, X25519_WRAPPED_LEN, label};
use crate::names::named;
use crate::rng::{RandomError, RandomSource, SystemRandom};
use crate::secret::{DataKey, SecretBytes};

/// How data keys are encrypted to a recipient (feature `recipients`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecipientAlgorithm {
    /// X25519: DHKEM(X25519, HKDF-SHA256) of RFC 9180. A wrapped key takes 80 bytes. Who records
    /// messages today can open them once there is a quantum computer for it.
    X25519,
    /// X-Wing: ML-KEM-768 (FIPS 203) and X25519 together, which stays safe while one of the two does
    /// (draft-connolly-cfrg-xwing-kem; 0x647a of draft-ietf-hpke-pq). A wrapped key takes 1168 bytes.
    XWing,
}

named!(RecipientAlgorithm, "algorithm of recipients", {
    X25519 => "x25519",
    XWing => "x-wing",
});

impl RecipientAlgorithm {
    /// The bytes of a public key.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::XWing => 1216,
        }
    }

    /// The bytes of a wrapped data key.
    pub(super) const fn wrapped_len(self) -> usize {
        match self {
            Self::X25519 => X25519_WRAPPED_LEN,
            Self::XWing => X_WING_WRAPPED_LEN,
        }
    }

    fn kem(self) -> HpkeKem {
        match self {
            Self::X25519 => HpkeKem::X25519,
            Self::XWing => HpkeKem::XWing,
        }
    }

    /// How messages name a public key of that kind. `FORMAT.md`, "Recipients".
    fn reference(self, public_key: &[u8]) -> (KeyId, KeyReference) {
        let hash: [u8; HASH_LEN] = sha256(&[
            label!("recipient-id"),
            self.name().as_bytes(),
            &[0],
            public_key,
        ]);
        let mut id = [0; 16];
        for (byte, hashed) in id.iter_mut().zip(hash) {
            *byte = hashed;
        }
        let id = KeyId::from_bytes(id);
        let reference = match self {
            Self::X25519 => KeyReference::x25519(id),
            Self::XWing => KeyReference::x_wing(id),
        };
        (id, reference)
    }
}

/// Why something is no key of a recipient (feature `recipients`). Never shows the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecipientKey {
    /// The text is none that a key is written as.
    #[error(
        "a recipient's {what} is written as {example}; give the text that the key was printed as, whole"
    )]
    Text {
        /// Which half of a key it should be.
        what: &'static str,
        /// The form of the text.
        example: &'static str,
    },
    /// The text is that of a private key, and a public key was wanted.
    #[error(
        "this is a private key, and a public key was wanted; keep it from those who only seal, and give them the public key"
    )]
    Private,
    /// The key id in the text is not that of the key: the text was changed.
    #[error(
        "the key does not have the id that stands in its text, so the text was changed; get it anew from the owner of the key"
    )]
    Mistyped,
    /// A public key of its algorithm has other bytes, or nothing may be encrypted to it.
    #[error(
        "the bytes are no public key of {algorithm}, which has {}; get it anew from its owner",
        .algorithm.public_key_len()
    )]
    Key {
        /// The algorithm.
        algorithm: RecipientAlgorithm,
    },
}

/// The public half of a recipient's key (feature `recipients`): seals and does not open. Not secret.
///
/// Its text form, by [`Display`](fmt::Display) and [`FromStr`], is `waxseal-x25519-public:`, the key
/// id, `:` and the key in base64. The key id is derived from the key, so a mistake in it is found.
#[derive(Clone, PartialEq, Eq)]
pub struct RecipientPublicKey(Arc<Public>);

#[derive(PartialEq, Eq)]
struct Public {
    algorithm: RecipientAlgorithm,
    key: HpkePublicKey,
    id: KeyId,
    reference: KeyReference,
}

impl RecipientPublicKey {
    /// Takes the bytes of a public key: 32 for X25519 (RFC 7748), 1216 for X-Wing.
    ///
    /// # Errors
    ///
    /// [`InvalidRecipientKey::Key`] for bytes that are no such key.
    pub fn from_bytes(
        algorithm: RecipientAlgorithm,
        bytes: &[u8],
    ) -> Result<Self, InvalidRecipientKey> {
        HpkePublicKey::from_bytes(algorithm.kem(), bytes)
            .map(|key| Self::new(algorithm, key))
            .map_err(|InvalidHpkeKey| InvalidRecipientKey::Key { algorithm })
    }

    fn new(algorithm: RecipientAlgorithm, key: HpkePublicKey) -> Self {
        let (id, reference) = algorithm.reference(&key.to_bytes());
        Self(Arc::new(Public {
            algorithm,
            key,
            id,
            reference,
        }))
    }

    /// The bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.key.to_bytes()
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> RecipientAlgorithm {
        self.0.algorithm
    }

    /// The id of the key, derived from it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0.id
    }

    /// How messages name the key.
    #[must_use]
    pub fn reference(&self) -> &KeyReference {
        &self.0.reference
    }

    pub(super) fn wrap(
        &self,
        binding: &[u8],
        data_key: &DataKey,
        random: &dyn RandomSource,
    ) -> Result<Vec<u8>, Error> {
        self.0
            .key
            .seal(binding, data_key.expose(), random)
            .map_err(|failure| match failure {
                SealFailure::Random(error) => error.into(),
                SealFailure::Key(InvalidHpkeKey) => InvalidRecipientKey::Key {
                    algorithm: self.algorithm(),
                }
                .into(),
            })
    }
}

/// The private half of a recipient's key (feature `recipients`): opens. Erased on drop.
pub struct RecipientPrivateKey {
    public_key: RecipientPublicKey,
    key: HpkePrivateKey,
    bytes: SecretArray<KEY_LEN>,
}

impl RecipientPrivateKey {
    /// Generates a key.
    ///
    /// # Errors
    ///
    /// [`RandomError`] when the operating system gives no randomness.
    pub fn generate(algorithm: RecipientAlgorithm) -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        SystemRandom.fill(bytes.as_mut_slice())?;
        Self::from_bytes(algorithm, &bytes).map_err(|invalid| RandomError::new(invalid.to_string()))
    }

    /// Takes the 32 bytes of a private key: for X25519 those of RFC 7748, for X-Wing the seed of its
    /// two halves. The caller's copy stays the caller's to erase.
    ///
    /// # Errors
    ///
    /// [`InvalidRecipientKey::Key`] if the algorithm has no such key.
    pub fn from_bytes(
        algorithm: RecipientAlgorithm,
        bytes: &[u8; KEY_LEN],
    ) -> Result<Self, InvalidRecipientKey> {
        let key = HpkePrivateKey::from_bytes(algorithm.kem(), bytes)
            .map_err(|InvalidHpkeKey| InvalidRecipientKey::Key { algorithm })?;
        Ok(Self {
            public_key: RecipientPublicKey::new(algorithm, key.public_key()),
            key,
            bytes: SecretArray::from(*bytes),
        })
    }

    /// Reads the key from its text, `waxseal-x25519-private:`, the key id, `:` and the key in base64.
    /// White space around it is no matter.
    ///
    /// # Errors
    ///
    /// [`InvalidRecipientKey`] for another text.
    pub fn from_text(text: &[u8]) -> Result<Self, InvalidRecipientKey> {
        let (algorithm, id, bytes) = text::read_private(text)?;
        let key = Self::from_bytes(algorithm, &bytes)?;
        if key.public_key.id() != id {
            return Err(InvalidRecipientKey::Mistyped);
        }
        Ok(key)
    }

    /// The key as text, for [`from_text`](Self::from_text): a secret, to be stored as one.
    #[must_use]
    pub fn to_text(&self) -> SecretBytes {
        text::write_private(
            self.public_key.algorithm(),
            self.public_key.id(),
            &self.bytes,
        )
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.bytes
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &RecipientPublicKey {
        &self.public_key
    }

    pub(super) fn unwrap(
        &self,
        binding: &[u8],
        wrapped: &[u8],
    ) -> Result<SecretArray<KEY_LEN>, Rejected> {
        self.key.open(binding, wrapped)
    }
}

impl fmt::Display for RecipientPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::write_public(self))
    }
}

impl FromStr for RecipientPublicKey {
    type Err = InvalidRecipientKey;

    fn from_str(text: &str) -> Result<Self, InvalidRecipientKey> {
        let (algorithm, id, bytes) = text::read_public(text)?;
        let key = Self::from_bytes(algorithm, &bytes)?;
        if key.id() != id {
            return Err(InvalidRecipientKey::Mistyped);
        }
        Ok(key)
    }
}

impl fmt::Debug for RecipientPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientPublicKey({})", self.reference())
    }
}

impl fmt::Debug for RecipientPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RecipientPrivateKey({}, [redacted])",
            self.public_key.reference()
        )
    }
}

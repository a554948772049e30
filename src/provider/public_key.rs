use std::fmt;

use super::{KeySpec, SigningMismatch};
use crate::crypto::{
    InvalidKey, MessageInput, SigningAlgorithm, VerifyingKey, spki_from_pem, spki_to_pem,
};

/// The public half of a key pair. It verifies what the private half signed, in this process.
#[derive(Clone)]
pub struct PublicKey {
    spec: KeySpec,
    key: VerifyingKey,
    der: Box<[u8]>,
    pem: Box<str>,
}

/// The bytes are not a public key of a kind that this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no public key of Ed25519, ECDSA P-256 or P-384, or RSA with 2048, 3072 or 4096 bits; give its SubjectPublicKeyInfo in DER or PEM"
)]
pub struct InvalidPublicKey;

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Another key, another message, or a changed signature: there is no telling which.
    #[error("the signature is not that of this message under this key")]
    InvalidSignature,
    /// No signature could be valid: the key does not sign such a message in such a way.
    #[error(transparent)]
    Mismatch(#[from] SigningMismatch),
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280) in DER.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicKey`] unless it is that, with nothing after it, of a kind of key that has a
    /// [`KeySpec`].
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidPublicKey> {
        let key = VerifyingKey::from_spki(der).map_err(|_| InvalidPublicKey)?;
        Self::from_verifying_key(key).map_err(|_| InvalidPublicKey)
    }

    /// Reads a SubjectPublicKeyInfo in PEM (`BEGIN PUBLIC KEY`, RFC 7468).
    ///
    /// # Errors
    ///
    /// As [`from_der`](Self::from_der).
    pub fn from_pem(pem: &str) -> Result<Self, InvalidPublicKey> {
        let der = spki_from_pem(pem).map_err(|_| InvalidPublicKey)?;
        Self::from_der(&der)
    }

    pub(super) fn from_verifying_key(key: VerifyingKey) -> Result<Self, InvalidKey> {
        let der = key.to_spki()?;
        Ok(Self {
            spec: key.kind()?.into(),
            pem: spki_to_pem(&der)?.into(),
            der: der.into(),
            key,
        })
    }

    /// The kind of the key.
    #[must_use]
    pub fn spec(&self) -> KeySpec {
        self.spec
    }

    /// The SubjectPublicKeyInfo (RFC 5280) in DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The SubjectPublicKeyInfo in PEM (`BEGIN PUBLIC KEY`, RFC 7468).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Verifies a signature.
    ///
    /// # Errors
    ///
    /// [`VerifyError`].
    pub fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message: MessageInput<'_>,
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        self.spec.check_signs(algorithm, message)?;
        self.key
            .verify(algorithm, message, signature)
            .map_err(|_| VerifyError::InvalidSignature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.spec)
    }
}

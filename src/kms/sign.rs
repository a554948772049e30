//! Signatures and MACs.

use super::KmsHandle;
use super::asked::{Asked, Parameters};
use super::ciphertext::check_len;
use super::error::KmsError;
use super::name::KeySelector;
use super::operation::Operation;
use super::perform::AuthorisedKey;
use crate::crypto::{MacAlgorithm, MessageInput, SigningAlgorithm};
use crate::provider::{Mac, MacRequest, ProviderError, PublicKey, SignRequest, Signature};

/// The longest message that is signed whole or has a MAC made, in bytes, as with AWS; of a longer
/// one the digest is signed.
const MAX_MESSAGE_LEN: usize = 4096;

impl KmsHandle {
    /// Signs a message of at most 4096 bytes, or the digest of a message.
    ///
    /// # Errors
    ///
    /// [`KmsError::TooLarge`], [`KmsError::InvalidState`], [`KmsError::InvalidUsage`], those of
    /// finding the key as [`describe_key`](Self::describe_key), and
    /// [`KmsError::Provider`] for an algorithm or digest that does not fit the key, and for the
    /// provider's failures.
    pub fn sign<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        algorithm: SigningAlgorithm,
        message: MessageInput<'_>,
    ) -> Result<Signature, KmsError> {
        check_message(message)?;
        self.gate().perform_asked(
            about(Operation::Sign, algorithm, message),
            key.into(),
            |key| {
                let version = key.primary()?;
                let request = SignRequest::new(version.handle(), algorithm, message);
                Ok(version.provider()?.sign(request)?)
            },
        )
    }

    /// Verifies a signature. Who has the [public key](Self::get_public_key) can do so without the
    /// KMS.
    ///
    /// # Errors
    ///
    /// [`KmsError::Verify`] when the signature is not accepted, and otherwise as
    /// [`sign`](Self::sign).
    pub fn verify<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        algorithm: SigningAlgorithm,
        message: MessageInput<'_>,
        signature: &[u8],
    ) -> Result<(), KmsError> {
        check_message(message)?;
        self.gate().perform_asked(
            about(Operation::Verify, algorithm, message),
            key.into(),
            |key| Ok(key.public_key()?.verify(algorithm, message, signature)?),
        )
    }

    /// The public key, to be given to those who verify.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign).
    pub fn get_public_key<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<PublicKey, KmsError> {
        self.gate()
            .perform(Operation::GetPublicKey, key.into(), None, |key| {
                key.public_key()
            })
    }

    /// Makes the MAC of a message of at most 4096 bytes.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign).
    pub fn generate_mac<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        message: &[u8],
    ) -> Result<Mac, KmsError> {
        check_len("a message", message.len() as u64, MAX_MESSAGE_LEN)?;
        self.gate()
            .perform(Operation::GenerateMac, key.into(), None, |key| {
                key.mac(message)
            })
    }

    /// Verifies the MAC of a message, in constant time.
    ///
    /// # Errors
    ///
    /// [`KmsError::InvalidMac`] for another MAC, and otherwise as [`sign`](Self::sign).
    pub fn verify_mac<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        message: &[u8],
        mac: &[u8],
    ) -> Result<(), KmsError> {
        check_len("a message", message.len() as u64, MAX_MESSAGE_LEN)?;
        self.gate()
            .perform(Operation::VerifyMac, key.into(), None, |key| {
                if key.mac(message)? == Mac::from_bytes(mac) {
                    Ok(())
                } else {
                    Err(KmsError::InvalidMac { key: key.id() })
                }
            })
    }
}

impl AuthorisedKey<'_> {
    fn public_key(&self) -> Result<PublicKey, KmsError> {
        let version = self.primary()?;
        Ok(version.provider()?.public_key(version.handle())?)
    }

    fn mac(&self, message: &[u8]) -> Result<Mac, KmsError> {
        let version = self.primary()?;
        let request = MacRequest::new(version.handle(), message);
        let provider = version.provider()?;
        let mac = provider.generate_mac(request)?;
        let len = self
            .record()
            .spec
            .mac_algorithm()
            .map(MacAlgorithm::mac_len);
        if len == Some(mac.as_bytes().len()) {
            return Ok(mac);
        }
        // One that is shorter is easily guessed, and an empty one is anybody's.
        Err(ProviderError::Unavailable {
            provider: provider.name().to_owned(),
            source: "it gave a MAC of another length than the key's algorithm has".into(),
        }
        .into())
    }
}

fn about<'a>(
    operation: Operation,
    algorithm: SigningAlgorithm,
    message: MessageInput<'_>,
) -> Asked<'a> {
    Asked::new(operation).with(Parameters {
        signing_algorithm: Some(algorithm),
        message_type: Some(match message {
            MessageInput::Raw(_) => "RAW",
            MessageInput::Digest(_) => "DIGEST",
        }),
        ..Parameters::default()
    })
}

fn check_message(message: MessageInput<'_>) -> Result<(), KmsError> {
    let (MessageInput::Raw(bytes) | MessageInput::Digest(bytes)) = message;
    check_len("a message", bytes.len() as u64, MAX_MESSAGE_LEN)
}

//! Sealing for the owner of a private key, without being able to open (feature `recipients`).

mod key;
mod text;

use std::sync::Arc;

pub use key::{InvalidRecipientKey, RecipientAlgorithm, RecipientPrivateKey, RecipientPublicKey};

use super::wrapping::{BoundKey, entry_len, wrap_new_data_key};
use super::{
    DecryptionMaterials, DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring,
    Unwrapped, WrapDataKeyRequest,
};
use crate::error::Error;
use crate::format::{KeyEntriesBuf, KeyEntry, KeyReference};
use crate::secret::DataKey;

/// Seals for the owner of a private key, and opens nothing: for hosts that take data in and must not
/// be able to read it again (feature `recipients`).
///
/// The data key is encrypted to the public key by HPKE (RFC 9180).
///
/// **It says nothing about who wrote a message.** Whoever has the public key can seal, so what opens
/// with the private key may come from anyone who ever had the public one. Where that matters, sign
/// the message, or have it sealed under a key that only its writers hold.
///
/// ```
/// use waxseal::{
///     EncryptionContext, Envelope, EnvelopeEncryptor, RecipientAlgorithm, RecipientKeyring,
///     RecipientOpener, RecipientPrivateKey, RecipientPublicKey,
/// };
///
/// let private_key = RecipientPrivateKey::generate(RecipientAlgorithm::XWing)?;
/// let for_the_producer = private_key.public_key().to_string();
///
/// // On the host that only writes:
/// let public_key: RecipientPublicKey = for_the_producer.parse()?;
/// let context = EncryptionContext::new([("source", "sensor-7")])?;
/// let producer = Envelope::new(RecipientKeyring::new(public_key));
/// let message = producer.encrypt(b"a reading", &context)?;
/// assert!(producer.decrypt(&message, &context).is_err());
///
/// // Where the private key is:
/// let consumer = Envelope::new(RecipientOpener::new(private_key));
/// assert_eq!(*consumer.decrypt(&message, &context)?, *b"a reading");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RecipientKeyring {
    key: RecipientPublicKey,
    bound_key: BoundKey,
}

/// Opens what a [`RecipientKeyring`] sealed, with the private key, and seals nothing (feature
/// `recipients`).
///
/// Anyone may have sealed it, so it does not belong beside keyrings whose messages are believed
/// because of their keys: a message for several keys opens with whichever is held. Give it an
/// envelope of its own, or look at [`Opened::opened_by`](crate::Opened::opened_by) and
/// [`KeyReference::is_public_key`] before you believe what was opened.
#[derive(Debug, Clone)]
pub struct RecipientOpener {
    key: Arc<RecipientPrivateKey>,
    bound_key: BoundKey,
}

impl RecipientKeyring {
    /// Seals for the owner of the private half of `key`.
    #[must_use]
    pub fn new(key: RecipientPublicKey) -> Self {
        Self {
            bound_key: BoundKey::new(key.reference()),
            key,
        }
    }

    /// How messages name the key.
    #[must_use]
    pub fn key(&self) -> &KeyReference {
        self.key.reference()
    }
}

impl RecipientOpener {
    /// Opens with `key`.
    #[must_use]
    pub fn new(key: RecipientPrivateKey) -> Self {
        Self {
            bound_key: BoundKey::new(key.public_key().reference()),
            key: Arc::new(key),
        }
    }

    /// How messages name the key.
    #[must_use]
    pub fn key(&self) -> &KeyReference {
        self.key.public_key().reference()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Keyring for RecipientKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        wrap_new_data_key(self, request)
    }

    fn decryption_materials(&self, _request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        Ok(Unwrapped::NotMine)
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        Some(self.encryption_materials(request))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        Some(self.decryption_materials(request))
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        let binding = self.bound_key.with(request.context, request.share);
        let wrapped = self.key.wrap(&binding, request.data_key, request.random)?;
        let mut entries = KeyEntriesBuf::new();
        entries.push(self.key(), &wrapped)?;
        Ok(entries)
    }

    fn wraps_at_once(&self) -> bool {
        true
    }

    fn holds(&self, _entry: &KeyEntry<'_>) -> bool {
        false
    }

    fn max_entries_len(&self) -> usize {
        entry_len(self.key(), self.key.algorithm().wrapped_len())
    }
}

#[deny(clippy::missing_trait_methods)]
impl Keyring for RecipientOpener {
    fn encryption_materials(
        &self,
        _request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        Err(Error::OpensOnly)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        let binding = self.bound_key.with(request.context, request.share);
        let mut found = Ok(Unwrapped::NotMine);
        for (number, entry) in request.entries.iter().enumerate() {
            if !entry.names(self.key()) {
                continue;
            }
            match self.key.unwrap(&binding, entry.wrapped()) {
                Ok(data_key) => {
                    let materials = DecryptionMaterials::new(DataKey::from(data_key), number);
                    return Ok(Unwrapped::Done(materials));
                }
                Err(_) => found = Err(Error::Decrypt),
            }
        }
        found
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        Some(self.encryption_materials(request))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        Some(self.decryption_materials(request))
    }

    fn wrap_data_key(&self, _request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        Err(Error::OpensOnly)
    }

    fn wraps_at_once(&self) -> bool {
        true
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        entry.names(self.key())
    }

    fn max_entries_len(&self) -> usize {
        0
    }
}

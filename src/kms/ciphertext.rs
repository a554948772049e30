//! Encrypting and decrypting small values directly under a key.
//!
//! A ciphertext is a message of suite 1 (`FORMAT.md`), with a data key of its own: so it commits to
//! its key and context, and anything that opens messages opens it.

use super::KmsHandle;
use super::asked::{Asked, Parameters};
use super::commit::conflict;
use super::error::KmsError;
use super::name::KeySelector;
use super::operation::Operation;
use super::perform::AuthorisedKey;
use super::record::KeyRecord;
use super::wrap::keys_of;
use crate::context::EncryptionContext;
use crate::envelope::{BodySettings, MessageHeader, MessageOptions, Opening, WholeMessage, seal};
use crate::format::{KeyId, KeyVersion, Suite};
use crate::keyring::Unwrapped;
use crate::rng::RandomSource;
use crate::secret::SecretBytes;

/// The longest plaintext, in bytes.
const MAX_PLAINTEXT_LEN: usize = 4096;

/// What was encrypted under a key. Not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ciphertext {
    /// A message, which names the key and version.
    pub bytes: Vec<u8>,
    /// The key.
    pub key: KeyId,
    /// The version of it.
    pub version: KeyVersion,
}

/// What was decrypted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decrypted {
    /// The plaintext.
    pub plaintext: SecretBytes,
    /// The key that it was under.
    pub key: KeyId,
    /// The version of it.
    pub version: KeyVersion,
}

impl KmsHandle {
    /// Encrypts at most 4096 bytes under the primary version of a key. For more, and for speed, seal
    /// with an [`Envelope`](crate::Envelope) over the key's [`keyring`](Self::keyring).
    ///
    /// # Errors
    ///
    /// [`KmsError::TooLarge`], [`KmsError::InvalidState`], [`KmsError::InvalidUsage`], those of
    /// finding the key as [`describe_key`](Self::describe_key), and the provider's failures.
    pub fn encrypt<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Ciphertext, KmsError> {
        check_len("a plaintext", plaintext.len() as u64, MAX_PLAINTEXT_LEN)?;
        let random = self.kms.random.as_ref();
        self.gate()
            .perform(Operation::Encrypt, key.into(), Some(context), |key| {
                key.encrypt(plaintext, context, random)
            })
    }

    /// Decrypts what [`encrypt`](Self::encrypt), [`re_encrypt`](Self::re_encrypt) or
    /// [`generate_data_key`](Self::generate_data_key) gave, under whatever key it names. To demand a
    /// certain key, see [`decrypt_under`](Self::decrypt_under).
    ///
    /// # Errors
    ///
    /// [`KmsError::Message`] with [`Error::Decrypt`](crate::Error::Decrypt) for another context and for changed bytes, and
    /// with [`Error::Format`](crate::Error::Format) for what is no message; [`KmsError::OtherKey`],
    /// [`KmsError::TooLarge`], and otherwise as `encrypt`; a key that was deleted is
    /// [`KmsError::Deleted`].
    pub fn decrypt(
        &self,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Decrypted, KmsError> {
        let parsed = parse(ciphertext)?;
        let asked = Asked::new(Operation::Decrypt).about(Some(context));
        self.open(asked, &parsed)
    }

    /// As [`decrypt`](Self::decrypt), if the ciphertext is under this key.
    ///
    /// # Errors
    ///
    /// As `decrypt`, and [`KmsError::IncorrectKey`] for a ciphertext under another key.
    pub fn decrypt_under<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Decrypted, KmsError> {
        let parsed = parse(ciphertext)?;
        self.gate()
            .perform(Operation::Decrypt, key.into(), Some(context), |key| {
                key.open(&parsed, context)?
                    .ok_or(KmsError::IncorrectKey { key: key.id() })
            })
    }

    /// Decrypts, and encrypts again under the primary version of another key, or of the same, and
    /// another context; the plaintext does not leave the KMS. Both keys must allow it.
    ///
    /// # Errors
    ///
    /// As [`decrypt`](Self::decrypt) and [`encrypt`](Self::encrypt), and [`KmsError::Conflict`] when
    /// the alias was given to another key meanwhile.
    pub fn re_encrypt<'k>(
        &self,
        ciphertext: &[u8],
        source_context: &EncryptionContext,
        key: impl Into<KeySelector<'k>>,
        context: &EncryptionContext,
    ) -> Result<Ciphertext, KmsError> {
        let parsed = parse(ciphertext)?;
        let key = key.into();
        // Only whether it is the same key matters, so one that is not there is none.
        let to = self.gate().known_key(key);
        let from = Asked::new(Operation::ReEncryptFrom)
            .about(Some(source_context))
            .with(other_key(to));
        let opened = match self.open(from, &parsed) {
            Err(KmsError::DryRun { .. }) => None,
            opened => Some(opened?),
        };
        let random = self.kms.random.as_ref();
        let from = opened.as_ref().map(|opened| opened.key);
        let asked = Asked::new(Operation::ReEncryptTo)
            .about(Some(context))
            .with(other_key(
                from.or_else(|| keys_of(parsed.header.entries()).next()),
            ));
        self.gate().perform_asked(asked, key, |key| {
            // The policy of the key that it was under was asked about the one known then.
            if to != Some(key.id()) {
                return Err(conflict(KeyRecord::address(key.id())));
            }
            match &opened {
                Some(opened) => key.encrypt(&opened.plaintext, context, random),
                None => Err(KmsError::DryRun {
                    operation: Operation::ReEncryptTo,
                }),
            }
        })
    }

    /// Gives 1 to 1024 random bytes.
    ///
    /// # Errors
    ///
    /// [`KmsError::OutOfRange`], and [`KmsError::Random`].
    pub fn generate_random(&self, len: usize) -> Result<SecretBytes, KmsError> {
        check_random_len(len)?;
        self.gate()
            .perform_on_store(Operation::GenerateRandom, |kms| {
                random_bytes(kms.random.as_ref(), len)
            })
    }

    /// Opens a ciphertext under the first of the keys that it names which this store has.
    fn open(&self, asked: Asked<'_>, parsed: &WholeMessage<'_>) -> Result<Decrypted, KmsError> {
        let empty = EncryptionContext::empty();
        let context = asked.context.unwrap_or(&empty);
        let mut refused = None;
        for key in keys_of(parsed.header.entries()) {
            let opened = self
                .gate()
                .perform_asked(asked, key.into(), |key| key.open(parsed, context));
            match opened {
                Ok(Some(opened)) => return Ok(opened),
                Ok(None) => {}
                // Another of its keys may be there, and be allowed.
                Err(error @ (KmsError::NoKey { .. } | KmsError::Denied { .. })) => {
                    if !matches!(refused, Some(KmsError::Denied { .. })) {
                        refused = Some(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(KmsError::OtherKey))
    }
}

impl AuthorisedKey<'_> {
    /// Opens a ciphertext. `None` if it does not name this key.
    fn open(
        &self,
        ciphertext: &WholeMessage<'_>,
        context: &EncryptionContext,
    ) -> Result<Option<Decrypted>, KmsError> {
        let header = &ciphertext.header;
        let Some((materials, version)) =
            self.decryption_materials(header.entries(), context, None)?
        else {
            return Ok(None);
        };
        let unwrapped = Unwrapped::Done(materials);
        let options = MessageOptions::new(context);
        let opening = Opening::new(header, unwrapped, options, BodySettings::default())?;
        Ok(Some(Decrypted {
            plaintext: ciphertext.open(&opening)?,
            key: self.id(),
            version: version.number(),
        }))
    }

    pub(super) fn encrypt(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
        random: &dyn RandomSource,
    ) -> Result<Ciphertext, KmsError> {
        let (materials, version) = self.encryption_materials(context, random)?;
        let header = MessageHeader::new(&materials, Suite::default(), random)?;
        let options = MessageOptions::new(context);
        Ok(Ciphertext {
            bytes: seal(&header, plaintext, options, BodySettings::default())?,
            key: self.id(),
            version: version.number(),
        })
    }
}

fn other_key<'a>(key: Option<KeyId>) -> Parameters<'a> {
    Parameters {
        other_key: Some(key),
        ..Parameters::default()
    }
}

/// Reads a ciphertext.
fn parse(ciphertext: &[u8]) -> Result<WholeMessage<'_>, KmsError> {
    let parsed = WholeMessage::parse(ciphertext)?;
    let len = parsed.payload_len as u64;
    check_len("the plaintext of a ciphertext", len, MAX_PLAINTEXT_LEN)?;
    Ok(parsed)
}

pub(super) fn check_random_len(len: usize) -> Result<(), KmsError> {
    const MAX: usize = 1024;
    if (1..=MAX).contains(&len) {
        return Ok(());
    }
    Err(KmsError::OutOfRange {
        what: "a number of random bytes",
        min: 1,
        max: MAX as u64,
        unit: "bytes",
        given: len as u64,
    })
}

pub(super) fn random_bytes(random: &dyn RandomSource, len: usize) -> Result<SecretBytes, KmsError> {
    let mut bytes = SecretBytes::zeroed(len);
    random.fill(bytes.as_mut_slice())?;
    Ok(bytes)
}

pub(super) fn check_len(what: &'static str, len: u64, max: usize) -> Result<(), KmsError> {
    let max = max as u64;
    if len > max {
        return Err(KmsError::TooLarge { what, len, max });
    }
    Ok(())
}

//! Data keys for those who encrypt by themselves.

use super::KmsHandle;
use super::ciphertext::{Ciphertext, check_random_len, random_bytes};
use super::error::KmsError;
use super::name::KeySelector;
use super::operation::Operation;
use crate::context::EncryptionContext;
use crate::format::{KeyId, KeyVersion};
use crate::secret::SecretBytes;

/// A data key, and the ciphertext of it to be stored beside what it encrypts.
///
/// [`decrypt`](KmsHandle::decrypt) gives the data key back.
#[derive(Debug)]
#[non_exhaustive]
pub struct KmsDataKey {
    /// The data key: to be used and forgotten.
    pub plaintext: SecretBytes,
    /// The same, encrypted under the key.
    pub ciphertext: Vec<u8>,
    /// The key.
    pub key: KeyId,
    /// The version of it.
    pub version: KeyVersion,
}

/// The length of a data key unless another is asked for, in bytes.
const DATA_KEY_LEN: usize = 32;

impl KmsHandle {
    /// Generates a data key of 32 bytes and encrypts it under the primary version of a key.
    ///
    /// For those who encrypt by themselves. An [`Envelope`](crate::Envelope) over the key's
    /// [`keyring`](Self::keyring) does both, and its messages carry their data keys.
    ///
    /// # Errors
    ///
    /// As [`encrypt`](Self::encrypt).
    pub fn generate_data_key<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        context: &EncryptionContext,
    ) -> Result<KmsDataKey, KmsError> {
        self.generate_data_key_of(key, DATA_KEY_LEN, context)
    }

    /// As [`generate_data_key`](Self::generate_data_key), of 1 to 1024 bytes.
    ///
    /// # Errors
    ///
    /// The same, and [`KmsError::OutOfRange`].
    pub fn generate_data_key_of<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        len: usize,
        context: &EncryptionContext,
    ) -> Result<KmsDataKey, KmsError> {
        let operation = Operation::GenerateDataKey;
        let (plaintext, encrypted) = self.generate(operation, key.into(), len, context)?;
        Ok(KmsDataKey {
            plaintext,
            ciphertext: encrypted.bytes,
            key: encrypted.key,
            version: encrypted.version,
        })
    }

    /// As [`generate_data_key`](Self::generate_data_key), without the data key itself: for one who
    /// prepares data keys for others.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn generate_data_key_without_plaintext<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        context: &EncryptionContext,
    ) -> Result<Ciphertext, KmsError> {
        let operation = Operation::GenerateDataKeyWithoutPlaintext;
        let (_plaintext, encrypted) =
            self.generate(operation, key.into(), DATA_KEY_LEN, context)?;
        Ok(encrypted)
    }

    fn generate(
        &self,
        operation: Operation,
        key: KeySelector<'_>,
        len: usize,
        context: &EncryptionContext,
    ) -> Result<(SecretBytes, Ciphertext), KmsError> {
        check_random_len(len)?;
        let random = self.kms.random.as_ref();
        self.gate().perform(operation, key, Some(context), |key| {
            let plaintext = random_bytes(random, len)?;
            let encrypted = key.encrypt(&plaintext, context, random)?;
            Ok((plaintext, encrypted))
        })
    }
}

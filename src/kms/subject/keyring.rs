//! Messages under the key of a subject.

use std::fmt;
use std::sync::Arc;

use super::cached::SubjectKey;
use super::record::SubjectRecord;
use crate::error::Error;
use crate::format::{KeyEntriesBuf, KeyEntry, KeyId};
use crate::keyring::{
    DecryptionMaterials, DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring,
    Unwrapped, WrapDataKeyRequest,
};
use crate::kms::KmsHandle;
use crate::kms::error::KmsError;
use crate::kms::keyring::OwnedSelector;
use crate::kms::name::KeySelector;
use crate::kms::operation::Operation;
use crate::kms::perform::AuthorisedKey;
use crate::provider::ProviderError;
use crate::secret::FreshDataKey;

/// The key of one subject of a [`Kms`](crate::Kms) as the [`Keyring`] of an
/// [`Envelope`](crate::Envelope). Made by [`KmsHandle::subject_keyring`]; making one asks nothing and
/// costs little, so one can be made for each message.
///
/// Sealing is `GenerateDataKey` to the KMS and opening `Decrypt`, both with the KMS key that the
/// subject's key is under. The seed is read from the store by the name of the subject, unwrapped by
/// the provider, and kept for at most five minutes, among as many as the KMS
/// [keeps keys](crate::KmsBuilder::cached_keys).
#[derive(Clone)]
pub struct SubjectKeyring {
    handle: KmsHandle,
    key: OwnedSelector,
    subject: Arc<str>,
}

impl KmsHandle {
    /// The keyring of a subject, which was [created](Self::create_subject) under that KMS key.
    ///
    /// # Errors
    ///
    /// [`KmsError::InvalidSelector`] and [`KmsError::InvalidName`] for a text that can name no key
    /// or no subject. Whether there are such is found when the keyring is used:
    /// [`KmsError::NoSubject`], and [`KmsError::SubjectErased`].
    pub fn subject_keyring<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        subject: &str,
    ) -> Result<SubjectKeyring, KmsError> {
        SubjectRecord::check_name(subject)?;
        Ok(SubjectKeyring {
            handle: self.clone(),
            key: OwnedSelector::new(key.into())?,
            subject: subject.into(),
        })
    }
}

impl SubjectKeyring {
    fn seal(&self, request: EncryptionRequest<'_>) -> Result<EncryptionMaterials, KmsError> {
        let EncryptionRequest {
            context,
            random,
            pending,
            ..
        } = request;
        let operation = Operation::GenerateDataKey;
        let key = self.key.as_selector();
        self.handle
            .gate()
            .leaving(pending)
            .perform(operation, key, Some(context), |key| {
                let subject = key.subject(&self.subject)?;
                let data_key = FreshDataKey::generate(random)?;
                let (reference, wrapped) = subject
                    .wrap(data_key.as_data_key(), context, None)
                    .ok_or_else(|| self.without_key(key, &subject))?;
                let mut entries = KeyEntriesBuf::new();
                entries.push(reference, &wrapped).map_err(Error::from)?;
                Ok(EncryptionMaterials::fresh(data_key, entries))
            })
    }

    fn wrap(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, KmsError> {
        let WrapDataKeyRequest {
            context,
            data_key,
            share,
            ..
        } = request;
        let key = self.key.as_selector();
        self.handle
            .gate()
            .perform(Operation::Encrypt, key, Some(context), |key| {
                let subject = key.subject(&self.subject)?;
                let (reference, wrapped) = subject
                    .wrap(data_key, context, share)
                    .ok_or_else(|| self.without_key(key, &subject))?;
                let mut entries = KeyEntriesBuf::new();
                entries.push(reference, &wrapped).map_err(Error::from)?;
                Ok(entries)
            })
    }

    fn open(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, KmsError> {
        let context = request.context;
        let mut named = request.entries.iter();
        if !named.any(|entry| entry.reference().kms_subject().is_some()) {
            return Ok(Unwrapped::NotMine);
        }
        let key = self.key.as_selector();
        self.handle.gate().leaving(request.pending).perform(
            Operation::Decrypt,
            key,
            Some(context),
            |key| {
                let subject = key.subject(&self.subject)?;
                let mut failed = None;
                for (number, entry) in request.entries.iter().enumerate() {
                    let reference = entry.reference();
                    if Some(&reference) == subject.reference() {
                        match subject.unwrap(&entry, context, request.share) {
                            Ok(data_key) => {
                                let materials = DecryptionMaterials::new(data_key, number);
                                return Ok(Unwrapped::Done(materials));
                            }
                            Err(_rejected) => {
                                failed = Some(Error::from(ProviderError::Rejected).into());
                            }
                        }
                    } else if let Some((of, id)) = reference.kms_subject()
                        && of == key.id()
                        && let Some(on) = subject.erased_on(id)
                    {
                        failed.get_or_insert(KmsError::SubjectErased {
                            key: of,
                            subject: id,
                            on,
                        });
                    }
                }
                failed.map_or(Ok(Unwrapped::NotMine), Err)
            },
        )
    }

    /// Why a subject has no key.
    fn without_key(&self, key: &AuthorisedKey<'_>, subject: &SubjectKey) -> KmsError {
        match subject.last_erased() {
            Some((id, on)) => KmsError::SubjectErased {
                key: key.id(),
                subject: id,
                on,
            },
            None => self.handle.kms.no_subject(key.id()),
        }
    }

    /// What is known of the subject without unwrapping anything.
    fn names(&self, key: KeyId, id: KeyId) -> Result<bool, KmsError> {
        let kms = &self.handle.kms;
        kms.refresh()?;
        if kms.find(self.key.as_selector())?.id() != key {
            return Ok(false);
        }
        let (record, _) = kms.read_subject(key, &self.subject)?;
        let live = record.live.as_ref();
        Ok(live.is_some_and(|live| live.subject == id) || record.erased_on(id).is_some())
    }
}

impl Keyring for SubjectKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        Ok(self.seal(request)?)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        Ok(self.open(request)?)
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        Ok(self.wrap(request)?)
    }

    /// Asks the store; if it does not answer, says yes.
    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        let subject = entry.reference().kms_subject();
        subject.is_some_and(|(key, id)| self.names(key, id).unwrap_or(true))
    }

    fn max_entries_len(&self) -> usize {
        // Tag, length, key id, subject id, wrapped key.
        1 + 1 + 16 + 16 + crate::crypto::WRAPPED_LEN
    }
}

/// The name of a subject may be that of a person.
impl fmt::Debug for SubjectKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKeyring")
            .field("handle", &self.handle)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

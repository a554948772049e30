//! A key for each subject, a person for instance, that costs one small record and can be destroyed
//! by itself.
//!
//! The *seed* of a subject is a random key of 32 bytes, wrapped under a version of a KMS key. It is in
//! one record of the store and nowhere else: whoever erases that has erased what was sealed under it.

mod cached;
mod erasure;
mod keyring;
mod proof;
mod record;
mod rewrap;

pub(super) use self::cached::SubjectKey;
pub(super) use self::erasure::ErasureRecord;
pub use self::keyring::SubjectKeyring;
pub use self::proof::ErasureProof;
pub(super) use self::record::SubjectRecord;
use self::record::{Live, MAX_ERASURES};
pub use self::rewrap::SubjectRewrapReport;
use super::KmsHandle;
use super::commit::Unit;
use super::entry::KeyEntry;
use super::error::KmsError;
use super::name::KeySelector;
use super::operation::Operation;
use super::perform::AuthorisedKey;
use super::record::StoredBytes;
use crate::clock::Timestamp;
use crate::format::KeyId;
use crate::provider::WrapRequest;
use crate::secret::FreshDataKey;
use crate::store::{Expected, Revision};

/// What a KMS tells of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubjectMetadata {
    /// The id that messages name the subject's key by: random, and another one after an erasure.
    /// `None` if the key was erased and not created anew.
    pub id: Option<KeyId>,
    /// When the key was created.
    pub created: Option<Timestamp>,
    /// The keys that the subject had before, as they were erased.
    pub erasures: Vec<ErasureProof>,
}

impl KmsHandle {
    /// Creates the key of a subject, such as `person:123`, under a key that wraps, and returns its
    /// id. A subject that has one keeps it. One that was [erased](Self::erase_subject) gets a new
    /// one, which does not open what was sealed before.
    ///
    /// It costs one record of some 300 bytes. The name of the subject, 1 to 256 bytes of text, is in
    /// the store as a digest under the key of the store, and in no message.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidUsage`], [`KmsError::InvalidName`] for the subject, and the failures of the
    /// provider.
    pub fn create_subject<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        subject: &str,
    ) -> Result<KeyId, KmsError> {
        SubjectRecord::check_name(subject)?;
        let operation = Operation::CreateSubject;
        self.gate().perform(operation, key.into(), None, |key| {
            key.create_subject(subject)
        })
    }

    /// Tells of a subject: whether it has a key, and which were erased.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::NoSubject`], and
    /// [`KmsError::InvalidName`] for the subject.
    pub fn describe_subject<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        subject: &str,
    ) -> Result<SubjectMetadata, KmsError> {
        SubjectRecord::check_name(subject)?;
        let operation = Operation::DescribeSubject;
        self.gate().perform(operation, key.into(), None, |key| {
            let (record, _) = key.kms().read_subject(key.id(), subject)?;
            Ok(record.metadata(key.kms(), subject))
        })
    }

    /// Destroys the key of a subject for ever: nothing that was sealed under it can be opened any
    /// more. Returns what proves it, which the store keeps too; erasing again returns the same.
    ///
    /// It is possible in every state of the KMS key. The store is asked to
    /// [erase](crate::KeyStore::erase_replaced) what it may have kept of the record.
    ///
    /// What it does not reach:
    ///
    /// - **Backups and copies of the store** from before: each still has the seed, and whoever has the
    ///   KMS key too can use it. Keep backups no longer than an erasure may take to be true, or make
    ///   them [without subjects](super::Backup::without_subjects). A store that was restored from such
    ///   a backup has the subject again: erase it again, by the proofs.
    /// - **Other processes**, which may use the key for a
    ///   [refresh interval](super::KmsBuilder::refresh_interval) more, and data keys that a
    ///   [`CachingKeyring`](crate::CachingKeyring) keeps.
    /// - What was sealed for other keys too, which those open, and plaintext that somebody has.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::NoSubject`], and
    /// [`KmsError::InvalidName`] for the subject. After [`KmsError::Store`] the record may be
    /// destroyed and old bytes of it still be in the store's files: call it again, or let
    /// [`tick`](Self::tick) finish it.
    pub fn erase_subject<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        subject: &str,
    ) -> Result<ErasureProof, KmsError> {
        SubjectRecord::check_name(subject)?;
        let now = self.kms.date();
        let operation = Operation::EraseSubject;
        self.gate().perform(operation, key.into(), None, |key| {
            let erased =
                key.kms()
                    .erase_subject(key.id(), subject, now, self.principal().as_str())?;
            Ok(erased.proof(key.kms(), key.id(), subject))
        })
    }
}

impl AuthorisedKey<'_> {
    fn create_subject(&self, name: &str) -> Result<KeyId, KmsError> {
        let address = self.kms().subject_address(self.id(), name);
        self.until_done(|kms, key| {
            let found = kms.find_subject(key.id(), name)?;
            let (mut record, expected) = match found {
                Some((record, revision)) => (record, Expected::Revision(revision)),
                None => (SubjectRecord::new(key.id()), Expected::Absent),
            };
            if let Some(live) = &record.live {
                return Ok(Some(live.subject));
            }
            if record.erased.len() >= MAX_ERASURES {
                return Err(KmsError::Limit {
                    key: key.id(),
                    what: "erasures of one subject",
                    max: MAX_ERASURES,
                });
            }
            let live = self.new_seed(key)?;
            let subject = live.subject;
            record.live = Some(live);
            let unit =
                Unit::new(kms)
                    .while_key_is(key)
                    .put_subject(address.clone(), expected, &record);
            Ok(unit.commit()?.map(|_| subject))
        })
    }

    /// A new seed under the primary version.
    fn new_seed(&self, key: &KeyEntry) -> Result<Live, KmsError> {
        let mut subject = [0; 16];
        self.kms().random.fill(&mut subject)?;
        let subject = KeyId::from_bytes(subject);
        let seed = FreshDataKey::generate(self.kms().random.as_ref())?;
        let primary = self.primary_of(key)?;
        let binding = record::seed_binding(self.id(), primary.number(), subject);
        let request = WrapRequest::new(primary.handle(), seed.as_data_key(), &binding);
        let wrapped = primary.provider()?.wrap_key(request)?;
        Ok(Live {
            subject,
            created: self.kms().date(),
            version: primary.number(),
            seed: StoredBytes::new(wrapped.as_bytes()),
        })
    }
}

impl super::inner::Inner {
    /// The record of a subject as the store has it.
    fn find_subject(
        &self,
        key: KeyId,
        name: &str,
    ) -> Result<Option<(SubjectRecord, Revision)>, KmsError> {
        let address = self.subject_address(key, name);
        let Some(stored) = self.store.get(&address)? else {
            return Ok(None);
        };
        let record = self.decode(&address, &stored)?;
        Ok(Some((record, stored.revision)))
    }

    fn read_subject(&self, key: KeyId, name: &str) -> Result<(SubjectRecord, Revision), KmsError> {
        let found = self.find_subject(key, name)?;
        found.ok_or_else(|| self.no_subject(key))
    }

    fn no_subject(&self, key: KeyId) -> KmsError {
        KmsError::NoSubject {
            key,
            store: self.store.name(),
        }
    }
}

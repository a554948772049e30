//! Backups: one encrypted file of all that a store has, which opens without the root key of the
//! day.
//!
//! The file is a message. In it are the records, with keys of software moved to a root key that is
//! made for this backup and is in it too. So it takes nothing but what the message opens with.

mod error;
mod payload;
mod restore;
mod snapshot;

use std::fmt;
use std::io::{Read, Write};

use zeroize::Zeroizing;

pub use self::error::BackupError;
use self::payload::{PayloadWriter, Secrets};
use self::snapshot::Snapshot;
use super::error::KmsError;
use super::inner::Inner;
use super::operation::Operation;
use super::{Kms, KmsHandle, Principal};
use crate::context::EncryptionContext;
use crate::crypto::KEY_LEN;
use crate::envelope::{EncryptWriter, EnvelopeEncryptor, MessageOptions};
use crate::format::label;
use crate::provider::{RootKey, SoftwareKeyProvider};
use crate::store::{Collection, KeyStore};

/// What a backup is sealed under, and where keys of software are at home.
///
/// ```
/// use waxseal::kms::Backup;
/// use waxseal::{
///     CreateKey, Envelope, Kms, MemoryKeyStore, PassphraseCosts, PassphraseRecord, RootKey,
///     SingleKeyring, SoftwareKeyProvider,
/// };
///
/// let provider = SoftwareKeyProvider::new(&RootKey::generate()?);
/// let kms = Kms::open(MemoryKeyStore::new(), provider.clone())?.as_principal("ops:alice");
/// let key = kms.create_key(CreateKey::new())?;
///
/// // Any keyring will do; this one opens by a passphrase, and a record to keep with the file.
/// # let costs = PassphraseCosts { memory_kib: 64, passes: 1, lanes: 1 };
/// let (root_key, record) = PassphraseRecord::create_with("correct horse battery staple", costs)?;
/// let envelope = Envelope::new(SingleKeyring::software(&root_key));
/// let mut file = Vec::new();
/// kms.backup(&Backup::under(&envelope).with_software(&provider), &mut file)?;
///
/// // The old root key may be lost by now.
/// let (store, provider) = (MemoryKeyStore::new(), SoftwareKeyProvider::new(&RootKey::generate()?));
/// let backup = Backup::under(&envelope).with_software(&provider);
/// Kms::restore(&store, "ops:alice", &backup, file.as_slice())?;
/// let kms = Kms::open(store, provider)?.as_principal("ops:alice");
/// kms.describe_key(key.id)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Backup<'a> {
    envelope: &'a dyn EnvelopeEncryptor,
    software: Option<&'a SoftwareKeyProvider>,
    context: Option<&'a EncryptionContext>,
    subjects: Subjects,
}

/// Whether a backup has the seeds of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subjects {
    With,
    Without,
}

/// What is in a backup that was written or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupReport {
    /// The keys, and what is left of those that were deleted.
    pub keys: usize,
    /// The aliases.
    pub aliases: usize,
    /// All records, those of keys and aliases among them.
    pub records: usize,
}

impl<'a> Backup<'a> {
    /// A backup that is a message of this envelope. Whatever it takes to open its messages must
    /// be somewhere else than in the store that is backed up: an envelope of the same KMS does not
    /// serve.
    pub fn under(envelope: &'a dyn EnvelopeEncryptor) -> Self {
        Self {
            envelope,
            software: None,
            context: None,
            subjects: Subjects::With,
        }
    }

    /// Leaves the subjects out, with their seeds: what is [erased](KmsHandle::erase_subject) is then
    /// in no backup. **What is sealed under them cannot be opened** with what is restored from it, so
    /// the store itself, or backups that are soon destroyed, must keep the subjects.
    pub fn without_subjects(mut self) -> Self {
        self.subjects = Subjects::Without;
        self
    }

    /// Where the keys of software come from, or on restoring where they go: the provider that the
    /// KMS was opened with, or will be. Keys of other providers stay where they are, and the backup
    /// has their handles.
    pub fn with_software(mut self, provider: &'a SoftwareKeyProvider) -> Self {
        self.software = Some(provider);
        self
    }

    /// The context of the message; empty unless set.
    pub fn with_context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    fn options<'o>(&self, empty: &'o EncryptionContext) -> MessageOptions<'o>
    where
        'a: 'o,
    {
        MessageOptions::new(self.context.unwrap_or(empty)).with_aad(label!("kms-backup"))
    }
}

impl KmsHandle {
    /// Writes a backup of the whole store, as it is at one moment: keys with all versions, aliases,
    /// and what tells of deleted keys. Others may change the store meanwhile.
    ///
    /// It takes memory for all records. Material that is to be destroyed is not in it; a key that
    /// is deleted later is, so destroy old backups. To be sure that it is on the disk, sync the
    /// file.
    ///
    /// # Errors
    ///
    /// [`KmsError::NoProvider`] when keys of software are in the store and the backup was not given
    /// [their provider](Backup::with_software), [`KmsError::Backup`] when the backup cannot be
    /// sealed or written, [`KmsError::Tampered`] and [`KmsError::NewerRecord`] at the first record
    /// that cannot be read, and the failures of the store and the provider. What was written is
    /// then no backup.
    pub fn backup(
        &self,
        backup: &Backup<'_>,
        writer: impl Write,
    ) -> Result<BackupReport, KmsError> {
        self.gate()
            .perform_on_store(Operation::BackUp, |kms| kms.back_up(backup, writer))
    }

    /// Brings the store up to the state of a later backup of it, all or nothing, once all of it is
    /// verified. A store that has anything that the backup does not have, or has newer, is not
    /// touched.
    ///
    /// If the store that the backup was made of is still in use, there are now two that do not know
    /// of each other: what is rotated in one does not open in the other.
    ///
    /// # Errors
    ///
    /// [`KmsError::Backup`] when the backup cannot be opened, is none, or is not for this store;
    /// [`KmsError::NoProvider`] when keys of software are in it and there is
    /// [no provider](Backup::with_software) for them; [`KmsError::RootNotInUse`] when this KMS was
    /// opened without that provider; [`KmsError::Conflict`] when others kept changing the store; and
    /// the failures of the store. The store is then as it was.
    pub fn restore(
        &self,
        backup: &Backup<'_>,
        reader: impl Read,
    ) -> Result<BackupReport, KmsError> {
        self.gate()
            .perform_on_store(Operation::Restore, |kms| kms.restore(backup, reader))
    }
}

impl Kms {
    /// Puts what is in a backup into an empty store, all or nothing, once all of it is verified. A
    /// message that opened with the KMS of the backup opens with this one.
    ///
    /// There is no policy yet to be asked, and no audit trail. The store keeps that it was restored,
    /// and by whom, as you say; the first trail that it is [opened with](super::KmsBuilder::audit) is told
    /// so before all else. A store that has a KMS is restored by [`KmsHandle::restore`].
    ///
    /// If the store that the backup was made of is still in use, there are now two that do not know
    /// of each other: what is rotated in one does not open in the other.
    ///
    /// # Errors
    ///
    /// [`KmsError::Backup`] when the backup cannot be opened or is none, or the store is not empty;
    /// [`KmsError::NoProvider`] when keys of software are in it and there is
    /// [no provider](Backup::with_software) for them; [`KmsError::InvalidName`] when `restored_by` is
    /// empty; [`KmsError::Conflict`] when the store was changed meanwhile; and the failures of the
    /// store. The store is then as it was.
    pub fn restore(
        store: &dyn KeyStore,
        restored_by: impl Into<Principal>,
        backup: &Backup<'_>,
        reader: impl Read,
    ) -> Result<BackupReport, KmsError> {
        let restored_by = restored_by.into();
        restored_by.check()?;
        restore::into_empty(store, restored_by, backup, reader)
    }
}

impl Inner {
    fn back_up(&self, backup: &Backup<'_>, writer: impl Write) -> Result<BackupReport, KmsError> {
        let mut root_key = Zeroizing::new([0; KEY_LEN]);
        self.random.fill(root_key.as_mut_slice())?;
        let one_time = SoftwareKeyProvider::new(&RootKey::from_bytes(&root_key));
        let mut snapshot = Snapshot::take(self.store.as_ref())?;
        if backup.subjects == Subjects::Without {
            snapshot.leave_out(Collection::SUBJECTS);
        }
        let exported = snapshot.export(self, backup.software, &one_time)?;

        let empty = EncryptionContext::empty();
        let options = backup.options(&empty);
        let message = EncryptWriter::new(backup.envelope, writer, options)
            .map_err(|error| BackupError::Seal(Box::new(error)))?;
        let secrets = Secrets {
            root_key,
            store_key: exported.store_key,
        };
        let mut payload = PayloadWriter::new(message, &secrets).map_err(BackupError::write)?;
        let mut report = BackupReport::default();
        for (address, bytes) in &exported.records {
            payload.put(address, bytes).map_err(BackupError::write)?;
            report.count(address.collection);
        }
        let message = payload.finish().map_err(BackupError::write)?;
        message.finish().map_err(BackupError::write)?;
        Ok(report)
    }
}

impl BackupReport {
    fn count(&mut self, collection: Collection) {
        self.records += 1;
        if collection == Collection::KEYS {
            self.keys += 1;
        } else if collection == Collection::ALIASES {
            self.aliases += 1;
        }
    }
}

impl fmt::Display for BackupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} keys, {} aliases, {} records in all",
            self.keys, self.aliases, self.records
        )
    }
}

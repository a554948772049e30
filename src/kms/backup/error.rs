use std::io;

use crate::error::Error;
use crate::kms::error::KmsError;
use crate::store::RecordKey;

/// Why a backup was not written, or not restored. A store that was to be restored is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The message could not be begun.
    #[error(
        "the backup could not be sealed: {0}; see to the keyring that it is to be sealed under"
    )]
    Seal(#[source] Box<Error>),
    /// The file could not be written.
    #[error(
        "the backup could not be written ({0}), and what there is of it is no backup; see to the place that it goes to, then make it again"
    )]
    Write(#[source] io::Error),
    /// The file could not be read, or the message could not be opened.
    #[error(
        "the backup could not be read: {0}; give the whole file, and the key or passphrase, and the context, that it was made with"
    )]
    Read(#[source] io::Error),
    /// The message was opened, and is something else.
    #[error("the file opens and is no backup of a KMS: {reason}; give a file that backup wrote")]
    NotABackup {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A newer version of this crate wrote it.
    #[error(
        "the backup was written by a newer version of waxseal; use that version, or a newer one"
    )]
    NewerVersion,
    /// The store is not empty, and was to be begun from a backup.
    #[error(
        "{store} has keys already; nothing was changed; restore into an empty store, or open the store that the backup was made of and restore it by a handle"
    )]
    NotEmpty {
        /// The store's name.
        store: String,
    },
    /// The store is another one.
    #[error(
        "{store} has keys of another KMS than the one that the backup was made of; nothing was changed; restore into an empty store"
    )]
    OtherStore {
        /// The store's name.
        store: String,
    },
    /// The store has something that the backup does not have.
    #[error(
        "{store} has the record {record} in a state that the backup does not know; nothing was changed; if you do not need it, restore into an empty store"
    )]
    NewerState {
        /// The store's name.
        store: String,
        /// The record.
        record: RecordKey,
    },
}

impl BackupError {
    pub(super) fn write(error: io::Error) -> Self {
        Self::Write(error)
    }

    pub(super) fn read(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<BackupError> for KmsError {
    fn from(error: BackupError) -> Self {
        Self::Backup(Box::new(error))
    }
}

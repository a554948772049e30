use super::record::{MAX_RECORD_LEN, RecordKey};

/// Why a store did not do what it was asked.
///
/// `store` is the store's [name](super::KeyStore::name): for a file, its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store where one was to be opened.
    #[error(
        "{store} does not exist; if a key store was there before, restore it, otherwise create a new one"
    )]
    Missing {
        /// The store's name.
        store: String,
    },
    /// There is something already where a store was to be created.
    #[error("{store} exists already; open it, or create the new store under another name")]
    Exists {
        /// The store's name.
        store: String,
    },
    /// What is there is no key store. It was not touched.
    #[error(
        "{store} is no key store of waxseal: it is {found}; nothing was changed; give the name of the key store, or of something that does not exist to create one"
    )]
    NotAStore {
        /// The store's name.
        store: String,
        /// What it is instead.
        found: String,
    },
    /// The store is damaged. What it says is not to be relied on, so it says nothing.
    #[error(
        "{store} is damaged: {found}; nothing was changed; stop using it, keep a copy of its files, and restore it from a backup"
    )]
    Corrupt {
        /// The store's name.
        store: String,
        /// What is wrong with it.
        found: String,
    },
    /// A newer version of this crate wrote the store.
    #[error(
        "{store} has schema version {found}, and this version of waxseal knows {known} and older; nothing was changed; use the version of waxseal that wrote it, or a newer one"
    )]
    NewerSchema {
        /// The store's name.
        store: String,
        /// The version that it has.
        found: u64,
        /// The newest version known.
        known: u64,
    },
    /// Others were using the store all the time that this waited. Trying again may help.
    #[error("{store} was in use by others for too long; nothing was changed; try again")]
    Busy {
        /// The store's name.
        store: String,
    },
    /// There is no room to write. Nothing was changed.
    #[error("there is no room left for {store}; nothing was changed; make room, then try again")]
    Full {
        /// The store's name.
        store: String,
        /// What the store's engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This process may not do this with the store.
    #[error(
        "this process may not {action} {store}; give it the permission, for the directory of the store too"
    )]
    Permissions {
        /// The store's name.
        store: String,
        /// What was tried.
        action: &'static str,
        /// What the operating system or the store's engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store's file was moved, deleted or replaced while it was open.
    #[error(
        "{store} was moved, deleted or replaced while it was open, so what is written to it might be lost; nothing was changed; put it back and open it again"
    )]
    Replaced {
        /// The store's name.
        store: String,
    },
    /// The process was forked after the store was opened, and this is the child.
    #[error(
        "{store} was open when this process was forked, and cannot be used in the child; open it after the fork only, or in the parent alone"
    )]
    Forked {
        /// The store's name.
        store: String,
    },
    /// Reading or writing failed. A change that was being made may be found to be made later: a disk
    /// that cannot say that it wrote may have written.
    #[error(
        "{store} could not be read or written: {source}; a change that was being made may or may not have been; see to the disk, then look before you try again"
    )]
    Io {
        /// The store's name.
        store: String,
        /// What the operating system or the store's engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store could not be reached, or did not answer as it should. Trying again may help.
    #[error("{store} is unavailable: {source}; try again, and check that it can be reached")]
    Unavailable {
        /// The store's name.
        store: String,
        /// What the store or its transport said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A record is longer than any store takes.
    #[error(
        "the record {key} has {len} bytes, and at most {MAX_RECORD_LEN} can be stored; nothing was changed; store less in it"
    )]
    RecordTooLarge {
        /// The record.
        key: RecordKey,
        /// The bytes that it has.
        len: usize,
    },
    /// An entry of the log is longer than any store takes.
    #[error(
        "an entry of the log has {len} bytes, and at most {MAX_RECORD_LEN} can be stored; nothing was changed; write less"
    )]
    LogEntryTooLarge {
        /// The bytes that it has.
        len: usize,
    },
    /// The store keeps records only.
    #[error("{store} keeps no log; keep the audit trail elsewhere, in files for instance")]
    NoLog {
        /// The store's name.
        store: String,
    },
    /// Two steps of a transaction name one record.
    #[error(
        "the transaction names the record {key} twice; nothing was changed; give one step for each record"
    )]
    RepeatedKey {
        /// The record.
        key: RecordKey,
    },
    /// A step of a transaction deletes a record that it expects to be absent.
    #[error(
        "the transaction deletes the record {key} and expects it to be absent; nothing was changed; name the revision to delete"
    )]
    DeletesAbsent {
        /// The record.
        key: RecordKey,
    },
}

impl StoreError {
    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unavailable { .. })
    }
}

/// Why a transaction was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A record is not in the state that the transaction expects: somebody else changed it.
    #[error(
        "the record {key} was changed by others; nothing was changed; read it again, then decide again"
    )]
    Conflict {
        /// The first such record.
        key: RecordKey,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommitError {
    /// Whether the same transaction may succeed later, with nothing changed. Not after a conflict:
    /// that needs a new transaction.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

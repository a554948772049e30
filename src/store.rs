//! Durable records of keys: [`KeyStore`] and what it holds.
//!
//! A store knows nothing of keys. It holds small records under names, changes several of them at
//! once or none, and tells which were changed since it was last asked. All meaning, and all
//! protection of what the records say, belongs to the layer above.

mod error;
mod memory;
mod record;
#[cfg(feature = "sqlite")]
mod sqlite;
mod transaction;

use std::fmt;
use std::sync::Arc;

pub use error::{CommitError, StoreError};
pub use memory::MemoryKeyStore;
pub use record::{
    Collection, InvalidName, MAX_RECORD_ID_LEN, MAX_RECORD_LEN, Record, RecordId, RecordKey,
    Revision, Sequence,
};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteKeyStore;
pub use transaction::{Expected, LogAppend, Transaction, TransactionStep, Write};

/// Versioned records with compare-and-swap, transactions and a feed of changes.
///
/// [`MemoryKeyStore`] and, with the feature `sqlite`, `SqliteKeyStore` are stores. With the
/// feature `testing`, `waxseal::testing` has the tests that every store must pass.
///
/// # Contract
///
/// - **Records.** A record is 0 to [`MAX_RECORD_LEN`] bytes under a [`RecordKey`]. What is read is
///   what was written, or an error. Larger records are refused with
///   [`StoreError::RecordTooLarge`].
/// - **Sequence and revision.** Commits that write are numbered 1, 2, 3 and so on, over the whole
///   store; the number never goes back, whatever is deleted. The revision of a record is the
///   number of the commit that wrote it. So no revision ever names two states of a record, also
///   not when it was deleted and written anew.
/// - **Compare and swap.** Each step of a [`Transaction`] names the state it expects of its record.
///   If one of them does not hold, nothing is written, and the error is
///   [`CommitError::Conflict`] with the first such record. Steps are checked and written as if no
///   other commit happened meanwhile, in this process or any other.
/// - **Durability.** When [`commit`](Self::commit) has returned, no crash of the process or of the
///   machine undoes it. After an error of the store, [`CommitError::Store`], the transaction has
///   not happened for this or any other reader; but if the medium failed and then the machine
///   crashed, it may be found to have happened. A caller that tries again is safe in either case,
///   because the revision it expects tells.
/// - **Reads see commits.** A read sees every commit that returned before the read began, in any
///   process, and each commit whole or not at all.
/// - **Log.** A store may keep a log beside its records: entries at the positions 0, 1, 2 and so on,
///   appended by transactions and never changed. It is in no scan and no feed, and a transaction that
///   only appends to it leaves the sequence as it is. Where [`read_log`](Self::read_log) is
///   implemented, `commit` must append what [`Transaction::log`] has, in the same transaction, and a
///   log that ends elsewhere than expected is a conflict over [`LogAppend::conflict_key`], looked
///   for before those over records. A store without a log answers [`StoreError::NoLog`], and is
///   then given no such transaction.
/// - **Deletion.** A deleted record is absent. That it was deleted stays in the feed of changes, so
///   its key stays in the store; its bytes do not.
/// - **Feed.** [`changes`](Self::changes) misses nothing: who asks again and again from the last
///   [`Changes::through`], starting with the [`latest`](Self::latest) sequence before its first
///   read, learns of each record that was changed, at least once after its last change.
/// - **Damage.** A store that is damaged says so, by [`StoreError::Corrupt`]; it never takes damage
///   for absence where it can tell, and never repairs by forgetting.
/// - **Secrecy.** Records hold no secret in the clear; yet `Debug` output and errors hold keys of
///   records and no bytes of them.
/// - **Blocking.** Calls may block on a disk or a network and may come from many threads.
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// The store's name, as errors show it: `the memory store`, `the SQLite file keys.db`.
    fn name(&self) -> String;

    /// Reads one record.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// Reads records of one collection in the order of their ids, as unsigned bytes.
    ///
    /// Gives fewer than [`ScanRequest::limit`] only where no more are left. Pages are no snapshot:
    /// between two calls, records come and go.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    fn scan(&self, request: ScanRequest<'_>) -> Result<Vec<(RecordId, Record)>, StoreError>;

    /// Does all of a transaction, durably, or nothing, and returns its sequence.
    ///
    /// A transaction that only checks, or is empty, writes nothing and returns the latest sequence.
    ///
    /// # Errors
    ///
    /// [`CommitError::Conflict`] when a record is not in the state that a step expects: read anew
    /// and decide anew. [`CommitError::Store`] when the store failed, or the transaction is one
    /// that [`Transaction::validate`] refuses.
    fn commit(&self, transaction: &Transaction) -> Result<Sequence, CommitError>;

    /// The number of the last commit that wrote, [`Sequence::START`] when there was none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    fn latest(&self) -> Result<Sequence, StoreError>;

    /// The records that were written or deleted after `since`, each once, in the order of the
    /// commits that did it last.
    ///
    /// Gives about `limit` changes, at least 1 if there are any; those of one commit are never
    /// divided, so there may be more. [`Changes::through`] says where to go on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    fn changes(&self, since: Sequence, limit: usize) -> Result<Changes, StoreError>;

    /// Erases what commits have replaced or deleted before this call, as far as the medium allows.
    ///
    /// A commit makes old bytes unreadable through the store, but they may be left in its files,
    /// in a journal for instance. A caller that must destroy key material calls this afterwards.
    /// Copies that others made of the files are out of reach, and so are blocks that a file system
    /// or a disk keeps.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when old bytes may be left: [`StoreError::Busy`] while another process reads
    /// them.
    fn erase_replaced(&self) -> Result<(), StoreError>;

    /// Reads entries of the log from the position `from` on, at most `limit`, and says where the log
    /// ends.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoLog`] when the store keeps none, which is the default, and otherwise when the
    /// store cannot tell.
    fn read_log(&self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
        let _ = (from, limit);
        Err(StoreError::NoLog { store: self.name() })
    }
}

/// Entries of a store's log.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPage {
    /// The entries, from the position asked for on.
    pub entries: Vec<Vec<u8>>,
    /// How many entries the log had, at the moment when these were read: the position of the next.
    pub end: u64,
}

impl LogPage {
    /// Puts an answer together.
    #[must_use]
    pub fn new(entries: Vec<Vec<u8>>, end: u64) -> Self {
        Self { entries, end }
    }
}

impl fmt::Debug for LogPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "LogPage({} entries, of {})",
            self.entries.len(),
            self.end
        )
    }
}

/// Asks for records of a collection.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ScanRequest<'a> {
    /// The collection.
    pub collection: Collection,
    /// Only records with ids after this one.
    pub after: Option<&'a RecordId>,
    /// At most so many records.
    pub limit: usize,
}

impl<'a> ScanRequest<'a> {
    /// Asks for the first records of a collection, at most `limit`.
    #[must_use]
    pub fn new(collection: Collection, limit: usize) -> Self {
        Self {
            collection,
            after: None,
            limit,
        }
    }

    /// Asks for those after `id`: the last of the page before.
    #[must_use]
    pub fn after(mut self, id: &'a RecordId) -> Self {
        self.after = Some(id);
        self
    }
}

/// What [`KeyStore::changes`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// The records that were changed, the latest change last.
    pub changed: Vec<Change>,
    /// Up to here nothing is missing: where to ask from next.
    pub through: Sequence,
    /// The store's latest sequence. Where `through` is less, there is more to ask for. Where this
    /// is less than what was asked from, the store was put back to an older state: forget what was
    /// read from it.
    pub latest: Sequence,
}

impl Changes {
    /// Puts an answer together.
    #[must_use]
    pub fn new(changed: Vec<Change>, through: Sequence, latest: Sequence) -> Self {
        Self {
            changed,
            through,
            latest,
        }
    }
}

/// A record that was written or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Change {
    /// The record.
    pub key: RecordKey,
    /// The commit that changed it last.
    pub sequence: Sequence,
}

impl Change {
    /// Says that the commit `sequence` changed the record `key`.
    #[must_use]
    pub fn new(key: RecordKey, sequence: Sequence) -> Self {
        Self { key, sequence }
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: KeyStore + ?Sized> KeyStore for $pointer {
            fn name(&self) -> String {
                (**self).name()
            }

            fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
                (**self).get(key)
            }

            fn scan(
                &self,
                request: ScanRequest<'_>,
            ) -> Result<Vec<(RecordId, Record)>, StoreError> {
                (**self).scan(request)
            }

            fn commit(&self, transaction: &Transaction) -> Result<Sequence, CommitError> {
                (**self).commit(transaction)
            }

            fn latest(&self) -> Result<Sequence, StoreError> {
                (**self).latest()
            }

            fn changes(&self, since: Sequence, limit: usize) -> Result<Changes, StoreError> {
                (**self).changes(since, limit)
            }

            fn erase_replaced(&self) -> Result<(), StoreError> {
                (**self).erase_replaced()
            }

            fn read_log(&self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
                (**self).read_log(from, limit)
            }
        }
    )*};
}

forward_to_pointee!(&T, Arc<T>, Box<T>);

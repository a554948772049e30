//! A store in one SQLite file.

mod connection;
mod failure;
mod file;
mod head;
mod log;
mod pool;
mod process;
mod row;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use failure::Failure;
use file::StoreFile;
use head::Head;
use log::Log;
use pool::Pool;
use rows::{Checked, Row, Rows};

use super::{
    Changes, CommitError, KeyStore, LogAppend, LogPage, Record, RecordId, RecordKey, ScanRequest,
    Sequence, StoreError, Transaction,
};

/// A store in one SQLite file, for several processes of one machine at once.
///
/// Clones share their connections. The file is created whole or not at all, with mode 0600 on Unix,
/// and while it is open has two companions, `-wal` and `-shm`: whoever copies, moves or restores
/// it while a process has it open, or after a crash, takes them along.
///
/// A commit is on the disk when it returns (`synchronous=FULL`), which is most of its time. Reads
/// do not wait for commits. A commit waits for those of other processes, 10 seconds at the most by
/// [default](Self::with_busy_timeout).
///
/// Every record has a checksum, and a store of up to 4 MiB is verified whole when it is opened. In a
/// larger one, a damaged page may hide records from a scan or from the feed of changes, never from
/// [`get`](KeyStore::get): call [`verify`](Self::verify) from time to time, and before each backup.
///
/// The file must be on a local file system: SQLite shares memory between the processes. A process
/// must not fork while it has a store open and go on in the child, except to `exec`: SQLite cannot
/// be used in such a child, and the store refuses with [`StoreError::Forked`].
///
/// ```
/// use waxseal::{KeyStore, SqliteKeyStore};
/// use waxseal::store::{Collection, Expected, RecordId, RecordKey, Transaction};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("keys.db");
/// let store = SqliteKeyStore::open_or_create(&path)?;
/// let key = RecordKey::new(Collection::META, RecordId::new("motto")?);
/// store.commit(&Transaction::new().put(key.clone(), Expected::Absent, "fiat lux"))?;
/// drop(store);
///
/// let store = SqliteKeyStore::open(&path)?;
/// assert_eq!(store.get(&key)?.map(|record| record.bytes), Some(b"fiat lux".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteKeyStore {
    pool: Arc<Pool>,
    busy_timeout: Duration,
}

impl SqliteKeyStore {
    /// Opens a store that exists.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], and [`StoreError::NotAStore`] for anything that is not a key store
    /// of this crate, an empty file too: it may be what was left of one. [`StoreError::Corrupt`],
    /// [`StoreError::NewerSchema`], [`StoreError::Permissions`], [`StoreError::Forked`], and
    /// failures of the disk. Nothing is written in any of these cases.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self::with_pool(Pool::open(StoreFile::new(path.as_ref())?)?))
    }

    /// Creates a store where nothing is, and opens it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] when there is something already, and as [`open`](Self::open).
    pub fn create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self::with_pool(Pool::create(StoreFile::new(
            path.as_ref(),
        )?)?))
    }

    /// Opens the store if there is one, and creates it if there is nothing.
    ///
    /// Where losing the store must not go unnoticed, [`create`](Self::create) it once and
    /// [`open`](Self::open) it from then on.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        match Self::open(&path) {
            Err(StoreError::Missing { .. }) => {}
            opened => return opened,
        }
        match Self::create(&path) {
            Err(StoreError::Exists { .. }) => Self::open(path),
            created => created,
        }
    }

    /// Waits for the commits of other processes at most so long, then fails with
    /// [`StoreError::Busy`]. At most a day.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout.min(connection::MAX_BUSY_TIMEOUT);
        self
    }

    /// Verifies every page and every record. Takes about a second for 100,000 keys; others may read
    /// and write meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] with the first damage found, or failures of the disk.
    pub fn verify(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            let snapshot = connection.transaction()?;
            verify::whole(&snapshot)
        })
    }

    fn with_pool(pool: Pool) -> Self {
        Self {
            pool: Arc::new(pool),
            busy_timeout: connection::BUSY_TIMEOUT,
        }
    }

    fn read<T>(
        &self,
        action: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.pool.read(self.busy_timeout, action)
    }

    fn write<T>(
        &self,
        action: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.pool.write(self.busy_timeout, action)
    }
}

impl KeyStore for SqliteKeyStore {
    fn name(&self) -> String {
        self.pool.file().name()
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.read(|connection| {
            if let Some(row) = Rows::new(connection).find_at_home(key)? {
                return Ok(row.into_record());
            }
            // Two ways of looking, which must see the same state.
            let snapshot = connection.transaction()?;
            let row = Rows::new(&snapshot).find(key)?;
            Ok(row.and_then(Row::into_record))
        })
    }

    fn scan(&self, request: ScanRequest<'_>) -> Result<Vec<(RecordId, Record)>, StoreError> {
        self.read(|connection| Rows::new(connection).scan(request))
    }

    fn commit(&self, transaction: &Transaction) -> Result<Sequence, CommitError> {
        transaction.validate()?;
        let committed = if transaction.only_checks() && transaction.log().is_none() {
            self.read(|connection| check(connection, transaction))
        } else {
            self.write(|connection| commit(connection, transaction))
        };
        committed?.map_err(|key| CommitError::Conflict { key })
    }

    fn latest(&self) -> Result<Sequence, StoreError> {
        self.read(|connection| {
            connection::ensure_current(connection)?;
            Ok(Head::read(connection)?.sequence())
        })
    }

    fn changes(&self, since: Sequence, limit: usize) -> Result<Changes, StoreError> {
        self.read(|connection| {
            connection::ensure_current(connection)?;
            let snapshot = connection.transaction()?;
            let latest = Head::read(&snapshot)?.sequence();
            if since >= latest {
                return Ok(Changes::new(Vec::new(), latest, latest));
            }
            Rows::new(&snapshot).changes(since, latest, limit)
        })
    }

    fn erase_replaced(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            connection::ensure_current(connection)?;
            connection::empty_log(connection)
        })
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
        self.read(|connection| {
            connection::ensure_current(connection)?;
            let snapshot = connection.transaction()?;
            Log::new(&snapshot).read(from, limit)
        })
    }
}

/// The sequence that is now the latest, or the first record that was not as expected.
type Committed = Result<Sequence, RecordKey>;

fn check(connection: &mut Connection, transaction: &Transaction) -> Result<Committed, Failure> {
    let snapshot = connection.transaction()?;
    match Rows::new(&snapshot).check(transaction)? {
        Checked::Conflict(key) => Ok(Err(key)),
        Checked::AsExpected(_) => Ok(Ok(Head::read(&snapshot)?.sequence())),
    }
}

fn commit(connection: &mut Connection, transaction: &Transaction) -> Result<Committed, Failure> {
    let writing = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    connection::ensure_current(&writing)?;
    if let Some(log) = transaction.log() {
        if Log::new(&writing).end()? != log.position {
            return Ok(Err(LogAppend::conflict_key()));
        }
        Log::new(&writing).append(log)?;
    }
    let rows = Rows::new(&writing);
    let slots = match rows.check(transaction)? {
        Checked::Conflict(key) => return Ok(Err(key)),
        Checked::AsExpected(slots) => slots,
    };
    let head = Head::read(&writing)?;
    let sequence = if transaction.only_checks() {
        head.sequence()
    } else {
        head.advance(&writing)?
    };
    for (step, slot) in transaction.steps().iter().zip(slots) {
        rows.apply(step, slot, sequence)?;
    }
    writing.commit()?;
    Ok(Ok(sequence))
}

impl fmt::Debug for SqliteKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteKeyStore({})", self.pool.file().path().display())
    }
}

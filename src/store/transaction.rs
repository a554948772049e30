use std::collections::HashSet;
use std::fmt;

use super::error::StoreError;
use super::record::{Collection, MAX_RECORD_LEN, RecordKey, Revision};

/// What happens to several records at once, or not at all.
///
/// ```
/// use waxseal::store::{
///     Collection, Expected, KeyStore, MemoryKeyStore, RecordId, RecordKey, Transaction,
/// };
///
/// let store = MemoryKeyStore::new();
/// let key = RecordKey::new(Collection::META, RecordId::new("motto")?);
/// let put = Transaction::new().put(key.clone(), Expected::Absent, "first");
/// let sequence = store.commit(&put)?;
/// let put = Transaction::new().put(key, Expected::Revision(sequence.into()), "second");
/// store.commit(&put)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Transaction {
    steps: Vec<TransactionStep>,
    log: Option<LogAppend>,
}

impl Transaction {
    /// Does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record.
    pub fn put(self, key: RecordKey, expected: Expected, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(key, expected, Write::Put(bytes.into()))
    }

    /// Deletes a record that is there.
    pub fn delete(self, key: RecordKey, revision: Revision) -> Self {
        self.with(key, Expected::Revision(revision), Write::Delete)
    }

    /// Leaves a record as it is, and fails unless it is in this state when the rest is done.
    pub fn check(self, key: RecordKey, expected: Expected) -> Self {
        self.with(key, expected, Write::Check)
    }

    /// Adds a step.
    pub fn with(mut self, key: RecordKey, expected: Expected, write: Write) -> Self {
        self.steps.push(TransactionStep {
            key,
            expected,
            write,
        });
        self
    }

    /// Appends entries to the store's log, and fails unless the first of them gets the position
    /// `position`: see [`KeyStore::read_log`](super::KeyStore::read_log). Replaces entries that were
    /// to be appended before.
    pub fn append_log(mut self, position: u64, entries: Vec<Vec<u8>>) -> Self {
        self.log = Some(LogAppend { position, entries });
        self
    }

    /// What is appended to the store's log.
    #[must_use]
    pub fn log(&self) -> Option<&LogAppend> {
        self.log.as_ref()
    }

    /// The steps, in the order they were added.
    #[must_use]
    pub fn steps(&self) -> &[TransactionStep] {
        &self.steps
    }

    /// Whether no record would be written, so that the store's sequence stays. Something may be
    /// appended to the log all the same.
    #[must_use]
    pub fn only_checks(&self) -> bool {
        self.steps.iter().all(|step| step.write == Write::Check)
    }

    /// Looks whether a store may do this: every store does so first.
    ///
    /// # Errors
    ///
    /// [`StoreError::LogEntryTooLarge`] when an entry of the log is over [`MAX_RECORD_LEN`],
    /// [`StoreError::RepeatedKey`] when two steps name one record,
    /// [`StoreError::RecordTooLarge`] when a record is over [`MAX_RECORD_LEN`], and
    /// [`StoreError::DeletesAbsent`] when a step deletes what it expects to be absent.
    pub fn validate(&self) -> Result<(), StoreError> {
        for entry in self.log.iter().flat_map(|log| &log.entries) {
            if entry.len() > MAX_RECORD_LEN {
                return Err(StoreError::LogEntryTooLarge { len: entry.len() });
            }
        }
        let mut keys = HashSet::with_capacity(self.steps.len());
        for step in &self.steps {
            if !keys.insert(&step.key) {
                return Err(StoreError::RepeatedKey {
                    key: step.key.clone(),
                });
            }
            match &step.write {
                Write::Put(bytes) if bytes.len() > MAX_RECORD_LEN => {
                    return Err(StoreError::RecordTooLarge {
                        key: step.key.clone(),
                        len: bytes.len(),
                    });
                }
                Write::Delete if step.expected == Expected::Absent => {
                    return Err(StoreError::DeletesAbsent {
                        key: step.key.clone(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What is appended to the log of a store.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogAppend {
    /// The position that the first entry must get, which is the number of entries before.
    pub position: u64,
    /// The entries.
    pub entries: Vec<Vec<u8>>,
}

impl LogAppend {
    /// What a conflict over the log names in place of a record.
    #[must_use]
    pub fn conflict_key() -> RecordKey {
        RecordKey::new(Collection::LOG, (*b"log-end-position").into())
    }
}

impl fmt::Debug for LogAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogAppend")
            .field("position", &self.position)
            .field("entries", &format_args!("{} entries", self.entries.len()))
            .finish()
    }
}

/// What happens to one record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionStep {
    /// The record.
    pub key: RecordKey,
    /// The state that it must be in.
    pub expected: Expected,
    /// What is done.
    pub write: Write,
}

/// The state that a record must be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// There is none: it was never written, or it was deleted.
    Absent,
    /// It is there, as this commit wrote it.
    Revision(Revision),
}

impl Expected {
    /// Whether a record of this revision, or none, is as expected.
    #[must_use]
    pub fn matches(self, found: Option<Revision>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Revision(revision) => found == Some(revision),
        }
    }
}

/// What is done to a record.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// It becomes these bytes.
    Put(Vec<u8>),
    /// It is deleted.
    Delete,
    /// Nothing: only its state is checked.
    Check,
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(bytes) => write!(f, "Put({} bytes)", bytes.len()),
            Self::Delete => f.write_str("Delete"),
            Self::Check => f.write_str("Check"),
        }
    }
}

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::AuditSink;
use crate::audit::batch::{Appended, Batch, Lines};
use crate::audit::error::{AuditError, ChangeError};
use crate::audit::head::Tail;
use crate::audit::line::LineHash;
use crate::audit::parse::{Line, LineKind, Unreadable};
use crate::fork::{ForkableState, PerProcess};
use crate::store::{CommitError, KeyStore, LogAppend, Sequence, Transaction};

/// Keeps a trail in the log of a [`KeyStore`]. Several processes with one store make one chain.
///
/// Where it is the key store of the KMS itself ([`AuditTrail::in_key_store`]), a change of a key
/// and its record are one transaction. Every write is one of the store: with SQLite, a file for
/// the keys and one for the trail keep the writes of the one from waiting for those of the other.
///
/// [`AuditTrail::in_key_store`]: crate::audit::AuditTrail::in_key_store
pub struct StoreSink {
    store: Arc<dyn KeyStore>,
    /// Whether it is the KMS's own store.
    is_of_kms: bool,
    known: PerProcess<Known>,
}

/// What this process knows of the log. Held while the log is written.
#[derive(Default)]
struct Known(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The end of the log as this process last saw it.
    tail: Option<Tail>,
    /// Whether others may have written since.
    is_old: bool,
}

/// Others may write so often between reading the end of the log and writing.
const MAX_ATTEMPTS: usize = 100;

impl StoreSink {
    /// Keeps the trail in the log of `store`.
    ///
    /// # Errors
    ///
    /// [`AuditError::Store`] when the store keeps no log, or fails.
    pub fn new(store: impl KeyStore + 'static) -> Result<Self, AuditError> {
        Self::open(Arc::new(store), false)
    }

    pub(crate) fn of_kms(store: Arc<dyn KeyStore>) -> Result<Self, AuditError> {
        Self::open(store, true)
    }

    fn open(store: Arc<dyn KeyStore>, is_of_kms: bool) -> Result<Self, AuditError> {
        store.read_log(0, 0)?;
        Ok(Self {
            store,
            is_of_kms,
            known: PerProcess::new(Known::default()),
        })
    }

    /// Commits a transaction with the lines of a batch, again if others write to the log meanwhile.
    fn commit_with(
        &self,
        store: &dyn KeyStore,
        batch: &Batch<'_>,
        transaction: &Transaction,
    ) -> Result<(Sequence, Appended), ChangeError> {
        let mut known = self.known.get().lock();
        for _ in 0..MAX_ATTEMPTS {
            if known.is_old || known.tail.is_none() {
                let tail = self.read_tail()?;
                if let Some(known) = &known.tail {
                    let hash_of_line = |sequence| self.hash_of_line(sequence);
                    known.check_followed_by(tail.as_ref(), || self.name(), hash_of_line)?;
                }
                known.tail = tail;
            }
            let lines = batch.lines_after(known.tail.as_ref());
            known.is_old = true;
            match store.commit(&with_lines(transaction, &lines)) {
                Ok(sequence) => {
                    *known = Seen {
                        tail: Some(lines.tail()),
                        is_old: false,
                    };
                    return Ok((sequence, lines.appended()));
                }
                Err(CommitError::Conflict { key }) if key == LogAppend::conflict_key() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AuditError::Busy { sink: self.name() }.into())
    }

    fn read_tail(&self) -> Result<Option<Tail>, AuditError> {
        let end = self.store.read_log(0, 0)?.end;
        let Some(last) = end.checked_sub(1) else {
            return Ok(None);
        };
        let (begin, _) = self.read_line(0)?;
        let (line, hash) = self.read_line(last)?;
        match begin.kind {
            LineKind::Begin { trail } if line.sequence == last => {
                Ok(Some(Tail::new(trail, last, hash)))
            }
            _ => Err(self.damaged("its entries are not those of one audit trail")),
        }
    }

    fn read_line(&self, position: u64) -> Result<(Line, LineHash), AuditError> {
        let page = self.store.read_log(position, 1)?;
        let entry = page.entries.first().map(Vec::as_slice).unwrap_or_default();
        match Line::parse(entry) {
            Ok(line) => Ok((line, LineHash::of(entry))),
            Err(Unreadable::Newer) => Err(AuditError::Newer { sink: self.name() }),
            Err(Unreadable::NoLine) => Err(self.damaged("an entry is no line of an audit trail")),
        }
    }

    fn damaged(&self, found: &str) -> AuditError {
        AuditError::Damaged {
            sink: self.name(),
            found: found.to_owned(),
        }
    }
}

impl AuditSink for StoreSink {
    fn name(&self) -> String {
        format!("the audit trail in {}", self.store.name())
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        self.read_tail()
    }

    fn hash_of_line(&self, sequence: u64) -> Result<Option<LineHash>, AuditError> {
        Ok(Some(self.read_line(sequence)?.1))
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        let nothing_else = Transaction::new();
        match self.commit_with(&self.store, batch, &nothing_else) {
            Ok((_, appended)) => Ok(appended),
            Err(ChangeError::Audit(error)) => Err(error),
            Err(ChangeError::Commit(CommitError::Store(error))) => Err(error.into()),
            Err(ChangeError::Commit(CommitError::Conflict { .. })) => {
                Err(AuditError::Busy { sink: self.name() })
            }
        }
    }

    fn commit(
        &self,
        batch: &Batch<'_>,
        store: &dyn KeyStore,
        transaction: &Transaction,
    ) -> Result<(Sequence, Appended), ChangeError> {
        if self.is_of_kms {
            return self.commit_with(store, batch, transaction);
        }
        let appended = self.append(batch)?;
        Ok((store.commit(transaction)?, appended))
    }

    fn records_with_commits(&self) -> bool {
        self.is_of_kms
    }
}

/// The transaction, with a line for each entry of the log.
fn with_lines(transaction: &Transaction, lines: &Lines) -> Transaction {
    let entries = lines.iter().map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.to_vec()
    });
    transaction
        .clone()
        .append_log(lines.first_sequence(), entries.collect())
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ForkableState for Known {
    fn for_child(&self) -> Self {
        Self::default()
    }

    fn try_clear(&self) -> bool {
        self.0.try_lock().is_ok()
    }
}

impl fmt::Debug for StoreSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreSink({})", self.store.name())
    }
}

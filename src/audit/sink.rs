//! Where records go.

mod fan_out;
mod file;
mod memory;
mod store;
#[cfg(feature = "tracing")]
mod tracing;

use std::fmt;
use std::sync::Arc;

pub use fan_out::FanOut;
pub(super) use file::Directory;
pub use file::{Durability, FileSink};
pub use memory::MemorySink;
pub use store::StoreSink;
#[cfg(feature = "tracing")]
pub use tracing::TracingSink;

use super::batch::{Appended, Batch};
use super::error::{AuditError, ChangeError};
use super::head::Tail;
use super::line::LineHash;
use crate::store::{KeyStore, Sequence, Transaction};

/// Takes records, and keeps them.
///
/// # Contract
///
/// - **Whole.** [`append`](Self::append) writes a whole batch or fails. After a failure, lines of
///   the batch may be there or not; the caller does not do what they record.
/// - **Durable.** When `append` has returned, no crash of the process or the machine undoes it, as far
///   as the sink promises to keep records at all.
/// - **Chained.** A sink that keeps a trail which can be verified makes the lines by
///   [`Batch::lines_after`], from the end of its chain as it is at that moment: while it does, no
///   other writer may append, in this process or another. A sink without a chain takes
///   [`Batch::records`].
/// - **Blocking.** Calls may block, and may come at once: those of a trail for records come one after
///   the other, but its checkpoints do not wait for them, and sinks that share a place may belong to
///   several trails.
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// The sink's name, as errors show it.
    fn name(&self) -> String;

    /// The end of the chain, if the sink has one and it has begun.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when the end is not fit to be written after.
    fn tail(&self) -> Result<Option<Tail>, AuditError>;

    /// The hash of the line that has this sequence, if the sink has it: a trail is not gone on with
    /// whose line is not the one that its head was sealed at. By default nothing: it is not looked at.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when the line cannot be read.
    fn hash_of_line(&self, sequence: u64) -> Result<Option<LineHash>, AuditError> {
        let _ = sequence;
        Ok(None)
    }

    /// Writes a batch, durably.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when it could not be written.
    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError>;

    /// Writes a batch, and makes the change to the KMS's key store that it records: not the change
    /// without the record. By default the batch is written first, and then the change is made.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Audit`] when the batch could not be written, and the change was not made;
    /// [`ChangeError::Commit`] when the change could not be made, and then the batch may be written
    /// or not: see [`records_with_commits`](Self::records_with_commits).
    fn commit(
        &self,
        batch: &Batch<'_>,
        store: &dyn KeyStore,
        transaction: &Transaction,
    ) -> Result<(Sequence, Appended), ChangeError> {
        let appended = self.append(batch)?;
        Ok((store.commit(transaction)?, appended))
    }

    /// Whether [`commit`](Self::commit) writes batch and change in one transaction, so that neither
    /// is there without the other.
    fn records_with_commits(&self) -> bool {
        false
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: AuditSink + ?Sized> AuditSink for Arc<T> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        (**self).tail()
    }

    fn hash_of_line(&self, sequence: u64) -> Result<Option<LineHash>, AuditError> {
        (**self).hash_of_line(sequence)
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        (**self).append(batch)
    }

    fn commit(
        &self,
        batch: &Batch<'_>,
        store: &dyn KeyStore,
        transaction: &Transaction,
    ) -> Result<(Sequence, Appended), ChangeError> {
        (**self).commit(batch, store, transaction)
    }

    fn records_with_commits(&self) -> bool {
        (**self).records_with_commits()
    }
}

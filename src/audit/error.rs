use std::io;
use std::sync::Arc;

use super::TrailId;
use crate::rng::RandomError;
use crate::store::{CommitError, StoreError};

/// Why something was not recorded. What cannot be recorded is not done.
///
/// `sink` is the sink's [name](super::AuditSink::name): for a file, its directory. Many callers may
/// share one write, and so its error: therefore it can be cloned.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is no room to write. Nothing that was half written stays.
    #[error(
        "there is no room left for {sink}; what cannot be recorded is not done; make room, then try again"
    )]
    Full {
        /// The sink's name.
        sink: String,
        /// What the operating system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// This process may not do this with the sink.
    #[error("this process may not {action} {sink}; give it the permission, for the directory too")]
    Permissions {
        /// The sink's name.
        sink: String,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Reading or writing failed.
    #[error(
        "{sink} could not be read or written: {source}; what cannot be recorded is not done; see to the disk, then try again"
    )]
    Io {
        /// The sink's name.
        sink: String,
        /// What the operating system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The end of the trail is not what this crate writes. Nothing is written after it.
    #[error(
        "{sink} is damaged: {found}; nothing was written; keep a copy of it, verify it to learn more, and begin a new trail elsewhere"
    )]
    Damaged {
        /// The sink's name.
        sink: String,
        /// What is wrong with it.
        found: String,
    },
    /// A newer version of this crate wrote the trail.
    #[error(
        "{sink} was written by a newer version of waxseal; nothing was written; use that version"
    )]
    Newer {
        /// The sink's name.
        sink: String,
    },
    /// A file of the trail was moved, deleted or replaced while it was open.
    #[error(
        "{sink} was moved, deleted or replaced while it was open, so what is written to it might be lost; put it back and try again"
    )]
    Replaced {
        /// The sink's name.
        sink: String,
    },
    /// The trail ends before what was sealed as its head, or is another after it.
    #[error(
        "{sink} lacks what it had: its head was sealed at sequence {head}, and it ends at {end}; nothing was written; put back what is missing, or begin a new trail elsewhere"
    )]
    Truncated {
        /// The sink's name.
        sink: String,
        /// The sequence of the head.
        head: u64,
        /// The sequence of the last line.
        end: u64,
    },
    /// The sink holds another trail than it did.
    #[error("{sink} holds the trail {found}, and held {expected} before; put the right one back")]
    OtherTrail {
        /// The sink's name.
        sink: String,
        /// The trail that it holds.
        found: TrailId,
        /// The trail that it should hold.
        expected: TrailId,
    },
    /// A record is longer than a line may be.
    #[error(
        "a record of the audit trail would have {len} bytes, and {max} are the most; give the operation shorter attributes or a shorter context"
    )]
    TooLong {
        /// The bytes that it would have.
        len: usize,
        /// The most.
        max: usize,
    },
    /// Other processes kept writing all the time that this tried to.
    #[error("{sink} was written to by others all the time; try again")]
    Busy {
        /// The sink's name.
        sink: String,
    },
    /// The key store that holds the trail, or its head, failed.
    #[error(
        "the key store could not keep the audit trail, and what cannot be recorded is not done: {0}"
    )]
    Store(#[source] Arc<StoreError>),
    /// No random bytes for the id of a record.
    #[error("the audit trail got no random bytes, and what cannot be recorded is not done: {0}")]
    Random(#[source] Arc<RandomError>),
    /// A checkpoint could not be signed.
    #[error(
        "a checkpoint of the audit trail could not be signed: {0}; see to the provider of its key, then try again"
    )]
    Signing(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A setting is missing.
    #[error("{what}")]
    Setting {
        /// Which, and what to do.
        what: &'static str,
    },
    /// A sink that is not of this crate failed.
    #[error(
        "{sink} failed: {source}; what cannot be recorded is not done; see to the sink, then try again"
    )]
    Sink {
        /// The sink's name.
        sink: String,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl AuditError {
    /// Whether the same call may succeed later, with nothing changed but the room on the disk.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full { .. } | Self::Busy { .. } | Self::Signing(_) => true,
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }

    pub(crate) fn io(sink: &str, action: &'static str, source: io::Error) -> Self {
        let sink = sink.to_owned();
        let kind = source.kind();
        let source = Arc::new(source);
        match kind {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full { sink, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permissions {
                    sink,
                    action,
                    source,
                }
            }
            _ => Self::Io { sink, source },
        }
    }
}

impl From<StoreError> for AuditError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<RandomError> for AuditError {
    fn from(error: RandomError) -> Self {
        Self::Random(Arc::new(error))
    }
}

/// Why a change was not made that is recorded when it is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It could not be recorded, so it was not made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It could not be made.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

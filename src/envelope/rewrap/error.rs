use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Why a file was not rewrapped. It opens as it did before, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapFileError {
    /// The file, or what is written beside it, could not be read or written.
    #[error(
        "could not {action} {path}: {source}; see to the file system, then rewrap again: what was begun is gone on with"
    )]
    File {
        /// What failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else is rewrapping the file or the directory.
    #[error("{path} is being rewrapped by somebody else; wait until that is done")]
    Busy {
        /// The file, or the journal of the directory.
        path: PathBuf,
    },
    /// It is no message, or cannot be opened or wrapped.
    #[error("{path} is not rewrapped: {source}")]
    Message {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// What an interrupted rewrap left does not go with the file.
    #[error(
        "{journal} is what an interrupted rewrap left, and does not go with {path}, which does not open either; keep both and restore the file from a backup, or give the keys and the context that it was rewrapped with"
    )]
    Unrecovered {
        /// The file.
        path: PathBuf,
        /// The journal.
        journal: PathBuf,
    },
    /// What stands where a journal would is none.
    #[error(
        "{path} is in the place of a journal of rewraps and is none of this version; move it away"
    )]
    NoJournal {
        /// The file that is there.
        path: PathBuf,
    },
}

impl RewrapFileError {
    pub(super) fn message(path: &Path, error: impl Into<Error>) -> Self {
        Self::Message {
            path: path.to_owned(),
            source: Box::new(error.into()),
        }
    }

    /// Whether it failed for reasons of the file system or of a provider and may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Message { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}

/// Says what was done to which file when it failed.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, RewrapFileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, RewrapFileError> {
        self.map_err(|source| RewrapFileError::File {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

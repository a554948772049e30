use rusqlite::{Error, ErrorCode, ffi};

use super::schema;
use crate::store::StoreError;

/// Why something failed, before it is said of which store.
#[derive(Debug)]
pub(super) enum Failure {
    Engine(Error),
    Damage(String),
    NotAStore(String),
    NewerSchema(u64),
    ReadOnly,
    Busy,
    Replaced,
}

impl Failure {
    pub(super) fn damage(what: impl Into<String>) -> Self {
        Self::Damage(what.into())
    }

    /// Whether a connection is as good as before.
    pub(super) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Engine(error) => is_busy(error),
            Self::Busy | Self::Replaced => true,
            _ => false,
        }
    }

    pub(super) fn of(self, store: String) -> StoreError {
        match self {
            Self::Engine(error) => engine_error(error, store),
            Self::Damage(found) => StoreError::Corrupt { store, found },
            Self::NotAStore(found) => StoreError::NotAStore { store, found },
            Self::NewerSchema(found) => StoreError::NewerSchema {
                store,
                found,
                known: schema::VERSION,
            },
            Self::ReadOnly => StoreError::Permissions {
                store,
                action: "write to",
                source: "the file was opened for reading only".into(),
            },
            Self::Busy => StoreError::Busy { store },
            Self::Replaced => StoreError::Replaced { store },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

fn engine_error(error: Error, store: String) -> StoreError {
    if is_busy(&error) {
        return StoreError::Busy { store };
    }
    let found = |error: Error| error.to_string();
    match &error {
        // A query found a column that this crate never writes so.
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..)
        | Error::QueryReturnedNoRows
        | Error::QueryReturnedMoreThanOneRow
        | Error::StatementChangedRows(_)
        | Error::SqlInputError { .. } => StoreError::Corrupt {
            store,
            found: found(error),
        },
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::Unknown => StoreError::Corrupt {
                store,
                found: found(error),
            },
            ErrorCode::DiskFull => StoreError::Full {
                store,
                source: error.into(),
            },
            ErrorCode::ReadOnly if failure.extended_code == ffi::SQLITE_READONLY_DBMOVED => {
                StoreError::Replaced { store }
            }
            ErrorCode::PermissionDenied | ErrorCode::ReadOnly => StoreError::Permissions {
                store,
                action: "write to",
                source: error.into(),
            },
            _ => StoreError::Io {
                store,
                source: error.into(),
            },
        },
        _ => StoreError::Io {
            store,
            source: error.into(),
        },
    }
}

fn is_busy(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

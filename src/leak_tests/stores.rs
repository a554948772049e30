//! Errors of stores.

use std::io;

use super::assert_error_clean;
use crate::store::{Collection, CommitError, RecordId, RecordKey, StoreError};

#[test]
fn every_error() {
    let store = || "the SQLite file keys.db".to_owned();
    let source = || io::Error::other("denied").into();
    let key = || RecordKey::new(Collection::KEYS, RecordId::from([1; 16]));
    let errors = [
        StoreError::Missing { store: store() },
        StoreError::Exists { store: store() },
        StoreError::NotAStore {
            store: store(),
            found: "a directory".to_owned(),
        },
        StoreError::Corrupt {
            store: store(),
            found: "a record has no valid id".to_owned(),
        },
        StoreError::NewerSchema {
            store: store(),
            found: 2,
            known: 1,
        },
        StoreError::Busy { store: store() },
        StoreError::Full {
            store: store(),
            source: source(),
        },
        StoreError::Permissions {
            store: store(),
            action: "open",
            source: source(),
        },
        StoreError::Replaced { store: store() },
        StoreError::Forked { store: store() },
        StoreError::Io {
            store: store(),
            source: source(),
        },
        StoreError::Unavailable {
            store: store(),
            source: source(),
        },
        StoreError::RecordTooLarge {
            key: key(),
            len: 1 << 21,
        },
        StoreError::LogEntryTooLarge { len: 1 << 21 },
        StoreError::NoLog { store: store() },
        StoreError::RepeatedKey { key: key() },
        StoreError::DeletesAbsent { key: key() },
    ];
    for error in errors {
        match error {
            StoreError::Missing { .. }
            | StoreError::Exists { .. }
            | StoreError::NotAStore { .. }
            | StoreError::Corrupt { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Busy { .. }
            | StoreError::Full { .. }
            | StoreError::Permissions { .. }
            | StoreError::Replaced { .. }
            | StoreError::Forked { .. }
            | StoreError::Io { .. }
            | StoreError::Unavailable { .. }
            | StoreError::RecordTooLarge { .. }
            | StoreError::LogEntryTooLarge { .. }
            | StoreError::NoLog { .. }
            | StoreError::RepeatedKey { .. }
            | StoreError::DeletesAbsent { .. } => assert_error_clean(&CommitError::from(error)),
        }
    }
    assert_error_clean(&CommitError::Conflict { key: key() });
}

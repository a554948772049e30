//! What the audit trail says of itself.

use std::io;
use std::sync::Arc;

use super::{SECRET_BYTE, assert_debug_clean, assert_error_clean};
use crate::audit::{AuditError, AuditKey, ChangeError, TrailId};
use crate::rng::RandomError;
use crate::store::{CommitError, StoreError};

#[test]
fn every_error() {
    let sink = || "the audit trail in audit".to_owned();
    let source = || Arc::new(io::Error::other("denied"));
    let store = || StoreError::Busy {
        store: "the memory store".to_owned(),
    };
    let errors = [
        AuditError::Full {
            sink: sink(),
            source: source(),
        },
        AuditError::Permissions {
            sink: sink(),
            action: "write to",
            source: source(),
        },
        AuditError::Io {
            sink: sink(),
            source: source(),
        },
        AuditError::Damaged {
            sink: sink(),
            found: "its last line is none".to_owned(),
        },
        AuditError::Newer { sink: sink() },
        AuditError::Replaced { sink: sink() },
        AuditError::Truncated {
            sink: sink(),
            head: 7,
            end: 5,
        },
        AuditError::OtherTrail {
            sink: sink(),
            found: TrailId::from_bytes([1; 16]),
            expected: TrailId::from_bytes([2; 16]),
        },
        AuditError::TooLong {
            len: 70_000,
            max: 65_280,
        },
        AuditError::Busy { sink: sink() },
        AuditError::Store(Arc::new(store())),
        AuditError::Random(Arc::new(RandomError::new("no generator"))),
        AuditError::Signing(source()),
        AuditError::Setting {
            what: "an audit trail outside of a KMS needs a key",
        },
        AuditError::Sink {
            sink: sink(),
            source: source(),
        },
    ];
    for error in errors {
        match &error {
            AuditError::Full { .. }
            | AuditError::Permissions { .. }
            | AuditError::Io { .. }
            | AuditError::Damaged { .. }
            | AuditError::Newer { .. }
            | AuditError::Replaced { .. }
            | AuditError::Truncated { .. }
            | AuditError::OtherTrail { .. }
            | AuditError::TooLong { .. }
            | AuditError::Busy { .. }
            | AuditError::Store(_)
            | AuditError::Random(_)
            | AuditError::Signing(_)
            | AuditError::Setting { .. }
            | AuditError::Sink { .. } => assert_error_clean(&ChangeError::from(error)),
        }
    }
    assert_error_clean(&ChangeError::from(CommitError::from(store())));
}

#[test]
fn the_key() {
    assert_debug_clean(&AuditKey::from_bytes(&[SECRET_BYTE; 32]));
}

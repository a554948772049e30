//! A KMS that asks its policies and records what is done.
#![allow(dead_code, reason = "each test uses a part")]

use std::sync::{Arc, Mutex};

use waxseal::audit::{AuditQuery, AuditRecord, AuditTrail, MemorySink, TrailReader};
use waxseal::kms::{Authorisation, Policy};
use waxseal::{EncryptionContext, Kms, KmsError, KmsHandle};

use super::kms::World;

pub struct Guarded {
    pub world: World,
    pub sink: MemorySink,
    pub kms: Kms,
    /// How many records were taken.
    taken: Arc<Mutex<usize>>,
}

pub const ADMIN: &str = "ops:admin";

impl Guarded {
    pub fn new() -> Self {
        let (world, sink) = (World::new(), MemorySink::new());
        let kms = world
            .builder()
            .authorisation(Authorisation::enforced(ADMIN))
            .audit(AuditTrail::builder(sink.clone()))
            .open()
            .unwrap();
        let guarded = Self {
            world,
            sink,
            kms,
            taken: Arc::default(),
        };
        let opened = guarded.take_records();
        assert_eq!(opened.len(), 1, "the policy of the store was put");
        assert_eq!(opened[0].action, "kms:PutStorePolicy");
        guarded
    }

    pub fn admin(&self) -> KmsHandle {
        self.kms.as_principal(ADMIN)
    }

    pub fn records(&self) -> Vec<AuditRecord> {
        let lines = self.sink.to_bytes();
        AuditQuery::new()
            .over(TrailReader::bytes(&lines))
            .collect::<Result<_, _>>()
            .unwrap()
    }

    /// The records since this was last asked.
    pub fn take_records(&self) -> Vec<AuditRecord> {
        let mut taken = self.taken.lock().unwrap();
        let records = self.records();
        let new = records[*taken..].to_vec();
        *taken = records.len();
        new
    }
}

/// A policy, from its statements.
pub fn policy(statements: &str) -> Policy {
    let json = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Policy::from_json(&json).unwrap()
}

/// A statement that lets the administrator do everything.
pub fn admin_statement() -> String {
    allow(ADMIN, r#""kms:*""#)
}

/// A statement that allows actions, given as JSON.
pub fn allow(principal: &str, actions: &str) -> String {
    format!(r#"{{"Effect":"Allow","Principal":"{principal}","Action":[{actions}],"Resource":"*"}}"#)
}

pub fn tenant(tenant: &str) -> EncryptionContext {
    EncryptionContext::new([("tenant", tenant)]).unwrap()
}

#[track_caller]
pub fn assert_denied<T: std::fmt::Debug>(result: Result<T, KmsError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, KmsError::Denied { .. }), "{error}");
}

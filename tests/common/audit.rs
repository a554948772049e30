//! Trails for tests.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use waxseal::audit::{
    AuditError, AuditEvent, AuditKey, AuditQuery, AuditRecord, AuditSink, AuditTrail,
    AuditTrailBuilder, CheckpointSigner, HeadStore, LineHash, MemorySink, TrailHead, TrailId,
    TrailReader,
};
use waxseal::kms::Operation;
use waxseal::{CreateKeyRequest, KeyProvider, KeySpec, PublicKey, SoftwareKeyProvider};

pub const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

pub fn key() -> AuditKey {
    AuditKey::from_bytes(&[7; 32])
}

pub fn builder(sink: impl AuditSink + 'static) -> AuditTrailBuilder {
    AuditTrail::builder(sink).key(key())
}

pub fn trail(sink: impl AuditSink + 'static) -> AuditTrail {
    builder(sink).open().unwrap()
}

pub fn event<'a>(request: &'a str, principal: &'a str) -> AuditEvent<'a> {
    AuditEvent::new(request, principal, Operation::Decrypt)
}

/// A key pair that signs checkpoints.
pub fn signer() -> (CheckpointSigner, PublicKey) {
    let provider = SoftwareKeyProvider::generate().unwrap();
    let handle = provider
        .create_key(CreateKeyRequest::new(KeySpec::Ed25519))
        .unwrap();
    let public_key = provider.public_key(&handle).unwrap();
    let signer = CheckpointSigner::key_pair(provider, handle).unwrap();
    (signer, public_key)
}

/// The lines of a trail with so many records and a checkpoint after each `every` lines and at the
/// end.
pub fn lines_of(records: usize, every: u64) -> (Vec<u8>, PublicKey) {
    let (signer, public_key) = signer();
    let sink = MemorySink::new();
    let trail = builder(sink.clone())
        .signed_by(signer)
        .checkpoint_every(every, NEVER)
        .open()
        .unwrap();
    for n in 0..records {
        let (request, principal) = (format!("request-{n}"), format!("svc:{}", n % 7));
        trail.record(&event(&request, &principal)).unwrap();
    }
    trail.close().unwrap();
    (sink.to_bytes(), public_key)
}

pub fn split(lines: &[u8]) -> Vec<&[u8]> {
    lines.split_inclusive(|&byte| byte == b'\n').collect()
}

pub fn records(sink: &MemorySink) -> Vec<AuditRecord> {
    let bytes = sink.to_bytes();
    let found = AuditQuery::new().over(TrailReader::bytes(&bytes));
    found.map(Result::unwrap).collect()
}

/// Heads in memory.
#[derive(Debug, Clone, Default)]
pub struct Heads(Arc<Mutex<BTreeMap<TrailId, TrailHead>>>);

impl Heads {
    pub fn only(&self) -> TrailHead {
        *self.0.lock().unwrap().values().next().unwrap()
    }
}

impl HeadStore for Heads {
    fn load(&self, trail: TrailId) -> Result<Option<TrailHead>, AuditError> {
        Ok(self.0.lock().unwrap().get(&trail).copied())
    }

    fn save(&self, head: &TrailHead) -> Result<(), AuditError> {
        let mut heads = self.0.lock().unwrap();
        let saved = heads.entry(head.trail).or_insert(*head);
        if saved.sequence < head.sequence {
            *saved = *head;
        }
        Ok(())
    }
}

/// The same trail made anew by one who has no key: another principal, and no checkpoints.
pub fn made_anew(lines: &[u8]) -> Vec<u8> {
    let lines = std::str::from_utf8(lines).unwrap();
    let record = lines.lines().nth(1).unwrap();
    let mut prev = LineHash::NONE;
    let mut forged = String::new();
    for (sequence, line) in lines.lines().enumerate() {
        let line = if line.contains("\"checkpoint\"") {
            record
        } else {
            line
        };
        let (_, rest) = line.split_once("\"eventType\"").unwrap();
        let line = format!(
            r#"{{"eventVersion":1,"sequence":{sequence},"prev":"{prev}","eventType"{rest}"#
        );
        let line = line.replace("svc:billing", "svc:innocent");
        prev = LineHash::of(line.as_bytes());
        forged.push_str(&line);
        forged.push('\n');
    }
    forged.into_bytes()
}

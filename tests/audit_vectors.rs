//! Audit trails that the second implementation made: the crate writes the same bytes.

#[path = "common/audit.rs"]
mod audit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use audit::NEVER;
use serde::Deserialize;
use waxseal::audit::{
    AuditEvent, AuditKey, AuditTrail, DecidedBy, MemorySink, ParameterValue, TrailHead,
    TrailReader, Verification, verify,
};
use waxseal::kms::Operation;
use waxseal::{
    EncryptionContext, KeyId, KeyVersion, ManualClock, PublicKey, RandomError, RandomSource,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "store_key")]
    _store_key: String,
    audit_key: String,
    public_key: String,
    with_macs: Vec<String>,
    with_signatures: Vec<String>,
    head: TrailHead,
}

fn vector() -> Vector {
    serde_json::from_str(include_str!("testdata/audit/trail.json")).unwrap()
}

fn from_hex(digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn key(vector: &Vector) -> AuditKey {
    AuditKey::from_bytes(&from_hex(&vector.audit_key).try_into().unwrap())
}

fn text(lines: &[String]) -> Vec<u8> {
    let lines = lines.iter().map(|line| format!("{line}\n"));
    lines.collect::<String>().into_bytes()
}

/// Bytes of 1, then of 2, and so on.
#[derive(Debug, Default)]
struct Counting(AtomicU8);

impl RandomSource for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        buffer.fill(1 + self.0.fetch_add(1, Ordering::SeqCst));
        Ok(())
    }
}

#[test]
fn the_crate_writes_the_same_bytes() {
    let vector = vector();
    let sink = MemorySink::new();
    let trail = AuditTrail::builder(sink.clone())
        .key(key(&vector))
        .clock(ManualClock::default())
        .random(Counting::default())
        .checkpoint_every(1000, NEVER)
        .open()
        .unwrap();
    let attributes = BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]);
    let pairs = [("\u{fc}", "say \"hi\"\n"), ("tenant", "acme")];
    let context = EncryptionContext::new(pairs).unwrap();
    let mut event = AuditEvent::new("request-1", "svc:billing", Operation::GenerateDataKey);
    event.attributes = Some(&attributes);
    event.key = Some(KeyId::from_bytes([0xab; 16]));
    event.key_version = KeyVersion::new(3);
    event.selector = Some("alias/cards");
    event.context = Some(&context);
    event.decided_by = Some(DecidedBy::KeyPolicy("AllowBilling"));
    trail.record(&event).unwrap();

    let source = BTreeMap::from([("address".to_owned(), "10.0.0.1".to_owned())]);
    let operation = Operation::ScheduleKeyDeletion;
    let mut event = AuditEvent::new("request-2", "ops:\u{e4}", operation)
        .with_parameter("pendingWindowInDays", 7_u32)
        .with_parameter("force", true)
        .failed("InvalidState");
    let tags = ParameterValue::List(vec!["a".into(), "b".into()]);
    event.parameters.push(("tagKeys", tags));
    event.dry_run = true;
    event.source = Some(&source);
    trail.record(&event).unwrap();
    trail.close().unwrap();

    let made = String::from_utf8(sink.to_bytes()).unwrap();
    for (made, expected) in made.lines().zip(&vector.with_macs) {
        assert_eq!(made, expected);
    }
    assert_eq!(made.into_bytes(), text(&vector.with_macs));
}

#[test]
fn both_trails_verify() {
    let vector = vector();
    let key = key(&vector);
    let macs = text(&vector.with_macs);
    let against = Verification::new()
        .trusting_macs(&key)
        .with_head(vector.head);
    let verified = verify(TrailReader::bytes(&macs), &against).unwrap();
    assert_eq!((verified.records, verified.signed_through), (2, Some(3)));

    let public_key = PublicKey::from_der(&from_hex(&vector.public_key)).unwrap();
    let against = Verification::new().trusting(public_key);
    let signatures = text(&vector.with_signatures);
    let verified = verify(TrailReader::bytes(&signatures), &against).unwrap();
    assert_eq!((verified.records, verified.signed_through), (2, Some(3)));
    verify(TrailReader::bytes(&macs), &against).unwrap_err();
}

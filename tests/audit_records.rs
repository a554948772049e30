//! What a record of a trail says, and finding it again.

#[path = "common/audit.rs"]
mod audit;

use std::collections::BTreeMap;
use std::time::Duration;

use audit::{NEVER, builder, event, key, records, split, trail};
use proptest::prelude::*;
use waxseal::audit::{
    AuditError, AuditEvent, AuditKey, AuditQuery, AuditRecord, ContextValues, DecidedBy,
    MAX_LINE_LEN, MemorySink, Outcome, ParameterValue, TrailReader, Verification, verify,
};
use waxseal::kms::Operation;
use waxseal::{EncryptionContext, KeyId, KeyVersion, ManualClock, Timestamp};

#[test]
fn a_record_says_what_the_event_said() {
    let sink = MemorySink::new();
    let clock = ManualClock::default();
    let trail = builder(sink.clone()).clock(clock).open().unwrap();
    let attributes = BTreeMap::from([("tenant".to_owned(), "acme \"x\"\n".to_owned())]);
    let source = BTreeMap::from([("address".to_owned(), "10.0.0.1".to_owned())]);
    let context = EncryptionContext::new([("tenant", "acme"), ("table", "cards")]).unwrap();
    let mut event = AuditEvent::new("request-1", "svc:billing", Operation::ScheduleKeyDeletion)
        .with_parameter("pendingWindowInDays", 7_u32)
        .with_parameter("force", true)
        .with_parameter("keyId", "not the key")
        .with_parameter("note", "replaced")
        .with_parameter("note", "no \u{1f980}")
        .failed("InvalidState");
    event.attributes = Some(&attributes);
    event.source = Some(&source);
    event.key = Some(KeyId::from_bytes([0xab; 16]));
    event.key_version = KeyVersion::new(3);
    event.selector = Some("alias/cards");
    event.context = Some(&context);
    event.decided_by = Some(DecidedBy::Grant("1234"));
    event.dry_run = true;
    let recorded = trail.record(&event).unwrap();
    assert_eq!(recorded.sequence, Some(1));

    let record = records(&sink).remove(0);
    assert_eq!((record.version, record.sequence), (1, 1));
    assert_eq!(record.id, recorded.id);
    assert_eq!(record.time.to_string(), "2026-01-01T00:00:00.000Z");
    assert_eq!(record.request_id, "request-1");
    assert_eq!(record.identity.principal, "svc:billing");
    assert_eq!(record.identity.attributes, attributes);
    assert_eq!(record.source, source);
    assert_eq!(record.action, "kms:ScheduleKeyDeletion");
    assert_eq!(record.key, event.key);
    assert_eq!(record.key_version, event.key_version);
    assert_eq!(record.parameters.selector.as_deref(), Some("alias/cards"));
    let others = BTreeMap::from([
        ("pendingWindowInDays".to_owned(), ParameterValue::Number(7)),
        ("force".to_owned(), ParameterValue::Flag(true)),
        (
            "note".to_owned(),
            ParameterValue::Text("no \u{1f980}".into()),
        ),
    ]);
    assert_eq!(record.parameters.others, others);
    assert_eq!(record.outcome, Outcome::Failed);
    assert_eq!(record.error.as_deref(), Some("InvalidState"));
    assert_eq!(record.decided_by.as_deref(), Some("grant:1234"));
    assert!(record.dry_run);
    let hashed = |name: &str, value: &str| (name.to_owned(), key().hash_value(name, value));
    let context = BTreeMap::from([hashed("table", "cards"), hashed("tenant", "acme")]);
    assert_eq!(record.parameters.context, context);

    // As it is written again it is what it was.
    let bytes = sink.to_bytes();
    let line = split(&bytes)[1].strip_suffix(b"\n").unwrap();
    let again = serde_json::to_value(&record).unwrap();
    assert_eq!(
        again,
        serde_json::from_slice::<serde_json::Value>(line).unwrap()
    );
    assert_eq!(serde_json::from_slice::<AuditRecord>(line).unwrap(), record);
}

#[test]
fn values_of_contexts_are_hashed_unless_it_is_said() {
    let context = EncryptionContext::new([("tenant", "acme"), ("owner", "acme")]).unwrap();
    for values in [ContextValues::Hashed, ContextValues::Clear] {
        let sink = MemorySink::new();
        let trail = builder(sink.clone()).context_values(values).open().unwrap();
        let mut event = event("request", "svc:billing");
        event.context = Some(&context);
        trail.record(&event).unwrap();
        let shown = String::from_utf8(sink.to_bytes()).unwrap();
        assert_eq!(shown.contains("acme"), values == ContextValues::Clear);
        let context = &records(&sink)[0].parameters.context;
        let (tenant, owner) = (&context["tenant"], &context["owner"]);
        assert_eq!(tenant == owner, values == ContextValues::Clear);
    }
    let [this, other] = [[7; 32], [8; 32]].map(|bytes| AuditKey::from_bytes(&bytes));
    let hash = this.hash_value("tenant", "acme");
    assert_eq!(hash.len(), 5 + 32);
    assert_ne!(hash, other.hash_value("tenant", "acme"));
    assert_ne!(this.hash_value("a", "bc"), this.hash_value("ab", "c"));
}

#[test]
fn no_text_is_too_long_to_name_a_key_and_some_is_for_a_principal() {
    let sink = MemorySink::new();
    let trail = trail(sink.clone());
    for len in [0, 255, 256, 257, 1_000_000] {
        let selector = "\u{e9}".repeat(len / 2) + &"x".repeat(len % 2);
        let mut event = event("request", "svc:attacker").denied();
        event.selector = Some(&selector);
        trail.record(&event).unwrap();
        let found = records(&sink).pop().unwrap().parameters.selector.unwrap();
        if len <= 256 {
            assert_eq!(found, selector);
        } else {
            assert!(found.len() < 300 && found.contains(&format!("... ({len} bytes)")));
        }
    }
    let name = "x".repeat(MAX_LINE_LEN);
    let error = trail.record(&event("request", &name)).unwrap_err();
    assert!(matches!(error, AuditError::TooLong { .. }), "{error}");
    assert_eq!(records(&sink).len(), 5);
    let name = "\u{1}".repeat(10_000);
    trail.record(&event("request", &name)).unwrap();
    assert_eq!(records(&sink)[5].identity.principal, name);
}

proptest! {
    /// Whatever an application says, the line can be read, and says it.
    #[test]
    fn any_text_comes_back(
        request in any::<String>(), principal in any::<String>(),
        attributes in prop::collection::btree_map(any::<String>(), any::<String>(), 0..5),
        context in prop::collection::btree_map("\\PC{1,9}", any::<String>(), 0..5),
        selector in prop::option::of("\\PC{0,40}"), note in any::<String>(),
    ) {
        let sink = MemorySink::new();
        let trail = builder(sink.clone()).context_values(ContextValues::Clear).open().unwrap();
        let given = EncryptionContext::new(context.clone()).unwrap();
        let mut event = event(&request, &principal).with_parameter("note", note.as_str());
        event.attributes = Some(&attributes);
        event.source = Some(&attributes);
        event.context = Some(&given);
        event.selector = selector.as_deref();
        trail.record(&event).unwrap();
        let record = records(&sink).remove(0);
        prop_assert_eq!(&record.request_id, &request);
        prop_assert_eq!(&record.identity.principal, &principal);
        prop_assert_eq!(&record.identity.attributes, &attributes);
        prop_assert_eq!(&record.source, &attributes);
        prop_assert_eq!(record.parameters.context, context);
        prop_assert_eq!(&record.parameters.selector, &selector);
        prop_assert_eq!(&record.parameters.others["note"], &ParameterValue::Text(note.clone().into()));
        verify(TrailReader::bytes(&sink.to_bytes()), &Verification::new()).unwrap();
    }
}

#[test]
fn queries_find_what_they_ask_for() {
    let sink = MemorySink::new();
    let clock = ManualClock::default();
    let trail = builder(sink.clone())
        .clock(clock.clone())
        .checkpoint_every(3, NEVER)
        .open()
        .unwrap();
    let id = |n| KeyId::from_bytes([n; 16]);
    for n in 0..12_u8 {
        let (request, principal) = (n.to_string(), format!("svc:{}", n % 2));
        let operation = if n % 3 == 0 {
            Operation::Sign
        } else {
            Operation::Decrypt
        };
        let mut event = AuditEvent::new(&request, &principal, operation);
        event.key = Some(id(n % 4));
        trail
            .record(&if n > 8 { event.denied() } else { event })
            .unwrap();
        clock.advance(Duration::from_secs(60));
    }
    let bytes = sink.to_bytes();
    let find = |query: AuditQuery| -> Vec<u8> {
        let found = query.over(TrailReader::bytes(&bytes));
        found
            .map(|record| record.unwrap().request_id.parse().unwrap())
            .collect()
    };
    let at = |minutes: u64| {
        let start: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        start.saturating_add(Duration::from_secs(60 * minutes))
    };
    let all = AuditQuery::new;
    assert_eq!(find(all()), (0..12).collect::<Vec<_>>());
    assert_eq!(find(all().key(id(3))), [3, 7, 11]);
    assert_eq!(find(all().principal("svc:1").key(id(0))), Vec::<u8>::new());
    assert_eq!(find(all().principal("svc:1").from(at(8))), [9, 11]);
    assert_eq!(find(all().action(Operation::Sign)), [0, 3, 6, 9]);
    assert_eq!(find(all().outcome(Outcome::Denied)), [9, 10, 11]);
    assert_eq!(find(all().outcome(Outcome::Failed)), Vec::<u8>::new());
    assert_eq!(find(all().from(at(2)).until(at(4))), [2, 3]);
    assert_eq!(find(all().request_id("5")), [5]);

    let damaged = bytes.replace_first(b"svc:0", b"svc\"0");
    let mut found = all().over(TrailReader::bytes(&damaged));
    assert!(matches!(
        found.next(),
        Some(Err(AuditError::Damaged { .. }))
    ));
    assert!(found.next().is_none());
}

trait ReplaceFirst {
    fn replace_first(&self, what: &[u8], with: &[u8]) -> Vec<u8>;
}

impl ReplaceFirst for Vec<u8> {
    fn replace_first(&self, what: &[u8], with: &[u8]) -> Vec<u8> {
        let at = self
            .windows(what.len())
            .position(|part| part == what)
            .unwrap();
        [&self[..at], with, &self[at + what.len()..]].concat()
    }
}

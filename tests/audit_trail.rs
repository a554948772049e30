//! What is recorded, and where.

#[path = "common/audit.rs"]
mod audit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use audit::{NEVER, builder, event, key, split, trail};
use proptest::prelude::*;
use waxseal::audit::{
    Appended, AuditError, AuditEvent, AuditKey, AuditQuery, AuditRecord, AuditSink, AuditTrail,
    Batch, ContextValues, DecidedBy, FanOut, HeadStore, MAX_LINE_LEN, MemorySink, Outcome,
    ParameterValue, StoreSink, Tail, TrailHead, TrailId, TrailReader, Verification, verify,
};
use waxseal::kms::Operation;
use waxseal::store::{Collection, Expected, LogAppend, RecordId, RecordKey, Transaction};
use waxseal::{
    EncryptionContext, KeyId, KeyStore, KeyVersion, ManualClock, MemoryKeyStore, Timestamp,
};

fn records(sink: &MemorySink) -> Vec<AuditRecord> {
    let bytes = sink.to_bytes();
    let found = AuditQuery::new().over(TrailReader::bytes(&bytes));
    found.map(Result::unwrap).collect()
}

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
fn checkpoints_come_after_lines_after_time_and_at_the_end() {
    let sink = MemorySink::new();
    let clock = ManualClock::default();
    let trail = builder(sink.clone())
        .clock(clock.clone())
        .checkpoint_every(10, Duration::from_secs(60))
        .open()
        .unwrap();
    let kinds = || -> Vec<bool> {
        let bytes = sink.to_bytes();
        let lines = split(&bytes);
        let is_checkpoint = |line: &&[u8]| {
            std::str::from_utf8(line)
                .unwrap()
                .contains("\"eventType\":\"checkpoint\"")
        };
        lines.iter().map(is_checkpoint).collect()
    };
    for n in 0..9 {
        trail.record(&event(&n.to_string(), "svc")).unwrap();
    }
    assert_eq!(kinds().iter().position(|&is| is), Some(10));
    clock.advance(Duration::from_secs(59));
    trail.record(&event("early", "svc")).unwrap();
    assert_eq!(kinds().iter().filter(|&&is| is).count(), 1);
    clock.advance(Duration::from_secs(1));
    trail.record(&event("late", "svc")).unwrap();
    assert_eq!(kinds()[11..], [false, false, true]);
    trail.close().unwrap();
    trail.close().unwrap();
    assert_eq!(kinds().len(), 14, "nothing was recorded since");
    trail.record(&event("last", "svc")).unwrap();
    drop(trail);
    assert_eq!(kinds()[14..], [false, true]);
}

/// Heads in memory.
#[derive(Debug, Clone, Default)]
struct Heads(Arc<Mutex<BTreeMap<TrailId, TrailHead>>>);

impl Heads {
    fn only(&self) -> TrailHead {
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

/// A trail that somebody can cut.
#[derive(Debug, Clone, Default)]
struct Cuttable {
    lines: MemorySink,
    tail: Arc<Mutex<Option<Tail>>>,
}

impl AuditSink for Cuttable {
    fn name(&self) -> String {
        "the cuttable trail".to_owned()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        match *self.tail.lock().unwrap() {
            Some(tail) => Ok(Some(tail)),
            None => self.lines.tail(),
        }
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        self.lines.append(batch)
    }
}

#[test]
fn a_trail_that_lost_its_end_is_not_gone_on_with() {
    let sink = Cuttable::default();
    let heads = Heads::default();
    let open = || builder(sink.clone()).heads(heads.clone()).open();
    let first = open().unwrap();
    first.record(&event("first", "svc")).unwrap();
    assert_eq!(
        heads.only().sequence,
        1,
        "a trail has a head from its beginning"
    );
    let after_first = sink.tail().unwrap();
    first.record(&event("second", "svc")).unwrap();
    first.close().unwrap();
    assert_eq!(heads.only().sequence, 3);
    drop(open().unwrap());

    *sink.tail.lock().unwrap() = after_first;
    let error = open().unwrap_err();
    assert!(
        matches!(
            error,
            AuditError::Truncated {
                head: 3,
                end: 1,
                ..
            }
        ),
        "{error}"
    );
    let whole = sink.lines.to_bytes();
    let against = Verification::new().with_head(heads.only());
    verify(TrailReader::bytes(&whole), &against).unwrap();
    let cut = split(&whole)[..2].concat();
    verify(TrailReader::bytes(&cut), &Verification::new()).unwrap();
    verify(TrailReader::bytes(&cut), &against).unwrap_err();
}

/// Fails, or panics, when told to.
#[derive(Debug, Clone, Default)]
struct Failing {
    inner: MemorySink,
    fails: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl AuditSink for Failing {
    fn name(&self) -> String {
        "the failing sink".to_owned()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        self.inner.tail()
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        thread::sleep(Duration::from_millis(5));
        if self.panics.swap(false, Ordering::SeqCst) {
            panic!("as told");
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(AuditError::Sink {
                sink: self.name(),
                source: Arc::new(std::io::Error::other("as told")),
            });
        }
        self.inner.append(batch)
    }
}

#[test]
fn what_one_of_several_places_refuses_is_refused() {
    let (kept, failing, spare) = (MemorySink::new(), Failing::default(), Failing::default());
    let trail = builder(kept.clone())
        .also(failing.clone())
        .also_if_possible(spare.clone())
        .open()
        .unwrap();
    let first = trail.record(&event("first", "svc")).unwrap();
    spare.fails.store(true, Ordering::SeqCst);
    trail.record(&event("second", "svc")).unwrap();
    failing.fails.store(true, Ordering::SeqCst);
    let error = trail.record(&event("third", "svc")).unwrap_err();
    assert!(error.to_string().contains("the failing sink"), "{error}");
    failing.fails.store(false, Ordering::SeqCst);
    spare.fails.store(false, Ordering::SeqCst);
    trail.record(&event("fourth", "svc")).unwrap();
    drop(trail);

    let of = |sink: &MemorySink| -> Vec<_> {
        let key = key();
        let against = Verification::new().trusting_macs(&key);
        let bytes = sink.to_bytes();
        let verified = verify(TrailReader::bytes(&bytes), &against).unwrap();
        assert!(verified.signed_through.is_some());
        records(sink)
            .into_iter()
            .map(|record| record.request_id)
            .collect()
    };
    assert_eq!(of(&kept), ["first", "second", "third", "fourth"]);
    assert_eq!(of(&failing.inner), ["first", "second", "fourth"]);
    assert_eq!(of(&spare.inner), ["first", "fourth"]);
    for sink in [&kept, &failing.inner, &spare.inner] {
        assert_eq!(records(sink)[0].id, first.id);
    }
    let trails = [&kept, &failing.inner].map(|sink| sink.tail().unwrap().unwrap().trail);
    assert_ne!(trails[0], trails[1], "each is a trail of its own");

    let fan_out = FanOut::new(kept).and_if_possible(spare.clone());
    spare.fails.store(true, Ordering::SeqCst);
    let fan_out = Arc::new(fan_out);
    let trail = audit::trail(Arc::clone(&fan_out));
    trail.record(&event("fifth", "svc")).unwrap();
    assert_eq!(fan_out.missed(), 1);
}

#[test]
fn threads_share_writes_and_each_gets_its_own_sequence() {
    let sink = Failing::default();
    let trail = trail(sink.clone());
    let sequences = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for n in 0..16 {
            let (trail, sequences) = (&trail, &sequences);
            scope.spawn(move || {
                for count in 0..20 {
                    let request = format!("{n}-{count}");
                    let recorded = trail.record(&event(&request, "svc")).unwrap();
                    sequences
                        .lock()
                        .unwrap()
                        .push((recorded.sequence.unwrap(), request));
                }
            });
        }
    });
    let mut sequences = sequences.into_inner().unwrap();
    sequences.sort();
    let found: Vec<_> = records(&sink.inner)
        .into_iter()
        .map(|record| (record.sequence, record.request_id))
        .collect();
    assert_eq!(found, sequences);
    assert_eq!(found.len(), 320);
}

#[test]
fn a_sink_that_fails_or_panics_leaves_nobody_waiting() {
    let sink = Failing::default();
    let trail = trail(sink.clone());
    for panics in [false, true] {
        sink.fails.store(!panics, Ordering::SeqCst);
        sink.panics.store(panics, Ordering::SeqCst);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..12)
                .map(|n| {
                    let trail = &trail;
                    scope.spawn(move || trail.record(&event(&n.to_string(), "svc")))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        let failed = outcomes
            .iter()
            .filter(|outcome| !matches!(outcome, Ok(Ok(_))));
        assert!(failed.count() >= 1);
        if !panics {
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Err(_)))));
        }
        sink.fails.store(false, Ordering::SeqCst);
        trail.record(&event("goes on", "svc")).unwrap();
    }
}

fn log(store: &dyn KeyStore) -> Vec<u8> {
    let entries = store.read_log(0, usize::MAX).unwrap().entries;
    entries.join(&b'\n')
}

#[test]
fn a_store_keeps_one_chain_of_several_trails() {
    let store = MemoryKeyStore::new();
    let trails: Vec<AuditTrail> = (0..3)
        .map(|_| trail(StoreSink::new(store.clone()).unwrap()))
        .collect();
    thread::scope(|scope| {
        for (n, trail) in trails.iter().enumerate() {
            scope.spawn(move || {
                for count in 0..30 {
                    let request = format!("{n}-{count}");
                    trail.record(&event(&request, "svc")).unwrap();
                }
            });
        }
    });
    drop(trails);
    let key = key();
    let against = Verification::new().trusting_macs(&key);
    let verified = verify(TrailReader::store(&store), &against).unwrap();
    assert_eq!(verified.records, 90);
    let found = AuditQuery::new().over(TrailReader::store(&store));
    assert_eq!(found.map(Result::unwrap).count(), 90);
    assert_eq!(
        store.latest().unwrap().get(),
        0,
        "no record of the store was written"
    );

    // What others put into the log is not written after.
    let end = store.read_log(0, 0).unwrap().end;
    let foreign = Transaction::new().append_log(end, vec![b"foreign".to_vec()]);
    store.commit(&foreign).unwrap();
    let late = builder(StoreSink::new(store.clone()).unwrap());
    let error = late.open().unwrap_err();
    assert!(matches!(error, AuditError::Damaged { .. }), "{error}");
    assert!(log(&store).ends_with(b"foreign"));
}

/// A store without a log, and one whose log is not the KMS's.
#[test]
fn a_trail_outside_of_the_kms_is_written_before_the_change() {
    let (keys, trails) = (MemoryKeyStore::new(), MemoryKeyStore::new());
    let trail = trail(StoreSink::new(trails.clone()).unwrap());
    assert!(!trail.records_with_commits());
    let key = RecordKey::new(Collection::META, RecordId::new("key").unwrap());
    let put = Transaction::new().put(key.clone(), Expected::Absent, "1");
    trail.commit(&event("done", "svc"), &keys, &put).unwrap();
    trail
        .commit(&event("conflict", "svc"), &keys, &put)
        .unwrap_err();
    assert_eq!(keys.read_log(0, 10).unwrap().end, 0);
    let found = AuditQuery::new().over(TrailReader::store(&trails));
    let found: Vec<_> = found.map(|record| record.unwrap().request_id).collect();
    assert_eq!(found, ["done", "conflict"]);
    assert_ne!(key, LogAppend::conflict_key());
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

#[test]
fn a_trail_needs_a_key_or_a_kms() {
    let error = AuditTrail::builder(MemorySink::new()).open().unwrap_err();
    assert!(error.to_string().contains("needs a key"), "{error}");
    let error = AuditTrail::in_key_store().key(key()).open().unwrap_err();
    assert!(error.to_string().contains("builder of that KMS"), "{error}");
}

#[cfg(feature = "tracing")]
#[test]
fn tracing_gets_each_record() {
    use tracing_subscriber::fmt::MakeWriter;
    use waxseal::audit::TracingSink;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Written {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(written.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let trail = trail(TracingSink);
        trail.record(&event("one", "svc:billing")).unwrap();
        trail.record(&event("two", "svc:other").denied()).unwrap();
    });
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, parts) in lines.iter().zip([
        ["INFO", "svc:billing", "\"allowed\"", "one"],
        ["WARN", "svc:other", "\"denied\"", "two"],
    ]) {
        for part in parts.iter().chain(&["waxseal::audit", "kms:Decrypt"]) {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}

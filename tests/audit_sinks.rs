//! Where a trail is kept: several places, many threads, sinks that fail, the key store, a log.

#[path = "common/audit.rs"]
mod audit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use audit::{Heads, builder, event, key, made_anew, records, trail};
use waxseal::audit::{
    Appended, AuditError, AuditQuery, AuditSink, AuditTrail, Batch, FanOut, MemorySink, StoreSink,
    Tail, TrailReader, Verification, verify,
};
use waxseal::store::{Collection, Expected, LogAppend, RecordId, RecordKey, Transaction};
use waxseal::{CreateKey, KeyStore, Kms, MemoryKeyStore, SoftwareKeyProvider};

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

/// A sink that counts on being called by one at a time, as it is promised.
#[derive(Debug, Clone, Default)]
struct OneAtATime {
    is_busy: Arc<AtomicBool>,
    met: Arc<AtomicBool>,
}

impl AuditSink for OneAtATime {
    fn name(&self) -> String {
        "the sink for one at a time".to_owned()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        Ok(None)
    }

    fn append(&self, _batch: &Batch<'_>) -> Result<Appended, AuditError> {
        if self.is_busy.swap(true, Ordering::SeqCst) {
            self.met.store(true, Ordering::SeqCst);
        }
        thread::sleep(Duration::from_millis(5));
        self.is_busy.store(false, Ordering::SeqCst);
        Ok(Appended::unchained())
    }
}

/// Also while changes are recorded in the transaction that makes them.
#[test]
fn a_sink_is_called_by_one_at_a_time() {
    let sink = OneAtATime::default();
    let trail = AuditTrail::in_key_store().also_if_possible(sink.clone());
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(SoftwareKeyProvider::generate().unwrap())
        .audit(trail)
        .open()
        .unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let kms = kms.as_principal(format!("svc:{n}"));
            scope.spawn(move || {
                for _ in 0..10 {
                    let key = kms.create_key(CreateKey::new()).unwrap();
                    kms.describe_key(&key).unwrap();
                }
            });
        }
    });
    assert!(!sink.met.load(Ordering::SeqCst));
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

/// Else the next checkpoint would sign it.
#[cfg(feature = "sqlite")]
#[test]
fn a_log_that_was_cut_or_made_anew_is_not_written_after() {
    use rusqlite::Connection;
    use waxseal::SqliteKeyStore;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trail.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    let heads = Heads::default();
    let open = || {
        let sink = StoreSink::new(store.clone()).unwrap();
        builder(sink).heads(heads.clone()).open()
    };
    let first = open().unwrap();
    first.record(&event("first", "svc:billing")).unwrap();
    first.checkpoint().unwrap();
    first.record(&event("second", "svc:billing")).unwrap();
    let written = log(&store);

    let edit = Connection::open(&path).unwrap();
    edit.execute("DELETE FROM log WHERE position = 3", [])
        .unwrap();
    let error = first.record(&event("third", "svc:billing")).unwrap_err();
    assert!(matches!(error, AuditError::Replaced { .. }), "{error}");
    drop(open().unwrap());

    // Longer than it was.
    let other = SqliteKeyStore::create(directory.path().join("other.db")).unwrap();
    let longer = made_anew(&[&written[..], b"\n", &written[..]].concat());
    let forged: Vec<_> = longer.split(|&byte| byte == b'\n').collect();
    let entries = forged[..forged.len() - 1].iter().map(|line| line.to_vec());
    let all = Transaction::new().append_log(0, entries.collect());
    other.commit(&all).unwrap();
    edit.execute_batch(&format!(
        "ATTACH '{}' AS other; DELETE FROM log; INSERT INTO log SELECT * FROM other.log",
        directory.path().join("other.db").display()
    ))
    .unwrap();
    assert_eq!(log(&store), log(&other));
    let error = first.record(&event("fourth", "svc:billing")).unwrap_err();
    assert!(matches!(error, AuditError::Replaced { .. }), "{error}");
    std::mem::forget(first);
    let error = open().unwrap_err();
    assert!(matches!(error, AuditError::Damaged { .. }), "{error}");
    assert_eq!(log(&store), log(&other));
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

#[cfg(feature = "tracing")]
#[test]
fn tracing_gets_each_record() {
    use std::sync::PoisonError;

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

//! What a record costs in memory, and how many a second are durable: grouped, and each on its own.
//!
//! `cargo bench --bench audit` takes half a minute. The disk is the one of the target directory.
//! How much grouping helps depends on it: where a write takes little longer than waking 64 threads
//! does, they are what is waited for. So the same is shown with each write made to take as long as
//! on a slower disk.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use waxseal::audit::{
    Appended, AuditError, AuditEvent, AuditKey, AuditSink, AuditTrail, Batch, DecidedBy,
    Durability, FileSink, MemorySink, Tail,
};
use waxseal::kms::Operation;
use waxseal::{EncryptionContext, KeyId, KeyVersion};

fn main() {
    // `cargo test` runs benches without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        in_memory();
        durable("this disk", Duration::ZERO);
        durable("a disk that takes 2 ms longer", Duration::from_millis(2));
    }
}

fn trail(sink: impl AuditSink + 'static) -> AuditTrail {
    let key = AuditKey::from_bytes(&[7; 32]);
    AuditTrail::builder(sink).key(key).open().unwrap()
}

/// What the KMS records of a data key.
fn event(context: &EncryptionContext) -> AuditEvent<'_> {
    let mut event = AuditEvent::new(
        "0123456789abcdef0123456789abcdef",
        "svc:billing",
        Operation::GenerateDataKey,
    );
    event.key = Some(KeyId::from_bytes([1; 16]));
    event.key_version = KeyVersion::new(3);
    event.context = Some(context);
    event.decided_by = Some(DecidedBy::KeyPolicy("AllowBilling"));
    event
}

const ROUND: u32 = 20_000;

fn in_memory() {
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    let mut nanos: Vec<u128> = (0..15)
        .map(|_| {
            let trail = trail(MemorySink::new());
            let start = Instant::now();
            for _ in 0..ROUND {
                black_box(trail.record(&event(&context)).unwrap());
            }
            start.elapsed().as_nanos() / u128::from(ROUND)
        })
        .collect();
    nanos.sort_unstable();
    println!(
        "a record in memory, one thread: {} ns (median of {}, {} to {})",
        nanos[nanos.len() / 2],
        nanos.len(),
        nanos[0],
        nanos[nanos.len() - 1]
    );
}

const THREADS: usize = 64;
const ROUND_TIME: Duration = Duration::from_millis(1200);

fn durable(disk: &str, delay: Duration) {
    let mut rounds: Vec<(f64, f64)> = (0..5)
        .map(|_| {
            let each = rate(Durability::EachRecord, delay);
            (each, rate(Durability::Grouped, delay))
        })
        .collect();
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    for (each, grouped) in &rounds {
        println!(
            "{disk}, {THREADS} threads: {each:.0} records/s each with an fsync, {grouped:.0} grouped: {:.1} times",
            grouped / each
        );
    }
    let (each, grouped) = rounds[rounds.len() / 2];
    println!("{disk}, median: {:.1} times", grouped / each);
}

/// Writes as a slower disk would: each write to it takes so much longer.
#[derive(Debug)]
struct Slower {
    inner: FileSink,
    delay: Duration,
    each: bool,
}

impl AuditSink for Slower {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        self.inner.tail()
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        if !self.delay.is_zero() {
            let writes = if self.each { batch.len() } else { 1 };
            thread::sleep(self.delay * u32::try_from(writes).unwrap());
        }
        self.inner.append(batch)
    }
}

/// Durable records per second.
fn rate(durability: Durability, delay: Duration) -> f64 {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sink = FileSink::open_or_create(directory.path().join("audit")).unwrap();
    let trail = trail(Slower {
        inner: sink.durability(durability),
        delay,
        each: durability == Durability::EachRecord,
    });
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    let (recorded, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let barrier = Barrier::new(THREADS + 1);
    let elapsed = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                while !is_over.load(Ordering::Relaxed) {
                    trail.record(&event(&context)).unwrap();
                    recorded.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        barrier.wait();
        let start = Instant::now();
        thread::sleep(ROUND_TIME);
        is_over.store(true, Ordering::Relaxed);
        let count = recorded.load(Ordering::Relaxed);
        (count, start.elapsed())
    });
    elapsed.0 as f64 / elapsed.1.as_secs_f64()
}

//! What a record costs in memory, and how many a second are durable: grouped, of threads and of
//! tasks, and each on its own.
//!
//! `cargo bench --bench audit --features tokio` takes a minute; without the feature, messages under a
//! KMS are left out. The disk is the one of the target directory. How much it helps that threads share
//! a write depends on it: where a write takes little longer than waking 64 threads does, they are what
//! is waited for. So the same is shown with each write made to take as long as on a slower disk.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
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
        let ways: &[(&str, Way)] = &[("64 threads", threads), ("4096 tasks", tasks)];
        durable("this disk", Duration::ZERO, ways);
        #[cfg(feature = "tokio")]
        messages();
        durable(
            "a disk that takes 2 ms longer",
            Duration::from_millis(2),
            ways,
        );
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

/// A way to record for some time: the records that were durable in it, and how long it was.
type Way = fn(&AuditTrail) -> (u64, Duration);

fn durable(disk: &str, delay: Duration, ways: &[(&str, Way)]) {
    let mut rounds: Vec<Vec<f64>> = (0..5)
        .map(|_| {
            let each = rate(Durability::EachRecord, delay, threads);
            let grouped = ways
                .iter()
                .map(|(_, way)| rate(Durability::Grouped, delay, *way));
            std::iter::once(each).chain(grouped).collect()
        })
        .collect();
    for (place, (name, _)) in ways.iter().enumerate() {
        let times = |round: &Vec<f64>| round[place + 1] / round[0];
        rounds.sort_by(|one, other| times(one).total_cmp(&times(other)));
        for round in &rounds {
            println!(
                "{disk}, {name}: {:.0} records/s each with an fsync, {:.0} grouped: {:.1} times",
                round[0],
                round[place + 1],
                times(round)
            );
        }
        println!(
            "{disk}, {name}, median: {:.1} times",
            times(&rounds[rounds.len() / 2])
        );
    }
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
fn rate(durability: Durability, delay: Duration, way: Way) -> f64 {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sink = FileSink::open_or_create(directory.path().join("audit")).unwrap();
    let trail = trail(Slower {
        inner: sink.durability(durability),
        delay,
        each: durability == Durability::EachRecord,
    });
    let (count, elapsed) = way(&trail);
    count as f64 / elapsed.as_secs_f64()
}

/// Each of 64 threads waits for its record before it makes the next.
fn threads(trail: &AuditTrail) -> (u64, Duration) {
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    let (recorded, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let barrier = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
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
        (recorded.load(Ordering::Relaxed), start.elapsed())
    })
}

const IN_FLIGHT: usize = 4096;

/// Each of 4096 tasks, on a runtime of 64 threads, waits for its record before it makes the next.
fn tasks(trail: &AuditTrail) -> (u64, Duration) {
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    in_tasks(|| {
        let (trail, context) = (trail.clone(), context.clone());
        move || {
            let pending = trail.submit(&event(&context)).unwrap();
            async { _ = pending.await.unwrap() }
        }
    })
}

fn in_tasks<F, Fut>(operation: impl Fn() -> F) -> (u64, Duration)
where
    F: Fn() -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .build()
        .unwrap();
    let progress = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (operation, progress) = (operation(), Arc::clone(&progress));
            runtime.spawn(async move {
                let (done, is_over) = &*progress;
                while !is_over.load(Ordering::Relaxed) {
                    operation().await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (done, is_over) = &*progress;
    let (start, before) = (Instant::now(), done.load(Ordering::Relaxed));
    thread::sleep(ROUND_TIME);
    let (count, elapsed) = (done.load(Ordering::Relaxed) - before, start.elapsed());
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    (count, elapsed)
}

/// Messages that a KMS gives data keys for, each on record before it is given out.
#[cfg(feature = "tokio")]
fn messages() {
    use waxseal::{AsyncEnvelope, CreateKey, Envelope, Kms, MemoryKeyStore, SoftwareKeyProvider};

    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sink = FileSink::open_or_create(directory.path().join("audit")).unwrap();
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(SoftwareKeyProvider::generate().unwrap())
        .audit(AuditTrail::builder(sink))
        .open()
        .unwrap();
    let handle = kms.as_principal("svc:billing");
    let key = handle.create_key(CreateKey::new()).unwrap().id;
    let envelope = AsyncEnvelope::new(Envelope::new(handle.keyring(key).unwrap()));
    let context = Arc::new(EncryptionContext::new([("tenant", "acme")]).unwrap());
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let (count, elapsed) = in_tasks(|| {
                let (envelope, context) = (envelope.clone(), Arc::clone(&context));
                move || {
                    let (envelope, context) = (envelope.clone(), Arc::clone(&context));
                    async move { _ = envelope.encrypt(&[7; 100], &context).await.unwrap() }
                }
            });
            count as f64 / elapsed.as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!(
        "this disk, 4096 tasks that seal under a KMS: {:.0} messages/s (median of 5, {:.0} to {:.0})",
        rates[2], rates[0], rates[4]
    );
}

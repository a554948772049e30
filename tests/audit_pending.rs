//! Records that are waited for without blocking.

#[path = "common/audit.rs"]
mod audit;
#[path = "common/held_sink.rs"]
mod held_sink;

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use audit::{event, key, trail};
use held_sink::{HeldSink, Works};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use waxseal::audit::{
    AuditError, AuditQuery, AuditTrail, FileSink, MemorySink, PendingRecord, TrailReader,
    Verification, Verified,
};

fn submit(trail: &AuditTrail, request: &str) -> PendingRecord {
    trail.submit(&event(request, "svc:billing")).unwrap()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// The requests of a trail that is as it was written.
fn requests(lines: &[u8]) -> Vec<String> {
    verified(TrailReader::bytes(lines));
    AuditQuery::new()
        .over(TrailReader::bytes(lines))
        .map(|record| record.unwrap().request_id)
        .collect()
}

fn verified(trail: TrailReader<'_>) -> Verified {
    let key = key();
    let verification = Verification::new().trusting_macs(&key);
    verification.verify(trail).unwrap()
}

fn ends_with_checkpoint(lines: &[u8]) -> bool {
    let last = lines.trim_ascii_end().rsplit(|&byte| byte == b'\n').next();
    last.is_some_and(|line| String::from_utf8_lossy(line).contains(r#""eventType":"checkpoint""#))
}

#[tokio::test]
async fn a_record_is_ready_when_it_is_written_and_not_before() {
    let lines = MemorySink::new();
    let sink = HeldSink::new(lines.clone());
    let trail = trail(sink.clone());
    sink.hold();
    let mut first = submit(&trail, "1");
    sink.wait_for(1);
    let mut others: Vec<_> = (2..=50).map(|n| submit(&trail, &n.to_string())).collect();
    for pending in [&mut first].into_iter().chain(&mut others) {
        assert!(timeout(Duration::from_millis(1), pending).await.is_err());
    }
    assert!(requests_of_none(&lines));
    sink.release();
    assert_eq!(first.await.unwrap().sequence, Some(1));
    let expected: Vec<_> = (1..=50).map(|n: u64| n.to_string()).collect();
    for (pending, sequence) in others.into_iter().zip(2..) {
        assert_eq!(pending.await.unwrap().sequence, Some(sequence));
    }
    assert_eq!(requests(&lines.to_bytes()), expected);
    assert_eq!(sink.begun(), 2, "what waited was not written together");
}

fn requests_of_none(lines: &MemorySink) -> bool {
    !String::from_utf8_lossy(&lines.to_bytes()).contains("requestID")
}

#[test]
fn thousands_of_tasks_share_few_writes() {
    const TASKS: usize = 5000;

    let directory = tempfile::tempdir().unwrap();
    let sink = HeldSink::new(FileSink::open_or_create(directory.path().join("audit")).unwrap());
    let trail = trail(sink.clone());
    let runtime = runtime();
    sink.hold();
    let (submitted, all) = channel();
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (trail, sink, submitted) = (trail.clone(), sink.clone(), submitted.clone());
            runtime.spawn(async move {
                let pending = submit(&trail, &n.to_string());
                submitted.send(()).unwrap();
                let sequence = pending.await.unwrap().sequence.unwrap();
                assert!(sink.has_written(sequence), "told before it was written");
                sequence
            })
        })
        .collect();
    assert_eq!(all.iter().take(TASKS).count(), TASKS);
    runtime.block_on(async {
        assert!(!tasks.iter().any(|task| task.is_finished()));
        sink.release();
        let mut sequences = Vec::new();
        for task in tasks {
            sequences.push(task.await.unwrap());
        }
        sequences.sort_unstable();
        sequences.dedup();
        assert_eq!(sequences.len(), TASKS);
    });
    assert!(sink.begun() <= 2, "{} writes", sink.begun());
    drop(trail);
    let written = TrailReader::directory(directory.path().join("audit")).unwrap();
    assert_eq!(verified(written).records, TASKS as u64);
}

#[tokio::test]
async fn what_cannot_be_written_fails_for_all_that_share_it() {
    let lines = MemorySink::new();
    let sink = HeldSink::new(lines.clone());
    let trail = trail(sink.clone());
    for works in [Works::Full, Works::Panics] {
        sink.set(works);
        let pending: Vec<_> = (0..20).map(|_| submit(&trail, "lost")).collect();
        for record in pending {
            let error = record.await.unwrap_err();
            match works {
                Works::Full => assert!(matches!(error, AuditError::Full { .. })),
                _ => assert!(error.to_string().contains("panicked"), "{error}"),
            }
        }
        sink.set(Works::Well);
        submit(&trail, "kept").await.unwrap();
    }
    assert_eq!(requests(&lines.to_bytes()), ["kept", "kept"]);
    let too_long = "x".repeat(1 << 16);
    let refused = trail.submit(&event(&too_long, "svc:billing"));
    assert!(matches!(refused, Err(AuditError::TooLong { .. })));
}

/// A panic within a panic would end the process.
#[test]
fn a_trail_that_the_panic_of_a_sink_drops_is_closed_without_another() {
    let sink = HeldSink::new(MemorySink::new());
    let trail = trail(sink.clone());
    trail.record(&event("kept", "svc:billing")).unwrap();
    sink.set(Works::Panics);
    let recording = thread::spawn(move || trail.record(&event("lost", "svc:billing")));
    recording.join().unwrap_err();
    assert_eq!(sink.begun(), 3, "it was not closed");
}

#[test]
fn threads_and_tasks_share_writes() {
    let lines = MemorySink::new();
    let sink = HeldSink::new(lines.clone());
    let trail = trail(sink.clone());
    let runtime = runtime();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..300 {
                    trail.record(&event("thread", "svc:billing")).unwrap();
                }
            });
        }
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let trail = trail.clone();
                runtime.spawn(async move {
                    for _ in 0..100 {
                        submit(&trail, "task").await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
    });
    let requests = requests(&lines.to_bytes());
    let by_tasks = requests.iter().filter(|request| *request == "task").count();
    assert_eq!((by_tasks, requests.len()), (6400, 6400 + 2400));
}

/// A thread that leads has only tasks to pass the lead on to, and tasks wait for no thread.
#[tokio::test]
async fn a_thread_that_led_leaves_tasks_to_the_writer() {
    let sink = HeldSink::new(MemorySink::new());
    let trail = trail(sink.clone());
    sink.hold();
    let leading = {
        let trail = trail.clone();
        thread::spawn(move || trail.record(&event("thread", "svc:billing")))
    };
    sink.wait_for(1);
    let pending = [(); 3].map(|()| submit(&trail, "task"));
    sink.release();
    for record in pending {
        record.await.unwrap();
    }
    leading.join().unwrap().unwrap();
}

#[test]
fn a_runtime_that_is_shut_down_takes_no_record_with_it() {
    let lines = MemorySink::new();
    let sink = HeldSink::new(lines.clone());
    let trail = trail(sink.clone());
    let runtime = runtime();
    sink.hold();
    runtime.block_on(async {
        for n in 0..100 {
            let pending = submit(&trail, &n.to_string());
            if n % 2 == 0 {
                tokio::spawn(pending);
            }
        }
    });
    let waiting = {
        let trail = trail.clone();
        thread::spawn(move || trail.record(&event("thread", "svc:billing")))
    };
    runtime.shutdown_background();
    sink.release();
    waiting.join().unwrap().unwrap();
    assert_eq!(requests(&lines.to_bytes()).len(), 101);
}

#[test]
fn a_trail_is_closed_when_its_last_record_is_told() {
    let runtime = Builder::new_current_thread().build().unwrap();
    for _ in 0..200 {
        let lines = MemorySink::new();
        let trail = trail(lines.clone());
        runtime.block_on(submit(&trail, "1")).unwrap();
        drop(trail);
        assert!(ends_with_checkpoint(&lines.to_bytes()));
    }
}

#[test]
fn a_trail_that_is_dropped_is_written_and_then_closed() {
    let lines = MemorySink::new();
    let sink = HeldSink::new(lines.clone());
    let trail = trail(sink.clone());
    sink.hold();
    drop([submit(&trail, "1"), submit(&trail, "2")]);
    drop(trail);
    sink.release();
    let start = Instant::now();
    while !ends_with_checkpoint(&lines.to_bytes()) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it is not closed"
        );
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(requests(&lines.to_bytes()), ["1", "2"]);
}

//! A trail from its beginning on: its key, its checkpoints, its head.

#[path = "common/audit.rs"]
mod audit;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit::{Heads, builder, event, key, split};
use waxseal::audit::{
    Appended, AuditError, AuditSink, AuditTrail, Batch, MemorySink, Tail, TrailReader,
    Verification, verify,
};
use waxseal::{ManualClock, Timestamp};

#[test]
fn a_trail_needs_a_key_or_a_kms() {
    let error = AuditTrail::builder(MemorySink::new()).open().unwrap_err();
    assert!(error.to_string().contains("needs a key"), "{error}");
    let error = AuditTrail::in_key_store().key(key()).open().unwrap_err();
    assert!(error.to_string().contains("builder of that KMS"), "{error}");
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
    // Whatever the date does meanwhile.
    clock.set_unix_time(Timestamp::MAX);
    trail.record(&event("late date", "svc")).unwrap();
    clock.set_unix_time(Timestamp::UNIX_EPOCH);
    clock.advance(Duration::from_secs(60));
    trail.record(&event("early date", "svc")).unwrap();
    assert_eq!(kinds().split_off(14), [false, false, true]);
    trail.close().unwrap();
    trail.close().unwrap();
    assert_eq!(kinds().len(), 17, "nothing was recorded since");
    trail.record(&event("last", "svc")).unwrap();
    drop(trail);
    assert_eq!(kinds()[17..], [false, true]);
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

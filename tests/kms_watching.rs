//! Spans and metrics: what they have, and what they do not.
#![cfg(all(feature = "metrics", feature = "tracing"))]

mod common;

use std::io;
use std::sync::{Arc, Mutex};

use common::kms_access::{Guarded, assert_denied};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use waxseal::{CreateKey, EncryptionContext};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Whether anybody listens to spans is known to the whole process, so one test listens at a time.
static LISTENING: Mutex<()> = Mutex::new(());

/// Does one thing that is allowed, one that is denied and one that fails.
fn three_operations() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = admin.create_key(CreateKey::new()).unwrap().id;
    let context = EncryptionContext::new([("tenant", "context-value")]).unwrap();
    let sealed = admin.encrypt(key, b"plain-value", &context).unwrap().bytes;
    assert_denied(
        guarded
            .kms
            .as_principal("svc:other")
            .decrypt(&sealed, &context),
    );
    admin.disable_key(key).unwrap();
    admin.decrypt(&sealed, &context).unwrap_err();
}

#[test]
fn a_span_for_each_operation_without_a_value() {
    let _alone = LISTENING.lock().unwrap();
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(written.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .finish();
    tracing::subscriber::with_default(subscriber, three_operations);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let line = |parts: &[&str]| {
        let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
        let found = text.lines().filter(has_all).count();
        assert_eq!(found, 1, "{parts:?} in {text}");
    };
    line(&[
        r#"operation="Encrypt""#,
        "ops:admin",
        r#"outcome="allowed""#,
        "key_version=1",
    ]);
    line(&[
        r#"operation="Decrypt""#,
        "svc:other",
        r#"outcome="denied""#,
        r#"error="Denied""#,
    ]);
    line(&[
        r#"operation="Decrypt""#,
        r#"outcome="failed""#,
        r#"error="InvalidState""#,
    ]);
    assert!(!text.contains("context-value") && !text.contains("plain-value"));
}

#[test]
fn counts_and_durations_of_each_operation() {
    let _alone = LISTENING.lock().unwrap();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, three_operations);
    let mut counted = Vec::new();
    let mut timed = 0;
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> = key
            .key()
            .labels()
            .map(|label| label.value().to_owned())
            .collect();
        assert!(labels.iter().all(|label| !label.contains("value")));
        match (key.kind(), value) {
            (MetricKind::Counter, DebugValue::Counter(count)) => {
                counted.push(format!("{} {} {count}", key.key().name(), labels.join(" ")));
            }
            (MetricKind::Histogram, DebugValue::Histogram(values)) => {
                assert_eq!(key.key().name(), "waxseal_kms_operation_seconds");
                timed += values.len();
            }
            other => panic!("{other:?}"),
        }
    }
    for expected in [
        "waxseal_kms_operations_total Encrypt allowed 1",
        "waxseal_kms_operations_total Decrypt denied 1",
        "waxseal_kms_operations_total Decrypt failed 1",
        "waxseal_kms_errors_total Decrypt Denied 1",
        "waxseal_kms_errors_total Decrypt InvalidState 1",
    ] {
        assert!(
            counted.iter().any(|it| it == expected),
            "{expected} in {counted:?}"
        );
    }
    // The policy of the store, the key, and four more.
    assert_eq!(timed, 6);
}

//! A forked child records on, and waits for no record of its parent's.
#![cfg(unix)]

#[path = "common/audit.rs"]
mod audit;
#[path = "common/held_sink.rs"]
mod held_sink;

use std::process::exit;

use audit::{event, key, trail};
use fork::{Fork, fork, waitpid};
use held_sink::HeldSink;
use tokio::runtime::Builder;
use waxseal::audit::{FileSink, TrailReader, Verification};

#[test]
fn a_child_does_not_wait_for_the_threads_of_its_parent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    let sink = HeldSink::new(FileSink::open_or_create(&path).unwrap());
    let trail = trail(sink.clone());
    let wait = |pending| {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(pending)
    };
    sink.hold();
    let pending = trail.submit(&event("parent", "svc:billing")).unwrap();
    sink.wait_for(1);
    match fork().unwrap() {
        Fork::Child => {
            sink.release();
            trail.record(&event("child", "svc:billing")).unwrap();
            wait(trail.submit(&event("child", "svc:billing")).unwrap()).unwrap();
            let of_parent = wait(pending).unwrap_err();
            assert!(of_parent.to_string().contains("forked"));
            exit(0);
        }
        Fork::Parent(child) => {
            waitpid(child).unwrap();
            sink.release();
            wait(pending).unwrap();
            drop(trail);
            let key = key();
            let written = TrailReader::directory(&path).unwrap();
            let verified = Verification::new()
                .trusting_macs(&key)
                .verify(written)
                .unwrap();
            assert_eq!(verified.records, 3, "the child failed");
        }
    }
}

//! A disk that fails at any instant, for good: system calls are refused with EIO from then on.
//!
//! In the suite this is short. For a campaign, in release:
//! `WAXSEAL_TEST_DISK_ERRORS=500 cargo test --release --test kms_disk_errors`.
#![cfg(all(target_os = "linux", feature = "sqlite"))]

#[path = "common/kms_lives.rs"]
mod kms_lives;
#[path = "common/process.rs"]
mod process;

use std::path::Path;
use std::thread;
use std::time::Duration;

use kms_lives::{Acknowledged, live, new_store, open, random};
use process::{Process, say, task};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};
use waxseal::KmsError;
use waxseal::store::StoreError;

const FAILURES: &str = "WAXSEAL_TEST_DISK_ERRORS";

/// What a store writes with, and what makes it durable.
const WRITES: [i64; 2] = [libc::SYS_pwrite64, libc::SYS_ftruncate];
const SYNCS: [i64; 2] = [libc::SYS_fsync, libc::SYS_fdatasync];

/// This test binary is its own child process: there, this test is all that runs.
#[test]
fn child_process() {
    let Some(task) = task() else {
        return;
    };
    let kms = open(&task.store, &task.whose);
    let fails: Vec<i64> = match task.name.as_str() {
        "no writes" => WRITES.to_vec(),
        "no syncs" => SYNCS.to_vec(),
        "neither" => [WRITES, SYNCS].concat(),
        name => panic!("no such task: {name}"),
    };
    thread::spawn(move || {
        thread::sleep(Duration::from_micros(5_000 + random(60_000)));
        fail_from_now_on(&fails);
        say("failing");
    });
    for _ in 0..3 {
        let error = live(&kms);
        let told = matches!(error, KmsError::Store(StoreError::Io { .. }));
        assert!(told, "{error:?}");
        say(format_args!("refused {error}"));
    }
}

#[test]
fn a_disk_that_fails_loses_nothing() {
    let failures = std::env::var(FAILURES).map_or(15, |count| count.parse().unwrap());
    let (directory, path) = new_store();
    let mut acknowledged = Acknowledged::default();
    for number in 0..failures {
        let task = ["no writes", "no syncs", "neither"][number % 3];
        let before = acknowledged.sealed.len();
        let child = Process::start(task, &path, "mortal");
        let refused = hear(child, &mut acknowledged, &path);
        assert_eq!(refused, 3);
        acknowledged.check(&open(&path, "heir"), before);
    }
    acknowledged.check(&open(&path, "last heir"), 0);
    println!(
        "{failures} failures: {} keys, {} messages, {} deletions",
        acknowledged.keys.len(),
        acknowledged.sealed.len(),
        acknowledged.deleting.len()
    );
    drop(directory);
}

/// Learns what a child did, and returns how often it was refused, in words that name the file.
fn hear(child: Process, acknowledged: &mut Acknowledged, path: &Path) -> usize {
    let mut refused = 0;
    for said in child.hear_all() {
        match said.strip_prefix("refused ") {
            Some(error) => {
                assert!(error.contains(&path.display().to_string()), "{error}");
                assert!(error.contains("see to the disk"), "{error}");
                refused += 1;
            }
            None if said == "failing" => {}
            None => acknowledged.hear(&said),
        }
    }
    refused
}

fn fail_from_now_on(system_calls: &[i64]) {
    let filter = SeccompFilter::new(
        system_calls
            .iter()
            .map(|&call| (call, Vec::new()))
            .collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EIO.unsigned_abs()),
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    apply_filter_all_threads(&filter).unwrap();
}

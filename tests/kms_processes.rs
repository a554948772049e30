//! Processes that share the KMS of one SQLite file: killed at any instant, and many at once.
//!
//! In the suite these are short. For a campaign, in release:
//! `WAXSEAL_TEST_KILLS=500 WAXSEAL_TEST_SECONDS=60 cargo test --release --test kms_processes`.
#![cfg(all(unix, feature = "sqlite"))]

#[path = "common/kms_lives.rs"]
mod kms_lives;
#[path = "common/process.rs"]
mod process;

use std::thread::sleep;
use std::time::{Duration, Instant};

use kms_lives::{Acknowledged, check_primaries, live, new_store, open, random};
use process::{Process, say, task};
use waxseal::kms::VersionCause;
use waxseal::{CreateKey, EncryptionContext, KmsHandle, RotationPolicy};

const SECONDS: &str = "WAXSEAL_TEST_SECONDS";
const KILLS: &str = "WAXSEAL_TEST_KILLS";

/// The budget of a version in the test of many processes.
const BUDGET: u64 = 640;

/// This test binary is its own child process: there, this test is all that runs.
#[test]
fn child_process() {
    let Some(task) = task() else {
        return;
    };
    let kms = open(&task.store, &task.whose);
    match task.name.as_str() {
        "live" => panic!("{}", live(&kms)),
        "share" => share(&kms, &task.whose),
        name => panic!("no such task: {name}"),
    }
}

#[test]
fn a_process_that_is_killed_loses_nothing() {
    let kills = number(KILLS).unwrap_or(20);
    let (directory, path) = new_store();
    let mut acknowledged = Acknowledged::default();
    for _ in 0..kills {
        let child = Process::start("live", &path, "mortal");
        sleep(Duration::from_micros(20_000 + random(80_000)));
        let before = acknowledged.sealed.len();
        for said in child.kill() {
            acknowledged.hear(&said);
        }
        acknowledged.check(&open(&path, "heir"), before);
    }
    acknowledged.check(&open(&path, "last heir"), 0);
    assert!(acknowledged.sealed.len() as u64 > kills, "it hardly lived");
    println!(
        "{kills} kills: {} keys, {} messages, {} deletions",
        acknowledged.keys.len(),
        acknowledged.sealed.len(),
        acknowledged.deleting.len()
    );
    drop(directory);
}

#[test]
fn eight_processes_on_one_store() {
    let (directory, path) = new_store();
    let kms = open(&path, "parent");
    let policy = RotationPolicy::by_budget(BUDGET);
    for number in 0..4 {
        let key = kms
            .create_key(CreateKey::new().with_rotation(policy))
            .unwrap();
        kms.create_alias(&format!("alias/{number}"), &key).unwrap();
    }
    let children: Vec<Process> = (0..8)
        .map(|number| Process::start("share", &path, &format!("p{number}")))
        .collect();
    let operations: u64 = children
        .into_iter()
        .flat_map(Process::hear_all)
        .map(|done| done.parse::<u64>().unwrap())
        .sum();
    drop(kms);
    let kms = open(&path, "auditor");
    check_primaries(&kms);
    let mut rotations = 0;
    for number in 0..4 {
        let key = kms.describe_key(&format!("alias/{number}")).unwrap();
        for name in 0..8 {
            let tag = format!("p{name}");
            assert!(key.tags.contains_key(&tag), "the tag {tag} was lost");
        }
        let versions = kms.list_versions(&key).unwrap();
        rotations += versions.len() - 1;
        // Nobody rotated a version whose budget was not used up, as a second rotation would.
        let next_cause = versions.iter().skip(1).map(|version| version.cause);
        for (version, next) in versions.iter().zip(next_cause) {
            assert_eq!(next, VersionCause::Budget);
            assert!(version.wraps >= BUDGET, "{version:?}");
        }
    }
    assert!(rotations > 0, "nothing was rotated");
    println!("{operations} operations, {rotations} rotations");
    drop(directory);
}

/// Works with the keys of all, and says how much it did.
fn share(kms: &KmsHandle, name: &str) {
    let context = EncryptionContext::empty();
    let deadline = Instant::now() + Duration::from_secs(number(SECONDS).unwrap_or(3));
    let mut sealed = Vec::new();
    let mut operations = 0u64;
    let mut round = 0u64;
    while Instant::now() < deadline {
        round += 1;
        for number in 0..4 {
            let alias = format!("alias/{number}");
            for _ in 0..20 {
                sealed.push(kms.encrypt(&alias, b"payload", &context).unwrap().bytes);
            }
            kms.tag_key(&alias, name, &round.to_string()).unwrap();
            let tags = kms.describe_key(&alias).unwrap().tags;
            assert_eq!(tags[name], round.to_string(), "an update was lost");
        }
        let own = format!("alias/{name}");
        kms.create_alias(&own, "alias/0").unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        kms.update_alias(&own, "alias/1").unwrap();
        kms.delete_alias(&own).unwrap();
        let failures = kms.tick().unwrap().failures;
        assert!(failures.is_empty(), "{failures:?}");
        for message in sealed.drain(..) {
            assert_eq!(
                *kms.decrypt(&message, &context).unwrap().plaintext,
                *b"payload"
            );
            operations += 2;
        }
        operations += 12;
    }
    say(operations);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

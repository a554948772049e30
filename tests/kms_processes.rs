//! Processes that share the KMS of one SQLite file: killed at any instant, and many at once.
//!
//! In the suite these are short. For a campaign, in release:
//! `WAXSEAL_TEST_KILLS=500 WAXSEAL_TEST_SECONDS=60 cargo test --release --test kms_processes`.
#![cfg(all(unix, feature = "sqlite"))]

#[path = "common/process.rs"]
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use process::{Process, place, say, task};
use tempfile::TempDir;
use waxseal::kms::VersionCause;
use waxseal::{
    CreateKey, EncryptionContext, KeyId, KeyState, Kms, KmsHandle, ListKeys, RandomSource, RootKey,
    RotationPolicy, SoftwareKeyProvider, SqliteKeyStore, SystemRandom, WaitingPeriod,
};

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
        "live" => live(&kms),
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

/// Lives until it is killed, and says what it was told was done.
fn live(kms: &KmsHandle) {
    let context = EncryptionContext::empty();
    let mut keys: Vec<KeyId> = Vec::new();
    loop {
        let key = match keys.len() {
            0..3 => None,
            len => keys
                .get(usize::try_from(random(len as u64 + 1)).unwrap())
                .copied(),
        };
        let Some(key) = key else {
            let key = kms.create_key(CreateKey::new()).unwrap().id;
            say(format_args!("created {key}"));
            keys.push(key);
            continue;
        };
        match random(8) {
            0 => {
                let version = kms.rotate_now(key).unwrap();
                say(format_args!("rotated {key} {version}"));
            }
            1 => {
                kms.create_alias(&format!("alias/{}", random(u64::MAX)), key)
                    .unwrap();
            }
            2 if keys.len() > 6 => {
                kms.schedule_deletion(key, WaitingPeriod::days(7).unwrap())
                    .unwrap();
                say(format_args!("deleting {key}"));
                keys.retain(|&other| other != key);
            }
            _ => {
                let sealed = kms.encrypt(key, b"payload", &context).unwrap();
                let hex = base16ct::lower::encode_string(&sealed.bytes);
                say(format_args!("sealed {key} {hex}"));
            }
        }
    }
}

/// What children were told was done.
#[derive(Default)]
struct Acknowledged {
    /// The keys, and the last version of each that was made primary.
    keys: BTreeMap<String, u32>,
    sealed: Vec<(String, Vec<u8>)>,
    deleting: BTreeSet<String>,
}

impl Acknowledged {
    fn hear(&mut self, said: &str) {
        let words: Vec<&str> = said.split(' ').collect();
        match words[..] {
            ["created", key] => drop(self.keys.insert(key.to_owned(), 1)),
            ["rotated", key, version] => {
                self.keys.insert(key.to_owned(), version.parse().unwrap());
            }
            ["sealed", key, hex] => {
                let bytes = base16ct::lower::decode_vec(hex).unwrap();
                self.sealed.push((key.to_owned(), bytes));
            }
            ["deleting", key] => drop(self.deleting.insert(key.to_owned())),
            _ => panic!("the child said {said:?}"),
        }
    }

    /// Checks the keys, and the messages from number `first` on.
    fn check(&self, kms: &KmsHandle, first: usize) {
        for (key, &version) in &self.keys {
            let found = kms.describe_key(key).unwrap();
            assert!(found.primary.get() >= version, "{key} lost a version");
        }
        check_primaries(kms);
        // A deletion may have been scheduled, and the child killed before it could say so.
        let is_deleting = |key: &&String| {
            kms.describe_key(key.as_str()).unwrap().state == KeyState::PendingDeletion
        };
        let deleting: BTreeSet<_> = self.keys.keys().filter(is_deleting).cloned().collect();
        assert!(deleting.is_superset(&self.deleting));
        for key in &deleting {
            kms.cancel_deletion(key).unwrap();
            kms.enable_key(key).unwrap();
        }
        let context = EncryptionContext::empty();
        for (key, message) in &self.sealed[first..] {
            let opened = kms.decrypt(message, &context).unwrap();
            assert_eq!(*opened.plaintext, *b"payload");
            assert_eq!(opened.key.to_string(), *key);
        }
        for key in &deleting {
            kms.schedule_deletion(key, WaitingPeriod::days(7).unwrap())
                .unwrap();
        }
    }
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

fn check_primaries(kms: &KmsHandle) {
    let mut request = ListKeys::new();
    loop {
        let page = kms.list_keys(&request).unwrap();
        for key in &page.keys {
            let versions = kms.list_versions(key).unwrap();
            let primaries = versions.iter().filter(|version| version.primary).count();
            assert_eq!(primaries, 1, "{}", key.id);
        }
        match page.next {
            Some(next) => request = ListKeys::new().after(next),
            None => return,
        }
    }
}

fn new_store() -> (TempDir, PathBuf) {
    let (directory, path) = place();
    drop(open(&path, "founder"));
    (directory, path)
}

fn open(path: &Path, name: &str) -> KmsHandle {
    let provider = SoftwareKeyProvider::new(&RootKey::from_bytes(&[0x11; 32]));
    Kms::open(SqliteKeyStore::open_or_create(path).unwrap(), provider)
        .unwrap()
        .as_principal(name)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

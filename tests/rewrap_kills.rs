//! A rewrap of a directory that is killed at any instant loses nothing: every file opens under the
//! old key or the new one.
//!
//! `WAXSEAL_REWRAP_KILLS=200 cargo test --test rewrap_kills -- --nocapture` is the campaign.

#[path = "common/process.rs"]
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use process::{Process, say, task, with_room_for};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Keyring, MultiKeyring, Rewrap, RewrapFileError,
    RewrapJob, RewrapReport, RootKey, SingleKeyring,
};

const KILLS: &str = "WAXSEAL_REWRAP_KILLS";
const FILES: usize = 1500;
/// The key that all files get.
const COMMON: u8 = 99;

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn keyring(number: u8) -> SingleKeyring {
    SingleKeyring::software(&RootKey::from_bytes(&[number; 32]))
}

fn payload(number: usize) -> Vec<u8> {
    number.to_be_bytes().repeat(40)
}

fn seal(directory: &Path, number: usize, keyring: impl Keyring + 'static) {
    let message = Envelope::new(keyring)
        .encrypt(&payload(number), &context())
        .unwrap();
    fs::write(path_of(directory, number), message).unwrap();
}

fn seal_those_that_grow(directory: &Path, key: u8) {
    for number in (0..FILES).filter(|number| grows(*number)) {
        seal(directory, number, keyring(key));
    }
}

fn path_of(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("f{number}"))
}

/// Every fiftieth file is sealed anew for each round under one key, and its header grows.
fn grows(number: usize) -> bool {
    number % 50 == 3
}

/// Rewraps from one key to another, and to the one that all have.
fn rewrap(directory: &Path, from: u8, to: u8) -> RewrapReport {
    try_rewrap(directory, from, to).unwrap()
}

fn try_rewrap(directory: &Path, from: u8, to: u8) -> Result<RewrapReport, RewrapFileError> {
    let both = MultiKeyring::new(keyring(from)).opening_also(keyring(to));
    let envelope = Envelope::new(both);
    let change = Rewrap::to(MultiKeyring::new(keyring(to)).with_key(keyring(COMMON)));
    RewrapJob::new(&envelope, change).run_directory(directory, |_| Some(context()))
}

/// All there is to do in a child.
#[test]
fn child_process() {
    let Some(task) = task() else { return };
    let (from, to) = task.whose.split_once(' ').unwrap();
    say("begins");
    match try_rewrap(&task.store, from.parse().unwrap(), to.parse().unwrap()) {
        Ok(_) => say("is done"),
        Err(error) => say(error),
    }
}

#[test]
fn a_rewrap_that_is_killed_loses_nothing() {
    let kills: usize = std::env::var(KILLS).map_or(12, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let for_all = MultiKeyring::new(keyring(1)).with_key(keyring(COMMON));
    for number in 0..FILES {
        seal(directory.path(), number, for_all.clone());
    }
    let (mut from, mut to) = (1, 2);
    seal_those_that_grow(directory.path(), from);
    let began = Instant::now();
    rewrap(directory.path(), from, to);
    (from, to) = (to, from);
    // How long a run takes: longer or shorter, as the machine is busy with other things.
    let mut whole = began.elapsed();
    let mut moved = 0;
    let (mut unfinished, mut amid) = (0, 0);
    for kill in 0..kills {
        seal_those_that_grow(directory.path(), from);
        let before = check(directory.path(), from, to);
        let mut child = Process::start("rewrap", directory.path(), &format!("{from} {to}"));
        assert_eq!(child.hear().as_deref(), Some("begins"));
        // Points spread over the whole of what is left to do, in an order without a pattern.
        let left = (FILES - before) as f64 / FILES as f64;
        let part = (kill * 7919 % 1000) as f64 / 1000.0;
        std::thread::sleep(whole.mul_f64(left * part));
        let said = child.kill();
        let is_unfinished = said.is_empty();
        unfinished += usize::from(is_unfinished);
        whole = if is_unfinished {
            whole * 21 / 20
        } else {
            whole * 3 / 4
        };
        let now = check(directory.path(), from, to);
        amid += usize::from(is_unfinished && now > before);
        moved += now;
        if kill % 3 == 2 {
            // Gone on with to its end.
            let report = rewrap(directory.path(), from, to);
            assert_eq!(
                (report.failed, report.looked_at),
                (0, FILES as u64),
                "{report:?}"
            );
            assert_eq!(check(directory.path(), from, to), FILES);
            (from, to) = (to, from);
        }
    }
    println!(
        "{kills} kills, {unfinished} before the end, {amid} of them when it had changed something; {moved} files seen under the new key"
    );
    assert!(unfinished > kills / 4, "{unfinished} of {kills}");
}

#[test]
fn a_rewrap_that_runs_out_of_room_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let for_all = MultiKeyring::new(keyring(1)).with_key(keyring(COMMON));
    for number in 0..FILES {
        seal(directory.path(), number, for_all.clone());
    }
    // Less than the journal of a batch takes, and more than a file.
    let mut limited = with_room_for(64);
    let said = Process::start_in(&mut limited, "rewrap", directory.path(), "1 2").hear_all();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[1].starts_with("could not write") && said[1].contains(".waxseal-rewrap"),
        "{said:?}"
    );
    assert_eq!(check(directory.path(), 1, 2), 0);
    let report = rewrap(directory.path(), 1, 2);
    assert_eq!((report.rewrapped, report.failed), (FILES as u64, 0));
    assert_eq!(check(directory.path(), 1, 2), FILES);
}

/// How many files open under the new key. All others open under the old one.
fn check(directory: &Path, from: u8, to: u8) -> usize {
    let (old, new) = (Envelope::new(keyring(from)), Envelope::new(keyring(to)));
    let mut moved = 0;
    for number in 0..FILES {
        let message = fs::read(path_of(directory, number)).unwrap();
        let opened = match new.decrypt(&message, &context()) {
            Ok(opened) => {
                moved += 1;
                opened
            }
            Err(_) => old.decrypt(&message, &context()).unwrap(),
        };
        assert_eq!(*opened, payload(number)[..]);
    }
    moved
}

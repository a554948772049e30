//! What the keys of subjects cost as they become many: to create one, to use one for the first time,
//! to erase one, the store on disk, memory.
//!
//! `cargo bench --bench subjects` goes to 10,000; `WAXSEAL_BENCH_SUBJECTS=1000000` tells how far, and
//! `TMPDIR` where the store is. Prints a line for each power of ten.

use std::path::Path;
use std::time::{Duration, Instant};

use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyId, Kms, KmsHandle, RootKey,
    SoftwareKeyProvider, SqliteKeyStore,
};

/// Subjects that are used, and that are erased, for a median.
const SAMPLES: usize = 101;

fn main() {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let path = directory.path().join("keys.db");
    let root_key = RootKey::generate().expect("the system has randomness");
    let last = last_count();
    let kms = open(&path, &root_key);
    let key = kms.create_key(CreateKey::new()).expect("it is created").id;
    let (mut created, mut count) = (0, last.min(1000));
    loop {
        let began = Instant::now();
        for number in created..count {
            kms.create_subject(key, &name(number)).expect("it is new");
        }
        let each = began.elapsed() / u32::try_from(count - created).expect("a few millions");
        created = count;
        println!("{count} subjects:");
        println!("  {each:?} to create one");
        println!("  {} bytes of memory in all", resident().unwrap_or(0));
        // What is kept in memory is not looked at from here on.
        look_at(&open(&path, &root_key), key, count);
        let bytes = file_len(&path);
        println!("  {} bytes of store for each", bytes / count as u64);
        if count == last {
            break;
        }
        count = (count * 10).min(last);
    }
}

/// Uses and erases some of so many, in a process that knows none of them.
fn look_at(kms: &KmsHandle, key: KeyId, count: usize) {
    let context = EncryptionContext::empty();
    let began = Instant::now();
    kms.tick().expect("the store answers");
    println!("  {:?} for the first tick", began.elapsed());
    let samples = SAMPLES.min(count / 2);
    let some = |from: usize| (0..samples).map(move |number| from + number * (count / samples));
    let seal = some(0).map(|number| {
        timed(|| {
            let keyring = kms.subject_keyring(key, &name(number)).expect("a name");
            Envelope::new(keyring)
                .encrypt(b"x", &context)
                .expect("it seals");
        })
    });
    println!(
        "  {:?} for the first message of one",
        median(seal.collect())
    );
    let erase = some(1).map(|number| {
        timed(|| {
            kms.erase_subject(key, &name(number)).expect("it is there");
        })
    });
    println!("  {:?} to erase one", median(erase.collect()));
    // They come back, so that the next look finds as many.
    for number in some(1) {
        kms.create_subject(key, &name(number))
            .expect("it was erased");
    }
    let began = Instant::now();
    kms.tick().expect("the store answers");
    println!("  {:?} for the next tick", began.elapsed());
}

fn name(number: usize) -> String {
    format!("person:{number}")
}

fn open(path: &Path, root_key: &RootKey) -> KmsHandle {
    let store = SqliteKeyStore::open_or_create(path).expect("the file is a store");
    Kms::open(store, SoftwareKeyProvider::new(root_key))
        .expect("it opens")
        .as_principal("bench")
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// With what SQLite keeps beside the file.
fn file_len(path: &Path) -> u64 {
    let directory = path.parent().expect("a file is in a directory");
    let files = std::fs::read_dir(directory).expect("it is there");
    let lens = files.map(|file| {
        file.and_then(|file| file.metadata())
            .map_or(0, |it| it.len())
    });
    lens.sum()
}

/// Bytes of memory that the process has, where `/proc` tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn last_count() -> usize {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    match std::env::var("WAXSEAL_BENCH_SUBJECTS") {
        Ok(count) if is_bench => count.parse().expect("a number"),
        _ if is_bench => 10_000,
        // A test runs it.
        _ => 20,
    }
}

//! What a KMS costs: a data key from a key in memory, and a store of 100,000 keys.
//!
//! `cargo bench --bench kms`. Prints medians, and what the operating system says of memory.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyId, KeyStore, Kms, KmsHandle,
    MemoryKeyStore, RootKey, SoftwareKeyProvider, SqliteKeyStore,
};

const KEYS: usize = 100_000;
/// One of so many keys has an alias.
const ALIASED: usize = 100;

fn main() {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let path = directory.path().join("keys.db");
    let root_key = RootKey::generate().expect("the system has randomness");

    let kms = open(MemoryKeyStore::new(), &root_key);
    operations("memory", &kms);
    operations(
        "sqlite",
        &open(sqlite(&directory.path().join("few.db")), &root_key),
    );
    // A key is created durably, so many take their time.
    let keys = if is_bench() { KEYS } else { 100 };
    many_keys(&path, &root_key, keys);
}

/// Operations with a key that is in memory.
fn operations(store: &str, kms: &KmsHandle) {
    let key = kms.create_key(CreateKey::new()).expect("it is created").id;
    let context = EncryptionContext::new([("tenant", "acme")]).expect("one short pair");
    report(store, "generate_data_key", || {
        black_box(kms.generate_data_key(key, &context).expect("it generates"));
    });
    let sealed = kms.encrypt(key, &[0x5a; 64], &context).expect("it seals");
    report(store, "encrypt, 64 bytes", || {
        black_box(kms.encrypt(key, &[0x5a; 64], &context).expect("it seals"));
    });
    report(store, "decrypt, 64 bytes", || {
        black_box(kms.decrypt(&sealed.bytes, &context).expect("it opens"));
    });
    let envelope = Envelope::new(kms.keyring(key).expect("an id names a key"));
    report(store, "a message of 64 bytes under the keyring", || {
        black_box(envelope.encrypt(&[0x5a; 64], &context).expect("it seals"));
    });
}

fn many_keys(path: &Path, root_key: &RootKey, count: usize) {
    let keys: Vec<KeyId> = {
        let kms = open(sqlite(path), root_key);
        (0..count)
            .map(|number| {
                let key = kms.create_key(CreateKey::new()).expect("it is created");
                if number % ALIASED == 0 {
                    let alias = format!("alias/{number}");
                    kms.create_alias(&alias, &key).expect("it is new");
                }
                key.id
            })
            .collect()
    };
    let began = Instant::now();
    let kms = Kms::builder(sqlite(path))
        .provider(SoftwareKeyProvider::new(root_key))
        .cached_keys(count)
        .open()
        .expect("it opens")
        .as_principal("bench");
    println!("{count} keys: opened in {:?}", began.elapsed());

    let before = resident();
    let began = Instant::now();
    for key in &keys {
        black_box(kms.describe_key(key).expect("it is there"));
    }
    let each = began.elapsed() / u32::try_from(count).unwrap_or(u32::MAX);
    println!("{count} keys: {each:?} to read one by its id");
    if let (Some(before), Some(after)) = (before, resident()) {
        let each = after.saturating_sub(before) / count as u64;
        println!("{count} keys: {each} bytes of memory for one that is kept");
    }
    let began = Instant::now();
    let aliased = (0..count).step_by(ALIASED);
    for number in aliased.clone() {
        let alias = format!("alias/{number}");
        black_box(kms.describe_key(&alias).expect("it is there"));
    }
    let each = began.elapsed() / u32::try_from(aliased.len()).unwrap_or(u32::MAX);
    println!("{count} keys: {each:?} to read one by its alias");
}

fn open(store: impl KeyStore + 'static, root_key: &RootKey) -> KmsHandle {
    Kms::open(store, SoftwareKeyProvider::new(root_key))
        .expect("it opens")
        .as_principal("bench")
}

fn sqlite(path: &Path) -> SqliteKeyStore {
    SqliteKeyStore::open_or_create(path).expect("the file is a store")
}

/// Prints the median of many runs.
fn report(store: &str, name: &str, mut work: impl FnMut()) {
    const RUNS: u32 = 200;
    let samples = if is_bench() { 101 } else { 1 };
    let mut times: Vec<Duration> = (0..samples)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..RUNS {
                work();
            }
            began.elapsed() / RUNS
        })
        .collect();
    times.sort_unstable();
    println!("{store}: {name}: {:?}", times[times.len() / 2]);
}

/// Bytes of memory that the process has, where `/proc` tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Whether this is a measurement, and not a test that the bench runs.
fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

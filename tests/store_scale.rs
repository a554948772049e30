//! A hundred thousand records in an SQLite file.
#![cfg(feature = "sqlite")]

use std::time::{Duration, Instant};

use waxseal::store::{
    Collection, Expected, RecordId, RecordKey, ScanRequest, Sequence, Transaction,
};
use waxseal::{KeyStore, SqliteKeyStore};

const RECORDS: u32 = 100_000;
const IN_ONE_COMMIT: u32 = 50_000;

/// Ids as random ones are: all over the place.
fn key(n: u32) -> RecordKey {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_be_bytes());
    RecordKey::new(Collection::KEYS, id.into())
}

#[test]
fn a_hundred_thousand_records() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    for begin in (0..RECORDS).step_by(IN_ONE_COMMIT as usize) {
        let transaction = (begin..begin + IN_ONE_COMMIT).fold(Transaction::new(), |all, n| {
            all.put(key(n), Expected::Absent, vec![7; 400])
        });
        store.commit(&transaction).unwrap();
    }
    drop(store);

    let start = Instant::now();
    let store = SqliteKeyStore::open(&path).unwrap();
    let opened = start.elapsed();

    let start = Instant::now();
    for n in (0..RECORDS).step_by(100) {
        assert!(store.get(&key(n)).unwrap().is_some());
    }
    let of_a_get = start.elapsed() / (RECORDS / 100);

    let start = Instant::now();
    let absent = RecordId::new("absent").unwrap();
    for collection in [Collection::KEYS, Collection::ALIASES] {
        let key = RecordKey::new(collection, absent.clone());
        assert!(store.get(&key).unwrap().is_none());
    }
    let mut all = 0;
    let mut last: Option<RecordId> = None;
    loop {
        let mut request = ScanRequest::new(Collection::KEYS, 1000);
        request.after = last.as_ref();
        let page = store.scan(request).unwrap();
        all += page.len();
        match page.into_iter().next_back() {
            Some((id, _)) => last = Some(id),
            None => break,
        }
    }
    assert_eq!(all, RECORDS as usize);
    let scanned = start.elapsed();

    let start = Instant::now();
    let latest = store.latest().unwrap();
    let polls = 1000;
    for _ in 0..polls {
        assert!(store.changes(latest, 100).unwrap().changed.is_empty());
    }
    let of_a_poll = start.elapsed() / polls;
    let changes = store.changes(Sequence::START, 1).unwrap();
    assert_eq!(changes.changed.len(), IN_ONE_COMMIT as usize);

    let start = Instant::now();
    let put = Transaction::new().put(key(RECORDS), Expected::Absent, vec![7; 400]);
    store.commit(&put).unwrap();
    let committed = start.elapsed();

    let start = Instant::now();
    store.verify().unwrap();
    let verified = start.elapsed();

    println!(
        "open {opened:?}, get {of_a_get:?}, scan all {scanned:?}, changes, none {of_a_poll:?}, \
         commit {committed:?}, verify {verified:?}"
    );
    assert!(opened < Duration::from_secs(1), "{opened:?}");
}

//! The log beside the records.

use super::{assert_conflict, meta, put};
use crate::store::{
    CommitError, Expected, KeyStore, LogAppend, MAX_RECORD_LEN, Revision, Sequence, StoreError,
    Transaction,
};

pub(super) fn entries_stay_in_their_order(store: &dyn KeyStore) {
    if !has_log(store) {
        return;
    }
    assert_eq!(read(store, 0, 10), (vec![], 0));
    append(store, 0, &["a", "", "c"]);
    append(store, 3, &["d"]);
    append(store, 4, &[]);
    assert_eq!(read(store, 0, 10), (texts(&["a", "", "c", "d"]), 4));
    assert_eq!(read(store, 1, 2), (texts(&["", "c"]), 4));
    assert_eq!(read(store, 3, usize::MAX), (texts(&["d"]), 4));
    for (from, limit) in [(0, 0), (4, 1), (5, 1), (u64::MAX, 1)] {
        assert_eq!(read(store, from, limit), (vec![], 4), "{from}, {limit}");
    }
}

pub(super) fn a_log_that_ends_elsewhere_is_a_conflict(store: &dyn KeyStore) {
    if !has_log(store) {
        return;
    }
    append(store, 0, &["a"]);
    let key = meta("not written");
    for position in [0, 2, u64::MAX] {
        let both = log(position, &["b"]).put(key.clone(), Expected::Absent, "");
        assert_conflict(store.commit(&both), &LogAppend::conflict_key());
        let wrong = Expected::Revision(Revision::new(7));
        let both = log(position, &["b"]).put(key.clone(), wrong, "");
        assert_conflict(store.commit(&both), &LogAppend::conflict_key());
    }
    assert_eq!(store.get(&key).unwrap(), None);
    assert_eq!(read(store, 0, 10), (texts(&["a"]), 1));
    assert_eq!(store.latest().unwrap(), Sequence::START);
}

pub(super) fn log_and_records_are_written_together_or_not_at_all(store: &dyn KeyStore) {
    if !has_log(store) {
        return;
    }
    let key = meta("logged");
    let both = log(0, &["created"]).put(key.clone(), Expected::Absent, "1");
    let first = store.commit(&both).unwrap();
    assert_eq!((first.get(), store.latest().unwrap()), (1, first));

    let stale = log(1, &["not done"]).put(key.clone(), Expected::Absent, "2");
    assert_conflict(store.commit(&stale), &key);
    let stale = log(1, &["not done"]).check(key.clone(), Expected::Absent);
    assert_conflict(store.commit(&stale), &key);
    assert_eq!(read(store, 0, 10), (texts(&["created"]), 1));

    let checked = log(1, &["seen"]).check(key, Expected::Revision(first.into()));
    assert_eq!(store.commit(&checked).unwrap(), first);
    assert_eq!(read(store, 0, 10), (texts(&["created", "seen"]), 2));
}

pub(super) fn the_log_is_in_no_feed(store: &dyn KeyStore) {
    if !has_log(store) {
        return;
    }
    let first = put(store, &meta("record"), Expected::Absent, b"");
    append(store, 0, &["a"]);
    append(store, 1, &["b"]);
    assert_eq!(store.latest().unwrap(), first);
    let changes = store.changes(first, 10).unwrap();
    assert_eq!(
        (changes.changed, changes.through, changes.latest),
        (vec![], first, first)
    );
    let second = put(store, &meta("another"), Expected::Absent, b"");
    assert_eq!(second.get(), first.get() + 1);
    store.erase_replaced().unwrap();
    assert_eq!(read(store, 0, 10), (texts(&["a", "b"]), 2));
}

pub(super) fn too_large_an_entry_is_refused(store: &dyn KeyStore) {
    if !has_log(store) {
        return;
    }
    let largest = Transaction::new().append_log(0, vec![vec![7; MAX_RECORD_LEN]]);
    store.commit(&largest).unwrap();
    let larger = Transaction::new().append_log(1, vec![vec![7; MAX_RECORD_LEN + 1]]);
    assert!(matches!(
        store.commit(&larger),
        Err(CommitError::Store(StoreError::LogEntryTooLarge { .. }))
    ));
    let page = store.read_log(0, 10).unwrap();
    assert_eq!((page.entries[0].len(), page.end), (MAX_RECORD_LEN, 1));
    assert!(!format!("{page:?} {largest:?}").contains("7, 7"));
}

fn has_log(store: &dyn KeyStore) -> bool {
    match store.read_log(0, 0) {
        Ok(_) => true,
        Err(StoreError::NoLog { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn log(position: u64, entries: &[&str]) -> Transaction {
    let entries = entries.iter().map(|entry| entry.as_bytes().to_vec());
    Transaction::new().append_log(position, entries.collect())
}

fn append(store: &dyn KeyStore, position: u64, entries: &[&str]) {
    store.commit(&log(position, entries)).unwrap();
}

fn texts(entries: &[&str]) -> Vec<String> {
    entries.iter().map(|&entry| entry.to_owned()).collect()
}

fn read(store: &dyn KeyStore, from: u64, limit: usize) -> (Vec<String>, u64) {
    let page = store.read_log(from, limit).unwrap();
    let entries = page.entries.into_iter();
    let entries = entries.map(|entry| String::from_utf8(entry).unwrap());
    (entries.collect(), page.end)
}

//! The feed of changes.

use std::collections::BTreeSet;

use super::{keys_of, meta, put};
use crate::store::{Expected, KeyStore, RecordKey, Sequence, Transaction};

pub(super) fn each_change_is_told_once_in_order(store: &dyn KeyStore) {
    let [a, b, c] = ["a", "b", "c"].map(meta);
    let first = put(store, &a, Expected::Absent, b"");
    let second = put(store, &b, Expected::Absent, b"");
    let third = put(store, &c, Expected::Absent, b"");
    let fourth = put(store, &a, Expected::Revision(first.into()), b"");
    let fifth = store
        .commit(&Transaction::new().delete(b.clone(), second.into()))
        .unwrap();
    let changes = store.changes(Sequence::START, 10).unwrap();
    assert_eq!(keys_of(&changes), [&c, &a, &b]);
    let sequences: Vec<_> = changes
        .changed
        .iter()
        .map(|change| change.sequence)
        .collect();
    assert_eq!(sequences, [third, fourth, fifth]);
    let changes = store.changes(third, 10).unwrap();
    assert_eq!(keys_of(&changes), [&a, &b]);
    assert_eq!((changes.through, changes.latest), (fifth, fifth));
    assert!(store.changes(fifth, 10).unwrap().changed.is_empty());
}

pub(super) fn pages_of_changes_are_complete(store: &dyn KeyStore) {
    let keys: Vec<RecordKey> = (0..10).map(|n| meta(&format!("record-{n}"))).collect();
    for pair in keys.chunks(2) {
        let both = pair.iter().fold(Transaction::new(), |transaction, key| {
            transaction.put(key.clone(), Expected::Absent, "")
        });
        store.commit(&both).unwrap();
    }
    for limit in [0, 1, 2, 3, 7, 100] {
        let mut found = BTreeSet::new();
        let mut since = Sequence::START;
        loop {
            let changes = store.changes(since, limit).unwrap();
            assert_eq!(changes.latest.get(), 5);
            for change in &changes.changed {
                assert!(change.sequence > since && change.sequence <= changes.through);
                assert!(found.insert(change.key.clone()), "{} twice", change.key);
            }
            if changes.through == changes.latest {
                break;
            }
            assert!(changes.through > since, "no progress");
            since = changes.through;
        }
        assert_eq!(found, keys.iter().cloned().collect());
    }
}

pub(super) fn changes_of_one_commit_are_not_divided(store: &dyn KeyStore) {
    let all = (0..20).fold(Transaction::new(), |transaction, n| {
        transaction.put(meta(&format!("record-{n}")), Expected::Absent, "")
    });
    let sequence = store.commit(&all).unwrap();
    let after = put(store, &meta("after"), Expected::Absent, b"");
    let changes = store.changes(Sequence::START, 3).unwrap();
    assert_eq!(changes.changed.len(), 20);
    assert_eq!((changes.through, changes.latest), (sequence, after));
}

pub(super) fn a_store_that_was_put_back_is_noticed(store: &dyn KeyStore) {
    let sequence = put(store, &meta("only"), Expected::Absent, b"");
    let changes = store.changes(Sequence::new(1000), 10).unwrap();
    assert!(changes.changed.is_empty());
    assert_eq!((changes.through, changes.latest), (sequence, sequence));
}

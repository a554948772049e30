//! Compare and swap, several records at once.

use super::{assert_conflict, keys_of, meta, put, record, scan};
use crate::store::{
    Collection, CommitError, Expected, KeyStore, MAX_RECORD_LEN, Revision, Sequence, StoreError,
    Transaction, Write,
};

pub(super) fn only_the_expected_state_is_replaced(store: &dyn KeyStore) {
    let key = meta("swapped");
    let wrong = |sequence: u64| Expected::Revision(Revision::new(sequence));
    for expected in [wrong(0), wrong(1), wrong(u64::MAX)] {
        for write in [Write::Put(b"new".to_vec()), Write::Delete, Write::Check] {
            let step = Transaction::new().with(key.clone(), expected, write);
            assert_conflict(store.commit(&step), &key);
        }
    }
    let first = put(store, &key, Expected::Absent, b"first");
    let not_first = first.get() + 1;
    for expected in [Expected::Absent, wrong(0), wrong(not_first)] {
        let step = Transaction::new().put(key.clone(), expected, "new");
        assert_conflict(store.commit(&step), &key);
    }
    let delete = Transaction::new().delete(key.clone(), Revision::new(not_first));
    assert_conflict(store.commit(&delete), &key);
    assert_eq!(store.get(&key).unwrap(), Some(record(first, b"first")));
    assert_eq!(store.latest().unwrap(), first);
}

pub(super) fn a_transaction_is_done_whole_or_not_at_all(store: &dyn KeyStore) {
    let [old, stale] = ["old", "stale"].map(meta);
    let first = store
        .commit(
            &Transaction::new()
                .put(old.clone(), Expected::Absent, "old")
                .put(stale.clone(), Expected::Absent, "old"),
        )
        .unwrap();
    let second = put(store, &stale, Expected::Revision(first.into()), b"newer");
    let new = meta("new");
    let attempt = |of_stale: Expected| {
        Transaction::new()
            .put(new.clone(), Expected::Absent, "new")
            .delete(old.clone(), first.into())
            .put(stale.clone(), of_stale, "newest")
    };
    assert_conflict(
        store.commit(&attempt(Expected::Revision(first.into()))),
        &stale,
    );
    assert_eq!(store.get(&new).unwrap(), None);
    assert_eq!(store.get(&old).unwrap(), Some(record(first, b"old")));
    assert_eq!(store.get(&stale).unwrap(), Some(record(second, b"newer")));
    assert_eq!(store.latest().unwrap(), second);

    let third = store
        .commit(&attempt(Expected::Revision(second.into())))
        .unwrap();
    assert_eq!(store.get(&new).unwrap(), Some(record(third, b"new")));
    assert_eq!(store.get(&old).unwrap(), None);
    assert_eq!(store.get(&stale).unwrap(), Some(record(third, b"newest")));
}

pub(super) fn the_first_conflict_is_named(store: &dyn KeyStore) {
    let [z, a] = ["z", "a"].map(meta);
    let revision = Expected::Revision(Revision::new(7));
    let both = Transaction::new()
        .put(meta("fine"), Expected::Absent, "")
        .put(z.clone(), revision, "")
        .put(a, revision, "");
    assert_conflict(store.commit(&both), &z);
}

pub(super) fn what_is_checked_is_not_changed(store: &dyn KeyStore) {
    let [target, alias] = ["target", "alias"].map(meta);
    let first = put(store, &target, Expected::Absent, b"target");
    let is_there = Expected::Revision(first.into());
    let second = store
        .commit(
            &Transaction::new()
                .check(target.clone(), is_there)
                .check(meta("absent"), Expected::Absent)
                .put(alias.clone(), Expected::Absent, "alias"),
        )
        .unwrap();
    assert_eq!(store.get(&target).unwrap(), Some(record(first, b"target")));
    assert_eq!(store.get(&meta("absent")).unwrap(), None);
    assert_eq!(keys_of(&store.changes(first, 10).unwrap()), [&alias]);
    let refused = Transaction::new()
        .check(target.clone(), Expected::Absent)
        .delete(alias.clone(), second.into());
    assert_conflict(store.commit(&refused), &target);
    let refused = Transaction::new().check(target.clone(), Expected::Absent);
    assert_conflict(store.commit(&refused), &target);
    assert!(store.get(&alias).unwrap().is_some());
}

pub(super) fn a_record_written_anew_is_another(store: &dyn KeyStore) {
    let key = meta("phoenix");
    let first = put(store, &key, Expected::Absent, b"same");
    let delete = Transaction::new().delete(key.clone(), first.into());
    let second = store.commit(&delete).unwrap();
    assert_eq!(store.get(&key).unwrap(), None);
    assert!(scan(store, Collection::META, None, 10).is_empty());
    assert_conflict(store.commit(&delete), &key);
    let of_the_deletion = Transaction::new().delete(key.clone(), second.into());
    assert_conflict(store.commit(&of_the_deletion), &key);
    let third = put(store, &key, Expected::Absent, b"same");
    assert_eq!(store.get(&key).unwrap(), Some(record(third, b"same")));
    assert_conflict(store.commit(&delete), &key);
}

pub(super) fn what_no_store_takes_is_refused(store: &dyn KeyStore) {
    let key = meta("refused");
    let repeated = Transaction::new()
        .put(key.clone(), Expected::Absent, "1")
        .check(key.clone(), Expected::Absent);
    let too_large = Transaction::new().put(
        key.clone(),
        Expected::Absent,
        vec![0_u8; MAX_RECORD_LEN + 1],
    );
    let deletes_absent = Transaction::new().with(key.clone(), Expected::Absent, Write::Delete);
    let refusal = |transaction: &Transaction| match store.commit(transaction) {
        Err(CommitError::Store(error)) => error,
        other => panic!("it was not refused: {other:?}"),
    };
    assert!(matches!(refusal(&repeated), StoreError::RepeatedKey { .. }));
    assert!(matches!(
        refusal(&too_large),
        StoreError::RecordTooLarge { .. }
    ));
    assert!(matches!(
        refusal(&deletes_absent),
        StoreError::DeletesAbsent { .. }
    ));
    assert_eq!(store.get(&key).unwrap(), None);
    assert_eq!(store.latest().unwrap(), Sequence::START);
}

pub(super) fn the_sequence_counts_commits_that_write(store: &dyn KeyStore) {
    let key = meta("counted");
    let mut expected = Expected::Absent;
    for number in 1..=5 {
        let sequence = put(store, &key, expected, b"");
        assert_eq!(sequence.get(), number);
        assert_eq!(store.latest().unwrap(), sequence);
        expected = Expected::Revision(sequence.into());
        let check = Transaction::new().check(key.clone(), expected);
        assert_eq!(store.commit(&check).unwrap(), sequence);
        assert_eq!(store.commit(&Transaction::new()).unwrap(), sequence);
        assert_eq!(store.latest().unwrap(), sequence);
    }
}

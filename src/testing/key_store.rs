mod agreement;
mod changes;
mod log;
mod records;
mod threads;
mod transactions;

use std::collections::BTreeSet;

use crate::store::{
    Changes, Collection, CommitError, Expected, KeyStore, Record, RecordId, RecordKey, ScanRequest,
    Sequence, Transaction,
};

/// Every test of one store. `make` gives a store of its own, new and empty, for each of them.
///
/// ```
/// use waxseal::{MemoryKeyStore, testing};
///
/// testing::key_store(&|| Box::new(MemoryKeyStore::new()));
/// ```
pub fn key_store(make: &dyn Fn() -> Box<dyn KeyStore>) {
    for test in [
        records::an_empty_store_has_nothing,
        records::records_come_back_as_they_were,
        records::every_name_is_a_record_of_its_own,
        transactions::only_the_expected_state_is_replaced,
        transactions::a_transaction_is_done_whole_or_not_at_all,
        transactions::the_first_conflict_is_named,
        transactions::what_is_checked_is_not_changed,
        transactions::a_record_written_anew_is_another,
        transactions::what_no_store_takes_is_refused,
        records::a_scan_is_in_order,
        records::pages_of_a_scan_are_complete,
        transactions::the_sequence_counts_commits_that_write,
        changes::each_change_is_told_once_in_order,
        changes::pages_of_changes_are_complete,
        changes::changes_of_one_commit_are_not_divided,
        changes::a_store_that_was_put_back_is_noticed,
        records::erasing_what_was_replaced_keeps_the_rest,
        records::many_records_at_once,
        records::nothing_shows_the_bytes,
        log::entries_stay_in_their_order,
        log::a_log_that_ends_elsewhere_is_a_conflict,
        log::log_and_records_are_written_together_or_not_at_all,
        log::the_log_is_in_no_feed,
        log::too_large_an_entry_is_refused,
        threads::no_update_is_lost,
        threads::commits_are_seen_whole,
    ] {
        test(&make());
    }
    for seed in 0..20 {
        agreement::agrees_with_the_memory_store(&make(), seed);
    }
}

/// What two values must do that are one store: clones, or handles opened one after the other.
/// `one` and `other` are the same store, which is empty.
pub fn shared_key_store(one: &dyn KeyStore, other: &dyn KeyStore) {
    let key = meta("shared");
    let first = put(one, &key, Expected::Absent, b"by one");
    assert_eq!(other.get(&key).unwrap(), Some(record(first, b"by one")));
    assert_eq!(other.latest().unwrap(), first);

    let second = put(
        other,
        &key,
        Expected::Revision(first.into()),
        b"by the other",
    );
    assert_eq!(
        one.get(&key).unwrap(),
        Some(record(second, b"by the other"))
    );
    let stale = Transaction::new().put(key.clone(), Expected::Revision(first.into()), "stale");
    assert_conflict(one.commit(&stale), &key);

    let changes = one.changes(first, 10).unwrap();
    assert_eq!(keys_of(&changes), [&key]);
    assert_eq!((changes.through, changes.latest), (second, second));

    let third = one
        .commit(&Transaction::new().delete(key.clone(), second.into()))
        .unwrap();
    assert_eq!(other.get(&key).unwrap(), None);
    assert_eq!(keys_of(&other.changes(second, 10).unwrap()), [&key]);
    assert_eq!(other.latest().unwrap(), third);
}

/// What a store must do that outlives its value. `open` opens the same store each time, empty at
/// first, after the value from the last time was dropped.
pub fn durable_key_store(open: &dyn Fn() -> Box<dyn KeyStore>) {
    let [kept, replaced, deleted] = ["kept", "replaced", "deleted"].map(meta);
    let first = {
        let store = open();
        let first = store
            .commit(
                &Transaction::new()
                    .put(kept.clone(), Expected::Absent, "1")
                    .put(replaced.clone(), Expected::Absent, "1")
                    .put(deleted.clone(), Expected::Absent, "1"),
            )
            .unwrap();
        store
            .commit(
                &Transaction::new()
                    .put(replaced.clone(), Expected::Revision(first.into()), "2")
                    .delete(deleted.clone(), first.into()),
            )
            .unwrap();
        first
    };
    let store = open();
    let second = Sequence::new(first.get() + 1);
    assert_eq!(store.latest().unwrap(), second);
    assert_eq!(store.get(&kept).unwrap(), Some(record(first, b"1")));
    assert_eq!(store.get(&replaced).unwrap(), Some(record(second, b"2")));
    assert_eq!(store.get(&deleted).unwrap(), None);
    let changes = store.changes(first, 10).unwrap();
    let changed: BTreeSet<_> = keys_of(&changes).into_iter().collect();
    assert_eq!(changed, BTreeSet::from([&replaced, &deleted]));
    let third = put(&store, &deleted, Expected::Absent, b"3");
    assert_eq!(third.get(), second.get() + 1);
}

fn meta(id: &str) -> RecordKey {
    RecordKey::new(Collection::META, RecordId::new(id).unwrap())
}

fn record(sequence: Sequence, bytes: &[u8]) -> Record {
    Record::new(sequence.into(), bytes.to_vec())
}

fn put(store: &dyn KeyStore, key: &RecordKey, expected: Expected, bytes: &[u8]) -> Sequence {
    let transaction = Transaction::new().put(key.clone(), expected, bytes);
    let sequence = store.commit(&transaction).unwrap();
    assert!(sequence > Sequence::START);
    sequence
}

fn scan(
    store: &dyn KeyStore,
    collection: Collection,
    after: Option<&RecordId>,
    limit: usize,
) -> Vec<(RecordId, Record)> {
    let mut request = ScanRequest::new(collection, limit);
    request.after = after;
    let records = store.scan(request).unwrap();
    assert!(records.len() <= limit);
    records
}

fn keys_of(changes: &Changes) -> Vec<&RecordKey> {
    changes.changed.iter().map(|change| &change.key).collect()
}

fn assert_conflict(result: Result<Sequence, CommitError>, with: &RecordKey) {
    match result {
        Err(CommitError::Conflict { key }) => assert_eq!(key, *with),
        other => panic!("no conflict over {with}, but: {other:?}"),
    }
}

//! Several threads on one store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{meta, put, scan};
use crate::store::{Collection, CommitError, Expected, KeyStore, Sequence, Transaction};

const THREADS: u64 = 4;
const COMMITS: u64 = 25;

/// Each adds one to a number, again and again, as long as nobody came between.
pub(super) fn no_update_is_lost(store: &dyn KeyStore) {
    let counter = meta("counter");
    put(store, &counter, Expected::Absent, &0_u64.to_be_bytes());
    let add_one = || {
        loop {
            let found = store.get(&counter).unwrap().unwrap();
            let number = u64::from_be_bytes(found.bytes.try_into().unwrap()) + 1;
            let swap = Transaction::new().put(
                counter.clone(),
                Expected::Revision(found.revision),
                number.to_be_bytes(),
            );
            match store.commit(&swap) {
                Ok(_) => return,
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..COMMITS).for_each(|_| add_one()));
        }
    });
    let found = store.get(&counter).unwrap().unwrap();
    assert_eq!(found.bytes, (THREADS * COMMITS).to_be_bytes());
    assert_eq!(store.latest().unwrap().get(), THREADS * COMMITS + 1);
}

/// One moves amounts between two records; others always see the same sum, and the feed tells each
/// of the changes.
pub(super) fn commits_are_seen_whole(store: &dyn KeyStore) {
    const SUM: u64 = 1000;
    let [left, right] = ["left", "right"].map(meta);
    let state = |amount: u64, expected: Expected| {
        Transaction::new()
            .put(left.clone(), expected, amount.to_be_bytes())
            .put(right.clone(), expected, (SUM - amount).to_be_bytes())
    };
    let first = store.commit(&state(0, Expected::Absent)).unwrap();
    let is_done = AtomicBool::new(false);
    let look = || {
        let mut seen = first;
        while !is_done.load(Ordering::Relaxed) {
            let records = scan(store, Collection::META, None, 10);
            let amounts = records
                .iter()
                .map(|(_, record)| u64::from_be_bytes(record.bytes.as_slice().try_into().unwrap()));
            assert_eq!(amounts.sum::<u64>(), SUM);
            assert_eq!(records[0].1.revision, records[1].1.revision);
            let changes = store.changes(seen, 10).unwrap();
            assert!(changes.through >= seen);
            assert_eq!(
                changes.changed.len(),
                if changes.through > seen { 2 } else { 0 }
            );
            seen = changes.through;
        }
    };
    let move_amounts = || {
        let mut sequence: Sequence = first;
        for amount in 1..=COMMITS * 2 {
            let expected = Expected::Revision(sequence.into());
            sequence = store.commit(&state(amount, expected)).unwrap();
            assert_eq!(store.latest().unwrap(), sequence);
        }
        is_done.store(true, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        scope.spawn(look);
        scope.spawn(look);
        move_amounts();
    });
}

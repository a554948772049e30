//! SQLite cannot be used across a fork, and the store says so.
#![cfg(all(unix, feature = "sqlite"))]

#[path = "common/stores.rs"]
mod stores;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;

use fork::{Fork, fork, waitpid};
use stores::{key, put_new};
use waxseal::store::Transaction;
use waxseal::{CommitError, KeyStore, SqliteKeyStore, StoreError};

fn in_child(action: impl FnOnce()) {
    match fork().unwrap() {
        Fork::Child => exit(i32::from(catch_unwind(AssertUnwindSafe(action)).is_err())),
        Fork::Parent(child) => assert_eq!(waitpid(child).unwrap(), 0),
    }
}

/// One test, since what it is about belongs to the process.
#[test]
fn a_child_has_no_store_that_its_parent_had_open() {
    let directory = tempfile::tempdir().unwrap();
    let [path, other] = ["keys.db", "other.db"].map(|name| directory.path().join(name));
    drop(SqliteKeyStore::create(&path).unwrap());

    in_child(|| {
        let store = SqliteKeyStore::open(&path).unwrap();
        put_new(&store, &key("by the child"), b"1");
        in_child(|| is_forked(store.get(&key("by the child"))));
    });

    let store = SqliteKeyStore::open(&path).unwrap();
    put_new(&store, &key("by the parent"), b"1");
    in_child(|| {
        is_forked(store.get(&key("by the parent")));
        is_forked(store.latest());
        is_forked(store.clone().verify());
        assert!(matches!(
            store.commit(&Transaction::new()),
            Err(CommitError::Store(StoreError::Forked { .. }))
        ));
        is_forked(SqliteKeyStore::open(&path));
        is_forked(SqliteKeyStore::create(&other));
        in_child(|| is_forked(SqliteKeyStore::open(&path)));
    });
    let mut store = Some(store);
    in_child(|| {
        drop(store.take());
        is_forked(SqliteKeyStore::open_or_create(&other));
    });
    let store = store.expect("only the child dropped it");
    assert!(store.get(&key("by the child")).unwrap().is_some());
    put_new(&store, &key("after the children"), b"1");
    store.verify().unwrap();

    drop(store);
    in_child(|| drop(SqliteKeyStore::open(&path).unwrap()));
}

fn is_forked<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Forked { .. })),
        "{result:?}"
    );
}

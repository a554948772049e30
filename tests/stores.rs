//! Every store keeps the contract of `KeyStore`.
#![cfg(feature = "testing")]

use waxseal::{KeyStore, MemoryKeyStore, testing};

#[test]
fn the_memory_store() {
    testing::key_store(&|| Box::new(MemoryKeyStore::new()));
    let store = MemoryKeyStore::new();
    testing::shared_key_store(&store, &store.clone());
    let store = MemoryKeyStore::new();
    testing::durable_key_store(&|| Box::new(store.clone()));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::cell::Cell;
    use std::path::PathBuf;

    use tempfile::TempDir;
    use waxseal::SqliteKeyStore;

    use super::*;

    #[test]
    fn the_sqlite_store() {
        let directory = tempfile::tempdir().unwrap();
        let number = Cell::new(0);
        testing::key_store(&|| {
            number.set(number.get() + 1);
            let path = directory.path().join(format!("{}.db", number.get()));
            Box::new(SqliteKeyStore::create(path).unwrap())
        });
    }

    #[test]
    fn clones_and_handles_are_one_store() {
        let (_directory, path) = place();
        let store = SqliteKeyStore::create(&path).unwrap();
        testing::shared_key_store(&store, &store.clone());

        let (_directory, path) = place();
        let store = SqliteKeyStore::create(&path).unwrap();
        testing::shared_key_store(&store, &SqliteKeyStore::open(&path).unwrap());
    }

    #[test]
    fn a_file_outlives_its_handles() {
        let (_directory, path) = place();
        testing::durable_key_store(&|| Box::new(SqliteKeyStore::open_or_create(&path).unwrap()));
    }

    fn place() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.db");
        (directory, path)
    }
}

/// What applications hold: any store, behind a pointer.
#[test]
fn pointers_to_a_store_are_stores() {
    let store = MemoryKeyStore::new();
    let boxed: Box<dyn KeyStore> = Box::new(store.clone());
    testing::shared_key_store(&boxed, &std::sync::Arc::new(store));
}

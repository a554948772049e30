//! Records for tests of stores.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeSet;

use waxseal::store::{
    Collection, Expected, RecordId, RecordKey, ScanRequest, Sequence, Transaction,
};
use waxseal::{KeyStore, StoreError};

pub fn key(id: &str) -> RecordKey {
    RecordKey::new(Collection::KEYS, RecordId::new(id).unwrap())
}

pub fn alias(name: &str) -> RecordKey {
    RecordKey::new(Collection::ALIASES, RecordId::new(name).unwrap())
}

/// Writes a record that is not there yet.
pub fn put_new(store: &dyn KeyStore, key: &RecordKey, bytes: &[u8]) -> Sequence {
    let put = Transaction::new().put(key.clone(), Expected::Absent, bytes);
    store.commit(&put).unwrap()
}

/// Everything that a store tells.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    pub found: Vec<Option<(u64, Vec<u8>)>>,
    pub scanned: Vec<(RecordKey, u64, Vec<u8>)>,
    pub changed: BTreeSet<(Sequence, RecordKey)>,
    pub latest: Sequence,
}

impl Contents {
    /// Asks for these records one by one, then for all records and all changes.
    pub fn read(store: &dyn KeyStore, keys: &[RecordKey]) -> Result<Self, StoreError> {
        let get = |key: &RecordKey| {
            let record = store.get(key)?;
            Ok(record.map(|record| (record.revision.get(), record.bytes)))
        };
        let mut scanned = Vec::new();
        for collection in [Collection::KEYS, Collection::ALIASES, Collection::META] {
            for (id, record) in store.scan(ScanRequest::new(collection, usize::MAX))? {
                let key = RecordKey::new(collection, id);
                scanned.push((key, record.revision.get(), record.bytes));
            }
        }
        let changes = store.changes(Sequence::START, usize::MAX)?;
        Ok(Self {
            found: keys.iter().map(get).collect::<Result<_, StoreError>>()?,
            scanned,
            changed: changes
                .changed
                .into_iter()
                .map(|change| (change.sequence, change.key))
                .collect(),
            latest: store.latest()?,
        })
    }
}

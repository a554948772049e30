//! All records of a store, as they are at one moment.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::crypto::KEY_LEN;
use crate::kms::error::KmsError;
use crate::kms::inner::Inner;
use crate::kms::record::{KeyRecord, StoredBytes, Unreadable, VersionRecord};
use crate::kms::scan::Scan;
use crate::kms::store_key::StoreRecord;
use crate::provider::{KeyHandle, KeyProvider, ProviderError, SoftwareKeyProvider};
use crate::store::{Collection, KeyStore, Record, RecordKey, StoreError};

/// What is backed up.
pub(super) const COLLECTIONS: [Collection; 6] = [
    Collection::META,
    Collection::KEYS,
    Collection::ALIASES,
    Collection::GRANTS,
    Collection::POLICIES,
    Collection::SUBJECTS,
];

const FEED_PAGE: usize = 1000;

pub(super) struct Snapshot(BTreeMap<RecordKey, Record>);

/// What goes into a backup.
pub(super) struct Exported {
    pub(super) store_key: Zeroizing<[u8; KEY_LEN]>,
    /// The store's own record first.
    pub(super) records: Vec<(RecordKey, Vec<u8>)>,
}

impl Snapshot {
    /// Reads everything, then again what was changed meanwhile, until nothing was.
    pub(super) fn take(store: &dyn KeyStore) -> Result<Self, StoreError> {
        let mut since = store.latest()?;
        let mut records = BTreeMap::new();
        for collection in COLLECTIONS {
            for record in Scan::all(store, collection) {
                let (address, record) = record?;
                records.insert(address, record);
            }
        }
        loop {
            let changes = store.changes(since, FEED_PAGE)?;
            if changes.changed.is_empty() && changes.through >= changes.latest {
                return Ok(Self(records));
            }
            for change in changes.changed {
                if !COLLECTIONS.contains(&change.key.collection) {
                    continue;
                }
                match store.get(&change.key)? {
                    Some(record) => records.insert(change.key, record),
                    None => records.remove(&change.key),
                };
            }
            since = changes.through;
        }
    }

    pub(super) fn leave_out(&mut self, collection: Collection) {
        self.0.retain(|address, _| address.collection != collection);
    }

    pub(super) fn into_records(self) -> BTreeMap<RecordKey, Record> {
        self.0
    }

    /// The records with keys of software under `one_time`, and the store's key.
    pub(super) fn export(
        self,
        kms: &Inner,
        software: Option<&SoftwareKeyProvider>,
        one_time: &SoftwareKeyProvider,
    ) -> Result<Exported, KmsError> {
        let codec = &kms.store_key.codec;
        let mut records = Vec::with_capacity(self.0.len());
        let mut store_key = None;
        for (address, stored) in self.0 {
            let unreadable = |why: Unreadable| why.at(address.clone(), kms.store.name());
            if address == StoreRecord::address() {
                let mut record: StoreRecord =
                    codec.decode(&address, &stored.bytes).map_err(unreadable)?;
                store_key = Some(record.open_key(&kms.providers, &kms.store.name())?);
                let (name, handle) = (&record.provider, record.bound_handle());
                if let Some(moved) = export(software, name, &handle, one_time)? {
                    record.handle = StoredBytes::new(moved.as_bytes());
                }
                let bytes = codec.encode(&address, &record);
                records.insert(0, (address, bytes));
            } else if address.collection == Collection::KEYS {
                let mut record = kms.decode_key(&address, &stored)?;
                record
                    .export(software, one_time)
                    .map_err(|error| match error {
                        // By another thread, and after the snapshot.
                        KmsError::Provider(ProviderError::KeyDestroyed) => KmsError::Conflict {
                            record: address.clone(),
                        },
                        error => error,
                    })?;
                let bytes = codec.encode(&address, &record);
                records.push((address, bytes));
            } else {
                codec
                    .decode::<serde::de::IgnoredAny>(&address, &stored.bytes)
                    .map_err(unreadable)?;
                records.push((address, stored.bytes));
            }
        }
        let store_key = store_key.ok_or_else(|| KmsError::NoStoreRecord {
            record: StoreRecord::address(),
            store: kms.store.name(),
        })?;
        Ok(Exported { store_key, records })
    }
}

impl KeyRecord {
    fn export(
        &mut self,
        software: Option<&SoftwareKeyProvider>,
        one_time: &SoftwareKeyProvider,
    ) -> Result<(), KmsError> {
        let is_dying = self.deleted().is_some();
        let is_condemned = |version: &VersionRecord| is_dying || version.is_condemned();
        for version in &mut self.versions {
            let is_of_software =
                software.is_some_and(|software| software.name() == version.provider);
            if is_of_software && is_condemned(version) {
                // Destroyed where the backup is, by not being there.
                version.handle = None;
            }
        }
        self.replace_handles(|version, handle| {
            if is_condemned(version) {
                return Ok(None);
            }
            export(software, &version.provider, handle, one_time)
        })?;
        if is_dying && self.versions.iter().all(|version| version.handle.is_none()) {
            self.versions.clear();
        }
        Ok(())
    }
}

/// The handle of a key under `to`, if it is of software.
fn export(
    software: Option<&SoftwareKeyProvider>,
    name: &str,
    handle: &KeyHandle,
    to: &SoftwareKeyProvider,
) -> Result<Option<KeyHandle>, KmsError> {
    let Some(software) = software else {
        return if name == to.name() {
            Err(KmsError::NoProvider {
                provider: name.to_owned(),
            })
        } else {
            Ok(None)
        };
    };
    match software.move_key(handle, to) {
        Ok(moved) => Ok(Some(moved)),
        Err(ProviderError::InvalidHandle { .. } | ProviderError::OtherRootKey)
            if name != software.name() =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

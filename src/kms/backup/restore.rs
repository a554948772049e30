//! From a backup into a store: read it all, verify it all, compare it with what is there, write it
//! in one transaction.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::error::BackupError;
use super::payload::{PayloadReader, not_a_backup};
use super::snapshot::Snapshot;
use super::{Backup, BackupReport};
use crate::context::EncryptionContext;
use crate::crypto::Expand;
use crate::envelope::DecryptReader;
use crate::kms::acting::Acting;
use crate::kms::commit::{AliasRecord, MAX_ATTEMPTS, conflict, none_if_outrun};
use crate::kms::error::KmsError;
use crate::kms::grant::{GrantRecord, KeyGrants};
use crate::kms::operation::Operation;
use crate::kms::record::{Codec, KeyRecord, StoredBytes, Unreadable, VersionRecord};
use crate::kms::store_key::StoreRecord;
use crate::kms::stored_policy::StorePolicyRecord;
use crate::kms::{Kms, Principal};
use crate::provider::{KeyHandle, RootKey, SoftwareKeyProvider};
use crate::secret::DataKey;
use crate::store::{Collection, CommitError, Expected, KeyStore, Record, RecordKey, Transaction};

/// How errors name what is restored.
const BACKUP: &str = "the backup";

/// Begins a KMS.
pub(super) fn into_empty(
    store: &dyn KeyStore,
    restored_by: Principal,
    backup: &Backup<'_>,
    reader: impl Read,
) -> Result<BackupReport, KmsError> {
    let contents = Contents::open(backup, reader, Some(restored_by))?;
    let found = Snapshot::take(store)?.into_records();
    if !found.is_empty() {
        let store = store.name();
        return Err(BackupError::NotEmpty { store }.into());
    }
    match store.commit(&contents.plan(store, found)?) {
        Ok(_) => Ok(contents.report()),
        Err(CommitError::Conflict { key }) => Err(conflict(key)),
        Err(CommitError::Store(error)) => Err(error.into()),
    }
}

impl Acting<'_> {
    /// Brings the store up to a later state of it.
    pub(super) fn restore(
        &self,
        backup: &Backup<'_>,
        reader: impl Read,
    ) -> Result<BackupReport, KmsError> {
        if let Some(home) = backup.software {
            self.check_root_in_use(home)?;
        }
        let (record, _) = self.read_store_record()?;
        let contents = Contents::open(backup, reader, record.restored_by)?;
        for _ in 0..MAX_ATTEMPTS {
            let found = Snapshot::take(self.store.as_ref())?.into_records();
            let transaction = contents.plan(self.store.as_ref(), found)?;
            if none_if_outrun(self.commit(&transaction))?.is_some() {
                self.cache().expire();
                return Ok(contents.report());
            }
        }
        Err(conflict(StoreRecord::address()))
    }

    /// The trail is told with this commit.
    fn forget_restore(&self) -> Result<(), KmsError> {
        let address = StoreRecord::address();
        for _ in 0..MAX_ATTEMPTS {
            let (mut record, revision) = self.read_store_record()?;
            if record.restored_by.take().is_none() {
                return Ok(());
            }
            let bytes = self.store_key.codec.encode(&address, &record);
            let expected = Expected::Revision(revision);
            let put = Transaction::new().put(address.clone(), expected, bytes);
            if none_if_outrun(self.commit(&put))?.is_some() {
                return Ok(());
            }
        }
        Err(conflict(address))
    }
}

impl Kms {
    /// Tells the audit trail, if there is one, who began the store from a backup, if it was not told
    /// yet. At least once: a crash in between, or another process that opens the store at the same
    /// moment, may repeat it.
    pub(in crate::kms) fn record_restore(&self) -> Result<(), KmsError> {
        if self.0.trail.is_none() {
            return Ok(());
        }
        match self.0.read_store_record()?.0.restored_by {
            Some(restored_by) => self
                .as_principal(restored_by)
                .gate()
                .perform_due_on_store(Operation::Restore, |kms| kms.forget_restore()),
            None => Ok(()),
        }
    }
}

/// What a backup has, verified, with keys of software at their new home.
struct Contents {
    codec: Codec,
    keys: BTreeMap<RecordKey, KeyRecord>,
    /// Aliases among them; without keys.
    others: BTreeMap<RecordKey, Vec<u8>>,
    store_policy: Option<StorePolicyRecord>,
}

impl Contents {
    fn open(
        backup: &Backup<'_>,
        reader: impl Read,
        restored_by: Option<Principal>,
    ) -> Result<Self, KmsError> {
        let empty = EncryptionContext::empty();
        let message = DecryptReader::new(backup.envelope, reader, backup.options(&empty))
            .map_err(BackupError::read)?;
        Self::read(message, backup.software, restored_by)
    }

    fn read(
        message: impl Read,
        home: Option<&SoftwareKeyProvider>,
        restored_by: Option<Principal>,
    ) -> Result<Self, KmsError> {
        let (mut payload, secrets) = PayloadReader::new(message)?;
        let arrival = Arrival {
            one_time: SoftwareKeyProvider::new(&RootKey::from_bytes(&secrets.root_key)),
            home,
        };
        let mut contents = Self {
            codec: Codec::new(Expand::new(&secrets.store_key)),
            keys: BTreeMap::new(),
            others: BTreeMap::new(),
            store_policy: None,
        };
        let mut store_record = None;
        while let Some((address, bytes)) = payload.next()? {
            let is_repeated = if address == StoreRecord::address() {
                let record: StoreRecord = contents.decode(&address, &bytes)?;
                store_record.replace(record).is_some()
            } else if address.collection == Collection::KEYS {
                let record = contents.codec.decode_key(&address, &bytes);
                let record = record.map_err(|why| unreadable(why, &address))?;
                contents.keys.insert(address, record).is_some()
            } else {
                contents.decode::<serde::de::IgnoredAny>(&address, &bytes)?;
                contents.others.insert(address, bytes).is_some()
            };
            if is_repeated {
                return Err(not_a_backup("it has a record twice").into());
            }
        }
        contents.check_aliases()?;
        contents.check_grants()?;
        for record in contents.keys.values_mut() {
            arrival.take_in(record)?;
        }
        let mut record = store_record.ok_or(not_a_backup("it has no record of the store"))?;
        contents.store_policy.clone_from(&record.policy);
        record.restored_by = restored_by;
        if let Some(handle) = arrival.moved(&record.provider, &record.bound_handle())? {
            record.handle = StoredBytes::new(handle.as_bytes());
            arrival.check_store_key(&record, secrets.store_key.as_slice())?;
        }
        let address = StoreRecord::address();
        let bytes = contents.codec.encode(&address, &record);
        contents.others.insert(address, bytes);
        Ok(contents)
    }

    /// An alias and its key name each other.
    fn check_aliases(&self) -> Result<(), KmsError> {
        let mut listed = 0;
        for (address, bytes) in &self.others {
            if address.collection != Collection::ALIASES {
                continue;
            }
            let record: AliasRecord = self.decode(address, bytes)?;
            let key = self.keys.get(&KeyRecord::address(record.key));
            if !key.is_some_and(|key| key.aliases.contains(&record.alias)) {
                return Err(not_a_backup("an alias and its key do not fit").into());
            }
            listed += 1;
        }
        let named: usize = self.keys.values().map(|key| key.aliases.len()).sum();
        if listed == named {
            Ok(())
        } else {
            Err(not_a_backup("an alias and its key do not fit").into())
        }
    }

    /// The grants of each key are those that its record says.
    fn check_grants(&self) -> Result<(), KmsError> {
        let unfit = || not_a_backup("a key and its grants do not fit");
        let mut grants: BTreeMap<RecordKey, Vec<Arc<GrantRecord>>> = BTreeMap::new();
        for (address, bytes) in &self.others {
            if address.collection == Collection::GRANTS {
                let grant: GrantRecord = self.decode(address, bytes)?;
                if GrantRecord::address(grant.key, grant.grant)? != *address {
                    return Err(unfit().into());
                }
                let of_key = grants.entry(KeyRecord::address(grant.key)).or_default();
                of_key.push(Arc::new(grant));
            }
        }
        for (address, key) in &self.keys {
            let found = KeyGrants::new(grants.remove(address).unwrap_or_default());
            if found.summary() != key.grants {
                return Err(unfit().into());
            }
        }
        grants
            .is_empty()
            .then_some(())
            .ok_or_else(|| unfit().into())
    }

    /// What makes the store that of the backup, if it has nothing of its own.
    fn plan(
        &self,
        store: &dyn KeyStore,
        mut found: BTreeMap<RecordKey, Record>,
    ) -> Result<Transaction, KmsError> {
        for (address, stored) in &found {
            self.check_covered(address, stored, &store.name())?;
        }
        let mut transaction = Transaction::new();
        let mut put = |address: &RecordKey, bytes: Vec<u8>| {
            let expected = match found.remove(address) {
                Some(stored) => Expected::Revision(stored.revision),
                None => Expected::Absent,
            };
            let before = std::mem::take(&mut transaction);
            transaction = before.put(address.clone(), expected, bytes);
        };
        for (address, record) in &self.keys {
            put(address, self.codec.encode(address, record));
        }
        for (address, bytes) in &self.others {
            put(address, bytes.clone());
        }
        Ok(transaction)
    }

    /// Whether a record that the store has is in the backup, as it is or newer.
    fn check_covered(
        &self,
        address: &RecordKey,
        stored: &Record,
        store: &str,
    ) -> Result<(), BackupError> {
        let other_store = || BackupError::OtherStore {
            store: store.to_owned(),
        };
        self.codec
            .decode::<serde::de::IgnoredAny>(address, &stored.bytes)
            .map_err(|_| other_store())?;
        let is_store = *address == StoreRecord::address();
        let is_covered = match self.keys.get(address) {
            Some(key) => {
                let found = self.codec.decode_key(address, &stored.bytes);
                found.is_ok_and(|found| key.covers(&found))
            }
            None => self.others.get(address).is_some_and(|bytes| {
                // Which state of an alias is the newer one, its key tells.
                let is_told = address.collection == Collection::ALIASES;
                is_told || *bytes == stored.bytes || (is_store && self.covers_policy(stored))
            }),
        };
        if is_covered {
            Ok(())
        } else {
            Err(BackupError::NewerState {
                store: store.to_owned(),
                record: address.clone(),
            })
        }
    }

    /// Whether the policy of the store is the one that `stored` has, or a later one.
    fn covers_policy(&self, stored: &Record) -> bool {
        let found = self
            .codec
            .decode::<StoreRecord>(&StoreRecord::address(), &stored.bytes);
        let own = self.store_policy.as_ref();
        found.is_ok_and(|found| {
            found.policy.as_ref() == own
                || own.is_some_and(|own| found.policy_generation() < own.generation)
        })
    }

    fn report(&self) -> BackupReport {
        let mut report = BackupReport::default();
        for address in self.keys.keys().chain(self.others.keys()) {
            report.count(address.collection);
        }
        report
    }

    fn decode<T: serde::de::DeserializeOwned>(
        &self,
        address: &RecordKey,
        bytes: &[u8],
    ) -> Result<T, KmsError> {
        let decoded = self.codec.decode(address, bytes);
        decoded.map_err(|why| unreadable(why, address))
    }
}

/// Brings keys of software from the backup's root key to their new home.
struct Arrival<'a> {
    one_time: SoftwareKeyProvider,
    home: Option<&'a SoftwareKeyProvider>,
}

impl Arrival<'_> {
    fn take_in(&self, record: &mut KeyRecord) -> Result<(), KmsError> {
        record.replace_handles(|version, handle| self.moved(&version.provider, handle))
    }

    fn moved(&self, name: &str, handle: &KeyHandle) -> Result<Option<KeyHandle>, KmsError> {
        if self.one_time.is_under_own_root(handle).is_err() {
            return Ok(None);
        }
        let home = self.home.ok_or_else(|| KmsError::NoProvider {
            provider: name.to_owned(),
        })?;
        Ok(Some(self.one_time.move_key(handle, home)?))
    }

    /// What the store will be opened with must give the key that its records are under.
    fn check_store_key(&self, record: &StoreRecord, expected: &[u8]) -> Result<(), KmsError> {
        let Some(home) = self.home else {
            return Ok(());
        };
        let key = record.unwrap(home)?;
        if DataKey::from_bytes(expected).is_ok_and(|expected| expected == key) {
            Ok(())
        } else {
            Err(not_a_backup("its store key is not the one that is wrapped in it").into())
        }
    }
}

impl KeyRecord {
    /// Whether this is the state of a key that `found` is, or one that came of it.
    fn covers(&self, found: &Self) -> bool {
        let handles_are_covered = found.versions.iter().all(|version| {
            let own = self.version(version.number);
            // A key whose deletion has begun has no versions.
            own.map_or(self.deleted().is_some(), |own| own.covers(version))
        });
        handles_are_covered
            && (self.generation > found.generation
                || (self.generation == found.generation && self.says_the_same(found)))
    }

    /// Whether nothing but the root key is different.
    fn says_the_same(&self, other: &Self) -> bool {
        let without_handles = |record: &Self| {
            let mut record = record.clone();
            for version in &mut record.versions {
                version.handle = None;
            }
            record
        };
        without_handles(self) == without_handles(other)
    }
}

impl VersionRecord {
    /// Whether this has the material that `found` has, or had it and lost it.
    fn covers(&self, found: &Self) -> bool {
        match (&self.handle, &found.handle) {
            (Some(own), Some(found)) => {
                let id = |handle: &StoredBytes| {
                    let handle = KeyHandle::from_bytes(handle.as_bytes());
                    SoftwareKeyProvider::key_id_of(&handle)
                };
                own == found || id(own).is_some_and(|own| Some(own) == id(found))
            }
            _ => true,
        }
    }
}

fn unreadable(why: Unreadable, address: &RecordKey) -> KmsError {
    why.at(address.clone(), BACKUP.to_owned())
}

//! Changes of records, which happen together or not at all.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acting::Acting;
use super::entry::KeyEntry;
use super::error::KmsError;
use super::grant::{GrantRecord, KeyGrants};
use super::name::AliasName;
use super::record::KeyRecord;
use super::subject::{ErasureRecord, SubjectRecord};
use crate::audit::ChangeError;
use crate::format::KeyId;
use crate::provider::{KeyHandle, KeyProvider};
use crate::store::{
    Collection, CommitError, Expected, RecordId, RecordKey, Revision, StoreError, Transaction,
};

/// Others may change a record between reading and writing it so often before a change is given up.
/// Each time, one of them has got its change done.
pub(super) const MAX_ATTEMPTS: usize = 100;

/// A record of the collection `aliases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AliasRecord {
    pub(super) alias: AliasName,
    pub(super) key: KeyId,
}

impl AliasRecord {
    /// Where the record of an alias is in the store.
    pub(super) fn address(alias: &AliasName) -> Result<RecordKey, KmsError> {
        let id = RecordId::new(alias.as_str()).map_err(|_| KmsError::InvalidSelector)?;
        Ok(RecordKey::new(Collection::ALIASES, id))
    }
}

/// Changes of records that happen together.
pub(super) struct Unit<'k> {
    kms: Acting<'k>,
    transaction: Transaction,
    keys: Vec<(KeyRecord, Option<KeyGrants>)>,
    aliases: Vec<(AliasName, Option<KeyId>)>,
    subjects: Vec<RecordId>,
}

impl<'k> Unit<'k> {
    pub(super) fn new(kms: &Acting<'k>) -> Self {
        Self {
            kms: *kms,
            transaction: Transaction::new(),
            keys: Vec::new(),
            aliases: Vec::new(),
            subjects: Vec::new(),
        }
    }

    /// Writes the record of a new key.
    pub(super) fn create_key(self, record: KeyRecord) -> Self {
        self.put_key(Expected::Absent, record, None)
    }

    /// Writes the record of a key anew.
    pub(super) fn update_key(self, before: &KeyEntry, mut record: KeyRecord) -> Self {
        record.generation = before.record.generation.saturating_add(1);
        self.put_key(Expected::Revision(before.revision), record, None)
    }

    /// Writes the record of a key anew, with these grants in place of those that it had.
    pub(super) fn update_grants(self, before: &KeyEntry, grants: KeyGrants) -> Self {
        let mut record = before.record.clone();
        record.grants = grants.summary();
        record.generation = before.record.generation.saturating_add(1);
        self.put_key(Expected::Revision(before.revision), record, Some(grants))
    }

    /// Writes the record of a new grant.
    pub(super) fn create_grant(mut self, grant: &GrantRecord) -> Result<Self, KmsError> {
        let address = GrantRecord::address(grant.key, grant.grant)?;
        let bytes = self.kms.store_key.codec.encode(&address, grant);
        self.transaction = self.transaction.put(address, Expected::Absent, bytes);
        Ok(self)
    }

    /// Takes the record of a grant away.
    pub(super) fn delete_grant(mut self, address: RecordKey, revision: Revision) -> Self {
        self.transaction = self.transaction.delete(address, revision);
        self
    }

    /// Gives an alias to a key.
    pub(super) fn put_alias(
        mut self,
        expected: Expected,
        alias: AliasName,
        key: KeyId,
    ) -> Result<Self, KmsError> {
        let address = AliasRecord::address(&alias)?;
        let record = AliasRecord { alias, key };
        let bytes = self.kms.store_key.codec.encode(&address, &record);
        self.transaction = self.transaction.put(address, expected, bytes);
        self.aliases.push((record.alias, Some(key)));
        Ok(self)
    }

    /// Takes an alias away.
    pub(super) fn delete_alias(
        mut self,
        revision: Revision,
        alias: AliasName,
    ) -> Result<Self, KmsError> {
        let address = AliasRecord::address(&alias)?;
        self.transaction = self.transaction.delete(address, revision);
        self.aliases.push((alias, None));
        Ok(self)
    }

    /// Happens only if a key is still as it is known here: what is written is under its version.
    pub(super) fn while_key_is(mut self, known: &KeyEntry) -> Self {
        let address = KeyRecord::address(known.id());
        let expected = Expected::Revision(known.revision);
        self.transaction = self.transaction.check(address, expected);
        self
    }

    /// Writes the record of a subject.
    pub(super) fn put_subject(
        mut self,
        address: RecordKey,
        expected: Expected,
        record: &SubjectRecord,
    ) -> Self {
        let bytes = self.kms.store_key.codec.encode(&address, record);
        self.subjects.push(address.id.clone());
        self.transaction = self.transaction.put(address, expected, bytes);
        self
    }

    /// Notes that the erasure of a subject has begun.
    pub(super) fn begin_erasure(mut self, erasure: &ErasureRecord) -> Self {
        let address = erasure.address();
        let bytes = self.kms.store_key.codec.encode(&address, erasure);
        self.transaction = self.transaction.put(address, Expected::Absent, bytes);
        self
    }

    /// Takes the note of an erasure away.
    pub(super) fn end_erasure(mut self, erasure: &ErasureRecord, revision: Revision) -> Self {
        self.transaction = self.transaction.delete(erasure.address(), revision);
        self
    }

    /// Does it all, durably, lets this process know, and returns the keys in the order given.
    /// Commits. `None` when others were faster.
    pub(super) fn commit(self) -> Result<Option<Vec<Arc<KeyEntry>>>, KmsError> {
        none_if_outrun(self.write())
    }

    /// Commits what makes a new key of a provider known. Where nothing was written, the key is
    /// destroyed again: it protects nothing.
    pub(super) fn commit_with(
        self,
        provider: &dyn KeyProvider,
        handle: &KeyHandle,
    ) -> Result<Option<Vec<Arc<KeyEntry>>>, KmsError> {
        let written = self.write();
        if written.as_ref().is_err_and(not_changed) {
            // A failure here must not hide why.
            let _ = provider.destroy_key(handle);
        }
        none_if_outrun(written)
    }

    fn write(self) -> Result<Vec<Arc<KeyEntry>>, ChangeError> {
        let sequence = self.kms.commit(&self.transaction)?;
        let revision = Revision::from(sequence);
        let entries: Vec<_> = self
            .keys
            .into_iter()
            .map(|(record, grants)| {
                let entry = self.kms.entry(record, revision);
                if let Some(grants) = grants {
                    entry.learn_grants(Arc::new(grants));
                }
                entry
            })
            .collect();
        self.kms.cache().committed(revision, &entries, self.aliases);
        self.kms.cache().outdate_subjects(revision, &self.subjects);
        Ok(entries)
    }

    fn put_key(mut self, expected: Expected, record: KeyRecord, grants: Option<KeyGrants>) -> Self {
        let address = KeyRecord::address(record.key);
        let bytes = self.kms.store_key.codec.encode(&address, &record);
        self.transaction = self.transaction.put(address, expected, bytes);
        self.keys.push((record, grants));
        self
    }
}

impl Acting<'_> {
    /// Changes a key by reading, editing and writing its record, again if others change it
    /// meanwhile. An edit that changes nothing writes nothing.
    pub(super) fn change(
        &self,
        mut entry: Arc<KeyEntry>,
        mut edit: impl FnMut(&KeyEntry) -> Result<KeyRecord, KmsError>,
    ) -> Result<Arc<KeyEntry>, KmsError> {
        for _ in 0..MAX_ATTEMPTS {
            let record = edit(&entry)?;
            if record == entry.record {
                return Ok(entry);
            }
            let unit = Unit::new(self).update_key(&entry, record);
            match unit.commit()? {
                Some(entries) => return Ok(entries.into_iter().next().unwrap_or(entry)),
                None => entry = self.read_alive(entry.id())?,
            }
        }
        Err(conflict(KeyRecord::address(entry.id())))
    }
}

pub(super) fn conflict(record: RecordKey) -> KmsError {
    KmsError::Conflict { record }
}

pub(super) fn none_if_outrun<T>(written: Result<T, ChangeError>) -> Result<Option<T>, KmsError> {
    match written {
        Ok(written) => Ok(Some(written)),
        Err(ChangeError::Commit(CommitError::Conflict { .. })) => Ok(None),
        Err(ChangeError::Commit(CommitError::Store(error))) => Err(error.into()),
        Err(ChangeError::Audit(error)) => Err(error.into()),
    }
}

/// As [`not_written`], also where the change was not tried because it could not be recorded.
fn not_changed(error: &ChangeError) -> bool {
    match error {
        ChangeError::Audit(_) => true,
        ChangeError::Commit(error) => not_written(error),
    }
}

/// Whether it is certain that a transaction which failed so did not happen and never will.
///
/// Only then may what it was to make known be destroyed: of a failing disk one cannot be certain,
/// and a key that is in no record is a smaller evil than a record whose key is gone.
pub(super) fn not_written(error: &CommitError) -> bool {
    matches!(
        error,
        CommitError::Conflict { .. }
            | CommitError::Store(
                StoreError::Busy { .. }
                    | StoreError::Full { .. }
                    | StoreError::Forked { .. }
                    | StoreError::Permissions { .. }
                    | StoreError::RecordTooLarge { .. }
            )
    )
}

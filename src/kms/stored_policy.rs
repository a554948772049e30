//! Policies in records.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::acting::Acting;
use super::commit::{MAX_ATTEMPTS, conflict, none_if_outrun};
use super::error::KmsError;
use super::inner::Inner;
use super::policy::Policy;
use super::record::KeyRecord;
use super::store_key::StoreRecord;
use crate::store::{Expected, Revision, Transaction};

/// A policy as a record has it: its JSON, in one form.
#[derive(Debug, Clone)]
pub(crate) struct StoredPolicy(Arc<Policy>);

/// What the record of the store says of who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::kms) struct StorePolicyRecord {
    /// Grows with every change, so that a process notices when an older one is put back.
    pub(in crate::kms) generation: u64,
    pub(super) policy: StoredPolicy,
}

/// What is known of the policy of the store.
#[derive(Debug, Clone, Default)]
pub(super) struct StorePolicy {
    generation: u64,
    policy: Option<Arc<Policy>>,
}

impl StoredPolicy {
    pub(super) fn new(policy: Policy) -> Self {
        Self(Arc::new(policy))
    }

    pub(super) fn get(&self) -> &Policy {
        &self.0
    }
}

impl KeyRecord {
    /// Who may do what with the key.
    pub(super) fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref().map(StoredPolicy::get)
    }
}

impl StorePolicy {
    fn of(record: &StoreRecord) -> Self {
        let stored = record.policy.as_ref();
        Self {
            generation: record.policy_generation(),
            policy: stored.map(|stored| Arc::clone(&stored.policy.0)),
        }
    }
}

impl Inner {
    /// The policy of the store, if it has one.
    pub(super) fn store_policy(&self) -> Result<Option<Arc<Policy>>, KmsError> {
        match self.cache().store_policy() {
            Some(known) => Ok(known.policy.clone()),
            None => self.read_store_policy(),
        }
    }

    fn read_store_policy(&self) -> Result<Option<Arc<Policy>>, KmsError> {
        let epoch = self.cache().epoch();
        let (record, revision) = self.read_store_record()?;
        let read = StorePolicy::of(&record);
        let known = self.cache().last_store_policy();
        if known.is_some_and(|known| read.generation < known.generation) {
            return Err(KmsError::RolledBack {
                record: StoreRecord::address(),
                store: self.store.name(),
            });
        }
        let policy = read.policy.clone();
        self.cache()
            .keep_store_policy(epoch, Arc::new(read), revision);
        Ok(policy)
    }

    pub(super) fn read_store_record(&self) -> Result<(StoreRecord, Revision), KmsError> {
        let address = StoreRecord::address();
        let stored = self.store.get(&address)?;
        let stored = stored.ok_or_else(|| KmsError::NoStoreRecord {
            record: address.clone(),
            store: self.store.name(),
        })?;
        Ok((self.decode(&address, &stored)?, stored.revision))
    }
}

impl Acting<'_> {
    /// Gives the store a policy, in place of the one that it has, if that one lets it
    /// go on.
    pub(super) fn put_store_policy(
        &self,
        policy: &Policy,
        mut goes_on: impl FnMut(Option<&Policy>) -> bool,
    ) -> Result<(), KmsError> {
        let address = StoreRecord::address();
        for _ in 0..MAX_ATTEMPTS {
            let (mut record, revision) = self.read_store_record()?;
            let before = record.policy.as_ref();
            if !goes_on(before.map(|stored| stored.policy.get())) {
                return Ok(());
            }
            let generation = record.policy_generation();
            record.policy = Some(StorePolicyRecord {
                generation: generation.saturating_add(1),
                policy: StoredPolicy::new(policy.clone()),
            });
            let bytes = self.store_key.codec.encode(&address, &record);
            let expected = Expected::Revision(revision);
            let put = Transaction::new().put(address.clone(), expected, bytes);
            if let Some(sequence) = none_if_outrun(self.commit(&put))? {
                let written = Arc::new(StorePolicy::of(&record));
                self.cache()
                    .committed_store_policy(written, sequence.into());
                return Ok(());
            }
        }
        Err(conflict(address))
    }
}

impl PartialEq for StoredPolicy {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for StoredPolicy {}

impl Serialize for StoredPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StoredPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Policy::deserialize(deserializer).map(Self::new)
    }
}

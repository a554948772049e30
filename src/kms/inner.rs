//! What all handles of a KMS share: its store, its providers, its cache.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::cache::Cache;
use super::commit::{AliasRecord, conflict};
use super::entry::KeyEntry;
use super::error::KmsError;
use super::in_use::Inventories;
use super::name::{AliasName, KeySelector, Selected};
use super::providers::Providers;
use super::record::KeyRecord;
use super::store_key::OpenStore;
use super::tick::Schedule;
use crate::audit::AuditTrail;
use crate::clock::{Clock, Timestamp};
use crate::fork::PerProcess;
use crate::format::KeyId;
use crate::rng::RandomSource;
use crate::store::{KeyStore, Record, RecordKey, Revision};

pub(crate) struct Inner {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) store_key: OpenStore,
    pub(super) providers: Providers,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn RandomSource>,
    pub(super) cache: PerProcess<Cache>,
    pub(super) schedule: PerProcess<Schedule>,
    pub(super) inventories: Inventories,
    pub(super) trail: Option<AuditTrail>,
}

/// What was read of an alias.
pub(super) struct ReadAlias {
    pub(super) key: KeyId,
    pub(super) revision: Revision,
}

impl Inner {
    pub(super) fn cache(&self) -> &Cache {
        self.cache.get()
    }

    pub(super) fn date(&self) -> Timestamp {
        self.clock.unix_time()
    }

    /// Learns what others have changed, if that is due.
    pub(super) fn refresh(&self) -> Result<(), KmsError> {
        let cache = self.cache();
        Ok(cache.refresh(self.store.as_ref(), self.clock.as_ref())?)
    }

    /// The key that a selector names, if it is known without asking the store.
    pub(super) fn at_hand(&self, selector: KeySelector<'_>) -> Option<Arc<KeyEntry>> {
        let cache = self.cache();
        if !cache.is_fresh(self.clock.as_ref()) {
            return None;
        }
        match selector.selected() {
            Selected::Id(id) => cache.key(id),
            Selected::Alias(name) => cache.key(cache.alias(name)?),
            Selected::Invalid => None,
        }
    }

    /// The key that a selector names, as this process knows it. It may be deleted.
    pub(super) fn find(&self, selector: KeySelector<'_>) -> Result<Arc<KeyEntry>, KmsError> {
        match selector.selected() {
            Selected::Id(id) => self.find_key(id),
            Selected::Alias(name) => self.find_by_alias(name),
            Selected::Invalid => Err(KmsError::InvalidSelector),
        }
    }

    /// A key, which may be deleted.
    pub(super) fn find_key(&self, id: KeyId) -> Result<Arc<KeyEntry>, KmsError> {
        match self.cache().key(id) {
            Some(entry) => Ok(entry),
            None => self.read_key(id),
        }
    }

    /// A key, which may be deleted, as the store has it now.
    pub(super) fn read_key(&self, id: KeyId) -> Result<Arc<KeyEntry>, KmsError> {
        let address = KeyRecord::address(id);
        let (epoch, known) = self.cache().before_read(id);
        let stored = self.store.get(&address)?.ok_or_else(|| KmsError::NoKey {
            key: id,
            store: self.store.name(),
        })?;
        let record = self.decode_key(&address, &stored)?;
        if known.is_some_and(|known| record.generation < known) {
            return Err(KmsError::RolledBack {
                record: address,
                store: self.store.name(),
            });
        }
        let entry = self.entry(record, stored.revision);
        self.cache().keep_key(epoch, &entry);
        Ok(entry)
    }

    /// A key as the store has it now, unless it is deleted.
    pub(super) fn read_alive(&self, id: KeyId) -> Result<Arc<KeyEntry>, KmsError> {
        let entry = self.read_key(id)?;
        entry.alive()?;
        Ok(entry)
    }

    /// An alias as the store has it now.
    pub(super) fn read_alias(&self, alias: &AliasName) -> Result<Option<ReadAlias>, KmsError> {
        let address = AliasRecord::address(alias)?;
        let epoch = self.cache().epoch();
        let Some(stored) = self.store.get(&address)? else {
            return Ok(None);
        };
        let record: AliasRecord = self.decode(&address, &stored)?;
        let read = ReadAlias {
            key: record.key,
            revision: stored.revision,
        };
        self.cache()
            .keep_alias(epoch, alias.clone(), read.key, read.revision);
        Ok(Some(read))
    }

    pub(super) fn no_alias(&self, alias: AliasName) -> KmsError {
        KmsError::NoAlias {
            alias,
            store: self.store.name(),
        }
    }

    pub(super) fn decode_key(
        &self,
        address: &RecordKey,
        stored: &Record,
    ) -> Result<KeyRecord, KmsError> {
        let record = self.store_key.codec.decode_key(address, &stored.bytes);
        record.map_err(|why| why.at(address.clone(), self.store.name()))
    }

    /// Reads a record that is not one of a key.
    pub(super) fn decode<T: DeserializeOwned>(
        &self,
        address: &RecordKey,
        stored: &Record,
    ) -> Result<T, KmsError> {
        let record = self.store_key.codec.decode(address, &stored.bytes);
        record.map_err(|why| why.at(address.clone(), self.store.name()))
    }

    pub(super) fn entry(&self, record: KeyRecord, revision: Revision) -> Arc<KeyEntry> {
        let cache = self.cache();
        let before = cache.last_key(record.key);
        let entry = KeyEntry::new(record, revision, &self.providers, &cache.usage);
        // Most changes of a key leave its grants as they were.
        if let Some(before) = before.filter(|before| before.record.grants == entry.record.grants)
            && let Some(grants) = before.known_grants()
        {
            entry.learn_grants(grants);
        }
        Arc::new(entry)
    }

    fn find_by_alias(&self, name: &str) -> Result<Arc<KeyEntry>, KmsError> {
        if let Some(id) = self.cache().alias(name) {
            let entry = self.find_key(id)?;
            if entry.record.aliases.contains(name) {
                return Ok(entry);
            }
        }
        self.read_by_alias(&AliasName::new(name)?)
    }

    /// An alias and its key name each other. Where they do not, another process may just be giving
    /// the alias to another key; if that stays so, somebody has put an old record back.
    fn read_by_alias(&self, alias: &AliasName) -> Result<Arc<KeyEntry>, KmsError> {
        let mut last = None;
        for _ in 0..MAX_ALIAS_READS {
            let Some(read) = self.read_alias(alias)? else {
                return Err(self.no_alias(alias.clone()));
            };
            let entry = self.read_key(read.key)?;
            if entry.record.aliases.contains(alias) {
                return Ok(entry);
            }
            if last == Some((read.revision, entry.revision)) {
                return Err(KmsError::Tampered {
                    record: AliasRecord::address(alias)?,
                    store: self.store.name(),
                });
            }
            last = Some((read.revision, entry.revision));
        }
        Err(conflict(AliasRecord::address(alias)?))
    }
}

const MAX_ALIAS_READS: usize = 100;

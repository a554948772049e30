//! The seeds of all subjects of a key under its primary version.

use std::sync::Arc;

use super::record::{SubjectRecord, seed_binding};
use crate::format::{KeyId, KeyVersion};
use crate::kms::KmsHandle;
use crate::kms::commit::{MAX_ATTEMPTS, Unit, conflict};
use crate::kms::entry::KeyEntry;
use crate::kms::error::KmsError;
use crate::kms::inner::Inner;
use crate::kms::name::KeySelector;
use crate::kms::operation::Operation;
use crate::kms::perform::AuthorisedKey;
use crate::kms::record::StoredBytes;
use crate::kms::scan::Scan;
use crate::provider::WrapRequest;
use crate::store::{Collection, Expected, RecordKey, Revision};

/// What a [`rewrap_subjects`](KmsHandle::rewrap_subjects) has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SubjectRewrapReport {
    /// Seeds that were under another version, and are now under the primary one.
    pub rewrapped: u64,
    /// Seeds that were under it already.
    pub current: u64,
}

/// Records that are written in one transaction.
const AT_ONCE: usize = 256;

impl KmsHandle {
    /// Puts the seeds of all subjects of a key under its primary version, so that older versions can
    /// be [destroyed](Self::destroy_version). No message changes. If it is interrupted, call it
    /// again.
    ///
    /// It reads all subjects of the store, and writes 256 in a transaction.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::VersionDestroyed`] for a seed under a version that was destroyed although it was
    /// used, [`KmsError::Tampered`] and [`KmsError::NewerRecord`] at the first record that cannot be
    /// read, and the failures of the store and the provider.
    pub fn rewrap_subjects<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<SubjectRewrapReport, KmsError> {
        let operation = Operation::RewrapSubjects;
        self.gate()
            .perform(operation, key.into(), None, |key| key.rewrap_subjects())
    }
}

type Found = (RecordKey, SubjectRecord, Revision);

impl AuthorisedKey<'_> {
    fn rewrap_subjects(&self) -> Result<SubjectRewrapReport, KmsError> {
        let mut key = Arc::clone(self.entry());
        let mut report = SubjectRewrapReport::default();
        let mut batch = Vec::new();
        for found in self.kms().subjects_of(self.id()) {
            let found = found?;
            match &found.1.live {
                Some(live) if live.version == key.record.primary => report.current += 1,
                Some(_) => batch.push(found),
                None => {}
            }
            if batch.len() == AT_ONCE {
                report.rewrapped += self.rewrap_all(&mut key, &mut batch)?;
            }
        }
        report.rewrapped += self.rewrap_all(&mut key, &mut batch)?;
        if report.rewrapped > 0 {
            self.kms().store.erase_replaced()?;
        }
        Ok(report)
    }

    fn rewrap_all(&self, key: &mut Arc<KeyEntry>, batch: &mut Vec<Found>) -> Result<u64, KmsError> {
        let mut unit = Unit::new(self.kms()).while_key_is(key);
        for (address, record, revision) in batch.iter() {
            let record = self.rewrapped(key, record)?;
            let expected = Expected::Revision(*revision);
            unit = unit.put_subject(address.clone(), expected, &record);
        }
        let count = batch.len() as u64;
        if batch.is_empty() || unit.commit()?.is_some() {
            batch.clear();
            return Ok(count);
        }
        // One by one: others are changing one of them, or the key.
        batch
            .drain(..)
            .try_for_each(|(address, ..)| self.rewrap_one(key, &address))?;
        Ok(count)
    }

    fn rewrap_one(&self, key: &mut Arc<KeyEntry>, address: &RecordKey) -> Result<(), KmsError> {
        for _ in 0..MAX_ATTEMPTS {
            *key = self.read_again()?;
            let Some(stored) = self.kms().store.get(address)? else {
                return Ok(());
            };
            let record = self.rewrapped(key, &self.kms().decode(address, &stored)?)?;
            let expected = Expected::Revision(stored.revision);
            let unit = Unit::new(self.kms()).while_key_is(key).put_subject(
                address.clone(),
                expected,
                &record,
            );
            if unit.commit()?.is_some() {
                return Ok(());
            }
        }
        Err(conflict(address.clone()))
    }

    fn rewrapped(&self, key: &KeyEntry, record: &SubjectRecord) -> Result<SubjectRecord, KmsError> {
        let mut record = record.clone();
        if let Some(live) = &mut record.live {
            let seed = self.unwrap_seed(live)?;
            let primary = self.primary_of(key)?;
            let binding = seed_binding(self.id(), primary.number(), live.subject);
            let request = WrapRequest::new(primary.handle(), &seed, &binding);
            let wrapped = primary.provider()?.wrap_key(request)?;
            live.version = primary.number();
            live.seed = StoredBytes::new(wrapped.as_bytes());
        }
        Ok(record)
    }
}

impl Inner {
    /// The subjects of a key, as the store has them.
    fn subjects_of(&self, key: KeyId) -> impl Iterator<Item = Result<Found, KmsError>> {
        Scan::all(self.store.as_ref(), Collection::SUBJECTS).filter_map(move |stored| {
            let found = stored
                .map_err(KmsError::from)
                .and_then(|(address, stored)| {
                    let record: SubjectRecord = self.decode(&address, &stored)?;
                    Ok((address, record, stored.revision))
                });
            match found {
                Ok((_, record, _)) if record.key != key => None,
                found => Some(found),
            }
        })
    }

    /// How many subjects have their seeds under a key; with a version, under that version of it.
    pub(in crate::kms) fn subjects_under(
        &self,
        key: KeyId,
        version: Option<KeyVersion>,
    ) -> Result<u64, KmsError> {
        let mut count = 0;
        for found in self.subjects_of(key) {
            let (_, record, _) = found?;
            let is_under = record
                .live
                .is_some_and(|live| version.is_none_or(|version| live.version == version));
            count += u64::from(is_under);
        }
        Ok(count)
    }
}

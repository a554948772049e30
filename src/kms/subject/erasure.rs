//! The end of a subject's key, in two commits.

use serde::{Deserialize, Serialize};

use super::record::Erased;
use crate::clock::Timestamp;
use crate::format::KeyId;
use crate::kms::acting::Acting;
use crate::kms::commit::{MAX_ATTEMPTS, Unit, conflict};
use crate::kms::error::KmsError;
use crate::kms::inner::Inner;
use crate::kms::scan::Scan;
use crate::store::{Collection, Expected, Record as Stored, RecordId, RecordKey, Revision};

/// A record of the collection `erasures`: the store may still hold a seed that was erased.
///
/// There are 16 places for them, since stores keep something of each record that they ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::kms) struct ErasureRecord {
    pub(in crate::kms) key: KeyId,
    pub(in crate::kms) subject: KeyId,
}

impl ErasureRecord {
    pub(in crate::kms) fn address(&self) -> RecordKey {
        let [first, ..] = self.subject.as_bytes();
        RecordKey::new(Collection::ERASURES, RecordId::of_byte(first & 15))
    }
}

impl Acting<'_> {
    /// Takes a seed out of its record and notes that there may be more of it, then lets the store
    /// erase that, then takes the note away.
    pub(super) fn erase_subject(
        &self,
        key: KeyId,
        name: &str,
        now: Timestamp,
        by: &str,
    ) -> Result<Erased, KmsError> {
        let address = self.subject_address(key, name);
        for _ in 0..MAX_ATTEMPTS {
            let (mut record, revision) = self.read_subject(key, name)?;
            if let Some(live) = record.live.take() {
                let erasure = ErasureRecord {
                    key,
                    subject: live.subject,
                };
                // Another one in its place is finished first.
                if let Some((begun, _)) = self.erasure_at(&erasure.address())? {
                    self.finish_erasure(&begun)?;
                }
                record.erased.push(live.erased(now, by));
                Unit::new(self)
                    .put_subject(address.clone(), Expected::Revision(revision), &record)
                    .begin_erasure(&erasure)
                    .commit()?;
                continue;
            }
            let last = record.erased.pop().ok_or_else(|| self.no_subject(key))?;
            self.finish_erasure(&ErasureRecord {
                key,
                subject: last.subject,
            })?;
            return Ok(last);
        }
        Err(conflict(address))
    }

    /// Lets the store erase what it may have kept of a seed. False if that is done.
    pub(in crate::kms) fn finish_erasure(&self, erasure: &ErasureRecord) -> Result<bool, KmsError> {
        let revision = match self.erasure_at(&erasure.address())? {
            Some((begun, revision)) if begun == *erasure => revision,
            _ => return Ok(false),
        };
        self.store.erase_replaced()?;
        let unit = Unit::new(self).end_erasure(erasure, revision);
        // Nobody writes it again: who was faster has finished it.
        Ok(unit.commit()?.is_some())
    }
}

impl Inner {
    /// The erasures that were begun and are not finished.
    pub(in crate::kms) fn begun_erasures(&self) -> Result<Vec<ErasureRecord>, KmsError> {
        let begun = Scan::all(self.store.as_ref(), Collection::ERASURES);
        let begun = begun.map(|stored| {
            let (address, stored) = stored?;
            self.decode_erasure(&address, &stored)
        });
        begun.collect()
    }

    fn erasure_at(
        &self,
        address: &RecordKey,
    ) -> Result<Option<(ErasureRecord, Revision)>, KmsError> {
        let Some(stored) = self.store.get(address)? else {
            return Ok(None);
        };
        let erasure = self.decode_erasure(address, &stored)?;
        Ok(Some((erasure, stored.revision)))
    }

    fn decode_erasure(
        &self,
        address: &RecordKey,
        stored: &Stored,
    ) -> Result<ErasureRecord, KmsError> {
        let codec = &self.store_key.codec;
        codec
            .decode(address, &stored.bytes)
            .map_err(|why| why.at(address.clone(), self.store.name()))
    }
}

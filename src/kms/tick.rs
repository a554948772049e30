//! The work that time brings.

mod schedule;
mod ticker;

use std::sync::Arc;

pub(super) use self::schedule::Schedule;
pub use self::ticker::Ticker;
use super::KmsHandle;
use super::acting::Acting;
use super::commit::{MAX_ATTEMPTS, Unit, conflict};
use super::entry::KeyEntry;
use super::error::KmsError;
use super::grant::GrantId;
use super::inner::Inner;
use super::operation::Operation;
use super::perform::Gate;
use super::record::{Due, KeyRecord};
use super::rotation::Rotated;
use super::subject::ErasureRecord;
use crate::clock::Timestamp;
use crate::format::{KeyId, KeyVersion};

/// What a [`tick`](KmsHandle::tick) has done. Work that another process did meanwhile is in that
/// one's report.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TickReport {
    /// Versions that an automatic rotation made or found, and that wait to be promoted.
    pub pending: Vec<(KeyId, KeyVersion)>,
    /// Versions that became primary.
    pub promoted: Vec<(KeyId, KeyVersion)>,
    /// Keys that were deleted.
    pub deleted: Vec<KeyId>,
    /// Versions whose imported material has expired.
    pub expired: Vec<(KeyId, KeyVersion)>,
    /// Versions of which the last trace was destroyed, after a crash or a failure had kept
    /// [`destroy_version`](KmsHandle::destroy_version) from it.
    pub destroyed: Vec<(KeyId, KeyVersion)>,
    /// Keys of subjects of which the last trace was erased, after a crash or a failure had kept
    /// [`erase_subject`](KmsHandle::erase_subject) from it: the KMS key, and the subject's id.
    pub erased_subjects: Vec<(KeyId, KeyId)>,
    /// Grants whose time was over, and that are gone.
    pub ended_grants: Vec<(KeyId, GrantId)>,
    /// What could not be done. The next tick tries again.
    pub failures: Vec<TickFailure>,
}

/// Work on one key that a [`tick`](KmsHandle::tick) could not do.
#[derive(Debug)]
#[non_exhaustive]
pub struct TickFailure {
    /// The key.
    pub key: KeyId,
    /// Why.
    pub error: KmsError,
}

impl TickReport {
    /// Whether nothing was due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
            && self.promoted.is_empty()
            && self.deleted.is_empty()
            && self.expired.is_empty()
            && self.destroyed.is_empty()
            && self.erased_subjects.is_empty()
            && self.ended_grants.is_empty()
            && self.failures.is_empty()
    }
}

impl KmsHandle {
    /// Does all work that is due: rotations, promotions, deletions, expiry of imported material and of
    /// grants; finishes erasures of subjects that were cut off; and adds to the store what this process has counted of wraps.
    ///
    /// Call it now and then: work is done late by as much as it is called late. Several processes
    /// may call it at once; each piece of work is done once. The first call in a process reads all
    /// keys; later ones, what was changed since.
    ///
    /// It needs no permission: what is due was decided by those who had it. The audit trail has it as
    /// done by `waxseal:tick`, and in its source attributes whose tick it was (`tickedBy`).
    ///
    /// # Errors
    ///
    /// The failures of the store when it cannot tell what is due; and, when all else is done,
    /// [`KmsError::Tampered`] and [`KmsError::NewerRecord`] for the record of an erasure that cannot
    /// be read. What fails with one key is in the [report](TickReport::failures), and keeps nothing
    /// else from being done.
    pub fn tick(&self) -> Result<TickReport, KmsError> {
        let mut report = TickReport::default();
        self.kms.flush_usage(&mut report);
        let now = self.kms.date();
        for key in self.kms.schedule.get().due(&self.kms, now)? {
            if let Err(error) = self.work_on(key, now, &mut report) {
                report.failures.push(TickFailure { key, error });
            }
        }
        for erasure in self.kms.begun_erasures()? {
            if let Err(error) = self.finish_erasure(&erasure, &mut report) {
                let key = erasure.key;
                report.failures.push(TickFailure { key, error });
            }
        }
        Ok(report)
    }

    fn finish_erasure(
        &self,
        erasure: &ErasureRecord,
        report: &mut TickReport,
    ) -> Result<(), KmsError> {
        let session = self.session.of_due_work();
        let key = self.kms.read_key(erasure.key)?;
        let is_finished =
            Gate::new(&self.kms, &session).perform_due(Operation::EraseSubject, &key, |kms| {
                kms.finish_erasure(erasure)
            })?;
        if is_finished {
            report.erased_subjects.push((erasure.key, erasure.subject));
        }
        Ok(())
    }

    /// Does all that is due on a key.
    fn work_on(&self, key: KeyId, now: Timestamp, report: &mut TickReport) -> Result<(), KmsError> {
        for _ in 0..MAX_ATTEMPTS {
            let entry = self.kms.read_key(key)?;
            let Some(due) = entry.record.due(now) else {
                return Ok(());
            };
            self.do_due(&entry, due, now, report)?;
        }
        Err(conflict(KeyRecord::address(key)))
    }

    fn do_due(
        &self,
        entry: &Arc<KeyEntry>,
        due: Due,
        now: Timestamp,
        report: &mut TickReport,
    ) -> Result<(), KmsError> {
        let session = self.session.of_due_work();
        let gate = Gate::new(&self.kms, &session);
        let key = entry.id();
        match due {
            Due::BeginDestroying => {
                gate.perform_due(Operation::DeleteKey, entry, |kms| {
                    kms.begin_destroying(entry, now)
                })?;
            }
            Due::GoOnDestroying => {
                let deleted = gate.perform_due(Operation::DeleteKey, entry, |kms| {
                    kms.go_on_destroying(entry)
                })?;
                report
                    .deleted
                    .extend(deleted.filter(|is_gone| *is_gone).map(|_| key));
            }
            Due::Expire(version) => {
                gate.perform_due(Operation::DeleteExpiredKeyMaterial, entry, |kms| {
                    kms.expire(entry, version)
                })?;
            }
            Due::EraseMaterial(version) => {
                let record = entry.record.version(version);
                let is_destroyed = record.is_some_and(|record| record.destroyed.is_some());
                let (operation, list) = if is_destroyed {
                    (Operation::DestroyKeyVersion, &mut report.destroyed)
                } else {
                    (Operation::DeleteExpiredKeyMaterial, &mut report.expired)
                };
                let erased =
                    gate.perform_due(operation, entry, |kms| kms.erase_material(entry, version))?;
                list.extend(erased.filter(|is_gone| *is_gone).map(|_| (key, version)));
            }
            Due::EndGrants => {
                let ended = gate.perform_due(Operation::RetireGrant, entry, |kms| {
                    kms.end_expired_grants(entry, now)
                })?;
                report
                    .ended_grants
                    .extend(ended.into_iter().flatten().map(|grant| (key, grant)));
            }
            Due::Promote(version) => {
                let promoted = gate.perform_due(Operation::RotateKey, entry, |kms| {
                    kms.promote(entry, version, now)
                })?;
                report
                    .promoted
                    .extend(promoted.map(|version| (key, version)));
            }
            Due::Rotate(cause) => {
                let rotated = gate.perform_due(Operation::RotateKey, entry, |kms| {
                    kms.rotate(entry, cause, now)
                })?;
                match rotated {
                    Some(Rotated::Promoted(version)) => report.promoted.push((key, version)),
                    Some(Rotated::Pending(version)) => report.pending.push((key, version)),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Adds to the store what this process has wrapped under any key.
    fn flush_usage(&self, report: &mut TickReport) {
        let mut taken = self.cache().usage.take();
        taken.sort_unstable_by_key(|(key, _)| *key);
        for counts in taken.chunks(KEYS_AT_ONCE) {
            if self.add_usage(counts).unwrap_or(false) {
                continue;
            }
            // One by one: others are changing one of them, or something is wrong with one of them.
            for (key, counts) in counts {
                if let Err(error) = self.add_usage_of(*key, counts) {
                    self.cache().usage.put_back(*key, counts);
                    report.failures.push(TickFailure { key: *key, error });
                }
            }
        }
    }

    /// Adds to the store what this process has wrapped under a key.
    pub(super) fn flush_usage_of(&self, key: KeyId) -> Result<(), KmsError> {
        let entry = self.find_key(key)?;
        let counts = [(entry.record.primary, entry.meter().take())];
        let added = self.add_usage_of(key, &counts);
        if added.is_err() {
            self.cache().usage.put_back(key, &counts);
        }
        added
    }

    /// False when others were faster.
    fn add_usage(&self, taken: &[(KeyId, Counts)]) -> Result<bool, KmsError> {
        let mut unit = Unit::new(&Acting::counting(self));
        for (key, counts) in taken {
            let entry = self.find_key(*key)?;
            entry.alive()?;
            let mut record = entry.record.clone();
            record.add_wraps(counts);
            unit = unit.update_key(&entry, record);
        }
        Ok(unit.commit()?.is_some())
    }

    fn add_usage_of(&self, key: KeyId, counts: &[(KeyVersion, u64)]) -> Result<(), KmsError> {
        let entry = match self.read_alive(key) {
            // Nobody will ask how often.
            Err(KmsError::Deleted { .. }) => return Ok(()),
            entry => entry?,
        };
        let added = Acting::counting(self).change(entry, |entry| {
            let mut record = entry.record.clone();
            record.add_wraps(counts);
            Ok(record)
        });
        match added {
            Ok(_) | Err(KmsError::Deleted { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

type Counts = Vec<(KeyVersion, u64)>;

/// Keys whose counts are written in one transaction.
const KEYS_AT_ONCE: usize = 64;

impl KeyRecord {
    fn add_wraps(&mut self, counts: &[(KeyVersion, u64)]) {
        for &(version, count) in counts {
            if let Some(version) = self.version_mut(version) {
                version.wraps = version.wraps.saturating_add(count);
            }
        }
    }
}

//! The end of keys, and of imported material.
//!
//! A key is deleted in steps, each of which can be done again after a crash:
//!
//! 1. The record says that the key is being destroyed, and its aliases and grants are gone. There is no way
//!    back; every use says that the key was deleted.
//! 2. The provider destroys each version. One that it does not know any more is destroyed.
//! 3. The record no longer has the handles.
//! 4. The store erases what it may have kept of them.
//! 5. The record says that the key is deleted, and stays so for ever.
//!
//! Material that was imported goes the same way, steps 2 to 4.

use super::KmsHandle;
use super::acting::Acting;
use super::asked::{Asked, Parameters};
use super::commit::Unit;
use super::entry::KeyEntry;
use super::error::KmsError;
use super::in_use::IfUsed;
use super::key::VersionState;
use super::name::KeySelector;
use super::operation::Operation;
use super::record::{KeyRecord, StoredState, VersionRecord};
use super::rotation::{days, in_range};
use crate::clock::Timestamp;
use crate::format::KeyVersion;
use crate::provider::ProviderError;

/// How long a key waits to be deleted: 7 to 30 days, 30 unless it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingPeriod(u32);

impl WaitingPeriod {
    /// The shortest, in days.
    pub const MIN_DAYS: u32 = 7;
    /// The longest, in days.
    pub const MAX_DAYS: u32 = 30;

    /// Takes days.
    ///
    /// # Errors
    ///
    /// [`KmsError::OutOfRange`] when it is less than 7 or more than 30.
    pub fn days(days: u32) -> Result<Self, KmsError> {
        let range = Self::MIN_DAYS.into()..=Self::MAX_DAYS.into();
        in_range("the waiting period", "days", range, days.into())?;
        Ok(Self(days))
    }
}

impl Default for WaitingPeriod {
    fn default() -> Self {
        Self(Self::MAX_DAYS)
    }
}

impl KmsHandle {
    /// Schedules the deletion of a key, and returns its date. Until then the key cannot be used,
    /// and its deletion can be [cancelled](Self::cancel_deletion). What is under it is lost with it.
    ///
    /// Each [registered inventory](super::Kms::register_inventory) is asked whether anything is
    /// under the key, now and again when the waiting period is over: what is found then keeps the key
    /// from being deleted, and is told by each [`tick`](Self::tick).
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`], [`KmsError::InUse`] and
    /// [`KmsError::Inventory`].
    pub fn schedule_deletion<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        waiting: WaitingPeriod,
    ) -> Result<Timestamp, KmsError> {
        self.schedule(key.into(), waiting, IfUsed::Refuse)
    }

    /// As [`schedule_deletion`](Self::schedule_deletion), and asks no inventory, now or later: what
    /// is under the key is lost with it.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::InvalidState`].
    pub fn schedule_deletion_even_if_used<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        waiting: WaitingPeriod,
    ) -> Result<Timestamp, KmsError> {
        self.schedule(key.into(), waiting, IfUsed::Destroy)
    }

    /// Takes back the scheduled deletion of a key. The key is then disabled, or without material if
    /// that was not imported or has expired.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::InvalidState`].
    pub fn cancel_deletion<'k>(&self, key: impl Into<KeySelector<'k>>) -> Result<(), KmsError> {
        self.edit(Operation::CancelKeyDeletion, key.into(), |record| {
            record.state = if record.has_material() {
                StoredState::Disabled
            } else {
                StoredState::PendingImport
            };
            Ok(())
        })
    }

    fn schedule(
        &self,
        key: KeySelector<'_>,
        waiting: WaitingPeriod,
        if_used: IfUsed,
    ) -> Result<Timestamp, KmsError> {
        let on = self.kms.date().saturating_add(days(waiting.0));
        let asked = Asked::new(Operation::ScheduleKeyDeletion).with(Parameters {
            waiting_days: Some(waiting.0),
            ..Parameters::default()
        });
        self.gate().perform_asked(asked, key, |key| {
            self.kms.check_unused(key.id(), None, if_used)?;
            key.change(|record| {
                record.state = StoredState::PendingDeletion {
                    on,
                    even_if_used: if_used == IfUsed::Destroy,
                };
                Ok(())
            })
        })?;
        Ok(on)
    }
}

impl Acting<'_> {
    /// Begins to destroy a key, unless it is in use. Nothing when others were faster.
    pub(super) fn begin_destroying(
        &self,
        entry: &KeyEntry,
        now: Timestamp,
    ) -> Result<Option<()>, KmsError> {
        let if_used = match entry.record.state {
            StoredState::PendingDeletion {
                even_if_used: true, ..
            } => IfUsed::Destroy,
            _ => IfUsed::Refuse,
        };
        self.check_unused(entry.id(), None, if_used)?;
        let mut unit = Unit::new(self);
        for alias in &entry.record.aliases {
            if let Some(read) = self.read_alias(alias)? {
                if read.key != entry.id() {
                    return Ok(None);
                }
                unit = unit.delete_alias(read.revision, alias.clone())?;
            }
        }
        let Some(unit) = self.delete_grants(unit, entry)? else {
            return Ok(None);
        };
        let mut record = entry.record.clone();
        record.state = StoredState::Destroying { since: now };
        record.aliases.clear();
        record.grants = None;
        Ok(unit.update_key(entry, record).commit()?.map(drop))
    }

    /// Does the next step of destroying a key. Nothing when others were faster; true when the key
    /// is deleted.
    pub(super) fn go_on_destroying(&self, entry: &KeyEntry) -> Result<Option<bool>, KmsError> {
        let mut record = entry.record.clone();
        if record.versions.is_empty() {
            self.store.erase_replaced()?;
            if let Some(on) = record.deleted() {
                record.state = StoredState::Deleted { on };
            }
            let committed = Unit::new(self).update_key(entry, record).commit()?;
            return Ok(committed.map(|_| true));
        }
        for version in &record.versions {
            self.destroy_material(&entry.record, version)?;
        }
        record.versions.clear();
        record.rotation = None;
        let committed = Unit::new(self).update_key(entry, record).commit()?;
        Ok(committed.map(|_| false))
    }

    /// Lets material expire. Nothing when others were faster.
    pub(super) fn expire(
        &self,
        entry: &KeyEntry,
        version: KeyVersion,
    ) -> Result<Option<()>, KmsError> {
        let mut record = entry.record.clone();
        record.condemn(version);
        Ok(Unit::new(self)
            .update_key(entry, record)
            .commit()?
            .map(drop))
    }

    /// Does the next step of destroying material that is not to be used any more. Nothing when
    /// others were faster; true when it is gone.
    pub(super) fn erase_material(
        &self,
        entry: &KeyEntry,
        number: KeyVersion,
    ) -> Result<Option<bool>, KmsError> {
        let mut record = entry.record.clone();
        let Some(version) = record.version_mut(number) else {
            return Ok(Some(true));
        };
        let is_gone = version.handle.is_none();
        if is_gone {
            self.store.erase_replaced()?;
            version.erase = false;
        } else {
            self.destroy_material(&entry.record, version)?;
            version.handle = None;
            version.erase = true;
        }
        let committed = Unit::new(self).update_key(entry, record).commit()?;
        Ok(committed.map(|_| is_gone))
    }

    /// Destroys a version in its provider, if it is still there.
    fn destroy_material(
        &self,
        record: &KeyRecord,
        version: &VersionRecord,
    ) -> Result<(), KmsError> {
        let Some(handle) = record.bound_handle(version) else {
            return Ok(());
        };
        let provider = self.providers.get(&version.provider)?;
        match provider.destroy_key(&handle) {
            Ok(()) | Err(ProviderError::UnknownKey { .. } | ProviderError::KeyDestroyed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl KeyRecord {
    /// Lets the material of a version no longer be used. What is still to be done to destroy it is
    /// due at once.
    pub(crate) fn condemn(&mut self, number: KeyVersion) {
        if let Some(version) = self.version_mut(number) {
            version.state = VersionState::PendingImport;
            version.expires = None;
            version.promotion = None;
        }
        if !self.has_material()
            && matches!(self.state, StoredState::Enabled | StoredState::Disabled)
        {
            self.state = StoredState::PendingImport;
        }
    }
}

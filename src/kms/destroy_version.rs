//! Destroying one old version of a key.
//!
//! 1. The record says that the version is destroyed: from then on nobody uses it, and there is no
//!    way back.
//! 2. Its provider destroys the key.
//! 3. The record loses the handle, and the store erases what it may have kept of it.
//!
//! The version stays in the record, to say what became of it. A tick goes on with what a crash, or a
//! provider that failed, has left.

use super::KmsHandle;
use super::error::KmsError;
use super::in_use::IfUsed;
use super::key::VersionState;
use super::name::KeySelector;
use super::operation::Operation;
use super::perform::AuthorisedKey;
use super::record::KeyRecord;
use crate::clock::Timestamp;
use crate::format::KeyVersion;

impl KmsHandle {
    /// Destroys an old version of a key for ever: what is still under it cannot be opened any more.
    /// [Rewrap](crate::EnvelopeEncryptor::rewrap) all that is under it before. A version that is
    /// destroyed already stays so.
    ///
    /// Each [registered inventory](super::Kms::register_inventory) is asked first; **without one,
    /// nothing stops this**. None of them sees what a process is just about to seal: another process
    /// may use the version before for a [refresh interval](super::KmsBuilder::refresh_interval) after
    /// a rotation, and a [`CachingKeyring`](crate::CachingKeyring) for as long as it keeps data keys.
    /// So wait for that before the last rewrap. Backups of what was sealed are in no inventory
    /// either.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidOrigin`] for a key whose material is imported, [`KmsError::NoVersion`],
    /// [`KmsError::PrimaryVersion`], [`KmsError::InUse`] and [`KmsError::Inventory`]. When the
    /// provider or the store fails after the version was marked, the next
    /// [`tick`](Self::tick) goes on.
    pub fn destroy_version<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        version: KeyVersion,
    ) -> Result<(), KmsError> {
        self.destroy(key.into(), version, IfUsed::Refuse)
    }

    /// As [`destroy_version`](Self::destroy_version), and asks no inventory: what is under the
    /// version is lost.
    ///
    /// # Errors
    ///
    /// As [`destroy_version`](Self::destroy_version), without those of inventories.
    pub fn destroy_version_even_if_used<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        version: KeyVersion,
    ) -> Result<(), KmsError> {
        self.destroy(key.into(), version, IfUsed::Destroy)
    }

    fn destroy(
        &self,
        key: KeySelector<'_>,
        version: KeyVersion,
        if_used: IfUsed,
    ) -> Result<(), KmsError> {
        let now = self.kms.date();
        let operation = Operation::DestroyKeyVersion;
        self.gate().perform(operation, key, None, |key| {
            key.record().destroyable(version)?;
            self.kms.check_unused(key.id(), Some(version), if_used)?;
            key.change(|record| record.destroy_version(version, now))?;
            key.erase_version(version)
        })
    }
}

impl AuthorisedKey<'_> {
    /// Does what is left to do for a version that is destroyed.
    fn erase_version(&self, version: KeyVersion) -> Result<(), KmsError> {
        self.until_done(|kms, entry| {
            let record = entry.record.version(version);
            if record.is_none_or(|record| record.handle.is_none() && !record.erase) {
                return Ok(Some(()));
            }
            let is_gone = kms.erase_material(entry, version)?;
            Ok(is_gone.filter(|is_gone| *is_gone).map(drop))
        })
    }
}

impl KeyRecord {
    /// Refuses a version that must not be destroyed.
    fn destroyable(&self, version: KeyVersion) -> Result<(), KmsError> {
        let key = self.key;
        if self.version(version).is_none() {
            return Err(KmsError::NoVersion { key, version });
        }
        if self.primary == version {
            return Err(KmsError::PrimaryVersion { key, version });
        }
        Ok(())
    }

    fn destroy_version(&mut self, version: KeyVersion, now: Timestamp) -> Result<(), KmsError> {
        self.destroyable(version)?;
        if let Some(version) = self.version_mut(version)
            && version.state != VersionState::Destroyed
        {
            version.state = VersionState::Destroyed;
            version.destroyed = Some(now);
            version.promotion = None;
        }
        Ok(())
    }
}

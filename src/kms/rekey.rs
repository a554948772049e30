//! A new root key for all keys of a store.
//!
//! Each record is moved by a change of its own, so that a crash leaves some under the new root key
//! and some under the old, and whoever has both can use all. The next call goes on.

use super::KmsHandle;
use super::acting::Acting;
use super::commit::{MAX_ATTEMPTS, Unit, conflict, none_if_outrun};
use super::entry::KeyEntry;
use super::error::KmsError;
use super::operation::Operation;
use super::record::{KeyRecord, StoredBytes};
use super::scan::Scan;
use super::store_key::StoreRecord;
use crate::format::KeyId;
use crate::provider::{
    CreateKeyRequest, KeyHandle, KeyMaterial, KeyProvider, KeySpec, ProviderError,
    SoftwareKeyProvider,
};
use crate::store::{Collection, Expected, Transaction};

/// What a [`rekey_root`](KmsHandle::rekey_root) has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RekeyReport {
    /// The records that were not yet under the new root key, and are now.
    pub records: usize,
}

impl KmsHandle {
    /// Puts all keys of software in the store, and the store's own, under the root key of
    /// `provider`: one that [takes](SoftwareKeyProvider::with_other_root) the old root key too. When
    /// this has returned, the store has no more use for the old root key.
    ///
    /// Keys stay what they are: messages open, signatures verify, and the KMS can be used meanwhile,
    /// here and in other processes. If it is interrupted, what was moved stays moved; call it again.
    /// It takes a commit for each key. Backups that were made before stay as they are, and so do
    /// copies of the store's files: the old root key opens what is in them.
    ///
    /// A new root key comes in by steps, of which each is done in every process that has the store
    /// before the next begins:
    ///
    /// 1. Open the KMS with `SoftwareKeyProvider::new(&old).with_other_root(&new)`, which takes what
    ///    is under the new root key.
    /// 2. Open it with `SoftwareKeyProvider::new(&new).with_other_root(&old)`, which creates under
    ///    the new root key.
    /// 3. Call this, in one of them, with that provider.
    /// 4. Open it with `SoftwareKeyProvider::new(&new)`, and destroy the old root key when no
    ///    backup and nothing outside of the store needs it.
    ///
    /// With one process that is stopped and started, steps 2 to 4 are enough.
    ///
    /// # Errors
    ///
    /// [`KmsError::RootNotInUse`] when this KMS was opened without the new root key,
    /// [`ProviderError::OtherRootKey`] for a key under a root key that `provider` does not take,
    /// [`KmsError::Tampered`] and [`KmsError::NewerRecord`] at the first record that cannot be read,
    /// and the failures of the store.
    pub fn rekey_root(&self, provider: &SoftwareKeyProvider) -> Result<RekeyReport, KmsError> {
        self.gate()
            .perform_on_store(Operation::RekeyRoot, |kms| kms.rekey_root(provider))
    }
}

impl Acting<'_> {
    fn rekey_root(&self, provider: &SoftwareKeyProvider) -> Result<RekeyReport, KmsError> {
        self.check_root_in_use(provider)?;
        let mut report = RekeyReport::default();
        loop {
            let moved = self.rekey_all(provider)?;
            report.records = report.records.saturating_add(moved);
            // Others may have created keys under the old root key meanwhile.
            if moved == 0 {
                self.store.erase_replaced()?;
                return Ok(report);
            }
        }
    }

    /// A key under the new root key must be one that this process can use.
    pub(super) fn check_root_in_use(&self, provider: &SoftwareKeyProvider) -> Result<(), KmsError> {
        let probe = provider.create_key(CreateKeyRequest::new(KeySpec::Wrapping256))?;
        let mut own = self
            .providers
            .iter()
            .filter(|own| own.capabilities().key_material == KeyMaterial::InHandle);
        if own.any(|own| own.describe_key(&probe).is_ok()) {
            Ok(())
        } else {
            Err(KmsError::RootNotInUse)
        }
    }

    /// Moves what is not yet under the new root key, and says how many records that were.
    fn rekey_all(&self, provider: &SoftwareKeyProvider) -> Result<usize, KmsError> {
        let mut moved = usize::from(self.rekey_store(provider)?);
        for stored in Scan::all(self.store.as_ref(), Collection::KEYS) {
            let (address, stored) = stored?;
            let record = self.decode_key(&address, &stored)?;
            if record.needs_rekey(provider)? && self.rekey_key(record.key, provider)? {
                moved += 1;
            }
        }
        Ok(moved)
    }

    /// Puts the key that wraps the store's key under another root key. False if it is already.
    fn rekey_store(&self, provider: &SoftwareKeyProvider) -> Result<bool, KmsError> {
        let address = StoreRecord::address();
        for _ in 0..MAX_ATTEMPTS {
            let (mut record, revision) = self.read_store_record()?;
            let Some(moved) = moved(provider, &record.provider, &record.bound_handle())? else {
                return Ok(false);
            };
            record.handle = StoredBytes::new(moved.as_bytes());
            let bytes = self.store_key.codec.encode(&address, &record);
            let expected = Expected::Revision(revision);
            let put = Transaction::new().put(address.clone(), expected, bytes);
            if none_if_outrun(self.commit(&put))?.is_some() {
                return Ok(true);
            }
        }
        Err(conflict(address))
    }

    /// Moves a key. False if there was nothing to move after all.
    fn rekey_key(&self, key: KeyId, provider: &SoftwareKeyProvider) -> Result<bool, KmsError> {
        for _ in 0..MAX_ATTEMPTS {
            let entry = self.read_key(key)?;
            if !entry.record.needs_rekey(provider)? {
                return Ok(false);
            }
            if self.rekey_entry(&entry, provider)?.is_some() {
                return Ok(true);
            }
        }
        Err(conflict(KeyRecord::address(key)))
    }

    /// Moves a key. Nothing when others were faster, or when there is more to do.
    fn rekey_entry(
        &self,
        entry: &KeyEntry,
        provider: &SoftwareKeyProvider,
    ) -> Result<Option<()>, KmsError> {
        let mut record = entry.record.clone();
        // What is to be destroyed is not moved, but destroyed.
        if record.deleted().is_some() {
            return Ok(self.go_on_destroying(entry)?.map(|_| ()));
        }
        let mut versions = record.versions.iter();
        let condemned = versions.find(|version| version.is_condemned() && version.handle.is_some());
        if let Some(version) = condemned {
            self.erase_material(entry, version.number)?;
            return Ok(None);
        }
        record.replace_handles(|version, handle| moved(provider, &version.provider, handle))?;
        Ok(Unit::new(self)
            .update_key(entry, record)
            .commit()?
            .map(drop))
    }
}

impl KeyRecord {
    fn needs_rekey(&self, provider: &SoftwareKeyProvider) -> Result<bool, KmsError> {
        for version in &self.versions {
            if let Some(handle) = self.bound_handle(version)
                && is_elsewhere(provider, &version.provider, &handle)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The handle of a key under the root key of `provider`, if it is under another root key that
/// `provider` takes.
fn moved(
    provider: &SoftwareKeyProvider,
    name: &str,
    handle: &KeyHandle,
) -> Result<Option<KeyHandle>, KmsError> {
    if is_elsewhere(provider, name, handle)? {
        Ok(Some(provider.move_key(handle, provider)?))
    } else {
        Ok(None)
    }
}

/// Handles of other providers are not under any root key. Those may be of software too, under
/// another name.
fn is_elsewhere(
    provider: &SoftwareKeyProvider,
    name: &str,
    handle: &KeyHandle,
) -> Result<bool, KmsError> {
    match provider.is_under_own_root(handle) {
        Ok(is_own) => Ok(!is_own),
        Err(ProviderError::InvalidHandle { .. } | ProviderError::OtherRootKey)
            if name != provider.name() =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

//! Whether anything is still sealed under what is to be destroyed.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::Kms;
use super::error::KmsError;
use super::inner::Inner;
use crate::format::{KeyId, KeyVersion};

/// Knows what is sealed under the keys of a KMS: the files of a directory, the rows of a table.
///
/// A [`Kms`] asks all that were [registered](Kms::register_inventory) before it destroys a key or a
/// version, and refuses if one of them finds it in use, or cannot tell.
/// [`DirectoryInventory`](crate::DirectoryInventory) is one; for a table, count with
/// [`Inventory::uses`](crate::Inventory::uses).
///
/// # Contract
///
/// - **Count what would be lost**: messages and headers for records that name the key, or that
///   version of it, and that no other key opens which will stay. To count those too that other keys
///   open is on the safe side.
/// - **Count now**: an answer that was kept from yesterday does not have what was sealed today.
/// - Where it cannot look at everything, it is an error and not a smaller number.
/// - It may be called from many threads and may take its time. It must not call the same KMS.
pub trait UsageInventory: fmt::Debug + Send + Sync {
    /// How errors name it: `the directory /srv/files`. Not secret.
    fn name(&self) -> String;

    /// How many messages and headers for records name `key`; with a version, that version of it.
    ///
    /// # Errors
    ///
    /// [`InventoryError`] when it cannot tell. What was to be destroyed is then not.
    fn uses(&self, key: KeyId, version: Option<KeyVersion>) -> Result<u64, InventoryError>;
}

/// A [`UsageInventory`] could not tell what is in use. Holds nothing secret.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct InventoryError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl InventoryError {
    /// Wraps the error of what was looked at.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl<T: UsageInventory + ?Sized> UsageInventory for Arc<T> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn uses(&self, key: KeyId, version: Option<KeyVersion>) -> Result<u64, InventoryError> {
        (**self).uses(key, version)
    }
}

impl Kms {
    /// Has `inventory` asked before a key or a version is destroyed through this KMS, for as long as
    /// it is open: what is in use is then only destroyed by the calls that say so in their names.
    ///
    /// It is asked in this process and in no other, so register it wherever versions are destroyed,
    /// deletions scheduled and [ticks](super::KmsHandle::tick) made.
    pub fn register_inventory(&self, inventory: impl UsageInventory + 'static) {
        self.0.inventories.add(Arc::new(inventory));
    }
}

/// Those that were registered.
#[derive(Debug, Default)]
pub(super) struct Inventories(RwLock<Vec<Arc<dyn UsageInventory>>>);

impl Inventories {
    fn add(&self, inventory: Arc<dyn UsageInventory>) {
        let mut inventories = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inventories.push(inventory);
    }

    fn all(&self) -> Vec<Arc<dyn UsageInventory>> {
        let inventories = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inventories.clone()
    }
}

/// Whether something is destroyed although it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfUsed {
    Refuse,
    Destroy,
}

impl Inner {
    /// Refuses what an inventory finds in use, or the seeds of subjects.
    pub(super) fn check_unused(
        &self,
        key: KeyId,
        version: Option<KeyVersion>,
        if_used: IfUsed,
    ) -> Result<(), KmsError> {
        if if_used == IfUsed::Destroy {
            return Ok(());
        }
        let uses = self.subjects_under(key, version)?;
        if uses > 0 {
            return Err(KmsError::InUse {
                key,
                version,
                uses,
                inventory: format!("the subjects in {}", self.store.name()),
            });
        }
        for inventory in self.inventories.all() {
            let uses = inventory.uses(key, version);
            let uses = uses.map_err(|source| KmsError::Inventory {
                key,
                inventory: inventory.name(),
                source,
            })?;
            if uses > 0 {
                return Err(KmsError::InUse {
                    key,
                    version,
                    uses,
                    inventory: inventory.name(),
                });
            }
        }
        Ok(())
    }
}

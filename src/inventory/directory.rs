//! Everything in a directory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::Inventory;
use crate::clock::Timestamp;
use crate::envelope::is_left_by_rewrap;
use crate::format::{KeyId, KeyVersion};
use crate::front::Front;
use crate::kms::{InventoryError, UsageInventory};

/// The files of a directory and of all directories in it, counted anew each time it is asked. Links
/// are not followed.
///
/// As a [`UsageInventory`] it fails when it may not read something, so that what it did not see is
/// not destroyed.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// use waxseal::DirectoryInventory;
///
/// let inventory = DirectoryInventory::new(directory.path()).count()?;
/// assert_eq!(inventory.messages(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct DirectoryInventory {
    path: PathBuf,
}

impl DirectoryInventory {
    /// Of the directory at `path`.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
        }
    }

    /// Counts what is there now. What cannot be read is
    /// [counted too](super::Inventory::unreadable).
    ///
    /// # Errors
    ///
    /// When the directory itself cannot be read.
    pub fn count(&self) -> io::Result<Inventory> {
        let mut inventory = Inventory::new();
        let mut front = Front::default();
        std::fs::read_dir(&self.path)?;
        for file in files_in(&self.path) {
            let counted = file.map_err(io::Error::from).and_then(|file| {
                let file = File::open(file.path())?;
                front.read(&file)?;
                let written = file.metadata()?.modified().ok().map(Timestamp::from);
                inventory.add(front.as_bytes(), written);
                Ok(())
            });
            if counted.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                inventory.totals.unreadable += 1;
            }
        }
        Ok(inventory)
    }
}

impl UsageInventory for DirectoryInventory {
    fn name(&self) -> String {
        format!("the directory {}", self.path.display())
    }

    fn uses(&self, key: KeyId, version: Option<KeyVersion>) -> Result<u64, InventoryError> {
        let inventory = self.count().map_err(InventoryError::new)?;
        let uses = inventory.uses(key, version);
        if uses == 0 && !inventory.is_complete() {
            return Err(InventoryError::new(format!(
                "{} files or directories in {} could not be read",
                inventory.unreadable(),
                self.path.display()
            )));
        }
        Ok(uses)
    }
}

/// The regular files in a directory, at any depth, without those that a rewrap leaves when it is
/// interrupted. One that vanishes meanwhile may be missing.
pub(crate) fn files_in(path: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    WalkDir::new(path).into_iter().filter(|entry| match entry {
        Ok(entry) => entry.file_type().is_file() && !is_left_by_rewrap(entry.file_name()),
        Err(_) => true,
    })
}

//! Everything in a directory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Inventory, names};
use crate::clock::Timestamp;
use crate::envelope::is_left_by_rewrap;
use crate::format::{KeyId, KeyVersion};
use crate::front::Front;
use crate::kms::{InventoryError, UsageInventory};

/// The files of a directory and of all directories in it, counted anew each time it is asked. Links
/// are not followed.
///
/// As a [`UsageInventory`] it fails when it may not read something, or finds messages of a
/// [newer](Inventory::newer) waxseal, so that what it did not see is not destroyed.
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
        inventory.totals.unreadable = self.for_each(|_path, front, written| {
            inventory.count(front.as_bytes(), front.is_newer(), written);
        })?;
        Ok(inventory)
    }

    /// Hands out the front of each file and when it was written, and says how many could not be read.
    fn for_each(&self, mut take: impl FnMut(&Path, &Front, Option<Timestamp>)) -> io::Result<u64> {
        std::fs::read_dir(&self.path)?;
        let mut unreadable = 0;
        let mut front = Front::default();
        for file in files_in(&self.path) {
            let read = file.map_err(io::Error::from).and_then(|entry| {
                let file = File::open(entry.path())?;
                front.read(&file)?;
                Ok((entry, file.metadata()?))
            });
            match read {
                Ok((entry, metadata)) => {
                    let written = metadata.modified().ok().map(Timestamp::from);
                    take(entry.path(), &front, written);
                }
                // It is gone, and was replaced by nothing or by what is looked at too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => unreadable += 1,
            }
        }
        Ok(unreadable)
    }
}

impl UsageInventory for DirectoryInventory {
    fn name(&self) -> String {
        format!("the directory {}", self.path.display())
    }

    fn uses(&self, key: KeyId, version: Option<KeyVersion>) -> Result<u64, InventoryError> {
        let mut uses = 0;
        let mut newer = None;
        let unreadable = self.for_each(|path, front, _written| {
            let is_used = front.header().is_ok_and(|header| {
                let mut entries = header.entries().iter();
                entries.any(|entry| names(&entry.reference().wrapping_key(), key, version))
            });
            uses += u64::from(is_used);
            if newer.is_none() && front.is_newer() {
                newer = Some(path.to_owned());
            }
        });
        let unreadable = unreadable.map_err(InventoryError::new)?;
        match newer {
            _ if uses > 0 => Ok(uses),
            _ if unreadable > 0 => Err(InventoryError::new(format!(
                "{unreadable} files or directories in {} could not be read",
                self.path.display()
            ))),
            Some(newer) => Err(InventoryError::new(format!(
                "{} looks like a message of a newer waxseal, which may need the key; upgrade, or move it away if it is none",
                newer.display()
            ))),
            None => Ok(0),
        }
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

//! One file whose header is replaced.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::durable::sync_directory;
use super::error::{At, RewrapFileError};
use super::positioned::{self, FromStart};
use super::{Rewrap, Rewrapped};
use crate::context::EncryptionContext;
use crate::envelope::EnvelopeEncryptor;
use crate::front::Front;

/// What a journal beside a file, or in a directory, ends with.
pub(super) const JOURNAL_SUFFIX: &str = ".waxseal-rewrap";
/// What the copy with a longer or shorter header ends with, before it takes the file's name.
const COPY_SUFFIX: &str = ".waxseal-new";

/// Whether a file is one that an interrupted rewrap leaves, and that the next one removes.
pub(crate) fn is_left_by_rewrap(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(JOURNAL_SUFFIX.as_bytes()) || name.ends_with(COPY_SUFFIX.as_bytes())
}

/// The path of what stands beside a file under the same name and more.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}

/// A file that is open, and locked against other rewraps.
#[derive(Debug)]
pub(super) struct SealedFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// As it was when it was opened.
    pub(super) metadata: Metadata,
}

impl SealedFile {
    pub(super) fn open(path: &Path) -> Result<Self, RewrapFileError> {
        let (file, metadata) = open_locked(path, &mut OpenOptions::new())?;
        Ok(Self {
            path: path.to_owned(),
            file,
            metadata,
        })
    }

    /// Reads so many bytes of the file, or all that it has.
    pub(super) fn read_first(&self, len: usize) -> Result<Vec<u8>, RewrapFileError> {
        let mut bytes = Vec::with_capacity(len);
        let mut first = FromStart::of(&self.file).take(len as u64);
        first.read_to_end(&mut bytes).at("read", &self.path)?;
        Ok(bytes)
    }

    /// Reads the front of the file.
    pub(super) fn read(&self, front: &mut Front) -> Result<(), RewrapFileError> {
        front.read(FromStart::of(&self.file)).at("read", &self.path)
    }

    /// The header that the file gets.
    pub(super) fn rewrapped(
        &self,
        envelope: &dyn EnvelopeEncryptor,
        front: &Front,
        context: &EncryptionContext,
        change: &Rewrap,
    ) -> Result<Rewrapped, RewrapFileError> {
        envelope
            .rewrap_with(front.as_bytes(), context, change)
            .map_err(|error| RewrapFileError::message(&self.path, error))
    }

    /// Writes a header over one of the same length. Not durable yet, and not safe without a journal.
    pub(super) fn overwrite(&self, header: &[u8]) -> Result<(), RewrapFileError> {
        positioned::overwrite(&self.file, header).at("write", &self.path)
    }

    /// Puts a copy with another header in the place of the file, durably, and says how many bytes
    /// were written. Permissions are those of the file, and its owner where that is allowed; other
    /// attributes are those of a new file.
    pub(super) fn splice(&self, rewrapped: &Rewrapped) -> Result<u64, RewrapFileError> {
        let copy_path = beside(&self.path, COPY_SUFFIX);
        let written = self
            .write_copy(rewrapped, &copy_path)
            .at("write", &copy_path)
            .and_then(|written| self.check_still_there().map(|()| written));
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                // It is of no use, and the next rewrap overwrites it.
                let _ = fs::remove_file(&copy_path);
                return Err(error);
            }
        };
        fs::rename(&copy_path, &self.path).at("replace", &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new(""));
        sync_directory(directory).at("sync", directory)?;
        Ok(written)
    }

    /// Refuses to put a copy in the place of a file that somebody has replaced or removed meanwhile.
    fn check_still_there(&self) -> Result<(), RewrapFileError> {
        let is_there = is_still_there(&self.metadata, &self.path);
        is_there
            .and_then(|is_there| {
                let replaced = || io::Error::other("somebody has replaced it meanwhile");
                is_there.then_some(()).ok_or_else(replaced)
            })
            .at("replace", &self.path)
    }

    fn write_copy(&self, rewrapped: &Rewrapped, copy_path: &Path) -> io::Result<u64> {
        // One that an interrupted rewrap left; or a link that somebody put there, which is not followed.
        match fs::remove_file(copy_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut copy = File::create_new(copy_path)?;
        keep_owner(&copy, &self.metadata);
        copy.set_permissions(self.metadata.permissions())?;
        copy.write_all(&rewrapped.header)?;
        let mut body = &self.file;
        body.seek(io::SeekFrom::Start(rewrapped.replaces as u64))?;
        let body_len = io::copy(&mut body, &mut copy)?;
        copy.sync_all()?;
        Ok(rewrapped.header.len() as u64 + body_len)
    }
}

/// Gives a copy the owner of its original: one who rewraps the files of others must not keep them
/// from these. Who may not do so leaves it his own.
#[cfg(unix)]
fn keep_owner(copy: &File, original: &Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};

    let _may_not = fchown(copy, Some(original.uid()), Some(original.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_copy: &File, _original: &Metadata) {}

/// Opens a file to read and write it, and locks it against other rewraps.
pub(super) fn open_locked(
    path: &Path,
    options: &mut OpenOptions,
) -> Result<(File, Metadata), RewrapFileError> {
    let busy = || RewrapFileError::Busy {
        path: path.to_owned(),
    };
    for _ in 0..MAX_OPENINGS {
        let file = options.read(true).write(true).open(path).at("open", path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        }
        let metadata = file.metadata().at("look at", path)?;
        match is_still_there(&metadata, path) {
            Ok(true) => return Ok((file, metadata)),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("look at", path),
        }
    }
    Err(busy())
}

const MAX_OPENINGS: usize = 100;

/// Whether an open file is still what its path leads to: another rewrap may just have replaced it.
#[cfg(unix)]
fn is_still_there(open: &Metadata, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let named = fs::metadata(path)?;
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

#[cfg(not(unix))]
fn is_still_there(_open: &Metadata, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

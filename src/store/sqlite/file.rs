use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use super::connection;
use super::failure::Failure;
use super::schema;
use crate::store::StoreError;

/// Where the store is, or is to be.
#[derive(Debug, Clone)]
pub(super) struct StoreFile {
    /// As the caller gave it, for errors.
    shown: PathBuf,
    /// Absolute: it names the same file when the working directory changes, and SQLite does not
    /// take it for a URI.
    path: PathBuf,
}

impl StoreFile {
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        match std::path::absolute(path) {
            Ok(absolute) => Ok(Self {
                shown: path.to_owned(),
                path: absolute,
            }),
            Err(source) => Err(StoreError::Io {
                store: name_of(path),
                source: source.into(),
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn name(&self) -> String {
        name_of(&self.shown)
    }

    pub(super) fn size(&self) -> Result<u64, StoreError> {
        let metadata = fs::metadata(&self.path).map_err(|error| self.io_error("open", error))?;
        Ok(metadata.len())
    }

    /// Which file the path leads to now.
    pub(super) fn identity(&self) -> Result<FileIdentity, StoreError> {
        let metadata = fs::metadata(&self.path).map_err(|error| self.io_error("open", error))?;
        Ok(FileIdentity::of(&metadata))
    }

    /// Looks whether the file is a key store, without opening it in a way that writes: SQLite
    /// would finish what another application's crash left unfinished.
    pub(super) fn inspect(&self) -> Result<(), StoreError> {
        let metadata = fs::metadata(&self.path).map_err(|error| self.io_error("open", error))?;
        let not_a_store = |found: &str| StoreError::NotAStore {
            store: self.name(),
            found: found.to_owned(),
        };
        if metadata.is_dir() {
            return Err(not_a_store("a directory"));
        }
        if !metadata.is_file() {
            return Err(not_a_store("no regular file"));
        }
        if metadata.len() == 0 {
            return Err(not_a_store(
                "an empty file, which may be what was left of a key store: restore it from a backup, or remove the file if there never was one",
            ));
        }
        let application_id = self
            .application_id()
            .map_err(|error| Self::inspection_failure(error).of(self.name()))?;
        if application_id == schema::APPLICATION_ID {
            return Ok(());
        }
        Err(not_a_store(&format!(
            "the SQLite file of another application (id {application_id:#x}), or its first page is damaged"
        )))
    }

    fn application_id(&self) -> Result<i32, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        #[cfg(unix)]
        let connection = Connection::open_with_flags(
            immutable_uri(&self.path),
            flags | OpenFlags::SQLITE_OPEN_URI,
        )?;
        #[cfg(not(unix))]
        let connection = Connection::open_with_flags(&self.path, flags)?;
        // While a log is brought into the file, or after a crash in the middle, the file may be
        // shorter than its first page says. This is what makes SQLite not mind.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
        connection.pragma_query_value(None, "application_id", |row| row.get(0))
    }

    fn inspection_failure(error: Error) -> Failure {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                Failure::NotAStore("no SQLite file, or its first page is damaged".to_owned())
            }
            _ => Failure::Engine(error),
        }
    }

    /// Makes an empty store appear at the path, whole, if nothing is there.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        if fs::symlink_metadata(&self.path).is_ok() {
            return Err(StoreError::Exists { store: self.name() });
        }
        let new = NewFile::beside(&self.path).map_err(|error| self.io_error("create", error))?;
        connection::create(&new.0).map_err(|failure| failure.of(self.name()))?;
        sync(&new.0)
            .and_then(|()| place(&new.0, &self.path))
            .and_then(|()| sync_directory(&self.path))
            .map_err(|error| self.io_error("create", error))
    }

    fn io_error(&self, action: &'static str, error: io::Error) -> StoreError {
        let store = self.name();
        match error.kind() {
            ErrorKind::NotFound if action == "open" => StoreError::Missing { store },
            ErrorKind::AlreadyExists => StoreError::Exists { store },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                StoreError::Permissions {
                    store,
                    action,
                    source: error.into(),
                }
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full {
                store,
                source: error.into(),
            },
            _ => StoreError::Io {
                store,
                source: error.into(),
            },
        }
    }
}

fn name_of(path: &Path) -> String {
    format!("the SQLite file {}", path.display())
}

/// A file that is removed again: if it is to stay, it has another name by then.
struct NewFile(PathBuf);

impl NewFile {
    fn beside(path: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{:016x}", u64::from_ne_bytes(random)));
        let new = path.with_file_name(name);
        create_private(&new)?;
        Ok(Self(new))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // At worst a file of some kilobytes stays, which nobody opens.
        let _ = fs::remove_file(&self.0);
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Gives the finished file its name, and never another file's.
fn place(new: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(new, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => copy(new, path),
        placed => placed,
    }
}

/// For file systems without hard links. A crash may leave a part, which no one takes for a store.
pub(super) fn copy(new: &Path, path: &Path) -> io::Result<()> {
    let mut to = create_private(path)?;
    io::copy(&mut File::open(new)?, &mut to)?;
    to.sync_all()
}

fn sync(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.sync_all()
}

#[cfg(unix)]
fn sync_directory(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_directory(_of: &Path) -> io::Result<()> {
    Ok(())
}

/// Tells a file from another that was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl FileIdentity {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    fn of(_metadata: &fs::Metadata) -> Self {
        Self {}
    }
}

/// Opened so, a file is neither locked nor are its journals looked at.
#[cfg(unix)]
fn immutable_uri(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;

    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri + "?immutable=1"
}

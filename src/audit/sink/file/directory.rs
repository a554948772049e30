use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::audit::error::AuditError;

/// The directory of a trail.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    /// As the caller gave it, for errors.
    shown: PathBuf,
    /// Absolute, also when the working directory changes.
    path: PathBuf,
}

const PREFIX: &str = "trail-";
const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 20;

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            shown: path.to_owned(),
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("the audit trail in {}", self.shown.display())
    }

    pub(super) fn create(&self) -> Result<(), AuditError> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&self.path) {
            Ok(()) => self
                .path
                .parent()
                .map_or(Ok(()), sync_directory)
                .map_err(|error| self.io_error("create", error)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(self.io_error("create", error)),
        }
    }

    /// The sequences that the files begin with, sorted.
    pub(super) fn files(&self) -> Result<Vec<u64>, AuditError> {
        let listed = fs::read_dir(&self.path).map_err(|error| self.io_error("read", error))?;
        let mut files = Vec::new();
        for entry in listed {
            let entry = entry.map_err(|error| self.io_error("read", error))?;
            files.extend(entry.file_name().to_str().and_then(first_sequence));
        }
        files.sort_unstable();
        Ok(files)
    }

    /// The paths of the files, in the order of their lines.
    pub(crate) fn paths(&self) -> Result<Vec<PathBuf>, AuditError> {
        let files = self.files()?;
        Ok(files.into_iter().map(|first| self.path_of(first)).collect())
    }

    pub(super) fn path_of(&self, first: u64) -> PathBuf {
        self.path.join(format!("{PREFIX}{first:020}{SUFFIX}"))
    }

    /// Opens the file that begins with this sequence, to read and to append; creates it where there
    /// is none.
    pub(super) fn open(&self, first: u64) -> Result<File, AuditError> {
        let path = self.path_of(first);
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        let opened = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                options
                    .create(true)
                    .open(&path)
                    .and_then(|file| sync_directory(&self.path).map(|()| file))
            }
            opened => opened,
        };
        opened.map_err(|error| self.io_error("open", error))
    }

    pub(super) fn damaged(&self, found: &str) -> AuditError {
        AuditError::Damaged {
            sink: self.name(),
            found: found.to_owned(),
        }
    }

    pub(crate) fn io_error(&self, action: &'static str, error: io::Error) -> AuditError {
        AuditError::io(&self.name(), action, error)
    }
}

fn first_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let is_plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok())?
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

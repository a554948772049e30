//! A trail in files.

mod current;
mod directory;
mod end;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use self::current::Current;
pub(crate) use self::directory::Directory;
use super::AuditSink;
use crate::audit::batch::{Appended, Batch, Lines};
use crate::audit::error::AuditError;
use crate::audit::head::Tail;
use crate::audit::line::LineHash;
use crate::fork::{ForkableState, PerProcess};

/// Keeps a trail in the files of a directory: `trail-00000000000000000000.jsonl` and so on, each
/// named by the sequence of its first line. Several processes with one directory make one chain.
///
/// The newest file is written to; when it is as large as [`rotate_at`](Self::rotate_at) says, it gets
/// a last line, and the next is begun. Files with a last line may be moved elsewhere: what is left
/// can be verified from its first checkpoint on.
///
/// What has no room is not written by half: it is cut off again, and the trail goes on when there is
/// room. What a process leaves half written that dies is cut off by the next that writes, which says
/// so in a line of the trail; it was never [recorded](crate::audit::AuditTrail::record), since that
/// returns when everything is on the disk.
///
/// The directory must be on a local file system that has locks. It is made with mode 0700, and its
/// files with 0600, on Unix.
pub struct FileSink {
    directory: Directory,
    rotate_at: u64,
    durability: Durability,
    slot: PerProcess<Slot>,
}

/// When the bytes of records are brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Records that are written together are brought to the disk together (`fdatasync`). The
    /// default: no caller returns before its record is there, and many share the wait.
    #[default]
    Grouped,
    /// Each record on its own.
    EachRecord,
    /// When the operating system likes: a crash of the machine may lose the last records, one of
    /// the process does not.
    OperatingSystem,
}

#[derive(Default)]
struct Slot(Mutex<Known>);

/// What this process knows of the trail.
#[derive(Default)]
struct Known {
    /// The file that was written to last. None after a failure: then it is read anew.
    current: Option<Current>,
    /// The end of what this process has seen.
    tail: Option<Tail>,
}

impl FileSink {
    /// How large a file becomes unless set otherwise, in bytes: 64 MiB.
    pub const DEFAULT_ROTATE_AT: u64 = 64 << 20;

    /// Opens the trail of a directory that has one.
    ///
    /// # Errors
    ///
    /// [`AuditError::Io`] when there is no such directory, [`AuditError::Damaged`] when there is no
    /// trail in it, and the failures of the disk.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, AuditError> {
        let sink = Self::with(Directory::new(directory.as_ref()));
        if sink.directory.files()?.is_empty() {
            return Err(sink.directory.damaged(
                "it has no file of an audit trail; create the trail, if there never was one",
            ));
        }
        sink.tail()?;
        Ok(sink)
    }

    /// Opens the trail of a directory, or begins one where none is. The directory is created; the
    /// one above it must exist.
    ///
    /// Where losing the trail must not go unnoticed, do so once, and [`open`](Self::open) from then
    /// on.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_or_create(directory: impl AsRef<Path>) -> Result<Self, AuditError> {
        let sink = Self::with(Directory::new(directory.as_ref()));
        sink.directory.create()?;
        sink.tail()?;
        Ok(sink)
    }

    /// Begins a new file when the newest has so many bytes, in place of
    /// [`DEFAULT_ROTATE_AT`](Self::DEFAULT_ROTATE_AT).
    #[must_use]
    pub fn rotate_at(mut self, len: u64) -> Self {
        self.rotate_at = len;
        self
    }

    /// When records are brought to the disk, in place of [`Durability::Grouped`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The files of the trail, in the order of their lines.
    ///
    /// # Errors
    ///
    /// The failures of the disk.
    pub fn files(&self) -> Result<Vec<PathBuf>, AuditError> {
        self.directory.paths()
    }

    fn with(directory: Directory) -> Self {
        Self {
            directory,
            rotate_at: Self::DEFAULT_ROTATE_AT,
            durability: Durability::default(),
            slot: PerProcess::new(Slot::default()),
        }
    }

    /// Does something with the newest file, which is locked meanwhile. After an error it is closed,
    /// and read anew the next time.
    fn with_current<T>(
        &self,
        action: impl FnOnce(&mut Current) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let slot = self.slot.get();
        let mut known = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = Current::lock(&self.directory, known.current.take())?;
        let done = current
            .check_follows(&self.directory, known.tail.as_ref())
            .and_then(|()| action(&mut current));
        current.unlock();
        let done = done?;
        known.tail = current.tail().copied();
        known.current = Some(current);
        Ok(done)
    }

    fn write(&self, current: &mut Current, lines: &Lines) -> Result<(), AuditError> {
        let written = match self.durability {
            Durability::Grouped => current
                .file
                .write_all(lines.as_bytes())
                .and_then(|()| current.file.sync_data()),
            Durability::OperatingSystem => current.file.write_all(lines.as_bytes()),
            Durability::EachRecord => write_each(current, lines),
        };
        written.map_err(|error| {
            current.cut_back();
            self.directory.io_error("write to", error)
        })?;
        current.has_written(lines);
        Ok(())
    }
}

fn write_each(current: &mut Current, lines: &Lines) -> io::Result<()> {
    lines.iter().try_for_each(|line| {
        current.file.write_all(line)?;
        current.file.sync_data()
    })
}

impl AuditSink for FileSink {
    fn name(&self) -> String {
        self.directory.name()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        self.with_current(|current| Ok(current.tail().copied()))
    }

    fn hash_of_line(&self, sequence: u64) -> Result<Option<LineHash>, AuditError> {
        self.with_current(|current| current.hash_of_line(&self.directory, sequence))
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        self.with_current(|current| {
            if let Some(tail) = current.tail().copied()
                && current.len() >= self.rotate_at.max(1)
            {
                let last_line = current.last_line(&tail, batch.time);
                self.write(current, &last_line)?;
                current.go_to_next(&self.directory)?;
            }
            let mut lines = current.first_lines(batch);
            batch.write(&mut lines);
            self.write(current, &lines)?;
            Ok(lines.appended())
        })
    }
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSink({})", self.directory.name())
    }
}

impl ForkableState for Slot {
    fn for_child(&self) -> Self {
        Self::default()
    }

    /// A child has a file of its own: a lock on one that it inherits is its parent's too.
    fn try_clear(&self) -> bool {
        self.0.try_lock().is_ok()
    }
}

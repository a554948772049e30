//! The file that is written to.

use std::fs::File;

use super::directory::Directory;
use super::end::{self, End};
use crate::audit::batch::{Batch, Lines};
use crate::audit::error::AuditError;
use crate::audit::head::Tail;
use crate::audit::line::LineHash;
use crate::audit::parse::LineKind;
use crate::clock::Timestamp;

/// The newest file of a trail, open, and locked while something is done with it.
pub(super) struct Current {
    pub(super) file: File,
    first: u64,
    /// The bytes of it that are whole lines.
    len: u64,
    /// The last line of the trail, which is in the file before if this one is empty.
    tail: Option<Tail>,
    /// What was half written after it.
    torn: Vec<u8>,
}

impl Current {
    /// Locks the newest file, and sees where the trail ends in it. `open` is the one that was the
    /// newest before.
    pub(super) fn lock(directory: &Directory, open: Option<Self>) -> Result<Self, AuditError> {
        if let Some(mut open) = open {
            open.file
                .lock()
                .map_err(|error| directory.io_error("lock", error))?;
            if is_in_place(directory, &open)? {
                if open.len_on_disk(directory)? == open.len {
                    return Ok(open);
                }
                let read = end::read(directory, &mut open.file)?;
                return open.follow(directory, read);
            }
            open.unlock();
        }
        let newest = directory.files()?.last().copied().unwrap_or(0);
        Self::open(directory, newest, None)?.settle(directory)
    }

    /// Goes to the file after one that has ended.
    pub(super) fn go_to_next(&mut self, directory: &Directory) -> Result<(), AuditError> {
        let tail = self.tail;
        let next = tail.map_or(0, |tail| tail.sequence.saturating_add(1));
        if next <= self.first {
            return Err(directory.damaged("a file of it ends before it begins"));
        }
        let opened = Self::open(directory, next, tail)?;
        self.unlock();
        *self = opened;
        Ok(())
    }

    pub(super) fn unlock(&self) {
        // At worst it stays locked until it is closed.
        let _ = self.file.unlock();
    }

    pub(super) fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Refuses a trail that is not where one can be by now that was at `known`.
    pub(super) fn check_follows(
        &mut self,
        directory: &Directory,
        known: Option<&Tail>,
    ) -> Result<(), AuditError> {
        let Some(known) = known else { return Ok(()) };
        let end = self.tail;
        known.check_followed_by(
            end.as_ref(),
            || directory.name(),
            |sequence| self.hash_of_line(directory, sequence),
        )
    }

    /// The hash of the line that has this sequence; none if its file is in an archive.
    pub(super) fn hash_of_line(
        &mut self,
        directory: &Directory,
        sequence: u64,
    ) -> Result<Option<LineHash>, AuditError> {
        let mut other;
        let (file, len, last) = if self.len > 0 && sequence >= self.first {
            (
                &mut self.file,
                self.len,
                self.tail.map(|tail| tail.sequence),
            )
        } else {
            let files = directory.files()?;
            let Some(&first) = files.iter().rev().find(|&&first| first <= sequence) else {
                return Ok(None);
            };
            other = directory.open(first)?;
            let end = end::read(directory, &mut other)?;
            (&mut other, end.len, end.last.map(|last| last.sequence))
        };
        let before = last.and_then(|last| last.checked_sub(sequence));
        before
            .map(|before| end::hash_before_last(directory, file, len, before))
            .transpose()
    }

    /// The line that says that there is a next file.
    pub(super) fn last_line(&self, tail: &Tail, time: Timestamp) -> Lines {
        let mut lines = Lines::after(tail);
        self.say_what_was_cut(&mut lines, time);
        lines.writer().end(time);
        lines
    }

    /// What is to be written before a batch: the first line of a file, and what was cut off.
    pub(super) fn first_lines(&self, batch: &Batch<'_>) -> Lines {
        let mut lines = match &self.tail {
            Some(tail) => Lines::after(tail),
            None => batch.new_trail(),
        };
        if self.len == 0 && self.tail.is_some() {
            let trail = lines.trail();
            lines.writer().begin(trail, batch.time);
        }
        self.say_what_was_cut(&mut lines, batch.time);
        lines
    }

    pub(super) fn has_written(&mut self, lines: &Lines) {
        self.len = self.len.saturating_add(lines.as_bytes().len() as u64);
        self.tail = Some(lines.tail());
        self.torn.clear();
    }

    /// Takes back what could not be written whole.
    pub(super) fn cut_back(&self) {
        // If this fails too, the next that writes finds what is torn.
        let _ = self.file.set_len(self.len);
    }

    fn say_what_was_cut(&self, lines: &mut Lines, time: Timestamp) {
        if !self.torn.is_empty() {
            lines.writer().recovered(time, &self.torn);
        }
    }

    /// Opens and locks a file. `before` is the last line of the one before, if that is known.
    fn open(directory: &Directory, first: u64, before: Option<Tail>) -> Result<Self, AuditError> {
        let mut file = directory.open(first)?;
        file.lock()
            .map_err(|error| directory.io_error("lock", error))?;
        let end = end::read(directory, &mut file)?;
        let mut opened = Self {
            file,
            first,
            len: 0,
            tail: before,
            torn: Vec::new(),
        };
        opened.take_in(directory, end)?;
        Ok(opened)
    }

    /// Follows the trail to its newest file, where another process began one.
    fn follow(mut self, directory: &Directory, end: End) -> Result<Self, AuditError> {
        let has_ended = end.has_ended();
        self.take_in(directory, end)?;
        if has_ended {
            self.go_to_next(directory)?;
            return self.settle(directory);
        }
        Ok(self)
    }

    /// Goes on until the file is the newest, and the end of the trail is known.
    fn settle(mut self, directory: &Directory) -> Result<Self, AuditError> {
        loop {
            let end = end::read(directory, &mut self.file)?;
            if end.has_ended() {
                self.take_in(directory, end)?;
                self.go_to_next(directory)?;
                continue;
            }
            if self.tail.is_none() && self.first > 0 {
                self.tail = Some(end_of_file_before(directory, self.first)?);
            }
            return Ok(self);
        }
    }

    fn take_in(&mut self, directory: &Directory, end: End) -> Result<(), AuditError> {
        self.len = end.len;
        self.torn = end.torn;
        if !self.torn.is_empty() {
            self.file
                .set_len(self.len)
                .map_err(|error| directory.io_error("write to", error))?;
        }
        if let Some(last) = end.last {
            self.tail = Some(Tail::new(last.trail, last.sequence, last.hash));
        }
        Ok(())
    }

    fn len_on_disk(&self, directory: &Directory) -> Result<u64, AuditError> {
        let metadata = self.file.metadata();
        Ok(metadata
            .map_err(|error| directory.io_error("read", error))?
            .len())
    }
}

/// The last line of the file before the one that begins with `first`: a process died between
/// ending the one and beginning the other.
fn end_of_file_before(directory: &Directory, first: u64) -> Result<Tail, AuditError> {
    let files = directory.files()?;
    let Some(&before) = files.iter().rev().find(|&&file| file < first) else {
        return Err(directory.damaged(
            "its newest file is empty, and the one before it is not there; put that back",
        ));
    };
    let mut file = directory.open(before)?;
    let end = end::read(directory, &mut file)?;
    if let Some(last) = end.last
        && matches!(last.kind, LineKind::End)
        && last.sequence.checked_add(1) == Some(first)
    {
        return Ok(Tail::new(last.trail, last.sequence, last.hash));
    }
    Err(directory.damaged("its newest file is empty, and does not follow the one before"))
}

/// Whether the file is still where it was.
#[cfg(unix)]
fn is_in_place(directory: &Directory, open: &Current) -> Result<bool, AuditError> {
    use std::os::unix::fs::MetadataExt;

    let own = open
        .file
        .metadata()
        .map_err(|error| directory.io_error("read", error))?;
    match std::fs::metadata(directory.path_of(open.first)) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(directory.io_error("read", error)),
    }
}

#[cfg(not(unix))]
fn is_in_place(directory: &Directory, open: &Current) -> Result<bool, AuditError> {
    Ok(directory.path_of(open.first).exists())
}

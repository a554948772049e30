//! Reading a trail, line by line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use super::error::AuditError;
use super::line::MAX_LINE_LEN;
use super::sink::Directory;
use crate::store::KeyStore;

/// Reads the lines of a trail, with memory for one of them.
pub struct TrailReader<'a> {
    source: Source<'a>,
    line: Vec<u8>,
}

enum Source<'a> {
    Bytes {
        rest: &'a [u8],
        number: u64,
    },
    Files {
        files: vec::IntoIter<PathBuf>,
        /// Looked at again when all files were read: another may have been begun meanwhile.
        directory: Option<Directory>,
        open: Option<OpenFile>,
    },
    Store {
        store: &'a dyn KeyStore,
        page: vec::IntoIter<Vec<u8>>,
        next: u64,
    },
}

struct OpenFile {
    path: Arc<Path>,
    reader: BufReader<File>,
    number: u64,
}

/// Where a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, where there is one.
    pub file: Option<Arc<Path>>,
    /// The number of the line in it, from 1; in the log of a store, of the entry.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match &self.file {
            Some(file) => write!(f, " of {}", file.display()),
            None => Ok(()),
        }
    }
}

/// A line as it is found.
pub(super) struct RawLine<'l> {
    /// Without its line feed. Of a line that is too long, the beginning.
    pub(super) bytes: &'l [u8],
    /// Whether it has a line feed, and is not too long.
    pub(super) is_whole: bool,
    /// Whether more lines may follow: not after the last line of the last file, if that has no line
    /// feed.
    pub(super) is_last: bool,
    pub(super) place: Place,
}

/// Entries that are read from a store at a time.
const PAGE: usize = 256;

impl<'a> TrailReader<'a> {
    /// Reads lines from memory, such as those of a [`MemorySink`](super::MemorySink).
    #[must_use]
    pub fn bytes(lines: &'a [u8]) -> Self {
        Self::new(Source::Bytes {
            rest: lines,
            number: 0,
        })
    }

    /// Reads the files of a [`FileSink`](super::FileSink), also while it is written.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when the directory cannot be read.
    pub fn directory(directory: impl AsRef<Path>) -> Result<Self, AuditError> {
        let directory = Directory::new(directory.as_ref());
        Ok(Self::new(Source::Files {
            files: directory.paths()?.into_iter(),
            directory: Some(directory),
            open: None,
        }))
    }

    /// Reads files, in the order of their lines: from an archive, say.
    #[must_use]
    pub fn files(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let files: Vec<_> = files.into_iter().collect();
        Self::new(Source::Files {
            files: files.into_iter(),
            directory: None,
            open: None,
        })
    }

    /// Reads the log of a store, where a [`StoreSink`](super::StoreSink) writes.
    #[must_use]
    pub fn store(store: &'a dyn KeyStore) -> Self {
        Self::new(Source::Store {
            store,
            page: Vec::new().into_iter(),
            next: 0,
        })
    }

    fn new(source: Source<'a>) -> Self {
        Self {
            source,
            line: Vec::new(),
        }
    }

    /// The next line, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<RawLine<'_>>, AuditError> {
        match &mut self.source {
            Source::Bytes { rest, number } => {
                let Some(found) = read_line(rest, &mut self.line).unwrap_or(None) else {
                    return Ok(None);
                };
                *number += 1;
                let place = Place {
                    file: None,
                    line: *number,
                };
                Ok(Some(found.at(&self.line, place, rest.is_empty())))
            }
            Source::Files {
                files,
                directory,
                open,
            } => {
                let mut next = next_of_files(files, open, &mut self.line)?;
                if let (None, Some(directory), Some(last)) = (&next, &*directory, &*open) {
                    let newer: Vec<_> = directory
                        .paths()?
                        .into_iter()
                        .filter(|path| path.as_path() > last.path.as_ref())
                        .collect();
                    *files = newer.into_iter();
                    next = next_of_files(files, open, &mut self.line)?;
                }
                let Some((found, place)) = next else {
                    return Ok(None);
                };
                Ok(Some(found.at(&self.line, place, files.len() == 0)))
            }
            Source::Store { store, page, next } => {
                if page.len() == 0 {
                    *page = store.read_log(*next, PAGE)?.entries.into_iter();
                }
                let Some(entry) = page.next() else {
                    return Ok(None);
                };
                self.line = entry;
                *next += 1;
                let found = Found {
                    has_end: true,
                    is_too_long: self.line.len() > MAX_LINE_LEN,
                };
                let place = Place {
                    file: None,
                    line: *next,
                };
                Ok(Some(found.at(&self.line, place, false)))
            }
        }
    }
}

/// What was read.
#[derive(Clone, Copy)]
struct Found {
    has_end: bool,
    is_too_long: bool,
}

impl Found {
    fn at(self, bytes: &[u8], place: Place, is_end: bool) -> RawLine<'_> {
        RawLine {
            bytes,
            is_whole: self.has_end && !self.is_too_long,
            is_last: is_end && !self.has_end,
            place,
        }
    }
}

fn next_of_files(
    files: &mut vec::IntoIter<PathBuf>,
    open: &mut Option<OpenFile>,
    line: &mut Vec<u8>,
) -> Result<Option<(Found, Place)>, AuditError> {
    loop {
        let file = match open {
            Some(file) => file,
            None => {
                let Some(path) = files.next() else {
                    return Ok(None);
                };
                open.insert(OpenFile::new(path)?)
            }
        };
        let read = read_line(&mut file.reader, line);
        match read.map_err(|error| file_error(&file.path, error))? {
            Some(found) => {
                file.number += 1;
                let place = Place {
                    file: Some(Arc::clone(&file.path)),
                    line: file.number,
                };
                return Ok(Some((found, place)));
            }
            None => match files.next() {
                Some(path) => *file = OpenFile::new(path)?,
                None => return Ok(None),
            },
        }
    }
}

impl OpenFile {
    fn new(path: PathBuf) -> Result<Self, AuditError> {
        let reader = File::open(&path).map_err(|error| file_error(&path, error))?;
        Ok(Self {
            path: path.into(),
            reader: BufReader::new(reader),
            number: 0,
        })
    }
}

fn file_error(path: &Path, error: io::Error) -> AuditError {
    AuditError::io(
        &format!("the audit trail's file {}", path.display()),
        "read",
        error,
    )
}

/// Reads to the next line feed, which is left out, and keeps no more than a line may have.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Found>> {
    line.clear();
    let mut found = Found {
        has_end: false,
        is_too_long: false,
    };
    let mut is_empty = true;
    while !found.has_end {
        let available = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        if available.is_empty() {
            break;
        }
        is_empty = false;
        let end = available.iter().position(|&byte| byte == b'\n');
        let piece = available.get(..end.unwrap_or(available.len()));
        let piece = piece.unwrap_or_default();
        let room = MAX_LINE_LEN.saturating_sub(line.len());
        found.is_too_long |= piece.len() > room;
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        found.has_end = end.is_some();
        let used = piece.len() + usize::from(found.has_end);
        reader.consume(used);
    }
    Ok((!is_empty).then_some(found))
}

impl fmt::Debug for TrailReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrailReader")
    }
}

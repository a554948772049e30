//! Where a file ends: its last line, and what was half written after it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::directory::Directory;
use crate::audit::error::AuditError;
use crate::audit::head::TrailId;
use crate::audit::line::{LineHash, MAX_LINE_LEN};
use crate::audit::parse::{Line, LineKind, Unreadable};

/// The end of a file.
pub(super) struct End {
    /// The bytes that are whole lines.
    pub(super) len: u64,
    pub(super) last: Option<LastLine>,
    /// The bytes after the last whole line.
    pub(super) torn: Vec<u8>,
}

pub(super) struct LastLine {
    pub(super) trail: TrailId,
    pub(super) sequence: u64,
    pub(super) hash: LineHash,
    pub(super) kind: LineKind,
}

/// What is read at a time.
const CHUNK_LEN: u64 = 8 << 10;
/// What may lie after the last line feed. More is no torn line but damage.
const MAX_TORN_LEN: usize = 1 << 24;

pub(super) fn read(directory: &Directory, file: &mut File) -> Result<End, AuditError> {
    let failed = |error| directory.io_error("read", error);
    let file_len = file.metadata().map_err(failed)?.len();
    let mut back = Backwards::new(file, file_len);
    let torn = back.until_line_feed(MAX_TORN_LEN).map_err(failed)?;
    let torn = torn.ok_or_else(|| directory.damaged("its last lines are no text"))?;
    let len = file_len.saturating_sub(torn.len() as u64);
    if len == 0 {
        return Ok(End {
            len,
            last: None,
            torn,
        });
    }
    back.skip_line_feed();
    let line = back.until_line_feed(MAX_LINE_LEN).map_err(failed)?;
    let line = line.ok_or_else(|| directory.damaged("its last line is too long"))?;
    let parsed = parse(directory, &line)?;
    let first = first_line(file).map_err(failed)?;
    let LineKind::Begin { trail } = parse(directory, &first)?.kind else {
        return Err(directory.damaged("a file of it does not begin as such a file does"));
    };
    Ok(End {
        len,
        last: Some(LastLine {
            trail,
            sequence: parsed.sequence,
            hash: LineHash::of(&line),
            kind: parsed.kind,
        }),
        torn,
    })
}

/// The hash of the line that lies so many lines before the last of a file, whose whole lines have
/// `len` bytes.
pub(super) fn hash_before_last(
    directory: &Directory,
    file: &mut File,
    len: u64,
    before: u64,
) -> Result<LineHash, AuditError> {
    let failed = |error| directory.io_error("read", error);
    let mut back = Backwards::new(file, len);
    back.until_line_feed(0).map_err(failed)?;
    for _ in 0..before {
        back.skip_line_feed();
        back.until_line_feed(MAX_LINE_LEN).map_err(failed)?;
    }
    back.skip_line_feed();
    let line = back.until_line_feed(MAX_LINE_LEN).map_err(failed)?;
    let line = line.ok_or_else(|| directory.damaged("a line of it is too long"))?;
    Ok(LineHash::of(&line))
}

impl End {
    /// Whether the trail goes on in another file.
    pub(super) fn has_ended(&self) -> bool {
        self.last
            .as_ref()
            .is_some_and(|last| matches!(last.kind, LineKind::End))
    }
}

fn parse(directory: &Directory, line: &[u8]) -> Result<Line, AuditError> {
    Line::parse(line).map_err(|why| match why {
        Unreadable::Newer => AuditError::Newer {
            sink: directory.name(),
        },
        Unreadable::NoLine => directory.damaged("its first or last line is none of a trail"),
    })
}

fn first_line(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut start = vec![0; 512];
    let mut filled = 0;
    while let Some(rest) = start.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    let line = start.split(|&byte| byte == b'\n').next();
    Ok(line.unwrap_or_default().to_vec())
}

/// Reads a file from its end on.
struct Backwards<'f> {
    file: &'f mut File,
    /// Where what was read and not yet taken begins.
    start: u64,
    read: Vec<u8>,
}

impl<'f> Backwards<'f> {
    fn new(file: &'f mut File, len: u64) -> Self {
        Self {
            file,
            start: len,
            read: Vec::new(),
        }
    }

    /// The bytes after the last line feed, or all where there is none; nothing if they are more
    /// than `max`.
    fn until_line_feed(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            let unsearched = self.read.len().saturating_sub(searched);
            let head = self.read.get(..unsearched).unwrap_or_default();
            if let Some(line_feed) = head.iter().rposition(|&byte| byte == b'\n') {
                let found = self.read.split_off(line_feed + 1);
                return Ok((found.len() <= max).then_some(found));
            }
            searched = self.read.len();
            if searched > max {
                return Ok(None);
            }
            if self.start == 0 {
                return Ok(Some(std::mem::take(&mut self.read)));
            }
            self.read_more()?;
        }
    }

    fn skip_line_feed(&mut self) {
        self.read.pop();
    }

    fn read_more(&mut self) -> io::Result<()> {
        let len = CHUNK_LEN.min(self.start);
        self.start -= len;
        self.file.seek(SeekFrom::Start(self.start))?;
        let mut more = Vec::new();
        (&mut *self.file).take(len).read_to_end(&mut more)?;
        more.append(&mut self.read);
        self.read = more;
        Ok(())
    }
}

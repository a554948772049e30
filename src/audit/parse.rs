//! Lines, as they are read.

use std::borrow::Cow;

use serde::Deserialize;

use super::head::TrailId;
use super::line::{LineHash, VERSION};
use super::record::AuditRecord;
use crate::clock::Timestamp;

/// A line of a trail.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sequence: u64,
    pub(super) prev: LineHash,
    pub(super) kind: LineKind,
}

#[derive(Debug)]
pub(super) enum LineKind {
    Begin { trail: TrailId },
    Record(Box<AuditRecord>),
    Checkpoint(Box<Checkpoint>),
    End,
    Recovered,
}

/// A line that signs all lines before it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    #[serde(rename = "eventVersion")]
    _version: u32,
    #[serde(rename = "sequence")]
    _sequence: u64,
    #[serde(rename = "prev")]
    _prev: LineHash,
    #[serde(rename = "eventType")]
    _kind: String,
    #[serde(rename = "eventTime")]
    _time: Timestamp,
    pub(super) trail: TrailId,
    pub(super) signer: String,
    pub(super) algorithm: String,
    pub(super) signature: String,
}

/// Why bytes are no line of a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// They are none.
    NoLine,
    /// A newer version wrote them.
    Newer,
}

impl Line {
    /// Reads a line, given without its line feed.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Unreadable> {
        let peek: Peek<'_> = read(line)?;
        if peek.version > VERSION {
            return Err(Unreadable::Newer);
        }
        let kind = match (peek.version, peek.kind.as_ref()) {
            (VERSION, "record") => LineKind::Record(read(line)?),
            (VERSION, "checkpoint") => LineKind::Checkpoint(read(line)?),
            (VERSION, "begin") => LineKind::Begin {
                trail: read::<Begin>(line)?.trail,
            },
            (VERSION, "end") => read::<End>(line).map(|_| LineKind::End)?,
            (VERSION, "recovered") => read::<Recovered>(line).map(|_| LineKind::Recovered)?,
            _ => return Err(Unreadable::NoLine),
        };
        Ok(Self {
            sequence: peek.sequence,
            prev: peek.prev,
            kind,
        })
    }

    /// What a checkpoint signs of its line: everything before the signature, which comes last.
    pub(super) fn signed_part<'l>(line: &'l [u8], signature: &str) -> Option<&'l [u8]> {
        let end = format!(",\"signature\":\"{signature}\"}}");
        line.strip_suffix(end.as_bytes())
    }
}

fn read<'l, T: Deserialize<'l>>(line: &'l [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(line).map_err(|_| Unreadable::NoLine)
}

/// What every line has.
#[derive(Deserialize)]
struct Peek<'l> {
    #[serde(rename = "eventVersion")]
    version: u32,
    sequence: u64,
    prev: LineHash,
    #[serde(rename = "eventType", borrow)]
    kind: Cow<'l, str>,
}

/// A line that has nothing else, or little.
macro_rules! plain_line {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* }) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            #[serde(rename = "eventVersion")]
            _version: u32,
            #[serde(rename = "sequence")]
            _sequence: u64,
            #[serde(rename = "prev")]
            _prev: LineHash,
            #[serde(rename = "eventType")]
            _kind: String,
            #[serde(rename = "eventTime")]
            _time: Timestamp,
            $($(#[$attribute])* $field: $type),*
        }
    };
}

plain_line!(Begin { trail: TrailId });
plain_line!(End {});
plain_line!(Recovered {
    #[serde(rename = "cutBytes")]
    _cut_bytes: u64,
    #[serde(rename = "cut")]
    _cut: String
});

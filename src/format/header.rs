//! The header of a message: which keys open it, and how.

use std::fmt;

use super::codec::{Full, Reader, Writer};
use super::entries::KeyEntries;
use super::error::{Limit, LimitExceeded};
use super::record::{HeaderId, RECORD_MARK};
use super::{COMMITMENT_LEN, FormatError, MAX_HEADER_LEN, MAX_PAD_LEN, SALT_LEN, Suite};

pub(super) const FLAG_SALT: u8 = 1;
const FLAG_RECORD: u8 = 1 << 1;
const FLAG_PAD: u8 = 1 << 2;
const FLAG_RESERVED: u8 = 1 << 3;

/// What a header is the header of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderKind {
    /// A message: a body follows.
    Message,
    /// Records, which are kept apart from it: nothing follows.
    Record,
}

/// A header as its bytes say it, not authenticated: whoever could write the bytes could write
/// anything. Opening a message verifies it, by its commitment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    parts: HeaderParts<'a>,
    uncommitted: &'a [u8],
    commitment: &'a [u8; COMMITMENT_LEN],
}

impl<'a> Header<'a> {
    /// Reads the header at the front of `bytes` and returns it with what follows.
    ///
    /// `bytes` may be a message or a prefix of one. Nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`FormatError`] names the first field that breaks a rule of the format.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FormatError> {
        let mut reader = Reader::new(bytes);
        let suite = Suite::from_version_byte(reader.u8("version")?)?;
        let flags = reader.u8("flags")?;
        let kind = header_kind(flags)?;
        let salt = match flags & FLAG_SALT {
            0 => None,
            _ => Some(read_salt(kind, &mut reader)?),
        };
        let entries = KeyEntries::read(usize::from(flags >> 4) + 1, &mut reader)?;
        let pad = match flags & FLAG_PAD {
            0 => None,
            _ => Some(read_pad(&mut reader)?),
        };
        let len = bytes.len() - reader.rest().len();
        LimitExceeded::check(Limit::Header, len + COMMITMENT_LEN, MAX_HEADER_LEN)?;
        let uncommitted = Reader::new(bytes).take(len, "header")?;
        let commitment = reader.take_array("commitment")?;
        if kind == HeaderKind::Record && !reader.is_empty() {
            return Err(FormatError::Malformed {
                field: "body",
                reason: "a header for records has none, and bytes follow",
            });
        }
        let header = Self {
            parts: HeaderParts {
                suite,
                kind,
                salt,
                entries,
                pad,
            },
            uncommitted,
            commitment,
        };
        Ok((header, reader.rest()))
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.parts.suite
    }

    /// What it is the header of.
    #[must_use]
    pub fn kind(&self) -> HeaderKind {
        self.parts.kind
    }

    /// Whether the data key may seal other messages or records too, each under a salt of its own.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.parts.salt.is_some()
    }

    /// What the records under this header begin with; `None` if it is the header of a message.
    #[must_use]
    pub fn header_id(&self) -> Option<HeaderId> {
        match self.parts.kind {
            HeaderKind::Message => None,
            HeaderKind::Record => self.parts.salt.map(HeaderId::of_salt),
        }
    }

    /// The wrapped keys.
    #[must_use]
    pub fn entries(&self) -> KeyEntries<'a> {
        self.parts.entries
    }

    /// The room reserved for a rewrap in place, in bytes, if any is.
    #[must_use]
    pub fn pad_len(&self) -> Option<u16> {
        self.parts.pad
    }

    /// The length, commitment included, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Writes the header again, from its parts; for every header that parses, these are the bytes
    /// it was parsed from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        let written = match bytes.split_last_chunk_mut() {
            Some((uncommitted, commitment)) => {
                *commitment = *self.commitment;
                self.parts.write_uncommitted(uncommitted)
            }
            None => Err(Full),
        };
        debug_assert_eq!(written, Ok(()));
        bytes
    }

    pub(crate) fn parts(&self) -> &HeaderParts<'a> {
        &self.parts
    }

    /// `H` of the format: all bytes before the commitment.
    pub(crate) fn uncommitted(&self) -> &'a [u8] {
        self.uncommitted
    }

    pub(crate) fn commitment(&self) -> &'a [u8; COMMITMENT_LEN] {
        self.commitment
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("suite", &self.suite())
            .field("kind", &self.kind())
            .field("shared", &self.is_shared())
            .field("entries", &self.entries())
            .field("pad_len", &self.pad_len())
            .finish_non_exhaustive()
    }
}

/// All that a header says but its commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderParts<'a> {
    pub(crate) suite: Suite,
    pub(crate) kind: HeaderKind,
    pub(crate) salt: Option<&'a [u8; SALT_LEN]>,
    pub(crate) entries: KeyEntries<'a>,
    pub(crate) pad: Option<u16>,
}

impl HeaderParts<'_> {
    /// The length of the header, commitment included, in bytes.
    pub(crate) fn len(&self) -> usize {
        2 + self.salt_bytes().len()
            + self.entries.as_bytes().len()
            + self.pad.map_or(0, |pad| 2 + usize::from(pad))
            + COMMITMENT_LEN
    }

    /// Writes `H`: all bytes before the commitment.
    pub(crate) fn write_uncommitted(&self, out: &mut [u8]) -> Result<(), Full> {
        let mut writer = Writer::new(out);
        writer.put(&[self.suite.version_byte(), self.flags()])?;
        if let Some(salt) = self.salt {
            writer.put(salt)?;
        }
        writer.put(self.entries.as_bytes())?;
        if let Some(pad) = self.pad {
            writer.put(&pad.to_be_bytes())?;
            writer.put_zeros(usize::from(pad))?;
        }
        Ok(())
    }

    /// The salt's bytes, none where there is no salt.
    pub(crate) fn salt_bytes(&self) -> &[u8] {
        self.salt.map_or(&[], <[u8; SALT_LEN]>::as_slice)
    }

    fn flags(&self) -> u8 {
        let count = u8::try_from(self.entries.count().saturating_sub(1)).unwrap_or(u8::MAX);
        let flag = |set, flag| if set { flag } else { 0 };
        count << 4
            | flag(self.salt.is_some(), FLAG_SALT)
            | flag(self.kind == HeaderKind::Record, FLAG_RECORD)
            | flag(self.pad.is_some(), FLAG_PAD)
    }
}

pub(super) fn header_kind(flags: u8) -> Result<HeaderKind, FormatError> {
    let malformed = |reason| FormatError::Malformed {
        field: "flags",
        reason,
    };
    if flags & FLAG_RESERVED != 0 {
        return Err(malformed("a reserved flag is set"));
    }
    match (flags & FLAG_RECORD != 0, flags & FLAG_SALT != 0) {
        (false, _) => Ok(HeaderKind::Message),
        (true, true) => Ok(HeaderKind::Record),
        (true, false) => Err(malformed("a header for records must have a salt")),
    }
}

fn read_salt<'a>(
    kind: HeaderKind,
    reader: &mut Reader<'a>,
) -> Result<&'a [u8; SALT_LEN], FormatError> {
    let salt: &[u8; SALT_LEN] = reader.take_array("salt")?;
    let [first, ..] = *salt;
    if kind == HeaderKind::Record && first & RECORD_MARK == 0 {
        return Err(FormatError::Malformed {
            field: "salt",
            reason: "the salt of a header for records must begin with a set bit",
        });
    }
    Ok(salt)
}

fn read_pad(reader: &mut Reader<'_>) -> Result<u16, FormatError> {
    let len = reader.u16("padding")?;
    LimitExceeded::check(Limit::Pad, len.into(), MAX_PAD_LEN)?;
    let zeros = reader.take(len.into(), "padding")?;
    if zeros.iter().any(|&byte| byte != 0) {
        return Err(FormatError::Malformed {
            field: "padding",
            reason: "it holds a byte that is not zero",
        });
    }
    Ok(len)
}

//! The wrapped keys of a message.

use std::fmt;

use smallvec::SmallVec;

use super::codec::{Reader, varint};
use super::error::{Limit, LimitExceeded};
use super::reference::{InvalidReference, KeyReference, ReferenceParts, check_tag};
use super::{FormatError, MAX_ENTRY_LEN, MAX_WRAPPED_KEYS};

/// The wrapped keys of one message, as its header holds them: 1 to 16, no two alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyEntries<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> KeyEntries<'a> {
    /// The wrapped keys, in order.
    #[must_use]
    pub fn iter(&self) -> KeyEntriesIter<'a> {
        KeyEntriesIter {
            left: self.count,
            reader: Reader::new(self.bytes),
        }
    }

    /// The number of wrapped keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bytes that they take in the header.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads `count` entries from the front of `reader`.
    pub(super) fn read(count: usize, reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let start = reader.clone();
        for _ in 0..count {
            KeyEntry::read(reader)?;
        }
        let len = start.rest().len() - reader.rest().len();
        let bytes = start.clone().take(len, "wrapped keys")?;
        let entries = Self { count, bytes };
        if entries.has_duplicate() {
            return Err(FormatError::Malformed {
                field: "wrapped keys",
                reason: "two of them are identical",
            });
        }
        Ok(entries)
    }

    fn has_duplicate(&self) -> bool {
        let mut rest = self.iter();
        while let Some(entry) = rest.next() {
            if rest.clone().any(|later| later == entry) {
                return true;
            }
        }
        false
    }
}

impl<'a> IntoIterator for KeyEntries<'a> {
    type Item = KeyEntry<'a>;
    type IntoIter = KeyEntriesIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for KeyEntries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// The wrapped keys of a message, in order.
#[derive(Debug, Clone)]
pub struct KeyEntriesIter<'a> {
    left: usize,
    reader: Reader<'a>,
}

impl<'a> Iterator for KeyEntriesIter<'a> {
    type Item = KeyEntry<'a>;

    fn next(&mut self) -> Option<KeyEntry<'a>> {
        self.left = self.left.checked_sub(1)?;
        KeyEntry::read(&mut self.reader).ok()
    }
}

/// One wrapped copy of a message's data key, with the key that it is wrapped under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyEntry<'a> {
    tag: u8,
    prefix: &'a [u8],
    wrapped: &'a [u8],
}

impl<'a> KeyEntry<'a> {
    /// The tag, which fixes the entry's layout and algorithm.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// The key that the entry names.
    #[must_use]
    pub fn reference(&self) -> KeyReference {
        KeyReference::from_parts(self.tag, self.prefix)
    }

    /// Whether the entry names `key`.
    #[must_use]
    pub fn names(&self, key: &KeyReference) -> bool {
        self.tag == key.tag() && self.prefix == key.prefix()
    }

    /// The wrapped data key.
    #[must_use]
    pub fn wrapped(&self) -> &'a [u8] {
        self.wrapped
    }

    /// Whether its tag is one that this version has a layout for.
    pub(super) fn is_of_known_kind(&self) -> bool {
        !matches!(self.reference().parts(), ReferenceParts::Unknown)
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let tag = check_tag(reader.u8("wrapped key tag")?)?;
        let len = reader.varint("wrapped key length")? as usize;
        if len == 0 {
            return Err(FormatError::Malformed {
                field: "wrapped key length",
                reason: "it is zero",
            });
        }
        LimitExceeded::check(Limit::Entry, len, MAX_ENTRY_LEN)?;
        Self::parse(tag, reader.take(len, "wrapped key")?)
    }

    fn parse(tag: u8, entry: &'a [u8]) -> Result<Self, FormatError> {
        let wrong_length = FormatError::Malformed {
            field: "wrapped key",
            reason: "its length is wrong for its kind",
        };
        let mut reader = Reader::new(entry);
        let parts = ReferenceParts::read(tag, &mut reader).map_err(|error| match error {
            FormatError::Truncated { .. } => wrong_length,
            other => other,
        })?;
        let wrapped = reader.rest();
        let fits = match parts.wrapped_len() {
            Some(len) => wrapped.len() == len,
            None => !wrapped.is_empty(),
        };
        if !fits {
            return Err(wrong_length);
        }
        let prefix = Reader::new(entry).take(entry.len() - wrapped.len(), "wrapped key")?;
        Ok(Self {
            tag,
            prefix,
            wrapped,
        })
    }
}

impl fmt::Debug for KeyEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyEntry({}, {} bytes wrapped)",
            self.reference(),
            self.wrapped.len()
        )
    }
}

/// Wrapped keys that a message is about to carry, in their wire form.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyEntriesBuf {
    count: usize,
    bytes: SmallVec<[u8; 128]>,
}

/// Why a wrapped key cannot join a message's wrapped keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEntry {
    /// A limit of the format.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The provider gave a wrapped key of a length that its kind of key does not have.
    #[error(
        "the provider returned a wrapped key of {len} bytes, which is not a length that its kind of key has; that is a mistake in the provider"
    )]
    WrappedLength {
        /// The length, in bytes.
        len: usize,
    },
    /// The key has a name that the format does not allow.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The same wrapped key is there already.
    #[error("the same wrapped key is already among the message's wrapped keys; name each key once")]
    Duplicate,
}

impl KeyEntriesBuf {
    /// No wrapped keys yet; a message needs at least one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a data key wrapped under `key`.
    ///
    /// # Errors
    ///
    /// [`InvalidEntry`] over a limit, for a wrapped key of a length that `key` cannot have, and
    /// for one that is there already.
    pub fn push(&mut self, key: &KeyReference, wrapped: &[u8]) -> Result<(), InvalidEntry> {
        LimitExceeded::check(Limit::WrappedKeys, self.count + 1, MAX_WRAPPED_KEYS)?;
        let len = key.prefix().len() + wrapped.len();
        LimitExceeded::check(Limit::Entry, len, MAX_ENTRY_LEN)?;
        let wrong_length = InvalidEntry::WrappedLength { len: wrapped.len() };
        let encoded_len = u32::try_from(len).map_err(|_| wrong_length)?;
        let start = self.bytes.len();
        self.bytes.push(key.tag());
        varint(encoded_len).for_each(|byte| self.bytes.push(byte));
        self.bytes.extend_from_slice(key.prefix());
        self.bytes.extend_from_slice(wrapped);
        let refused = match self.read_from(start) {
            Some(entry) if !self.as_entries().iter().any(|held| held == entry) => {
                self.count += 1;
                return Ok(());
            }
            Some(_) => InvalidEntry::Duplicate,
            None => wrong_length,
        };
        self.bytes.truncate(start);
        Err(refused)
    }

    /// Adds wrapped keys, in their order.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push); those before the one that is refused were added.
    pub fn append(&mut self, entries: KeyEntries<'_>) -> Result<(), InvalidEntry> {
        entries
            .iter()
            .try_for_each(|entry| self.push(&entry.reference(), entry.wrapped()))
    }

    /// The entry whose bytes begin at `start`.
    fn read_from(&self, start: usize) -> Option<KeyEntry<'_>> {
        KeyEntry::read(&mut Reader::new(self.bytes.get(start..)?)).ok()
    }

    /// The wrapped keys, as a header holds them.
    #[must_use]
    pub fn as_entries(&self) -> KeyEntries<'_> {
        KeyEntries {
            count: self.count,
            bytes: &self.bytes,
        }
    }

    /// The number of wrapped keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl From<KeyEntries<'_>> for KeyEntriesBuf {
    fn from(entries: KeyEntries<'_>) -> Self {
        Self {
            count: entries.count,
            bytes: SmallVec::from_slice(entries.bytes),
        }
    }
}

impl fmt::Debug for KeyEntriesBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_entries().fmt(f)
    }
}

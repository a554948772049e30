//! The layout of a record: a small payload whose header is kept apart from it.

use std::fmt;

use super::codec::Reader;
use super::error::{Limit, LimitExceeded};
use super::{FormatError, SALT_LEN};
use crate::crypto::{NONCE_LEN, TAG_LEN};

/// The bytes that a record is longer than its payload.
pub const RECORD_OVERHEAD: usize = HEADER_ID_LEN + NONCE_LEN + TAG_LEN;
/// The most bytes of a record's payload.
pub const MAX_RECORD_PAYLOAD_LEN: usize = 1 << 20;
/// The most records that are sealed under one header.
pub const MAX_RECORDS_PER_HEADER: u64 = 1 << 32;
/// The most headers that are considered for one record.
pub const MAX_CANDIDATE_HEADERS: usize = 8;

/// Set in the first byte of a record, and of the salt of its header; clear in that of a message.
pub(crate) const RECORD_MARK: u8 = 0x80;

const HEADER_ID_LEN: usize = 4;

/// Which header a record was sealed under, as far as 31 random bits can tell: what a record begins
/// with.
///
/// A hint to find the header by. Two of 50,000 headers have the same id as likely as not, and that
/// does no harm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderId([u8; HEADER_ID_LEN]);

impl HeaderId {
    /// Takes the bytes of an id.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    /// The id that `record` begins with: which headers are still needed, and which are not.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when the bytes are no record, by their first byte or their length.
    pub fn of_record(record: &[u8]) -> Result<Self, FormatError> {
        Record::parse(record).map(|record| record.id)
    }

    pub(crate) fn of_salt(salt: &[u8; SALT_LEN]) -> Self {
        let [a, b, c, d, ..] = *salt;
        Self([a, b, c, d])
    }
}

impl fmt::Display for HeaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for HeaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderId({self})")
    }
}

/// The fields of a record.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) id: HeaderId,
    pub(crate) nonce: &'a [u8; NONCE_LEN],
    pub(crate) ciphertext: &'a [u8],
    pub(crate) tag: &'a [u8; TAG_LEN],
}

impl<'a> Record<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.first().is_some_and(|first| first & RECORD_MARK == 0) {
            return Err(FormatError::NotARecord);
        }
        let mut reader = Reader::new(bytes);
        let id = HeaderId(*reader.take_array(FIELD)?);
        let nonce = reader.take_array(FIELD)?;
        let (ciphertext, tag) = reader
            .rest()
            .split_last_chunk()
            .ok_or(FormatError::Truncated { field: FIELD })?;
        check_payload_len(ciphertext.len())?;
        Ok(Self {
            id,
            nonce,
            ciphertext,
            tag,
        })
    }
}

const FIELD: &str = "record";

/// Where the fields of a record to be written go.
pub(crate) struct RecordMut<'a> {
    pub(crate) id: &'a mut [u8; HEADER_ID_LEN],
    pub(crate) nonce: &'a mut [u8; NONCE_LEN],
    pub(crate) ciphertext: &'a mut [u8],
    pub(crate) tag: &'a mut [u8; TAG_LEN],
}

impl<'a> RecordMut<'a> {
    /// Divides all of `bytes`; `None` if they are too few for any record.
    pub(crate) fn split(bytes: &'a mut [u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk_mut()?;
        let (nonce, rest) = rest.split_first_chunk_mut()?;
        let (ciphertext, tag) = rest.split_last_chunk_mut()?;
        Some(Self {
            id,
            nonce,
            ciphertext,
            tag,
        })
    }
}

/// Refuses a payload that is too long for a record.
pub(crate) fn check_payload_len(len: usize) -> Result<(), LimitExceeded> {
    LimitExceeded::check(Limit::Record, len, MAX_RECORD_PAYLOAD_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_is_laid_out() {
        let mut bytes: Vec<u8> = (0x80..0x80 + 37).collect();
        let fields = RecordMut::split(&mut bytes).unwrap();
        assert_eq!(
            (
                fields.id[0],
                fields.nonce[0],
                fields.ciphertext,
                fields.tag[0]
            ),
            (0x80, 0x84, &mut [0x90, 0x91, 0x92, 0x93, 0x94][..], 0x95)
        );
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(record.id.to_string(), "80818283");
        assert_eq!(record.nonce[..], bytes[4..16]);
        assert_eq!(*record.ciphertext, bytes[16..21]);
        assert_eq!(record.tag[..], bytes[21..]);
    }

    #[test]
    fn lengths_at_their_edges() {
        for len in 0..RECORD_OVERHEAD {
            let truncated = Err(FormatError::Truncated { field: "record" });
            assert_eq!(HeaderId::of_record(&vec![0x80; len]), truncated, "{len}");
            assert!(RecordMut::split(&mut vec![0; len]).is_none(), "{len}");
        }
        let mut longest = vec![0xff; RECORD_OVERHEAD + MAX_RECORD_PAYLOAD_LEN];
        assert!(HeaderId::of_record(&longest).is_ok());
        longest.push(0);
        let over = HeaderId::of_record(&longest);
        assert!(matches!(over, Err(FormatError::Limit(error)) if error.size == 1_048_577));
        longest[0] = 0x7f;
        assert_eq!(HeaderId::of_record(&longest), Err(FormatError::NotARecord));
    }
}

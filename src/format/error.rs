use std::fmt;

/// Why bytes are no message that this version reads. Says what and where, never the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The first byte is not that of any message.
    #[error(
        "not a waxseal message: the first byte is none that a message begins with; these bytes may never have been sealed, or were decoded, re-encoded or cut at the front: give them as they were sealed; a single record is opened by an `Opener`, with its header"
    )]
    NotAMessage,
    /// The version is one that this crate does not know.
    #[error(
        "not a waxseal message, or one of format version {version}, and only version 1 is supported; text begins like this: what was never sealed cannot be opened, and a message in base64 or hexadecimal must be decoded first; if a newer waxseal made it, upgrade"
    )]
    UnsupportedVersion {
        /// The version that the message states.
        version: u8,
    },
    /// The suite is one that this crate does not know.
    #[error(
        "not a waxseal message, or one of suite {suite}, and only 1 (aes-256-gcm) and 2 (chacha20-poly1305) are supported; what was never sealed cannot be opened, and a message that was compressed since must be unpacked first (gzip begins like suite 15); if a newer waxseal made it, upgrade"
    )]
    UnsupportedSuite {
        /// The suite that the message states.
        suite: u8,
    },
    /// The input is a header for records and has no body.
    #[error(
        "this is a header for records, not a message; use it to open records, or give a message"
    )]
    RecordHeader,
    /// The input is a message, or its header, where a header for records is needed.
    #[error(
        "this is a message, not a header for records; give the header that the records were sealed under"
    )]
    MessageHeader,
    /// The first byte is not that of any record.
    #[error(
        "not a record: the first byte is none that a record begins with; these bytes may never have been sealed, or were re-encoded or cut at the front: give them as they were sealed, base64 or hexadecimal decoded; a whole message is opened with `decrypt`"
    )]
    NotARecord,
    /// The input ends too early.
    #[error("{}", truncated(field))]
    Truncated {
        /// The part in which the input ends.
        field: &'static str,
    },
    /// A part of the input breaks a rule of the format.
    #[error(
        "the message is malformed: {field}: {reason}; it was damaged, or waxseal did not make it; restore it from a copy that is whole"
    )]
    Malformed {
        /// The part that breaks it.
        field: &'static str,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A size is over a limit of the format.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

fn truncated(field: &str) -> String {
    if field == "version" {
        return "truncated: there are no bytes at all; give those that were sealed (even an empty payload has some)".into();
    }
    format!(
        "truncated: the input ends within the {field}; give all of its bytes; if these are all, it was cut off, its writer was not finished, or it was never sealed"
    )
}

/// A size is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} is over the limit: {size}, and at most {max} is allowed; {}", .limit.advice())]
#[non_exhaustive]
pub struct LimitExceeded {
    /// What is limited.
    pub limit: Limit,
    /// The size found.
    pub size: u64,
    /// The largest size allowed.
    pub max: u64,
}

impl LimitExceeded {
    pub(crate) fn check(limit: Limit, size: usize, max: usize) -> Result<(), Self> {
        if size <= max {
            return Ok(());
        }
        Err(Self {
            limit,
            size: size as u64,
            max: max as u64,
        })
    }

    /// A payload of `len` bytes is more than a record may have.
    pub(crate) fn record(len: usize) -> Self {
        Self {
            limit: Limit::Record,
            size: len as u64,
            max: super::MAX_RECORD_PAYLOAD_LEN as u64,
        }
    }

    /// A payload of `size` bytes has more chunks than a message may.
    pub(crate) fn payload(size: u64) -> Self {
        Self {
            limit: Limit::Payload,
            size,
            max: super::body::MAX_PAYLOAD_LEN,
        }
    }
}

/// What the format limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The number of wrapped keys of a message.
    WrappedKeys,
    /// The bytes of one wrapped key's entry.
    Entry,
    /// The bytes of a header.
    Header,
    /// The bytes of padding in a header.
    Pad,
    /// The bytes of associated data.
    AssociatedData,
    /// The bytes of a payload.
    Payload,
    /// The bytes of a record's payload.
    Record,
    /// The number of headers that may be a record's.
    Candidates,
}

impl Limit {
    fn advice(self) -> &'static str {
        match self {
            Self::WrappedKeys => "wrap under fewer keys",
            Self::Entry => "wrap under another key; if it was read, the message was damaged",
            Self::Header => "wrap under fewer keys; if it was read, the message was damaged",
            Self::Pad => "the message was damaged, or waxseal did not make it",
            Self::AssociatedData => "put a hash of it there",
            Self::Payload => "seal it in parts",
            Self::Record => "seal longer ones as messages",
            Self::Candidates => "remove those that no record needs",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrappedKeys => "the number of wrapped keys",
            Self::Entry => "the length of a wrapped key's entry, in bytes,",
            Self::Header => "the length of the header, in bytes,",
            Self::Pad => "the length of the header's padding, in bytes,",
            Self::AssociatedData => "the length of the associated data, in bytes,",
            Self::Payload => "the length of the payload, in bytes,",
            Self::Record => "the length of a record's payload, in bytes,",
            Self::Candidates => "the number of headers that the store gave for one record",
        })
    }
}

//! What anyone can read in a message, without a key.

use std::fmt;

use serde::Serialize;

use super::body::{SEALED_CHUNK_LEN, payload_len};
use super::entries::KeyEntry;
use super::header::{Header, HeaderKind};
use super::reference::{KeyId, KeyReference, KeyVersion, Printable, ReferenceParts};
use super::share::Share;
use super::{FormatError, Mechanism, Suite, VERSION};

/// What a message says about itself. **Not authenticated**: hints, until the message is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The version of the format.
    pub version: u8,
    /// The suite.
    pub suite: Suite,
    /// Whether it is a header for records, which has no body.
    pub is_record_header: bool,
    /// Whether the data key may seal other messages or records too.
    pub is_shared: bool,
    /// The wrapped copies of the data key, in order.
    pub wrapped_keys: Vec<WrappedKeyInfo>,
    /// The room reserved for a rewrap in place, in bytes, if any is.
    pub pad_len: Option<u16>,
    /// The bytes of the header.
    pub header_len: u64,
    /// The bytes of the body.
    pub body_len: u64,
    /// The chunks of the body.
    pub chunks: u64,
    /// The bytes of the payload once opened.
    pub payload_len: u64,
}

/// What a message says about one wrapped copy of its data key. **Not authenticated.**
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WrappedKeyInfo {
    /// The tag, which fixes the entry's layout and algorithm.
    pub tag: u8,
    /// The kind of provider: `software`, `kms`, `kms-subject`, `pkcs11`, `x25519` or `x-wing` for the public key of
    /// a recipient, a name of its own, or `unknown`.
    pub provider: String,
    /// The key: an id as hexadecimal, or a reference as text. Empty if the kind is unknown.
    pub key: String,
    /// The version of the key, where the kind has versions.
    pub key_version: Option<KeyVersion>,
    /// How the data key is wrapped, where the kind of key does not fix it. By serde, its number.
    pub mechanism: Option<Mechanism>,
    /// Which share it is, where it holds not the data key but a share of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// The subject, by its random id, where the key is that of a subject under a key of a KMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<KeyId>,
    /// The bytes of the wrapped data key.
    pub wrapped_len: usize,
}

/// Reads what `message` says about itself, with no key: version, suite, wrapped keys, sizes.
///
/// Nothing of it is authenticated: whoever could write the bytes could write anything.
///
/// # Errors
///
/// [`FormatError`] when the bytes are no message or header for records of this version, or are
/// visibly cut.
pub fn inspect(message: &[u8]) -> Result<Inspection, FormatError> {
    inspect_front(message, message.len() as u64)
}

/// As [`inspect`], of a message that is `message_len` bytes long and need not be at hand but for its
/// `front`: a large file, or an object in a store. [`MAX_HEADER_LEN`](super::MAX_HEADER_LEN) bytes are
/// enough for every message, and 512 for most.
///
/// A `message_len` that is less than the front has is taken for the front's.
///
/// # Errors
///
/// As [`inspect`]; [`FormatError::Truncated`] also where the front ends within the header.
pub fn inspect_front(front: &[u8], message_len: u64) -> Result<Inspection, FormatError> {
    let (header, rest) = Header::parse(front)?;
    let body_len = message_len
        .saturating_sub(header.len() as u64)
        .max(rest.len() as u64);
    let is_record_header = header.kind() == HeaderKind::Record;
    let (chunks, payload_len) = if is_record_header {
        (0, 0)
    } else {
        (
            body_len.div_ceil(SEALED_CHUNK_LEN as u64),
            payload_len(body_len)?,
        )
    };
    Ok(Inspection {
        version: VERSION,
        suite: header.suite(),
        is_record_header,
        is_shared: header.is_shared(),
        wrapped_keys: header.entries().iter().map(Into::into).collect(),
        pad_len: header.pad_len(),
        header_len: header.len() as u64,
        body_len,
        chunks,
        payload_len,
    })
}

impl From<KeyEntry<'_>> for WrappedKeyInfo {
    fn from(entry: KeyEntry<'_>) -> Self {
        Self {
            wrapped_len: entry.wrapped().len(),
            ..Self::of_key(&entry.reference())
        }
    }
}

impl WrappedKeyInfo {
    /// Of no wrapped copy in particular.
    pub(crate) fn of_key(named: &KeyReference) -> Self {
        let (share, reference) = match named.share() {
            Some((share, key)) => (Some(share), key),
            None => (None, named.clone()),
        };
        let (provider, key, key_version, mechanism) = match reference.parts() {
            ReferenceParts::Software { key_id, version } => {
                ("software", key_id.to_string(), Some(version), None)
            }
            ReferenceParts::Kms {
                key_id,
                version,
                mechanism,
            } => ("kms", key_id.to_string(), Some(version), mechanism),
            ReferenceParts::Pkcs11 { cka_id, mechanism } => (
                "pkcs11",
                base16ct::lower::encode_string(cka_id),
                None,
                Some(mechanism),
            ),
            ReferenceParts::Named {
                provider,
                reference,
            } => (provider, Printable(reference).to_string(), None, None),
            ReferenceParts::Recipient {
                algorithm, key_id, ..
            } => (algorithm, key_id.to_string(), None, None),
            ReferenceParts::Subject { key_id, .. } => {
                ("kms-subject", key_id.to_string(), None, None)
            }
            // A share has no share for its key.
            ReferenceParts::Share { .. } | ReferenceParts::Unknown => {
                ("unknown", String::new(), None, None)
            }
        };
        Self {
            tag: named.tag(),
            provider: provider.to_owned(),
            key,
            key_version,
            mechanism,
            share,
            subject: reference.kms_subject().map(|(_, subject)| subject),
            wrapped_len: 0,
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_record_header {
            "header for records"
        } else {
            "message"
        };
        writeln!(f, "waxseal {kind}, version {}", self.version)?;
        writeln!(f, "suite        {}", self.suite.name())?;
        let data_key = if self.is_shared {
            "shared with other messages"
        } else {
            "for this message alone"
        };
        writeln!(f, "data key     {data_key}")?;
        for key in &self.wrapped_keys {
            writeln!(f, "wrapped for  {key}")?;
        }
        if let Some(pad_len) = self.pad_len {
            writeln!(f, "padding      {pad_len} bytes")?;
        }
        writeln!(f, "header       {} bytes", self.header_len)?;
        write!(
            f,
            "body         {} bytes (chunks: {}), {} bytes once opened",
            self.body_len, self.chunks, self.payload_len
        )
    }
}

impl fmt::Display for WrappedKeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {}", self.provider, self.key)?;
        if let Some(version) = self.key_version {
            write!(f, " version {version}")?;
        }
        if let Some(mechanism) = self.mechanism {
            write!(f, " mechanism {mechanism}")?;
        }
        if let Some(subject) = self.subject {
            write!(f, " subject {subject}")?;
        }
        if let Some(share) = self.share {
            write!(f, ", {share}")?;
        }
        write!(f, " (tag {}, {} bytes)", self.tag, self.wrapped_len)
    }
}

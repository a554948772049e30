//! The ciphertext format, version 1: what the bytes of a message say. No keys, no I/O.
//!
//! `FORMAT.md` is the normative text. Most applications need only [`inspect`]; [`Header`] and
//! [`KeyEntries`] are for those who store, index or rewrap headers, and for implementers of a
//! [`Keyring`](crate::Keyring).

pub(crate) mod body;
pub(crate) mod codec;
mod entries;
mod error;
mod header;
mod inspect;
mod mechanism;
mod newer;
mod record;
mod reference;
mod share;

pub use entries::{InvalidEntry, KeyEntries, KeyEntriesBuf, KeyEntriesIter, KeyEntry};
pub use error::{FormatError, Limit, LimitExceeded};
pub(crate) use header::HeaderParts;
pub use header::{Header, HeaderKind};
pub use inspect::{Inspection, WrappedKeyInfo, inspect, inspect_front};
pub use mechanism::Mechanism;
pub(crate) use newer::{Extent, check_newer};
pub use record::{
    HeaderId, MAX_CANDIDATE_HEADERS, MAX_RECORD_PAYLOAD_LEN, MAX_RECORDS_PER_HEADER,
    RECORD_OVERHEAD,
};
pub(crate) use record::{
    RECORD_MARK, Record, RecordMut, check_payload_len as check_record_payload_len,
};
pub use reference::{InvalidKeyId, InvalidReference, KeyId, KeyReference, KeyVersion};
#[cfg(feature = "recipients")]
pub(crate) use reference::{X_WING_WRAPPED_LEN, X25519_WRAPPED_LEN};
pub use share::Share;

use serde::{Deserialize, Serialize};

use crate::crypto::AeadAlgorithm;

/// The set of algorithms of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Suite {
    /// Suite 1: AES-256-GCM and HKDF-SHA-256. The default.
    #[default]
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// Suite 2: ChaCha20-Poly1305 and HKDF-SHA-256, for processors without AES instructions.
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

impl Suite {
    /// The suite's name, as `inspect` and serde write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// The first byte of a header: format version and suite.
    pub(crate) fn version_byte(self) -> u8 {
        VERSION << 4
            | match self {
                Self::Aes256Gcm => 1,
                Self::ChaCha20Poly1305 => 2,
            }
    }

    pub(crate) fn aead(self) -> AeadAlgorithm {
        match self {
            Self::Aes256Gcm => AeadAlgorithm::Aes256Gcm,
            Self::ChaCha20Poly1305 => AeadAlgorithm::ChaCha20Poly1305,
        }
    }

    fn from_version_byte(byte: u8) -> Result<Self, FormatError> {
        let version = byte >> 4;
        match (version, byte & 0x0f) {
            (8.., _) | (0, _) => Err(FormatError::NotAMessage),
            (VERSION, 1) => Ok(Self::Aes256Gcm),
            (VERSION, 2) => Ok(Self::ChaCha20Poly1305),
            (VERSION, suite) => Err(FormatError::UnsupportedSuite { suite }),
            (version, _) => Err(FormatError::UnsupportedVersion { version }),
        }
    }
}

/// The version of the format that this crate writes and reads.
pub const VERSION: u8 = 1;

/// The most wrapped keys of a message.
pub const MAX_WRAPPED_KEYS: usize = 16;
/// The most bytes of one wrapped key's entry.
pub const MAX_ENTRY_LEN: usize = 16383;
/// The most bytes of a header, its commitment included.
pub const MAX_HEADER_LEN: usize = 65535;
/// The most zero bytes of padding in a header.
pub const MAX_PAD_LEN: usize = 4096;
/// The most bytes of associated data.
pub const MAX_AAD_LEN: usize = 65536;

pub(crate) const COMMITMENT_LEN: usize = 32;
pub(crate) const SALT_LEN: usize = 24;

/// `label(x)` of the format, in full.
macro_rules! label {
    ($name:literal) => {
        concat!("waxseal/v1/", $name, "\0").as_bytes()
    };
}
pub(crate) use label;

//! A message begun: its header, and the cipher of its body.

use std::fmt;

use crate::crypto::SecretArray;
use smallvec::SmallVec;

use super::MessageOptions;
use super::body::{BodyKey, BodySettings};
use super::derive::{MessageKeys, verified};
use crate::error::Error;
use crate::format::{
    COMMITMENT_LEN, FormatError, Header, HeaderKind, HeaderParts, Limit, LimitExceeded,
    MAX_HEADER_LEN, SALT_LEN, Suite, body,
};
use crate::keyring::{DecryptionMaterials, EncryptionMaterials, Reuse, Unwrapped};
use crate::rng::RandomSource;

/// A message that is begun: its header is written, and its body is to be sealed by a stream.
///
/// Made by [`EnvelopeEncryptor::begin_sealing`](super::EnvelopeEncryptor::begin_sealing).
pub struct Sealing {
    pub(crate) header: SmallVec<[u8; 256]>,
    pub(crate) body_key: BodyKey,
}

/// What the header of a message is made of.
pub(crate) struct MessageHeader<'a> {
    materials: &'a EncryptionMaterials,
    suite: Suite,
    salt: Option<[u8; SALT_LEN]>,
    room: u16,
}

impl<'a> MessageHeader<'a> {
    pub(crate) fn new(
        materials: &'a EncryptionMaterials,
        suite: Suite,
        random: &dyn RandomSource,
    ) -> Result<Self, Error> {
        check_wrapped(materials)?;
        let salt = match materials.reuse() {
            Reuse::Fresh => None,
            Reuse::Shared => {
                let mut salt = [0; SALT_LEN];
                random.fill(&mut salt)?;
                Some(salt)
            }
        };
        Ok(Self {
            materials,
            suite,
            salt,
            room: 0,
        })
    }

    /// Reserves so many bytes for a rewrap in place.
    pub(super) fn with_room(mut self, bytes: u16) -> Self {
        self.room = bytes;
        self
    }

    pub(super) fn len(&self) -> Result<usize, LimitExceeded> {
        header_len(&self.parts())
    }

    /// Writes the header to `header`, which has its length, and gives the key of the body.
    pub(super) fn write(
        &self,
        options: MessageOptions<'_>,
        settings: BodySettings,
        header: &mut [u8],
    ) -> Result<BodyKey, LimitExceeded> {
        let parts = self.parts();
        let keys = MessageKeys::new(self.materials.expand_key());
        write_committed(&parts, header, |uncommitted| {
            keys.body_key(&parts, uncommitted, options, settings)
        })
    }

    fn parts(&self) -> HeaderParts<'_> {
        HeaderParts {
            suite: self.suite,
            kind: HeaderKind::Message,
            salt: self.salt.as_ref(),
            entries: self.materials.entries(),
            pad: Some(self.room).filter(|room| *room > 0),
        }
    }
}

/// Refuses a data key that nobody could ever unwrap.
pub(super) fn check_wrapped(materials: &EncryptionMaterials) -> Result<(), Error> {
    match materials.entries().count() {
        0 => Err(Error::NoWrappedKey),
        _ => Ok(()),
    }
}

/// The length of the message with a payload of `payload_len` bytes.
pub(super) fn message_len(header_len: usize, payload_len: usize) -> Result<usize, LimitExceeded> {
    body::check_payload_len(payload_len as u64)?;
    body::sealed_len(payload_len as u64)
        .and_then(|len| usize::try_from(len).ok())
        .and_then(|len| len.checked_add(header_len))
        .ok_or(LimitExceeded::payload(payload_len as u64))
}

/// Writes a header of its length; `derive` gives, for what precedes the commitment, the commitment
/// and the key of what follows.
pub(super) fn write_committed<K>(
    parts: &HeaderParts<'_>,
    header: &mut [u8],
    derive: impl FnOnce(&[u8]) -> (SecretArray<COMMITMENT_LEN>, K),
) -> Result<K, LimitExceeded> {
    let over = LimitExceeded {
        limit: Limit::Header,
        size: header.len() as u64,
        max: MAX_HEADER_LEN as u64,
    };
    let (uncommitted, commitment) = header
        .split_last_chunk_mut::<COMMITMENT_LEN>()
        .ok_or(over)?;
    parts.write_uncommitted(uncommitted).map_err(|_| over)?;
    let (derived, key) = derive(uncommitted);
    *commitment = *derived;
    Ok(key)
}

/// The length of a header, commitment included.
pub(super) fn header_len(parts: &HeaderParts<'_>) -> Result<usize, LimitExceeded> {
    let len = parts.len();
    LimitExceeded::check(Limit::Header, len, MAX_HEADER_LEN)?;
    Ok(len)
}

/// A message whose header is verified, and whose body is to be opened by a stream.
///
/// Made by [`EnvelopeEncryptor::begin_opening`](super::EnvelopeEncryptor::begin_opening).
pub struct Opening {
    pub(crate) body_key: BodyKey,
    /// The number of the wrapped key that opened it.
    pub(crate) opened_by: usize,
}

impl Opening {
    pub(crate) fn new(
        header: &Header<'_>,
        unwrapped: Unwrapped,
        options: MessageOptions<'_>,
        settings: BodySettings,
    ) -> Result<Self, Error> {
        let materials = held(header, unwrapped)?;
        let keys = MessageKeys::new(materials.expand_key());
        let derived = keys.body_key(header.parts(), header.uncommitted(), options, settings);
        Ok(Self {
            body_key: verified(header, derived)?,
            opened_by: materials.entry(),
        })
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing({} bytes of header)", self.header.len())
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening(by wrapped key {})", self.opened_by)
    }
}

/// Refuses a header for records where a message is wanted.
pub(crate) fn check_message(header: &Header<'_>) -> Result<(), FormatError> {
    match header.kind() {
        HeaderKind::Message => Ok(()),
        HeaderKind::Record => Err(FormatError::RecordHeader),
    }
}

pub(super) fn held(
    header: &Header<'_>,
    unwrapped: Unwrapped,
) -> Result<DecryptionMaterials, Error> {
    match unwrapped {
        Unwrapped::Done(materials) => Ok(materials),
        Unwrapped::NotMine => Err(Error::OtherKey {
            message_keys: header
                .entries()
                .iter()
                .map(|entry| entry.reference())
                .collect(),
        }),
    }
}

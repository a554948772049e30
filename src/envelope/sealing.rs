//! A message begun: its header, and the cipher of its body.

use std::fmt;

use smallvec::SmallVec;

use super::MessageOptions;
use super::body::BodyKey;
use super::derive::MessageKeys;
use crate::context::EncryptionContext;
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

impl Sealing {
    pub(crate) fn new(
        materials: EncryptionMaterials,
        suite: Suite,
        random: &dyn RandomSource,
        options: MessageOptions<'_>,
    ) -> Result<Self, Error> {
        check_wrapped(&materials)?;
        let mut salt = [0; SALT_LEN];
        let salt = match materials.reuse() {
            Reuse::Fresh => None,
            Reuse::Shared => {
                random.fill(&mut salt)?;
                Some(&salt)
            }
        };
        let parts = HeaderParts {
            suite,
            kind: HeaderKind::Message,
            salt,
            entries: materials.entries(),
            pad: None,
        };
        let keys = MessageKeys::new(materials.data_key());
        Ok(Self {
            header: committed_header(&parts, &keys, options.context)?,
            body_key: keys.body_key(&parts, options),
        })
    }

    /// The length of the message with a payload of `payload_len` bytes.
    pub(crate) fn message_len(&self, payload_len: usize) -> Result<usize, LimitExceeded> {
        body::check_payload_len(payload_len as u64)?;
        body::sealed_len(payload_len as u64)
            .and_then(|len| usize::try_from(len).ok())
            .and_then(|len| len.checked_add(self.header.len()))
            .ok_or(LimitExceeded::payload(payload_len as u64))
    }
}

/// Refuses a data key that nobody could ever unwrap.
pub(super) fn check_wrapped(materials: &EncryptionMaterials) -> Result<(), Error> {
    match materials.entries().count() {
        0 => Err(Error::NoWrappedKey),
        _ => Ok(()),
    }
}

pub(super) fn committed_header(
    parts: &HeaderParts<'_>,
    keys: &MessageKeys,
    context: &EncryptionContext,
) -> Result<SmallVec<[u8; 256]>, LimitExceeded> {
    let len = parts.len();
    let over = LimitExceeded {
        limit: Limit::Header,
        size: len as u64,
        max: MAX_HEADER_LEN as u64,
    };
    LimitExceeded::check(Limit::Header, len, MAX_HEADER_LEN)?;
    let mut header = SmallVec::from_elem(0, len);
    let (uncommitted, commitment) = header
        .split_last_chunk_mut::<COMMITMENT_LEN>()
        .ok_or(over)?;
    parts.write_uncommitted(uncommitted).map_err(|_| over)?;
    *commitment = *keys.commitment(context, uncommitted);
    Ok(header)
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
    ) -> Result<Self, Error> {
        let materials = held(header, unwrapped)?;
        let keys = MessageKeys::new(materials.data_key());
        keys.verify(header, options.context)?;
        Ok(Self {
            body_key: keys.body_key(header.parts(), options),
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

//! Whole messages in memory, with a data key that is at hand.

use super::MessageOptions;
use super::body::BodySettings;
use super::sealing::{MessageHeader, Opening, check_message, message_len};
use crate::crypto::Rejected;
use crate::error::Error;
use crate::format::{Header, LimitExceeded, body};
use crate::secret::SecretBytes;

/// A message that has the shape of one.
pub(crate) struct WholeMessage<'m> {
    pub(crate) header: Header<'m>,
    pub(super) body: &'m [u8],
    pub(crate) payload_len: usize,
}

impl<'m> WholeMessage<'m> {
    pub(crate) fn parse(message: &'m [u8]) -> Result<Self, Error> {
        let (header, body) = Header::parse(message)?;
        check_message(&header)?;
        let payload_len = body::payload_len(body.len() as u64)?;
        Ok(Self {
            header,
            body,
            payload_len: usize::try_from(payload_len).map_err(|_| Error::Decrypt)?,
        })
    }

    pub(crate) fn open(&self, opening: &Opening) -> Result<SecretBytes, Error> {
        let mut payload = SecretBytes::zeroed(self.payload_len);
        self.open_to(opening, payload.as_mut_slice())?;
        Ok(payload)
    }

    /// Opens to `payload`, which has the length of the payload and holds zeros after a failure.
    pub(super) fn open_to(&self, opening: &Opening, payload: &mut [u8]) -> Result<(), Error> {
        opening
            .body_key
            .open(self.body, payload)
            .map_err(|Rejected| Error::Decrypt)
    }
}

/// Seals a message to a new buffer.
pub(crate) fn seal(
    header: &MessageHeader<'_>,
    plaintext: &[u8],
    options: MessageOptions<'_>,
    settings: BodySettings,
) -> Result<Vec<u8>, Error> {
    let mut message = zeroed(message_len(header.len()?, plaintext.len())?);
    seal_to(header, plaintext, options, settings, &mut message)?;
    Ok(message)
}

/// Seals to `message`, which has the length of the message.
pub(super) fn seal_to(
    header: &MessageHeader<'_>,
    plaintext: &[u8],
    options: MessageOptions<'_>,
    settings: BodySettings,
    message: &mut [u8],
) -> Result<(), Error> {
    let (header_bytes, body) = message.split_at_mut(header.len()?.min(message.len()));
    let body_key = header.write(options, settings, header_bytes)?;
    body_key
        .seal(plaintext, body)
        .map_err(|Rejected| LimitExceeded::payload(plaintext.len() as u64).into())
}

/// A buffer of zeros.
///
/// Some allocators take longer to give out a small block as zeroed memory than to give it out and
/// have the zeros written.
#[expect(clippy::slow_vector_initialization, reason = "see above")]
fn zeroed(len: usize) -> Vec<u8> {
    const SMALL: usize = 1024;

    if len > SMALL {
        return vec![0; len];
    }
    let mut buffer = Vec::with_capacity(len);
    buffer.resize(len, 0);
    buffer
}

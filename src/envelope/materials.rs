//! Whole messages with a data key that is at hand: for a KMS, which wraps and unwraps by itself.

use super::MessageOptions;
use super::body::BodyCipher;
use super::sealing::{MessageHeader, Opening, message_len};
use crate::context::EncryptionContext;
use crate::crypto::Rejected;
use crate::error::Error;
use crate::format::body::payload_len;
use crate::format::{Header, LimitExceeded, Suite};
use crate::keyring::{DecryptionMaterials, EncryptionMaterials, Unwrapped};
use crate::rng::RandomSource;
use crate::secret::SecretBytes;

/// Seals a message of suite 1.
pub(crate) fn seal_with(
    materials: &EncryptionMaterials,
    plaintext: &[u8],
    context: &EncryptionContext,
    random: &dyn RandomSource,
) -> Result<Vec<u8>, Error> {
    let header = MessageHeader::new(materials, Suite::default(), random)?;
    let header_len = header.len()?;
    let mut message = vec![0; message_len(header_len, plaintext.len())?];
    let (header_bytes, body) = message.split_at_mut(header_len);
    let body_key = header.write(MessageOptions::new(context), header_bytes)?;
    BodyCipher::new(&body_key)
        .seal(0, plaintext, body)
        .map_err(|Rejected| LimitExceeded::payload(plaintext.len() as u64))?;
    Ok(message)
}

/// Opens a message of `header` and `body`.
pub(crate) fn open_with(
    materials: DecryptionMaterials,
    header: &Header<'_>,
    body: &[u8],
    context: &EncryptionContext,
) -> Result<SecretBytes, Error> {
    let unwrapped = Unwrapped::Done(materials);
    let opening = Opening::new(header, unwrapped, MessageOptions::new(context))?;
    let len = usize::try_from(payload_len(body.len() as u64)?).map_err(|_| Error::Decrypt)?;
    let mut plaintext = SecretBytes::zeroed(len);
    BodyCipher::new(&opening.body_key)
        .open(0, body, plaintext.as_mut_slice())
        .map_err(|Rejected| Error::Decrypt)?;
    Ok(plaintext)
}

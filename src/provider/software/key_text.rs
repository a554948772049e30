//! A key as people store it: 32 raw bytes, or base64 or hexadecimal text.

use base64ct::{Base64, Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use crate::crypto::KEY_LEN;

/// The longest text that is taken: hexadecimal, with room for white space.
pub(super) const MAX_KEY_TEXT_LEN: usize = 4 * KEY_LEN;

const HEX_LEN: usize = 2 * KEY_LEN;
const BASE64_LEN: usize = 44;
const BASE64_UNPADDED_LEN: usize = 43;

/// Why bytes are no 32-byte key. Never shows the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyTextError {
    /// The length is that of no encoding of 32 bytes.
    #[error(
        "expected 32 raw bytes, or their base64 (44 characters) or hexadecimal (64 characters) text, and found {len} bytes"
    )]
    Length {
        /// The length, in bytes.
        len: usize,
    },
    /// The length is that of base64, the characters are not.
    #[error(
        "its length is that of base64, and it is not valid base64 of 32 bytes (standard alphabet)"
    )]
    Base64,
    /// The length is that of hexadecimal, the characters are not.
    #[error(
        "its length is that of hexadecimal, and it holds other characters than 0-9, a-f and A-F"
    )]
    Hex,
    /// 32 bytes that are text, and so not random bytes: a password, or 16 bytes as hexadecimal.
    #[error(
        "32 characters of text are not a key of 32 random bytes; store one as base64 (44 characters) or hexadecimal (64), or derive one from a passphrase with PassphraseRecord"
    )]
    Text,
    /// All bytes are the same, so no random generator made them.
    #[error(
        "all of its bytes are the same, so it is no random key; make one with: openssl rand -base64 32"
    )]
    Uniform,
}

/// Decodes in constant time for the characters, as base64ct and base16ct do.
pub(super) fn parse_key(text: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyTextError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let trimmed = text.trim_ascii();
    let filled = match trimmed.len() {
        _ if text.len() > MAX_KEY_TEXT_LEN => {
            return Err(KeyTextError::Length { len: text.len() });
        }
        _ if text.len() == KEY_LEN => {
            key.copy_from_slice(text);
            KEY_LEN
        }
        HEX_LEN => base16ct::mixed::decode(trimmed, key.as_mut_slice())
            .map_err(|_| KeyTextError::Hex)?
            .len(),
        BASE64_LEN => Base64::decode(trimmed, key.as_mut_slice())
            .map_err(|_| KeyTextError::Base64)?
            .len(),
        BASE64_UNPADDED_LEN => Base64Unpadded::decode(trimmed, key.as_mut_slice())
            .map_err(|_| KeyTextError::Base64)?
            .len(),
        _ => return Err(KeyTextError::Length { len: text.len() }),
    };
    if filled != KEY_LEN {
        return Err(KeyTextError::Base64);
    }
    refuse_implausible(&key)?;
    Ok(key)
}

/// Neither happens to random bytes: 32 of them are all printable once in 10^13 times.
fn refuse_implausible(key: &[u8; KEY_LEN]) -> Result<(), KeyTextError> {
    let [first, rest @ ..] = key;
    if rest.iter().all(|byte| byte == first) {
        return Err(KeyTextError::Uniform);
    }
    if key.iter().all(u8::is_ascii_graphic) {
        return Err(KeyTextError::Text);
    }
    Ok(())
}

//! The layout of a body: C2SP chunked encryption, raw mode (c2sp.org/chunked-encryption).
//!
//! A payload is cut into chunks of 16 KiB and one last, shorter chunk, which may be empty; each is
//! followed by its tag.

use super::FormatError;
use super::error::LimitExceeded;
use crate::crypto::TAG_LEN;

/// The bytes of plaintext in every chunk but the last.
pub(crate) const CHUNK_LEN: usize = 16384;
/// The same, encrypted.
pub(crate) const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;
/// The most bytes of a payload: 2^38 chunks, the last of them short.
pub(crate) const MAX_PAYLOAD_LEN: u64 = (1 << 38) * CHUNK_LEN as u64 - 1;

const TRUNCATED: FormatError = FormatError::Truncated { field: "body" };

/// The bytes of the body for a payload of `payload_len` bytes, and `None` over what `u64` holds.
pub(crate) fn sealed_len(payload_len: u64) -> Option<u64> {
    let chunks = payload_len / CHUNK_LEN as u64 + 1;
    payload_len.checked_add(chunks.checked_mul(TAG_LEN as u64)?)
}

/// The bytes of the payload in a body of `body_len` bytes, if every chunk verifies.
pub(crate) fn payload_len(body_len: u64) -> Result<u64, FormatError> {
    let full_chunks = body_len / SEALED_CHUNK_LEN as u64;
    let last = (body_len % SEALED_CHUNK_LEN as u64)
        .checked_sub(TAG_LEN as u64)
        .ok_or(TRUNCATED)?;
    let len = full_chunks * CHUNK_LEN as u64 + last;
    check_payload_len(len)?;
    Ok(len)
}

/// Refuses a payload that has more chunks than a message may.
pub(crate) fn check_payload_len(size: u64) -> Result<(), LimitExceeded> {
    if size <= MAX_PAYLOAD_LEN {
        Ok(())
    } else {
        Err(LimitExceeded::payload(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_invert_each_other() {
        for len in (0..3 * CHUNK_LEN as u64).chain([MAX_PAYLOAD_LEN - 1, MAX_PAYLOAD_LEN]) {
            assert_eq!(payload_len(sealed_len(len).unwrap()), Ok(len));
        }
    }

    #[test]
    fn a_body_that_ends_on_no_chunk_is_truncated() {
        for full_chunks in 0..3 {
            for stray in 0..TAG_LEN {
                let len = (full_chunks * SEALED_CHUNK_LEN + stray) as u64;
                assert_eq!(payload_len(len), Err(TRUNCATED), "{len}");
            }
        }
    }

    #[test]
    fn the_payload_limit_is_four_pebibytes_less_one() {
        assert_eq!(MAX_PAYLOAD_LEN, (4 << 50) - 1);
        let over = sealed_len(MAX_PAYLOAD_LEN + 1).unwrap();
        assert!(matches!(payload_len(over), Err(FormatError::Limit(_))));
        assert_eq!(sealed_len(u64::MAX), None);
    }
}

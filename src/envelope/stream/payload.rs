//! The payload of a body, opened chunk by chunk.

use std::io;

use super::moved::Moved;
use super::window::Window;
use crate::crypto::{Rejected, SecretVec, TAG_LEN};
use crate::envelope::body::{BodyCipher, BodyKey, Parallelism};
use crate::error::Error;
use crate::format::FormatError;
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN, check_payload_len};

/// Opens chunks in order, and keeps what its caller had no room for. A failure is for good.
pub(super) struct Payload {
    cipher: BodyCipher,
    /// The number of the next chunk to be opened.
    number: u64,
    plain: Window<SecretVec>,
    /// The plaintext bytes that a seek must drop from the front of the next chunk.
    skip: usize,
    /// Once the last chunk was verified.
    len: Option<u64>,
    opened_all: bool,
    failure: Option<Failure>,
}

/// Why all further reads fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Rejected,
    Truncated,
    TooLong,
}

impl Failure {
    pub(crate) fn error(self) -> io::Error {
        match self {
            Self::Rejected => Error::Decrypt,
            Self::Truncated => FormatError::Truncated { field: "body" }.into(),
            Self::TooLong => crate::format::LimitExceeded::payload(u64::MAX).into(),
        }
        .into()
    }
}

impl Payload {
    pub(super) fn new(body_key: &BodyKey) -> Self {
        let batch = body_key.settings.parallelism.batch();
        Self {
            cipher: BodyCipher::new(body_key),
            number: 0,
            plain: Window {
                buffer: SecretVec::zeroed(batch * CHUNK_LEN),
                range: 0..0,
            },
            skip: 0,
            len: None,
            opened_all: false,
            failure: None,
        }
    }

    pub(super) fn parallelism(&self) -> Parallelism {
        self.cipher.parallelism()
    }

    /// How many chunks `wanted` more bytes of plaintext touch, where none is at hand.
    pub(super) fn touched(&self, wanted: usize) -> usize {
        self.skip.saturating_add(wanted).div_ceil(CHUNK_LEN)
    }

    /// Gives what is opened, or zero bytes at the end. `None` if more must be opened first.
    pub(super) fn give(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        self.check()?;
        if !self.plain.filled().is_empty() {
            return Ok(Some(self.plain.take(out)));
        }
        Ok(self.opened_all.then_some(0))
    }

    /// Opens full chunks from the front of `sealed`, which has at least one: to `out`, where that has
    /// the room and nothing is skipped, and else to be [given](Self::give). All that was given is
    /// taken before.
    pub(super) fn open_full(&mut self, sealed: &[u8], out: &mut [u8]) -> io::Result<Moved> {
        let parallelism = self.parallelism();
        let full = sealed.len() / SEALED_CHUNK_LEN;
        let buffered = full.min(parallelism.batch());
        let enough = match parallelism {
            Parallelism::Serial => 1,
            #[cfg(feature = "rayon")]
            Parallelism::Rayon => buffered,
        };
        let room = out.len() / CHUNK_LEN;
        let direct = self.skip == 0 && room >= enough;
        let chunks = if direct {
            full.min(room).min(parallelism.direct_batch())
        } else {
            buffered
        };
        self.check_room(chunks)?;
        let plain = if direct { out } else { &mut *self.plain.buffer };
        let (Some(sealed), Some(plain)) = (
            sealed.get(..chunks * SEALED_CHUNK_LEN),
            plain.get_mut(..chunks * CHUNK_LEN),
        ) else {
            return self.fail(Failure::Rejected);
        };
        if self.cipher.open_full(self.number, sealed, plain).is_err() {
            plain.fill(0);
            return self.fail(Failure::Rejected);
        }
        self.number += chunks as u64;
        if !direct {
            self.plain.range = std::mem::take(&mut self.skip)..plain.len();
        }
        Ok(Moved {
            taken: sealed.len(),
            given: if direct { chunks * CHUNK_LEN } else { 0 },
        })
    }

    /// Has other threads open all chunks of `sealed` to as many of `out`, while `work` is done.
    #[cfg(feature = "rayon")]
    pub(super) fn open_beside<T>(
        &mut self,
        sealed: &[u8],
        out: &mut [u8],
        work: impl FnOnce() -> T,
    ) -> io::Result<T> {
        let chunks = sealed.len() / SEALED_CHUNK_LEN;
        self.check_room(chunks)?;
        let (cipher, number) = (&self.cipher, self.number);
        let mut opened = Ok(());
        let done = rayon::in_place_scope(|scope| {
            scope.spawn(|_| opened = cipher.open_full(number, sealed, out));
            work()
        });
        if opened.is_err() {
            out.fill(0);
            return self.fail(Failure::Rejected);
        }
        self.number += chunks as u64;
        Ok(done)
    }

    /// Opens the last chunk, what is left of the body: less than a full chunk.
    pub(super) fn open_last(&mut self, sealed: &[u8]) -> io::Result<()> {
        let len = self.open_short(self.number, sealed)?;
        self.plain.range = std::mem::take(&mut self.skip).min(len)..len;
        self.opened_all = true;
        Ok(())
    }

    /// Verifies chunk `number`, the last, and returns the length of the payload.
    pub(super) fn verify_last(&mut self, number: u64, sealed: &[u8]) -> io::Result<u64> {
        let len = self.open_short(number, sealed)?;
        if let Some(plain) = self.plain.buffer.get_mut(..len) {
            plain.fill(0);
        }
        Ok(number * CHUNK_LEN as u64 + len as u64)
    }

    /// Opens chunk `number` as the last to the front of the buffer, and returns its length. What was
    /// to be given from there is dropped.
    fn open_short(&mut self, number: u64, sealed: &[u8]) -> io::Result<usize> {
        let Some(len) = last_len(sealed) else {
            return self.fail(Failure::Truncated);
        };
        self.plain.range = 0..0;
        let opened = match self.plain.buffer.get_mut(..len) {
            Some(plain) => self.cipher.open_chunk(number, sealed, plain),
            None => Err(Rejected),
        };
        if opened.is_err() {
            return self.fail(Failure::Rejected);
        }
        self.len = Some(number * CHUNK_LEN as u64 + len as u64);
        Ok(len)
    }

    /// The place of the next byte.
    pub(super) fn position(&self) -> u64 {
        let opened = match self.len {
            Some(len) if self.opened_all => len,
            _ => self.number * CHUNK_LEN as u64,
        };
        (opened + self.skip as u64).saturating_sub(self.plain.filled().len() as u64)
    }

    /// The length, once the last chunk was verified.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Goes on with chunk `number`, at `skip` in it.
    pub(super) fn go_to(&mut self, number: u64, skip: usize) {
        self.number = number;
        self.skip = skip;
        self.plain.range = 0..0;
        self.opened_all = false;
    }

    /// Goes to the end of a payload whose length is verified.
    pub(super) fn go_to_end(&mut self, len: u64) {
        self.go_to(len / CHUNK_LEN as u64, 0);
        self.len = Some(len);
        self.opened_all = true;
    }

    /// Whether the next byte is the first of a chunk, and nothing failed.
    #[cfg(feature = "rayon")]
    pub(super) fn is_between_chunks(&self) -> bool {
        self.failure.is_none() && self.plain.filled().is_empty() && self.skip == 0
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Makes all further reads fail, and says so.
    pub(super) fn fail<T>(&mut self, failure: Failure) -> io::Result<T> {
        self.failure = Some(failure);
        self.plain.range = 0..0;
        Err(failure.error())
    }

    fn check(&self) -> io::Result<()> {
        self.failure.map_or(Ok(()), |failure| Err(failure.error()))
    }

    /// Refuses a payload that with so many more chunks is longer than a payload may be.
    fn check_room(&mut self, chunks: usize) -> io::Result<()> {
        let len = self
            .number
            .saturating_add(chunks as u64)
            .saturating_mul(CHUNK_LEN as u64);
        match check_payload_len(len) {
            Ok(()) => Ok(()),
            Err(_) => self.fail(Failure::TooLong),
        }
    }
}

/// The bytes of plaintext in a last chunk. A full chunk is not the last: where it seems to be, the
/// length that the source tells is not that of what it gives, and what comes after may be cut off.
pub(super) fn last_len(sealed: &[u8]) -> Option<usize> {
    let len = sealed.len().checked_sub(TAG_LEN)?;
    (len < CHUNK_LEN).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{AeadAlgorithm, KEY_LEN, NONCE_LEN};
    use crate::envelope::body::BodySettings;

    const LAST_CHUNK: u64 = (1 << 38) - 1;

    /// Before the last chunk that there may be, which has `len` bytes.
    fn at_last_chunk(len: usize) -> (Payload, Vec<u8>) {
        let body_key = BodyKey {
            algorithm: AeadAlgorithm::Aes256Gcm,
            key: [7; KEY_LEN].into(),
            base_nonce: [9; NONCE_LEN],
            settings: BodySettings::default(),
        };
        let mut sealed = vec![0; len + TAG_LEN];
        BodyCipher::new(&body_key)
            .seal_chunk(LAST_CHUNK, &vec![1; len], &mut sealed)
            .unwrap();
        let mut payload = Payload::new(&body_key);
        payload.number = LAST_CHUNK;
        (payload, sealed)
    }

    #[test]
    fn the_last_chunk_of_the_longest_payload_is_short() {
        let (mut payload, sealed) = at_last_chunk(CHUNK_LEN - 1);
        payload.open_last(&sealed).unwrap();
        let mut plain = vec![0; CHUNK_LEN];
        assert_eq!(payload.give(&mut plain).unwrap(), Some(CHUNK_LEN - 1));
        assert_eq!(payload.len(), Some((1 << 52) - 1));
    }

    #[test]
    fn a_full_chunk_after_that_is_refused_unopened() {
        let (mut payload, sealed) = at_last_chunk(CHUNK_LEN);
        let mut plain = vec![0; CHUNK_LEN];
        let refused = payload.open_full(&sealed, &mut plain).unwrap_err();
        let again = payload.give(&mut plain).unwrap_err();
        for refused in [refused, again] {
            assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        }
        assert_eq!(payload.failure(), Some(Failure::TooLong));
        assert_eq!(plain, [0; CHUNK_LEN]);
    }
}

//! Opening piece by piece, without I/O.

use std::io;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::crypto::{Rejected, TAG_LEN};
use crate::envelope::body::{BodyCipher, BodyKey, Parallelism};
use crate::error::Error;
use crate::format::FormatError;
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN, check_payload_len};

/// Takes the bytes of a body of any sizes and gives verified plaintext, in order.
pub(crate) struct OpenCore {
    cipher: BodyCipher,
    /// The number of the next chunk to be opened.
    number: u64,
    sealed: Window<Vec<u8>>,
    /// What the next batch is read into while one is opened.
    #[cfg(feature = "rayon")]
    ahead: Vec<u8>,
    plain: Window<Zeroizing<Vec<u8>>>,
    /// The plaintext bytes that a seek must drop from the front of the next chunk.
    skip: usize,
    /// Whether the reader jumps about, so that reading ahead would be in vain.
    sought: bool,
    input_ended: bool,
    /// The length of the payload, once the last chunk was verified.
    payload_len: Option<u64>,
    /// Whether all of the payload was opened.
    opened_all: bool,
    failure: Option<Failure>,
}

/// What a read came to.
pub(crate) enum Progress {
    /// So many bytes of plaintext, none at the end of the payload only.
    Plain(usize),
    /// More of the body must be given first.
    NeedsInput,
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

impl OpenCore {
    /// Takes the key of a body, and a buffer of which the bytes in `filled` are the front of the
    /// body.
    pub(crate) fn new(body_key: &BodyKey, mut sealed: Vec<u8>, filled: Range<usize>) -> Self {
        let batch = body_key.settings.parallelism.batch();
        if sealed.len() < batch * SEALED_CHUNK_LEN {
            sealed.resize(batch * SEALED_CHUNK_LEN, 0);
        }
        Self {
            cipher: BodyCipher::new(body_key),
            number: 0,
            sealed: Window {
                buffer: sealed,
                range: filled,
            },
            #[cfg(feature = "rayon")]
            ahead: Vec::new(),
            plain: Window {
                buffer: Zeroizing::new(vec![0; batch * CHUNK_LEN]),
                range: 0..0,
            },
            skip: 0,
            sought: false,
            input_ended: false,
            payload_len: None,
            opened_all: false,
            failure: None,
        }
    }

    /// Where the next bytes of the body go, to read `wanted` bytes of plaintext, which are not
    /// none; not empty after [`Progress::NeedsInput`].
    ///
    /// A whole batch, but after a seek no more chunks than the wanted bytes touch.
    pub(crate) fn input(&mut self, wanted: usize) -> &mut [u8] {
        self.sealed.compact();
        let touched = self.skip.saturating_add(wanted).div_ceil(CHUNK_LEN);
        let batch = self.cipher.parallelism().batch();
        let chunks = if self.sought {
            touched.min(batch)
        } else {
            batch
        };
        let end = chunks * SEALED_CHUNK_LEN;
        self.sealed.free(end)
    }

    /// Takes note that `len` bytes were put to the front of [`input`](Self::input), and that zero
    /// of them are the end of the body.
    pub(crate) fn put(&mut self, len: usize) {
        self.sealed.range.end += len;
        self.input_ended = len == 0;
    }

    /// Gives plaintext to `out`, which is not empty.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> io::Result<Progress> {
        loop {
            if let Some(failure) = self.failure {
                return Err(failure.error());
            }
            if !self.plain.filled().is_empty() {
                return Ok(Progress::Plain(self.plain.take(out)));
            }
            if self.opened_all {
                return Ok(Progress::Plain(0));
            }
            let full = self.sealed.filled().len() / SEALED_CHUNK_LEN;
            let enough = match self.cipher.parallelism() {
                Parallelism::Serial => CHUNK_LEN,
                #[cfg(feature = "rayon")]
                Parallelism::Rayon => full * CHUNK_LEN,
            };
            if full > 0 && self.skip == 0 && out.len() >= enough {
                let chunks = full.min(out.len() / CHUNK_LEN);
                let (direct, _) = out.split_at_mut(chunks * CHUNK_LEN);
                self.open_full(chunks, Some(direct))?;
                return Ok(Progress::Plain(direct.len()));
            }
            if full > 0 {
                self.open_full(full, None)?;
            } else if self.input_ended {
                self.open_last()?;
            } else {
                return Ok(Progress::NeedsInput);
            }
        }
    }

    /// Whether [`read_beside`](Self::read_beside) may be called: the caller wants more than what
    /// is at hand gives.
    #[cfg(feature = "rayon")]
    pub(crate) fn reads_beside(&self, out: &[u8]) -> bool {
        let full = self.sealed.filled().len() / SEALED_CHUNK_LEN;
        self.cipher.parallelism() == Parallelism::Rayon
            && self.failure.is_none()
            && self.plain.filled().is_empty()
            && (self.skip, self.sought, self.input_ended) == (0, false, false)
            && full > 1
            && out.len() > full * CHUNK_LEN
    }

    /// Has all full chunks opened to `out` by other threads while `fill` reads more of the body.
    /// Returns the bytes of plaintext, and what `fill` returned.
    #[cfg(feature = "rayon")]
    pub(crate) fn read_beside(
        &mut self,
        out: &mut [u8],
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<(usize, io::Result<usize>)> {
        let full = self.sealed.filled().len() / SEALED_CHUNK_LEN;
        self.check_room(full)?;
        let (sealed, rest) = self.sealed.filled().split_at(full * SEALED_CHUNK_LEN);
        let rest_len = rest.len();
        self.ahead.resize(self.sealed.buffer.len(), 0);
        let (front, free) = self.ahead.split_at_mut(rest_len);
        front.copy_from_slice(rest);
        let (plain, _) = out.split_at_mut(full * CHUNK_LEN);
        let (cipher, number) = (&self.cipher, self.number);
        let mut opened = Ok(());
        let filled = rayon::in_place_scope(|scope| {
            scope.spawn(|_| opened = cipher.open_full(number, sealed, plain));
            fill(free)
        });
        if opened.is_err() {
            out.iter_mut()
                .take(full * CHUNK_LEN)
                .for_each(|byte| *byte = 0);
            return self.fail(Failure::Rejected);
        }
        self.number += full as u64;
        std::mem::swap(&mut self.sealed.buffer, &mut self.ahead);
        self.sealed.range = 0..rest_len;
        if let Ok(len) = filled {
            self.put(len);
        }
        Ok((full * CHUNK_LEN, filled))
    }

    /// The place of the next byte in the payload.
    pub(crate) fn position(&self) -> u64 {
        let opened = match self.payload_len {
            Some(len) if self.opened_all => len,
            _ => self.number * CHUNK_LEN as u64,
        };
        (opened + self.skip as u64).saturating_sub(self.plain.filled().len() as u64)
    }

    /// The length of the payload, once the last chunk was verified.
    pub(crate) fn payload_len(&self) -> Option<u64> {
        self.payload_len
    }

    /// The failure that all further reads end in.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Makes all further reads fail, and says so.
    pub(crate) fn fail<T>(&mut self, failure: Failure) -> io::Result<T> {
        self.failure = Some(failure);
        self.plain.range = 0..0;
        Err(failure.error())
    }

    /// Goes on with chunk `number`, whose sealed bytes are to be put next, at `skip` in it.
    pub(crate) fn go_to(&mut self, number: u64, skip: usize) {
        self.number = number;
        self.skip = skip;
        self.sought = true;
        self.sealed.range = 0..0;
        self.plain.range = 0..0;
        self.input_ended = false;
        self.opened_all = false;
    }

    /// Goes to the end of a payload whose length is verified.
    pub(crate) fn go_to_end(&mut self, payload_len: u64) {
        self.go_to(payload_len / CHUNK_LEN as u64, 0);
        self.payload_len = Some(payload_len);
        self.opened_all = true;
    }

    /// Verifies chunk `number`, the last, and returns the length of the payload.
    pub(crate) fn verify_last(&mut self, number: u64, sealed: &[u8]) -> io::Result<u64> {
        let Some(len) = sealed.len().checked_sub(TAG_LEN) else {
            return self.fail(Failure::Truncated);
        };
        self.plain.range = 0..0;
        let Some(plain) = self.plain.buffer.get_mut(..len) else {
            return self.fail(Failure::Rejected);
        };
        if self.cipher.open_chunk(number, sealed, plain).is_err() {
            return self.fail(Failure::Rejected);
        }
        plain.fill(0);
        let payload_len = number * CHUNK_LEN as u64 + len as u64;
        self.payload_len = Some(payload_len);
        Ok(payload_len)
    }

    /// Opens so many full chunks, to `direct` or to the plaintext buffer.
    fn open_full(&mut self, chunks: usize, direct: Option<&mut [u8]>) -> io::Result<()> {
        self.check_room(chunks)?;
        let buffered = direct.is_none();
        let plain_len = chunks * CHUNK_LEN;
        let sealed = self.sealed.filled().get(..chunks * SEALED_CHUNK_LEN);
        let plain = match direct {
            Some(direct) => Some(direct),
            None => self.plain.buffer.get_mut(..plain_len),
        };
        let opened = match (sealed, plain) {
            (Some(sealed), Some(plain)) => self
                .cipher
                .open_full(self.number, sealed, plain)
                .inspect_err(|_| plain.fill(0)),
            _ => Err(Rejected),
        };
        if opened.is_err() {
            return self.fail(Failure::Rejected);
        }
        self.sealed.range.start += chunks * SEALED_CHUNK_LEN;
        self.number += chunks as u64;
        if buffered {
            self.plain.range = std::mem::take(&mut self.skip)..plain_len;
        }
        Ok(())
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

    /// Opens the last chunk: what is left of the body, less than a full chunk.
    fn open_last(&mut self) -> io::Result<()> {
        let sealed = self.sealed.filled();
        let Some(len) = sealed.len().checked_sub(TAG_LEN) else {
            return self.fail(Failure::Truncated);
        };
        let opened = match self.plain.buffer.get_mut(..len) {
            Some(plain) => self.cipher.open_chunk(self.number, sealed, plain),
            None => Err(Rejected),
        };
        if opened.is_err() {
            return self.fail(Failure::Rejected);
        }
        self.sealed.range = 0..0;
        self.plain.range = std::mem::take(&mut self.skip).min(len)..len;
        self.payload_len = Some(self.number * CHUNK_LEN as u64 + len as u64);
        self.opened_all = true;
        Ok(())
    }
}

/// A buffer of which a part is filled.
struct Window<B> {
    buffer: B,
    range: Range<usize>,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Window<B> {
    fn filled(&self) -> &[u8] {
        self.buffer
            .as_ref()
            .get(self.range.clone())
            .unwrap_or_default()
    }

    /// What is free after that, up to `end`.
    fn free(&mut self, end: usize) -> &mut [u8] {
        self.buffer
            .as_mut()
            .get_mut(self.range.end..end)
            .unwrap_or_default()
    }

    /// Moves what is filled to the front.
    fn compact(&mut self) {
        if self.range.start > 0 {
            let len = self.range.len();
            self.buffer.as_mut().copy_within(self.range.clone(), 0);
            self.range = 0..len;
        }
    }

    /// Moves bytes from the front to `out`.
    fn take(&mut self, out: &mut [u8]) -> usize {
        let len = self.range.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..len), self.filled().get(..len)) {
            to.copy_from_slice(from);
        }
        self.range.start += len;
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{AeadAlgorithm, KEY_LEN, NONCE_LEN};
    use crate::envelope::body::BodySettings;

    const LAST_CHUNK: u64 = (1 << 38) - 1;

    /// Before the chunk of that number, with what `sealed` gives of the body at hand.
    fn at_chunk(number: u64, seal: impl FnOnce(&BodyCipher) -> Vec<u8>) -> OpenCore {
        let body_key = BodyKey {
            algorithm: AeadAlgorithm::Aes256Gcm,
            key: [7; KEY_LEN].into(),
            base_nonce: [9; NONCE_LEN],
            settings: BodySettings::default(),
        };
        let sealed = seal(&BodyCipher::new(&body_key));
        let filled = 0..sealed.len();
        let mut core = OpenCore::new(&body_key, sealed, filled);
        core.number = number;
        core
    }

    fn seal_chunk(cipher: &BodyCipher, number: u64, len: usize) -> Vec<u8> {
        let mut sealed = vec![0; len + TAG_LEN];
        cipher
            .seal_chunk(number, &vec![1; len], &mut sealed)
            .unwrap();
        sealed
    }

    #[test]
    fn the_last_chunk_of_the_longest_payload_is_short() {
        let mut core = at_chunk(LAST_CHUNK, |cipher| {
            seal_chunk(cipher, LAST_CHUNK, CHUNK_LEN - 1)
        });
        core.put(0);
        let mut plain = vec![0; CHUNK_LEN];
        let Ok(Progress::Plain(len)) = core.read(&mut plain) else {
            panic!("it is as long as a payload may be");
        };
        assert_eq!(len, CHUNK_LEN - 1);
        assert_eq!(core.payload_len(), Some((1 << 52) - 1));
    }

    #[test]
    fn a_full_chunk_after_that_is_refused_unopened() {
        let mut core = at_chunk(LAST_CHUNK, |cipher| {
            seal_chunk(cipher, LAST_CHUNK, CHUNK_LEN)
        });
        let mut plain = vec![0; CHUNK_LEN];
        for _ in 0..2 {
            let refused = core.read(&mut plain).err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
            assert_eq!(core.failure(), Some(Failure::TooLong));
        }
        assert_eq!(plain, [0; CHUNK_LEN]);
    }
}

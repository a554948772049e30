//! Opening piece by piece, without I/O.

use std::io;
use std::ops::Range;

use super::moved::Moved;
use super::payload::{Failure, Payload};
use super::window::Window;
use crate::envelope::body::BodyKey;
#[cfg(feature = "rayon")]
use crate::envelope::body::Parallelism;
#[cfg(feature = "rayon")]
use crate::format::body::CHUNK_LEN;
use crate::format::body::SEALED_CHUNK_LEN;

/// Takes the bytes of a body of any sizes and gives verified plaintext, in order.
pub(crate) struct OpenCore {
    sealed: Window<Vec<u8>>,
    /// What the next batch is read into while one is opened.
    #[cfg(feature = "rayon")]
    ahead: Vec<u8>,
    /// Whether the reader jumps about, so that reading ahead would be in vain.
    sought: bool,
    input_ended: bool,
    payload: Payload,
}

/// What a read came to.
pub(crate) enum Progress {
    /// So many bytes of plaintext, none at the end of the payload only.
    Plain(usize),
    /// More of the body must be given first.
    NeedsInput,
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
            sealed: Window {
                buffer: sealed,
                range: filled,
            },
            #[cfg(feature = "rayon")]
            ahead: Vec::new(),
            sought: false,
            input_ended: false,
            payload: Payload::new(body_key),
        }
    }

    /// Where the next bytes of the body go, to read `wanted` bytes of plaintext, which are not
    /// none; not empty after [`Progress::NeedsInput`].
    ///
    /// A whole batch, but after a seek no more chunks than the wanted bytes touch.
    pub(crate) fn input(&mut self, wanted: usize) -> &mut [u8] {
        let batch = self.payload.parallelism().batch();
        let chunks = if self.sought {
            self.payload.touched(wanted).min(batch)
        } else {
            batch
        };
        self.sealed.compact();
        self.sealed.free(chunks * SEALED_CHUNK_LEN)
    }

    /// As [`input`](Self::input), but only to the end of a chunk, so that the next can be
    /// [read from](Self::read_from) where it is.
    pub(crate) fn input_to_chunk_end(&mut self) -> &mut [u8] {
        self.sealed.compact();
        self.sealed.free(SEALED_CHUNK_LEN)
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
            if let Some(given) = self.payload.give(out)? {
                return Ok(Progress::Plain(given));
            }
            let sealed = self.sealed.filled();
            if sealed.len() >= SEALED_CHUNK_LEN {
                let moved = self.payload.open_full(sealed, out)?;
                self.sealed.range.start += moved.taken;
                if moved.given > 0 {
                    return Ok(Progress::Plain(moved.given));
                }
            } else if self.input_ended {
                self.payload.open_last(sealed)?;
                self.sealed.range = 0..0;
            } else {
                return Ok(Progress::NeedsInput);
            }
        }
    }

    /// After [`Progress::NeedsInput`], as [`read`](Self::read), right from where the next bytes of
    /// the body are. Takes none of them where they are less than a chunk, or begin within one.
    pub(crate) fn read_from(&mut self, body: &[u8], out: &mut [u8]) -> io::Result<Moved> {
        if !self.sealed.filled().is_empty() || body.len() < SEALED_CHUNK_LEN {
            return Ok(Moved::default());
        }
        let wanted = self.payload.touched(out.len()) * SEALED_CHUNK_LEN;
        let body = match body.get(..wanted) {
            Some(wanted) if self.sought => wanted,
            _ => body,
        };
        let mut moved = self.payload.open_full(body, out)?;
        if moved.given == 0 {
            moved.given = self.payload.give(out)?.unwrap_or(0);
        }
        Ok(moved)
    }

    /// Whether [`read_beside`](Self::read_beside) may be called: the caller wants more than what
    /// is at hand gives.
    #[cfg(feature = "rayon")]
    pub(crate) fn reads_beside(&self, out: &[u8]) -> bool {
        let full = self.sealed.filled().len() / SEALED_CHUNK_LEN;
        self.payload.parallelism() == Parallelism::Rayon
            && self.payload.is_between_chunks()
            && !self.sought
            && !self.input_ended
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
        let (sealed, rest) = self.sealed.filled().split_at(full * SEALED_CHUNK_LEN);
        let rest_len = rest.len();
        self.ahead.resize(self.sealed.buffer.len(), 0);
        let (front, free) = self.ahead.split_at_mut(rest_len);
        front.copy_from_slice(rest);
        let (plain, _) = out.split_at_mut(full * CHUNK_LEN);
        let filled = self.payload.open_beside(sealed, plain, || fill(free))?;
        std::mem::swap(&mut self.sealed.buffer, &mut self.ahead);
        self.sealed.range = 0..rest_len;
        if let Ok(len) = filled {
            self.put(len);
        }
        Ok((full * CHUNK_LEN, filled))
    }

    /// The place of the next byte in the payload.
    pub(crate) fn position(&self) -> u64 {
        self.payload.position()
    }

    /// The length of the payload, once the last chunk was verified.
    pub(crate) fn payload_len(&self) -> Option<u64> {
        self.payload.len()
    }

    /// The failure that all further reads end in.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.payload.failure()
    }

    /// Makes all further reads fail, and says so.
    pub(crate) fn fail<T>(&mut self, failure: Failure) -> io::Result<T> {
        self.payload.fail(failure)
    }

    /// Goes on with chunk `number`, whose sealed bytes are to be put next, at `skip` in it.
    pub(crate) fn go_to(&mut self, number: u64, skip: usize) {
        self.sealed.range = 0..0;
        self.sought = true;
        self.input_ended = false;
        self.payload.go_to(number, skip);
    }

    /// Goes to the end of a payload whose length is verified.
    pub(crate) fn go_to_end(&mut self, payload_len: u64) {
        self.sealed.range = 0..0;
        self.payload.go_to_end(payload_len);
    }

    /// Verifies chunk `number`, the last, and returns the length of the payload.
    pub(crate) fn verify_last(&mut self, number: u64, sealed: &[u8]) -> io::Result<u64> {
        self.payload.verify_last(number, sealed)
    }
}

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

use super::header::{FIRST_READ, HEADER_ROOM, parse_front};
use super::moved::moved;
use super::payload::{Failure, last_len};
use crate::crypto::{SecretVec, TAG_LEN};
use crate::envelope::body::BodyCipher;
use crate::envelope::{EnvelopeEncryptor, MessageOptions};
use crate::error::Error;
use crate::format::FormatError;
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN, payload_len};

/// Something that is read at any offset without a position of its own: a file, bytes in memory, an
/// object in a store.
///
/// # Contract
///
/// `read_at` returns 0 only for an empty buffer and at or after the end, and what it reads at one
/// offset is what any other call reads there. `size` is the length in bytes.
pub trait ReadAt {
    /// Reads from `offset` on, as [`io::Read::read`] does.
    ///
    /// # Errors
    ///
    /// Those of the source.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The length, in bytes.
    ///
    /// # Errors
    ///
    /// Those of the source.
    fn size(&self) -> io::Result<u64>;
}

/// Reads the payload of a message at any offset, from many threads at once.
///
/// A read touches the chunks of its range alone, and gives nothing that was not verified. A read
/// that reaches the end verifies the last chunk first. Errors are not sticky here: another range
/// may be whole.
pub struct DecryptAt<S> {
    cipher: BodyCipher,
    source: S,
    body_start: u64,
    opened_by: usize,
    payload_len: OnceLock<u64>,
}

impl<S: ReadAt> DecryptAt<S> {
    /// Reads the header of the message at the front of `source` and verifies it.
    ///
    /// # Errors
    ///
    /// Those of the source, and an [`Error`] as
    /// [`EnvelopeEncryptor::decrypt_with`] gives for the header, inside of the [`io::Error`].
    pub fn new(
        envelope: &(impl EnvelopeEncryptor + ?Sized),
        source: S,
        options: MessageOptions<'_>,
    ) -> io::Result<Self> {
        let mut front = vec![0; FIRST_READ];
        loop {
            let filled = read_full(&source, &mut front, 0)?;
            let all = filled < front.len() || front.len() >= HEADER_ROOM;
            front.truncate(filled);
            if let Some(header) = parse_front(&front, all).map_err(Error::from)? {
                let opening = envelope.begin_opening(&header, options)?;
                return Ok(Self {
                    cipher: BodyCipher::new(&opening.body_key),
                    source,
                    body_start: header.len() as u64,
                    opened_by: opening.opened_by,
                    payload_len: OnceLock::new(),
                });
            }
            front.resize(HEADER_ROOM, 0);
        }
    }

    /// Reads payload from `offset` on, and returns how much: less than the buffer at the end of
    /// the payload only.
    ///
    /// # Errors
    ///
    /// Those of the source; kind `UnexpectedEof` for a truncated message and `InvalidData` for a
    /// changed one. The buffer then holds nothing that was not verified.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wanted_end = offset.saturating_add(buffer.len() as u64);
        let last = self.last_chunk()?;
        let known_to_be_there = last.saturating_mul(CHUNK_LEN as u64);
        let end = if wanted_end <= known_to_be_there {
            wanted_end
        } else {
            wanted_end.min(self.payload_len()?)
        };
        let mut at = offset;
        let mut rest = buffer;
        let mut scratch = Scratch::new(end.saturating_sub(offset));
        while at < end {
            let len = self.read_batch(rest, at, end, last, &mut scratch)?;
            at += len as u64;
            rest = rest.get_mut(len..).unwrap_or_default();
        }
        Ok(usize::try_from(at - offset).unwrap_or(usize::MAX))
    }

    /// The length of the payload, in bytes. Verifies the last chunk, once.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn payload_len(&self) -> io::Result<u64> {
        if let Some(len) = self.payload_len.get() {
            return Ok(*len);
        }
        let last = self.last_chunk()?;
        let mut sealed = vec![0; SEALED_CHUNK_LEN];
        let mut plain = SecretVec::zeroed(CHUNK_LEN);
        let filled = read_full(&self.source, &mut sealed, self.chunk_offset(last)?)?;
        let sealed = sealed.get(..filled).unwrap_or_default();
        let len = last_len(sealed).ok_or_else(|| Failure::Truncated.error())?;
        self.open(last, sealed, &mut plain)?;
        let len = last * CHUNK_LEN as u64 + len as u64;
        Ok(*self.payload_len.get_or_init(|| len))
    }

    /// The number, from 0, of the wrapped key that opened the message.
    pub fn opened_by(&self) -> usize {
        self.opened_by
    }

    /// Reads from `at` to at most `end`, which is after it, at most a batch of chunks.
    fn read_batch(
        &self,
        out: &mut [u8],
        at: u64,
        end: u64,
        last: u64,
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        let first = at / CHUNK_LEN as u64;
        let touched = (end - 1) / CHUNK_LEN as u64 - first + 1;
        let wanted = usize::try_from(touched).map_or(BATCH, |touched| touched.min(BATCH));
        let room = scratch.sealed.get_mut(..wanted * SEALED_CHUNK_LEN);
        let room = room.unwrap_or_default();
        let filled = read_full(&self.source, room, self.chunk_offset(first)?)?;
        let sealed = scratch.sealed.get(..filled).unwrap_or_default();
        let mut done = 0;
        for (number, sealed) in (first..=last).zip(sealed.chunks(SEALED_CHUNK_LEN)) {
            let place = at + done as u64;
            if place >= end {
                break;
            }
            if number < last && sealed.len() < SEALED_CHUNK_LEN {
                return Err(Failure::Truncated.error());
            }
            let skip = usize::try_from(place % CHUNK_LEN as u64).unwrap_or(0);
            let out = out.get_mut(done..).unwrap_or_default();
            let opened = self.open(number, sealed, &mut scratch.plain)?;
            let plain = scratch.plain.get(skip..opened).unwrap_or_default();
            let len = plain.len().min(out.len());
            if let (Some(to), Some(from)) = (out.get_mut(..len), plain.get(..len)) {
                to.copy_from_slice(from);
            }
            done += len;
        }
        match done {
            0 => Err(Failure::Truncated.error()),
            done => Ok(done),
        }
    }

    /// Opens one chunk to the front of `plain` and returns its length.
    fn open(&self, number: u64, sealed: &[u8], plain: &mut [u8]) -> io::Result<usize> {
        let len = sealed
            .len()
            .checked_sub(TAG_LEN)
            .ok_or_else(|| Failure::Truncated.error())?;
        let plain = plain
            .get_mut(..len)
            .ok_or_else(|| Failure::Rejected.error())?;
        self.cipher
            .open_chunk(number, sealed, plain)
            .map_err(|_| Failure::Rejected.error())?;
        Ok(len)
    }

    /// The number of the last chunk, by the size of the source, which is not verified.
    fn last_chunk(&self) -> io::Result<u64> {
        if let Some(len) = self.payload_len.get() {
            return Ok(len / CHUNK_LEN as u64);
        }
        let body_len = self.source.size()?.saturating_sub(self.body_start);
        match payload_len(body_len) {
            Ok(len) => Ok(len / CHUNK_LEN as u64),
            Err(FormatError::Truncated { .. }) => Err(Failure::Truncated.error()),
            Err(_) => Err(Failure::TooLong.error()),
        }
    }

    fn chunk_offset(&self, number: u64) -> io::Result<u64> {
        number
            .checked_mul(SEALED_CHUNK_LEN as u64)
            .and_then(|offset| offset.checked_add(self.body_start))
            .ok_or_else(|| Failure::TooLong.error())
    }
}

impl<S> fmt::Debug for DecryptAt<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptAt").finish_non_exhaustive()
    }
}

/// The most chunks that are read at a time.
const BATCH: usize = 4;

/// Buffers of a read: as many chunks as it may touch, at most a batch.
struct Scratch {
    sealed: Vec<u8>,
    plain: SecretVec,
}

impl Scratch {
    fn new(len: u64) -> Self {
        let touched = usize::try_from(len / CHUNK_LEN as u64 + 2).unwrap_or(BATCH);
        Self {
            sealed: vec![0; touched.min(BATCH) * SEALED_CHUNK_LEN],
            plain: SecretVec::zeroed(CHUNK_LEN),
        }
    }
}

/// Fills `buffer`, but for the end of the source.
fn read_full(source: &impl ReadAt, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest @ [_, ..]) = buffer.get_mut(filled..) {
        match source.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(len) => filled += moved(len, rest.len())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        io::Read::read(&mut self.get(from..).unwrap_or_default(), buffer)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        impl<T: ReadAt + ?Sized> ReadAt for $pointer {
            fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
                (**self).read_at(buffer, offset)
            }

            fn size(&self) -> io::Result<u64> {
                (**self).size()
            }
        }
    )*};
}

forward_to_pointee!(&T, Arc<T>, Box<T>);

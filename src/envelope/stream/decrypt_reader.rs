use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

use super::header::Front;
use super::open::{OpenCore, Progress};
use super::payload::Failure;
use super::source::{Source, retry};
use crate::envelope::{EnvelopeEncryptor, MessageOptions};
use crate::error::Error;
use crate::format::FormatError;
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN, payload_len};

/// Reads a message from `R` and gives its payload, none of it before it is verified.
///
/// The end of the payload is an empty read, and comes only after the last chunk was verified: a
/// truncated message ends in an error of kind `UnexpectedEof`, a changed one in `InvalidData`. Both
/// are for good. Errors of `R` are passed on and lose nothing: the call may be made again.
///
/// Over an `R` that seeks, it seeks: a range is read by touching its chunks alone. A length, and a
/// place counted from the end, is believed only after the last chunk was verified; a place after
/// the end is taken as the end. It takes 192 KiB of memory, whatever the length.
///
/// ```
/// use std::io::Read;
/// use waxseal::{
///     DecryptReader, EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions, RootKey,
///     SingleKeyring,
/// };
///
/// let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
/// let context = EncryptionContext::new([("tenant", "acme")])?;
/// let message = envelope.encrypt(b"a payload", &context)?;
///
/// let options = MessageOptions::new(&context);
/// let mut reader = DecryptReader::new(&envelope, message.as_slice(), options)?;
/// let mut payload = Vec::new();
/// reader.read_to_end(&mut payload)?;
/// assert_eq!(payload, b"a payload");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DecryptReader<R: Read> {
    core: OpenCore,
    source: Source<R>,
    /// The bytes read from the source since the message began, the header among them.
    consumed: u64,
    header_len: u64,
    /// Where the body begins in the source, once that was asked.
    body_start: Option<u64>,
    /// The place to read on from, while the source is somewhere else.
    lost: Option<u64>,
    opened_by: usize,
    /// An error of the source from when the call gave plaintext all the same.
    owed: Option<io::Error>,
}

impl<R: Read> DecryptReader<R> {
    /// Reads the header of a message and verifies it.
    ///
    /// # Errors
    ///
    /// Those of `R`, and an [`Error`] as [`EnvelopeEncryptor::decrypt_with`] gives for the header,
    /// inside of the [`io::Error`].
    pub fn new(
        envelope: &(impl EnvelopeEncryptor + ?Sized),
        inner: R,
        options: MessageOptions<'_>,
    ) -> io::Result<Self> {
        Self::over(envelope, Source::new(inner), options)
    }

    /// As [`new`](Self::new), and opens chunks right out of the buffer of `inner`, which spares a
    /// copy of all that is read: for messages in memory, mapped files, and whatever else has what is
    /// to be read at hand.
    ///
    /// A chunk that is not whole in the buffer is copied together, so a
    /// [`BufReader`](io::BufReader) gains something from 64 KiB on, and loses with its default of 8;
    /// around a file, [`new`](Self::new) needs none.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn buffered(
        envelope: &(impl EnvelopeEncryptor + ?Sized),
        inner: R,
        options: MessageOptions<'_>,
    ) -> io::Result<Self>
    where
        R: BufRead,
    {
        Self::over(envelope, Source::buffered(inner), options)
    }

    fn over(
        envelope: &(impl EnvelopeEncryptor + ?Sized),
        mut source: Source<R>,
        options: MessageOptions<'_>,
    ) -> io::Result<Self> {
        let mut front = Front::new();
        loop {
            let read = retry(|| source.read(front.room()))?;
            front.put(read);
            if let Some(header) = front.header().map_err(Error::from)? {
                let opening = envelope.begin_opening(&header, options)?;
                let header_len = header.len();
                return Ok(Self {
                    consumed: front.bytes().len() as u64,
                    header_len: header_len as u64,
                    core: front.into_body(&opening, header_len),
                    source,
                    body_start: None,
                    lost: None,
                    opened_by: opening.opened_by,
                    owed: None,
                });
            }
        }
    }

    /// Opens right out of the source's own buffer what is whole there, and tells how much that gave.
    fn read_from_buffer(&mut self, payload: &mut [u8]) -> io::Result<usize> {
        let moved = self.core.read_from(self.source.buffer()?, payload)?;
        self.source.consume(moved.taken);
        self.consumed += moved.taken as u64;
        Ok(moved.given)
    }

    /// Reads some of the body, to give `wanted` bytes of plaintext.
    fn read_body(&mut self, wanted: usize) -> io::Result<()> {
        let room = if self.source.is_buffered() {
            self.core.input_to_chunk_end()
        } else {
            self.core.input(wanted)
        };
        let len = retry(|| self.source.read(room))?;
        self.core.put(len);
        self.consumed += len as u64;
        Ok(())
    }

    /// Reads more while other threads open what is at hand.
    #[cfg(feature = "rayon")]
    fn read_beside(&mut self, payload: &mut [u8]) -> io::Result<usize> {
        let source = &mut self.source;
        let (opened, read) = self
            .core
            .read_beside(payload, |free| retry(|| source.read(free)))?;
        match read {
            Ok(len) => self.consumed += len as u64,
            Err(error) => self.owed = Some(error),
        }
        Ok(opened)
    }

    /// The number, from 0, of the wrapped key that opened the message.
    pub fn opened_by(&self) -> usize {
        self.opened_by
    }

    /// Gives back where the message is read from, at an arbitrary place.
    pub fn into_inner(self) -> R {
        self.source.reader
    }
}

impl<R: Read> Read for DecryptReader<R> {
    fn read(&mut self, payload: &mut [u8]) -> io::Result<usize> {
        if payload.is_empty() {
            return Ok(0);
        }
        if self.lost.is_some() && self.core.failure().is_none() {
            return Err(io::Error::other("the last seek failed; seek again first"));
        }
        if let Some(owed) = self.owed.take() {
            return Err(owed);
        }
        loop {
            #[cfg(feature = "rayon")]
            if self.core.reads_beside(payload) {
                return self.read_beside(payload);
            }
            match self.core.read(payload)? {
                Progress::Plain(len) => return Ok(len),
                Progress::NeedsInput => match retry(|| self.read_from_buffer(payload))? {
                    0 => self.read_body(payload.len())?,
                    len => return Ok(len),
                },
            }
        }
    }
}

impl<R: Read + Seek> Seek for DecryptReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let Some(failure) = self.core.failure() {
            return Err(failure.error());
        }
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(offset) => self.position().checked_add_signed(offset),
            SeekFrom::End(offset) => self.payload_len()?.checked_add_signed(offset),
        };
        let place = place.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the place is before the start")
        })?;
        if place == self.position() && self.lost.is_none() {
            return Ok(place);
        }
        if place >= self.unverified_len()? {
            let len = self.payload_len()?;
            if place >= len {
                self.core.go_to_end(len);
                self.lost = None;
                return Ok(len);
            }
        }
        self.go_to(place)?;
        Ok(place)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position())
    }
}

impl<R: Read + Seek> DecryptReader<R> {
    /// The length of the payload, in bytes. Verifies the last chunk, unless it was read before.
    ///
    /// # Errors
    ///
    /// Those of `R`; kind `UnexpectedEof` for a truncated message and `InvalidData` for a changed
    /// one.
    pub fn payload_len(&mut self) -> io::Result<u64> {
        if let Some(failure) = self.core.failure() {
            return Err(failure.error());
        }
        if let Some(len) = self.core.payload_len() {
            return Ok(len);
        }
        let position = self.position();
        let number = self.unverified_len()? / CHUNK_LEN as u64;
        self.seek_to_chunk(number)?;
        let mut sealed = Vec::with_capacity(SEALED_CHUNK_LEN);
        let most = SEALED_CHUNK_LEN as u64;
        self.source.by_ref().take(most).read_to_end(&mut sealed)?;
        let len = self.core.verify_last(number, &sealed)?;
        self.go_to(position)?;
        Ok(len)
    }

    /// The length of the payload by the length of `inner`: whoever could cut it chose it.
    fn unverified_len(&mut self) -> io::Result<u64> {
        if let Some(len) = self.core.payload_len() {
            return Ok(len);
        }
        let start = self.body_start()?;
        self.lost = Some(self.position());
        let end = self.source.reader.seek(SeekFrom::End(0))?;
        match payload_len(end.saturating_sub(start)) {
            Ok(len) => Ok(len),
            Err(FormatError::Truncated { .. }) => self.core.fail(Failure::Truncated),
            Err(_) => self.core.fail(Failure::TooLong),
        }
    }

    fn position(&self) -> u64 {
        self.lost.unwrap_or_else(|| self.core.position())
    }

    fn go_to(&mut self, place: u64) -> io::Result<()> {
        self.owed = None;
        let number = place / CHUNK_LEN as u64;
        self.seek_to_chunk(number)?;
        let skip = usize::try_from(place % CHUNK_LEN as u64).unwrap_or(0);
        self.core.go_to(number, skip);
        self.lost = None;
        Ok(())
    }

    fn seek_to_chunk(&mut self, number: u64) -> io::Result<()> {
        let start = self.body_start()?;
        self.lost = Some(self.position());
        let place = number
            .checked_mul(SEALED_CHUNK_LEN as u64)
            .and_then(|offset| offset.checked_add(start))
            .ok_or_else(|| Failure::TooLong.error())?;
        self.source.reader.seek(SeekFrom::Start(place)).map(drop)
    }

    /// Where the body begins: known from where `inner` is before the first seek.
    fn body_start(&mut self) -> io::Result<u64> {
        if let Some(start) = self.body_start {
            return Ok(start);
        }
        let message_start = self
            .source
            .reader
            .stream_position()?
            .saturating_sub(self.consumed);
        let start = message_start + self.header_len;
        self.body_start = Some(start);
        Ok(start)
    }
}

impl<R: Read> fmt::Debug for DecryptReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptReader").finish_non_exhaustive()
    }
}

use std::fmt;
use std::io::{self, BufRead, Read};

use super::seal::SealCore;
use super::source::{Source, retry};
use super::window::Window;
use crate::crypto::SecretVec;
use crate::envelope::{EnvelopeEncryptor, MessageOptions};
use crate::error::Error;

/// Reads plaintext from `R` and gives the message to whoever reads from it: for uploads and other
/// consumers that pull.
///
/// It takes 192 KiB of memory, whatever the length. Who reads 16 KiB and more at a time spares a
/// copy.
pub struct EncryptReader<R: Read> {
    core: SealCore,
    source: Source<R>,
    /// What was read and is to be sealed next; unused where the source has a buffer.
    input: Window<SecretVec>,
}

impl<R: Read> EncryptReader<R> {
    /// Begins a message. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// As [`EnvelopeEncryptor::encrypt_with`].
    pub fn new(
        envelope: &(impl EnvelopeEncryptor + ?Sized),
        inner: R,
        options: MessageOptions<'_>,
    ) -> Result<Self, Error> {
        let core = SealCore::new(envelope.begin_sealing(options)?);
        let input_len = core.batch_len();
        Ok(Self::over(Source::new(inner), core, input_len))
    }

    /// As [`new`](Self::new), and seals right out of the buffer of `inner`, which spares a copy of
    /// all that is read: for payloads in memory, mapped files, and whatever else has what is to be
    /// read at hand.
    ///
    /// A chunk (16 KiB) that is not whole in the buffer is copied together, so a
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
    ) -> Result<Self, Error>
    where
        R: BufRead,
    {
        let core = SealCore::new(envelope.begin_sealing(options)?);
        Ok(Self::over(Source::buffered(inner), core, 0))
    }

    fn over(source: Source<R>, core: SealCore, input_len: usize) -> Self {
        Self {
            core,
            source,
            input: Window {
                buffer: SecretVec::zeroed(input_len),
                range: 0..0,
            },
        }
    }

    /// Gives back where the plaintext is read from.
    pub fn into_inner(self) -> R {
        self.source.reader
    }

    /// Seals some more plaintext, or the end of it, to `message` where it has the room, and tells how
    /// much was put there.
    fn seal_more(&mut self, message: &mut [u8]) -> io::Result<usize> {
        if self.source.is_buffered() {
            let plain = self.source.buffer()?;
            if plain.is_empty() {
                self.core.finish()?;
                return Ok(0);
            }
            let moved = self.core.push_to(plain, message)?;
            self.source.consume(moved.taken);
            return Ok(moved.given);
        }
        if self.input.filled().is_empty() {
            let len = self.source.read(&mut self.input.buffer)?;
            if len == 0 {
                self.core.finish()?;
                return Ok(0);
            }
            self.input.range = 0..len;
        }
        let moved = self.core.push_to(self.input.filled(), message)?;
        self.input.range.start += moved.taken;
        Ok(moved.given)
    }
}

impl<R: Read> Read for EncryptReader<R> {
    fn read(&mut self, message: &mut [u8]) -> io::Result<usize> {
        while self.core.pending().is_empty() && !self.core.is_finished() {
            match retry(|| self.seal_more(message))? {
                0 => {}
                len => return Ok(len),
            }
        }
        let len = self.core.pending().read(message)?;
        self.core.advance(len);
        Ok(len)
    }
}

impl<R: Read> fmt::Debug for EncryptReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptReader").finish_non_exhaustive()
    }
}

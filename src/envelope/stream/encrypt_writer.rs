use std::fmt;
use std::io::{self, Write};

use super::moved::moved;
use super::seal::{Outbox, SealCore};
use crate::envelope::{EnvelopeEncryptor, MessageOptions};
use crate::error::Error;

/// Seals what is written to it, and writes the message to `W`.
///
/// [`finish`](Self::finish) it: a message that was only dropped is truncated, and every reader
/// refuses it as that. It takes 192 KiB of memory, whatever the length.
///
/// After an error of `W` nothing is lost: the call that failed took none of its bytes, and may be
/// made again. With [`Parallelism::Rayon`](crate::Parallelism) one batch is written while the next is
/// sealed; an error of `W` is then returned by the next call.
///
/// ```
/// use std::io::Write;
/// use waxseal::{
///     EncryptWriter, EncryptionContext, Envelope, MessageOptions, RootKey, SingleKeyring,
/// };
///
/// # let mut file = Vec::new();
/// let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
/// let context = EncryptionContext::new([("tenant", "acme")])?;
/// let mut writer = EncryptWriter::new(&envelope, &mut file, MessageOptions::new(&context))?;
/// writer.write_all(b"as much as you like")?;
/// writer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EncryptWriter<W: Write> {
    core: SealCore,
    inner: Sink<W>,
    /// An error of `inner` from when the bytes given with the call were taken all the same.
    owed: Option<io::Error>,
}

impl<W: Write> EncryptWriter<W> {
    /// Begins a message. Nothing is written yet.
    ///
    /// # Errors
    ///
    /// As [`EnvelopeEncryptor::encrypt_with`].
    pub fn new(
        envelope: &(impl EnvelopeEncryptor + ?Sized),
        inner: W,
        options: MessageOptions<'_>,
    ) -> Result<Self, Error> {
        let core = SealCore::new(envelope.begin_sealing(options)?);
        Ok(Self {
            core,
            inner: Sink {
                writer: inner,
                is_writing: false,
            },
            owed: None,
        })
    }

    /// Seals what is left, writes it, flushes, and returns `W`.
    ///
    /// # Errors
    ///
    /// Those of `W`; the message is then truncated.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_pending()?;
        self.core.finish()?;
        self.write_pending()?;
        self.inner.writer.flush()?;
        Ok(self.inner.writer)
    }

    /// Where the message is written to.
    pub fn get_ref(&self) -> &W {
        &self.inner.writer
    }

    fn write_pending(&mut self) -> io::Result<()> {
        if let Some(owed) = self.owed.take() {
            return Err(owed);
        }
        loop {
            self.inner.write_out(self.core.outbox())?;
            if !self.core.send_next() {
                return Ok(());
            }
        }
    }

    /// Writes what is pending while the next batch is sealed.
    #[cfg(feature = "rayon")]
    fn write_beside(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let inner = &mut self.inner;
        let (taken, written) = self
            .core
            .push_beside(plaintext, |outbox| inner.write_out(outbox))?;
        self.owed = written.err();
        Ok(taken)
    }
}

impl<W: Write> Write for EncryptWriter<W> {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "rayon")]
        if self.owed.is_none() && self.core.pushes_beside(plaintext) {
            self.inner.check()?;
            return self.write_beside(plaintext);
        }
        self.write_pending()?;
        self.core.push(plaintext)
    }

    /// Writes all full chunks. The last bytes, up to 16 KiB, wait for the chunk to fill.
    fn flush(&mut self) -> io::Result<()> {
        self.write_pending()?;
        self.core.seal_gathered()?;
        self.write_pending()?;
        self.inner.writer.flush()
    }
}

impl<W: Write> fmt::Debug for EncryptWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptWriter").finish_non_exhaustive()
    }
}

struct Sink<W> {
    writer: W,
    /// Stays so where the writer panics.
    is_writing: bool,
}

impl<W: Write> Sink<W> {
    fn write_out(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        self.check()?;
        while !outbox.pending().is_empty() {
            let pending = outbox.pending();
            self.is_writing = true;
            let written = self.writer.write(pending);
            self.is_writing = false;
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    let len = moved(len, pending.len())?;
                    outbox.advance(len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Nobody knows what a writer that panicked has written.
    fn check(&self) -> io::Result<()> {
        if self.is_writing {
            return Err(io::Error::other(
                "the writer inside panicked, so the message may lack something; begin another",
            ));
        }
        Ok(())
    }
}

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use zeroize::Zeroizing;

use super::moved::moved;
use super::seal::SealCore;
use crate::envelope::{EnvelopeEncryptor, MessageOptions};
use crate::error::Error;

/// Reads plaintext from `R` and gives the message to whoever reads from it: for uploads and other
/// consumers that pull.
///
/// It takes 192 KiB of memory, whatever the length.
pub struct EncryptReader<R: Read> {
    core: SealCore,
    inner: R,
    input: Zeroizing<Vec<u8>>,
    /// The part of `input` that is to be sealed next.
    unsealed: Range<usize>,
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
        Ok(Self {
            input: Zeroizing::new(vec![0; core.batch_len()]),
            core,
            inner,
            unsealed: 0..0,
        })
    }

    /// Gives back where the plaintext is read from.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Seals some more plaintext, or the end of it.
    fn seal_more(&mut self) -> io::Result<()> {
        let unsealed = self.input.get(self.unsealed.clone()).unwrap_or_default();
        if !unsealed.is_empty() {
            self.unsealed.start += self.core.push(unsealed)?;
            return Ok(());
        }
        match self.inner.read(&mut self.input) {
            Ok(0) => self.core.finish(),
            Ok(len) => {
                self.unsealed = 0..moved(len, self.input.len())?;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl<R: Read> Read for EncryptReader<R> {
    fn read(&mut self, message: &mut [u8]) -> io::Result<usize> {
        while self.core.pending().is_empty() && !self.core.is_finished() {
            self.seal_more()?;
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

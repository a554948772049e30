//! Sealing piece by piece, without I/O.

use std::io;

use zeroize::zeroize_bytes;

use super::moved::Moved;
use crate::crypto::{Rejected, SecretVec};
use crate::envelope::body::{BodyCipher, Parallelism};
use crate::envelope::sealing::Sealing;
use crate::error::Error;
use crate::format::LimitExceeded;
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN, check_payload_len};

/// Takes plaintext of any sizes and gives the bytes of the message, in order.
///
/// What it has sealed stays [`pending`](Self::pending) until it is [taken](Self::advance); it takes
/// plaintext only while nothing is pending.
pub(crate) struct SealCore {
    cipher: BodyCipher,
    /// The number of the next chunk to be sealed.
    number: u64,
    /// Plaintext that is not sealed yet, less than a batch.
    plain: SecretVec,
    outbox: Outbox,
    /// Sealed while the outbox was being written, and to be written after it.
    next: Outbox,
    finished: bool,
}

/// Sealed bytes that are to be written.
#[derive(Default)]
pub(crate) struct Outbox {
    sealed: Vec<u8>,
    /// The bytes of `sealed` that were written.
    taken: usize,
}

impl Outbox {
    /// The bytes that are to be written next.
    pub(crate) fn pending(&self) -> &[u8] {
        self.sealed.get(self.taken..).unwrap_or_default()
    }

    /// Takes note that the first `len` pending bytes were written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.taken = self.sealed.len().min(self.taken.saturating_add(len));
    }

    /// Seals full chunks, the first of them with the number `number`, in place of what was written.
    fn seal_full(&mut self, cipher: &BodyCipher, number: &mut u64, full: &[u8]) -> io::Result<()> {
        let chunks = full.len() / CHUNK_LEN;
        cipher
            .seal_full(*number, full, self.replace(chunks * SEALED_CHUNK_LEN))
            .map_err(|Rejected| Error::from(LimitExceeded::payload(full.len() as u64)))?;
        *number += chunks as u64;
        Ok(())
    }

    /// Room for `len` bytes in place of what was written.
    fn replace(&mut self, len: usize) -> &mut [u8] {
        self.taken = 0;
        self.sealed.resize(len, 0);
        &mut self.sealed
    }
}

impl SealCore {
    pub(crate) fn new(sealing: Sealing) -> Self {
        let batch = sealing.body_key.settings.parallelism.batch();
        let mut sealed = Vec::with_capacity(batch * SEALED_CHUNK_LEN);
        sealed.extend_from_slice(&sealing.header);
        Self {
            cipher: BodyCipher::new(&sealing.body_key),
            number: 0,
            plain: SecretVec::with_capacity(batch * CHUNK_LEN),
            outbox: Outbox { sealed, taken: 0 },
            next: Outbox::default(),
            finished: false,
        }
    }

    /// The bytes of the message that are to be written next.
    pub(crate) fn pending(&self) -> &[u8] {
        self.outbox.pending()
    }

    /// Takes note that the first `len` pending bytes were written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.outbox.advance(len);
    }

    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Once the outbox is written, puts there what is to be written after it, if there is something.
    pub(crate) fn send_next(&mut self) -> bool {
        std::mem::swap(&mut self.outbox, &mut self.next);
        !self.outbox.pending().is_empty()
    }

    /// The plaintext bytes that are sealed at a time.
    pub(crate) fn batch_len(&self) -> usize {
        self.cipher.parallelism().batch() * CHUNK_LEN
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes plaintext from the front of `input` and returns how much: none while something is
    /// pending, else at least one byte.
    ///
    /// # Errors
    ///
    /// When the message is finished, or would be longer than a message may be; nothing is taken.
    pub(crate) fn push(&mut self, input: &[u8]) -> io::Result<usize> {
        if self.finished {
            return Err(io::Error::other("the message is finished; begin another"));
        }
        if !self.pending().is_empty() {
            return Ok(0);
        }
        self.check_room(input.len())?;
        let batch = self.batch_len();
        if self.plain.is_empty() && input.len() >= self.enough() * CHUNK_LEN {
            let chunks = input.len().min(batch) / CHUNK_LEN;
            let (full, _) = input.split_at(chunks * CHUNK_LEN);
            self.outbox
                .seal_full(&self.cipher, &mut self.number, full)?;
            return Ok(full.len());
        }
        let room = batch.saturating_sub(self.plain.len());
        let (taken, _) = input.split_at(room.min(input.len()));
        self.plain.extend_from_slice(taken);
        if self.plain.len() >= batch {
            self.seal_gathered()?;
        }
        Ok(taken.len())
    }

    /// As [`push`](Self::push), and gives whole chunks to `out` where they fit, in place of making
    /// them pending. To that end it seals what was gathered as soon as it is a whole chunk.
    pub(crate) fn push_to(&mut self, input: &[u8], out: &mut [u8]) -> io::Result<Moved> {
        let most = self.cipher.parallelism().direct_batch();
        let fitting = most
            .min(input.len() / CHUNK_LEN)
            .min(out.len() / SEALED_CHUNK_LEN);
        let is_between_chunks = self.plain.is_empty() && self.pending().is_empty();
        if fitting >= self.enough() && is_between_chunks && !self.finished {
            let (full, _) = input.split_at(fitting * CHUNK_LEN);
            let (sealed, _) = out.split_at_mut(fitting * SEALED_CHUNK_LEN);
            self.check_room(full.len())?;
            self.cipher
                .seal_full(self.number, full, sealed)
                .map_err(|Rejected| self.refused())?;
            self.number += fitting as u64;
            return Ok(Moved {
                taken: full.len(),
                given: sealed.len(),
            });
        }
        let enough = self.enough() * CHUNK_LEN;
        let gathered = self.plain.len() % enough;
        let input = match input.get(..enough - gathered) {
            Some(to_chunk_end) if gathered > 0 => to_chunk_end,
            _ => input,
        };
        let taken = self.push(input)?;
        if self.plain.len() >= enough {
            self.seal_gathered()?;
        }
        Ok(Moved { taken, given: 0 })
    }

    /// The chunks that are worth being sealed by themselves.
    fn enough(&self) -> usize {
        match self.cipher.parallelism() {
            Parallelism::Serial => 1,
            #[cfg(feature = "rayon")]
            Parallelism::Rayon => Parallelism::Rayon.batch(),
        }
    }

    /// Whether [`push_beside`](Self::push_beside) may be called.
    #[cfg(feature = "rayon")]
    pub(crate) fn pushes_beside(&self, input: &[u8]) -> bool {
        self.cipher.parallelism() == Parallelism::Rayon
            && !self.finished
            && self.plain.is_empty()
            && self.next.pending().is_empty()
            && input.len() >= self.batch_len()
    }

    /// Takes a batch from the front of `input`, and has it sealed by other threads while `write`
    /// writes the outbox. Returns the bytes taken, and what `write` returned.
    #[cfg(feature = "rayon")]
    pub(crate) fn push_beside(
        &mut self,
        input: &[u8],
        write: impl FnOnce(&mut Outbox) -> io::Result<()>,
    ) -> io::Result<(usize, io::Result<()>)> {
        self.check_room(input.len())?;
        let (full, _) = input.split_at(self.batch_len().min(input.len()));
        let (cipher, number, next) = (&self.cipher, &mut self.number, &mut self.next);
        let mut sealed = Ok(());
        let written = rayon::in_place_scope(|scope| {
            scope.spawn(|_| sealed = next.seal_full(cipher, number, full));
            write(&mut self.outbox)
        });
        sealed?;
        if self.outbox.pending().is_empty() {
            self.send_next();
        }
        Ok((full.len(), written))
    }

    /// Refuses a payload that with `len` more bytes is longer than a payload may be.
    fn check_room(&self, len: usize) -> io::Result<()> {
        let before = self.number.saturating_mul(CHUNK_LEN as u64) + self.plain.len() as u64;
        check_payload_len(before.saturating_add(len as u64)).map_err(Error::from)?;
        Ok(())
    }

    /// Seals all full chunks that were gathered, so that they can be written.
    pub(crate) fn seal_gathered(&mut self) -> io::Result<()> {
        let full_len = self.plain.len() / CHUNK_LEN * CHUNK_LEN;
        if full_len == 0 {
            return Ok(());
        }
        let (full, rest) = self.plain.split_at(full_len);
        let rest_len = rest.len();
        self.outbox
            .seal_full(&self.cipher, &mut self.number, full)?;
        self.plain.copy_within(full_len.., 0);
        if let Some(moved) = self.plain.get_mut(rest_len..) {
            zeroize_bytes(moved);
        }
        self.plain.truncate(rest_len);
        Ok(())
    }

    /// Seals what is left and the last, short chunk.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.finished {
            return Ok(());
        }
        let chunks = self.plain.len() / CHUNK_LEN + 1;
        let sealed_len = self.plain.len() + chunks * (SEALED_CHUNK_LEN - CHUNK_LEN);
        self.cipher
            .seal(self.number, &self.plain, self.outbox.replace(sealed_len))
            .map_err(|Rejected| self.refused())?;
        self.plain.erase();
        self.finished = true;
        Ok(())
    }

    fn refused(&self) -> io::Error {
        Error::from(LimitExceeded::payload(self.plain.len() as u64)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions, RootKey, SingleKeyring,
    };

    const LAST_CHUNK: u64 = (1 << 38) - 1;

    fn at_chunk(number: u64, parallelism: Parallelism) -> SealCore {
        let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate().unwrap()))
            .with_parallelism(parallelism);
        let context = EncryptionContext::empty();
        let sealing = envelope.begin_sealing(MessageOptions::new(&context));
        let mut core = SealCore::new(sealing.unwrap());
        core.advance(core.pending().len());
        core.number = number;
        core
    }

    fn assert_full(core: &mut SealCore, input: &[u8]) {
        let refused = core.push(input).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        assert!(core.pending().is_empty());
    }

    #[test]
    fn the_last_chunk_of_the_longest_payload_is_short() {
        let chunk = [0; CHUNK_LEN];
        let mut core = at_chunk(LAST_CHUNK, Parallelism::Serial);
        assert_full(&mut core, &chunk);
        let (short, byte) = chunk.split_at(CHUNK_LEN - 1);
        assert_eq!(core.push(short).unwrap(), short.len());
        assert_full(&mut core, byte);
        core.finish().unwrap();
        assert_eq!(core.pending().len(), SEALED_CHUNK_LEN - 1);
        assert_eq!(core.number, LAST_CHUNK);
    }

    #[test]
    fn the_last_full_chunk_of_the_longest_payload() {
        let mut core = at_chunk(LAST_CHUNK - 1, Parallelism::Serial);
        assert_full(&mut core, &[0; 2 * CHUNK_LEN]);
        assert_eq!(core.push(&[0; CHUNK_LEN]).unwrap(), CHUNK_LEN);
        core.advance(core.pending().len());
        assert_eq!(core.number, LAST_CHUNK);
        assert_full(&mut core, &[0; CHUNK_LEN]);
        core.finish().unwrap();
    }

    #[cfg(feature = "rayon")]
    #[test]
    fn a_batch_beside_the_writing_is_counted() {
        let mut core = at_chunk(LAST_CHUNK, Parallelism::Rayon);
        let batch = vec![0; core.batch_len()];
        assert!(core.pushes_beside(&batch));
        let refused = core.push_beside(&batch, |_| Ok(())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(core.number, LAST_CHUNK);
    }
}

//! The front of a file that may be a message.

use std::io::{self, Read};

use crate::format::{Extent, FormatError, Header, MAX_HEADER_LEN, check_newer};

/// Enough for the header of most messages.
const FIRST_READ: usize = 512;

/// What a file begins with: its whole header, if it has one, and perhaps more.
#[derive(Debug, Default)]
pub(crate) struct Front(Vec<u8>);

impl Front {
    /// Reads from where `reader` is, no further than the longest header, into the buffer of this one.
    pub(crate) fn read(&mut self, mut reader: impl Read) -> io::Result<()> {
        self.0.clear();
        let mut wanted = FIRST_READ;
        loop {
            let more = wanted.saturating_sub(self.0.len()) as u64;
            let read = reader.by_ref().take(more).read_to_end(&mut self.0)?;
            if !self.is_cut() || (read as u64) < more || wanted >= MAX_HEADER_LEN {
                return Ok(());
            }
            wanted = (wanted * 4).min(MAX_HEADER_LEN);
        }
    }

    pub(crate) fn header(&self) -> Result<Header<'_>, FormatError> {
        Header::parse(&self.0).map(|(header, _rest)| header)
    }

    /// Whether it is of a version or a suite that is not known here. Its wrapped keys are all there,
    /// since as much was read.
    pub(crate) fn is_newer(&self) -> bool {
        check_newer(&self.0) == Ok(Extent::All)
    }

    fn is_cut(&self) -> bool {
        let is_truncated = |error| matches!(error, FormatError::Truncated { .. });
        match self.header() {
            Ok(_) => false,
            Err(error) if is_truncated(error) => true,
            Err(_) => match check_newer(&self.0) {
                Ok(extent) => extent == Extent::Part,
                Err(error) => is_truncated(error),
            },
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncryptionContext, Envelope, EnvelopeEncryptor, RootKey, SingleKeyring};

    #[test]
    fn a_header_of_any_length_is_read_whole() {
        let keyring = SingleKeyring::software(&RootKey::from_bytes(&[7; 32]));
        for room in [0, 380, 407, 408, 409, 1000, 4096] {
            let envelope = Envelope::new(keyring.clone()).with_room(room);
            let message = envelope
                .encrypt(&[5; 100_000], &EncryptionContext::empty())
                .unwrap();
            let mut front = Front::default();
            for _ in 0..2 {
                front.read(message.as_slice()).unwrap();
                assert_eq!(
                    front.header(),
                    Header::parse(&message).map(|(header, _)| header)
                );
                assert!(front.as_bytes().len() <= 8192);
            }
            front.read(&message[..90]).unwrap();
            assert!(matches!(front.header(), Err(FormatError::Truncated { .. })));
        }
    }

    #[test]
    fn what_is_no_message_is_read_a_little() {
        let mut front = Front::default();
        front.read([0x41; 100_000].as_slice()).unwrap();
        assert_eq!(front.as_bytes().len(), FIRST_READ);
        front.read([].as_slice()).unwrap();
        assert!(front.as_bytes().is_empty());
    }
}

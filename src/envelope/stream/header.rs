//! Reading the header of a stream, whose length only its content tells.

use super::open::OpenCore;
use crate::envelope::body::Parallelism;
use crate::envelope::sealing::Opening;
use crate::format::body::SEALED_CHUNK_LEN;
use crate::format::{FormatError, Header, MAX_HEADER_LEN};

/// What is read first to find the end of a header: most end within it.
pub(crate) const FIRST_READ: usize = 512;

/// The room in which the largest header fits.
pub(crate) const HEADER_ROOM: usize = MAX_HEADER_LEN + 1;

/// The room in which that fits, and what is read at a time of the body after it.
const ROOM: usize = {
    let batch_len = Parallelism::Serial.batch() * SEALED_CHUNK_LEN;
    assert!(batch_len > HEADER_ROOM);
    batch_len
};

/// Reads the header at the `front` of a message, of which `all` may be there; `None` if the header
/// is longer than the front.
pub(crate) fn parse_front(front: &[u8], all: bool) -> Result<Option<Header<'_>>, FormatError> {
    match Header::parse(front) {
        Ok((header, _)) => Ok(Some(header)),
        Err(FormatError::Truncated { .. }) if !all => Ok(None),
        Err(error) => Err(error),
    }
}

/// The front of a message that is read until it holds the header.
pub(crate) struct Front {
    buffer: Vec<u8>,
    filled: usize,
    ended: bool,
}

impl Front {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; ROOM],
            filled: 0,
            ended: false,
        }
    }

    /// Where the next bytes of the message go.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let end = if self.filled < FIRST_READ {
            FIRST_READ
        } else {
            HEADER_ROOM
        };
        self.buffer.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Takes note that `len` bytes were put to the front of [`room`](Self::room), and that zero of
    /// them are the end of the message.
    pub(crate) fn put(&mut self, len: usize) {
        self.filled += len;
        self.ended = len == 0;
    }

    /// The header, once it is there.
    pub(crate) fn header(&self) -> Result<Option<Header<'_>>, FormatError> {
        parse_front(self.bytes(), self.ended)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// Opens the body after a header of `header_len` bytes, of which some was read with it.
    pub(crate) fn into_body(self, opening: &Opening, header_len: usize) -> OpenCore {
        OpenCore::new(&opening.body_key, self.buffer, header_len..self.filled)
    }
}

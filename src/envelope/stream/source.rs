//! What a stream reads from.

use std::io::{self, BufRead, Read};

use super::moved::moved;

/// A reader, and its own buffer where that may be used.
pub(super) struct Source<R> {
    pub(super) reader: R,
    buffer: Option<Buffer<R>>,
}

/// The methods of [`BufRead`], which not every `R` has.
struct Buffer<R> {
    fill: fn(&mut R) -> io::Result<&[u8]>,
    consume: fn(&mut R, usize),
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: None,
        }
    }

    pub(super) fn buffered(reader: R) -> Self
    where
        R: BufRead,
    {
        let buffer = Buffer {
            fill: R::fill_buf,
            consume: R::consume,
        };
        Self {
            reader,
            buffer: Some(buffer),
        }
    }

    pub(super) fn is_buffered(&self) -> bool {
        self.buffer.is_some()
    }

    /// What the source has in its own buffer: nothing at the end, and where it is not to be used.
    pub(super) fn buffer(&mut self) -> io::Result<&[u8]> {
        match &self.buffer {
            Some(buffer) => (buffer.fill)(&mut self.reader),
            None => Ok(&[]),
        }
    }

    /// Takes note that the first `len` bytes of the [buffer](Self::buffer) were used.
    pub(super) fn consume(&mut self, len: usize) {
        if let Some(buffer) = &self.buffer {
            (buffer.consume)(&mut self.reader, len);
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(room)?;
        moved(len, room.len())
    }
}

/// As often as the call is interrupted, makes it again.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

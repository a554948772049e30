//! Readers and writers that behave as badly as they may.

use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};

/// Gives and takes at most so many bytes at a time, in turn, and is interrupted in between.
#[derive(Debug)]
pub struct Choppy<T> {
    pub inner: T,
    sizes: Vec<usize>,
    calls: usize,
}

impl<T> Choppy<T> {
    pub fn new(inner: T, sizes: Vec<usize>) -> Self {
        Self {
            inner,
            sizes,
            calls: 0,
        }
    }

    fn next_size(&mut self) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(self.sizes[self.calls % self.sizes.len()].max(1))
    }
}

impl<R: Read> Read for Choppy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.next_size()?.min(buffer.len());
        self.inner.read(&mut buffer[..len])
    }
}

/// Its buffer is that of `inner`, in parts.
impl<R: BufRead> BufRead for Choppy<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let size = self.next_size()?;
        let buffer = self.inner.fill_buf()?;
        Ok(&buffer[..buffer.len().min(size)])
    }

    fn consume(&mut self, len: usize) {
        self.inner.consume(len);
    }
}

impl<W: Write> Write for Choppy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.next_size()?.min(bytes.len());
        self.inner.write(&bytes[..len])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: Seek> Seek for Choppy<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Fails once with `StorageFull` after so many bytes, as a disk does until there is space again.
#[derive(Debug)]
pub struct FullDisk {
    pub written: Vec<u8>,
    pub room: usize,
    pub failures: usize,
}

impl FullDisk {
    pub fn new(room: usize) -> Self {
        Self {
            written: Vec::new(),
            room,
            failures: 0,
        }
    }
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.len() == self.room {
            self.failures += 1;
            self.room = usize::MAX;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = bytes.len().min(self.room - self.written.len());
        self.written.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts the bytes that are read.
#[derive(Debug)]
pub struct Counting<T> {
    inner: T,
    pub read: u64,
}

impl<T> Counting<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, read: 0 }
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.read += len as u64;
        Ok(len)
    }
}

impl<S: Seek> Seek for Counting<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

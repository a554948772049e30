//! Readers and writers that say they moved more bytes than they were given room for: an error, and
//! never a panic, a loop, or a message that lacks something.

mod common;

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use waxseal::{
    DecryptAt, DecryptReader, EncryptReader, EncryptWriter, EncryptionContext, EnvelopeEncryptor,
    MessageOptions, ReadAt,
};

const EXTRA: [usize; 3] = [1, 100_000, usize::MAX];

/// Says so many bytes more than it moved.
struct Boastful<T> {
    inner: T,
    extra: usize,
}

impl<R: Read> Read for Boastful<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        Ok(read.saturating_add(buffer.len()).saturating_add(self.extra))
    }
}

impl<W: Write> Write for Boastful<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.inner.write(bytes)?.saturating_add(self.extra))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Behaves until it is sought.
struct SoughtBoastful {
    inner: Cursor<Vec<u8>>,
    extra: usize,
    was_sought: bool,
}

impl Read for SoughtBoastful {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let said = buffer.len().saturating_add(self.extra);
        Ok(if self.was_sought { said } else { read })
    }
}

impl Seek for SoughtBoastful {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.was_sought |= !matches!(to, SeekFrom::Current(0));
        self.inner.seek(to)
    }
}

/// Behaves for its first call, which reads the header.
struct LaterBoastful(Vec<u8>, usize, std::cell::Cell<bool>);

impl ReadAt for LaterBoastful {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buffer, offset)?;
        let extra = if self.2.replace(true) { self.1 } else { 0 };
        Ok(read.saturating_add(extra))
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

fn check(what: &str, extra: usize, result: Result<(), String>) {
    let error = result.expect_err(what);
    assert!(
        error.contains("its implementation is wrong"),
        "{what} {extra}: {error}"
    );
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[test]
fn who_says_that_more_was_moved_than_there_was_is_not_believed() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let options = MessageOptions::new(&context);
    let payload = vec![7; 50_000];
    let message = envelope.encrypt(&payload, &context).unwrap();
    for extra in EXTRA {
        let read = || {
            let source = Boastful {
                inner: &message[..],
                extra,
            };
            let mut reader = DecryptReader::new(&envelope, source, options).map_err(text)?;
            reader.read_to_end(&mut Vec::new()).map(drop).map_err(text)
        };
        check("DecryptReader", extra, read());

        let source = SoughtBoastful {
            inner: Cursor::new(message.clone()),
            extra,
            was_sought: false,
        };
        let mut reader = DecryptReader::new(&envelope, source, options).unwrap();
        check(
            "payload_len",
            extra,
            reader.payload_len().map(drop).map_err(text),
        );

        let source = Boastful {
            inner: &payload[..],
            extra,
        };
        let mut reader = EncryptReader::new(&envelope, source, options).unwrap();
        let read = reader.read_to_end(&mut Vec::new());
        check("EncryptReader", extra, read.map(drop).map_err(text));

        let read = || {
            let source = LaterBoastful(message.clone(), extra, false.into());
            let reader = DecryptAt::new(&envelope, source, options).map_err(text)?;
            reader.read_at(&mut [0; 100], 0).map(drop).map_err(text)
        };
        check("DecryptAt", extra, read());

        let write = || {
            let sink = Boastful {
                inner: Vec::new(),
                extra,
            };
            let mut writer = EncryptWriter::new(&envelope, sink, options).map_err(text)?;
            writer.write_all(&payload).map_err(text)?;
            writer.finish().map(drop).map_err(text)
        };
        check("EncryptWriter", extra, write());
    }
}

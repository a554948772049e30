//! Readers and writers that say they moved more bytes than they were given room for, and sources that
//! are longer than they say: an error, and never a panic, a loop, or a message that lacks something.

mod common;

use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};

use waxseal::{
    DecryptAt, DecryptReader, EncryptReader, EncryptWriter, EncryptionContext, EnvelopeEncryptor,
    MessageOptions, ReadAt,
};

const EXTRA: [usize; 3] = [1, 100_000, usize::MAX];

const HEADER: usize = 101;
const SEALED: usize = 16400;

/// Three full chunks and a short one.
fn payload() -> Vec<u8> {
    (0..=250).cycle().take(3 * 16384 + 100).collect()
}

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

/// Says that it is shorter than what it gives, as a file that grows does, and a server that lies.
struct Understated {
    file: Cursor<Vec<u8>>,
    said: u64,
    then_said: u64,
}

impl Read for Understated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for Understated {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::End(_) => Ok(std::mem::replace(&mut self.said, self.then_said)),
            to => self.file.seek(to),
        }
    }
}

impl ReadAt for Understated {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.get_ref().read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.said)
    }
}

#[test]
fn a_full_chunk_is_not_the_last() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let options = MessageOptions::new(&context);
    let mut message = envelope.encrypt(&payload(), &context).unwrap();
    message.truncate(HEADER + 2 * SEALED);
    let source = || Understated {
        file: Cursor::new(message.clone()),
        said: (HEADER + SEALED + 100) as u64,
        then_said: (HEADER + SEALED + 100) as u64,
    };
    let mut reader = DecryptReader::new(&envelope, source(), options).unwrap();
    for refused in [
        reader.payload_len().map(drop),
        reader.read(&mut [0]).map(drop),
        reader.rewind(),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
    let at = DecryptAt::new(&envelope, source(), options).unwrap();
    let error = at.payload_len().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    let error = at.read_at(&mut [0; 100_000], 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_place_in_what_came_meanwhile_is_not_the_end() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let message = envelope.encrypt(&payload(), &context).unwrap();
    let source = Understated {
        said: (HEADER + SEALED + 100) as u64,
        then_said: message.len() as u64,
        file: Cursor::new(message),
    };
    let options = MessageOptions::new(&context);
    let mut reader = DecryptReader::new(&envelope, source, options).unwrap();
    let place = 2 * 16384 + 5;
    assert_eq!(
        reader.seek(SeekFrom::Start(place as u64)).unwrap(),
        place as u64
    );
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest == payload()[place..]);
}

//! Streams make and read the same messages as the one-shot calls, whatever the sizes of reads and
//! writes, and refuse whatever was changed.

mod common;

use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};

use common::io::{Choppy, Counting, FullDisk};
use proptest::prelude::*;
use waxseal::{
    DecryptAt, DecryptReader, EncryptReader, EncryptWriter, EncryptionContext, Envelope,
    EnvelopeEncryptor, Error, MessageOptions, RootKey, SingleKeyring, Suite,
};

const CHUNK: usize = 16384;
const SEALED: usize = CHUNK + 16;
const HEADER: usize = 101;

fn payload(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

/// Seals the payload through a writer, in pieces of the given sizes.
fn write_in_pieces(envelope: &Envelope, payload: &[u8], sizes: &[usize]) -> Vec<u8> {
    let context = context();
    let options = MessageOptions::new(&context);
    let sink = Choppy::new(Vec::new(), sizes.to_vec());
    let mut writer = EncryptWriter::new(envelope, sink, options).unwrap();
    let mut rest = payload;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, next) = rest.split_at(rest.len().min(*size));
        writer.write_all(piece).unwrap();
        rest = next;
    }
    writer.finish().unwrap().inner
}

/// Opens the message through a reader, in pieces of the given sizes; with and without the use of
/// the source's own buffer.
fn read_in_pieces(envelope: &Envelope, message: &[u8], sizes: &[usize]) -> io::Result<Vec<u8>> {
    let context = context();
    let options = MessageOptions::new(&context);
    let source = || Choppy::new(message, sizes.to_vec());
    let read =
        DecryptReader::new(envelope, source(), options).and_then(|reader| pieces_of(reader, sizes));
    let read_buffered = DecryptReader::buffered(envelope, source(), options)
        .and_then(|reader| pieces_of(reader, sizes));
    match (&read, &read_buffered) {
        (Ok(payload), Ok(buffered)) => assert!(payload == buffered),
        (Err(error), Err(buffered)) => assert_eq!(error.kind(), buffered.kind()),
        differ => panic!("{differ:?}"),
    }
    read
}

fn pieces_of(mut reader: impl Read, sizes: &[usize]) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    for size in sizes.iter().cycle() {
        let mut piece = vec![0; *size];
        let len = reader.read(&mut piece)?;
        payload.extend_from_slice(&piece[..len]);
        if len == 0 {
            assert_eq!(reader.read(&mut [0; 10])?, 0, "the end stays the end");
            break;
        }
    }
    Ok(payload)
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![1..40usize, 16380..16404usize, 60_000..140_000usize];
    prop::collection::vec(size, 1..6)
}

fn lengths() -> impl Strategy<Value = usize> {
    let edge = (0..9usize, -3..4isize)
        .prop_map(|(chunks, offset)| (chunks * CHUNK).saturating_add_signed(offset));
    prop_oneof![0..300usize, edge, 0..200_000usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_way_of_sealing_opens_in_every_way(
        len in lengths(), writes in sizes(), reads in sizes(), chacha: bool, shared: bool,
    ) {
        let suite = if chacha { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
        let envelope = if shared { common::sharing_envelope() } else { common::envelope() };
        let envelope = envelope.with_suite(suite);
        let payload = payload(len);
        let written = write_in_pieces(&envelope, &payload, &writes);
        let one_shot = envelope.encrypt(&payload, &context()).unwrap();
        prop_assert_eq!(written.len(), one_shot.len());

        let context = context();
        let options = MessageOptions::new(&context);
        let source = || Choppy::new(&payload[..], writes.clone());
        let reader = EncryptReader::new(&envelope, source(), options).unwrap();
        let pulled = pieces_of(reader, &reads).unwrap();
        let reader = EncryptReader::buffered(&envelope, source(), options).unwrap();
        let pulled_buffered = pieces_of(reader, &reads).unwrap();

        for message in [written, one_shot, pulled, pulled_buffered] {
            prop_assert_eq!(&*envelope.decrypt(&message, &context).unwrap(), &payload[..]);
            prop_assert_eq!(&read_in_pieces(&envelope, &message, &reads).unwrap(), &payload);
            let at = DecryptAt::new(&envelope, message, options).unwrap();
            prop_assert_eq!(at.payload_len().unwrap(), len as u64);
            let mut whole = vec![0; len + 5];
            prop_assert_eq!(at.read_at(&mut whole, 0).unwrap(), len);
            prop_assert_eq!(&whole[..len], &payload[..]);
        }
    }

    #[test]
    fn seeking_is_reading_from_there(
        len in lengths(),
        reads in sizes(),
        buffered: bool,
        moves in prop::collection::vec((0..3u8, 0..220_000i64, 0..70_000usize), 1..12),
    ) {
        let envelope = common::envelope();
        let payload = payload(len);
        let front = b"something before the message";
        let mut file = front.to_vec();
        file.extend(envelope.encrypt(&payload, &context()).unwrap());
        let mut file = Cursor::new(file);
        file.seek(SeekFrom::Start(front.len() as u64)).unwrap();

        let context = context();
        let options = MessageOptions::new(&context);
        let source = Choppy::new(file, reads);
        let reader = if buffered {
            DecryptReader::buffered(&envelope, source, options)
        } else {
            DecryptReader::new(&envelope, source, options)
        };
        let mut reader = reader.unwrap();
        let mut expected = Cursor::new(&payload[..]);
        for (kind, place, wanted) in moves {
            let to = match kind {
                0 => SeekFrom::Start(place.unsigned_abs()),
                1 => SeekFrom::Current(place - 100_000),
                _ => SeekFrom::End(-place),
            };
            match (reader.seek(to), expected.seek(to)) {
                (Ok(place), Ok(expected_place)) => {
                    prop_assert_eq!(place, expected_place.min(len as u64));
                    expected.set_position(place);
                }
                (Err(error), Err(_)) => prop_assert_eq!(error.kind(), ErrorKind::InvalidInput),
                (seek, expected) => prop_assert!(false, "{:?} {:?}", seek, expected),
            }
            let (mut read, mut expected_read) = (Vec::new(), Vec::new());
            reader.by_ref().take(wanted as u64).read_to_end(&mut read).unwrap();
            expected.by_ref().take(wanted as u64).read_to_end(&mut expected_read).unwrap();
            prop_assert!(read == expected_read);
            prop_assert_eq!(reader.stream_position().unwrap(), expected.position());
        }
    }

    #[test]
    fn ranges_at_any_offset(len in lengths(), offset in 0..220_000u64, wanted in 0..100_000usize) {
        let envelope = common::envelope();
        let payload = payload(len);
        let message = envelope.encrypt(&payload, &context()).unwrap();
        let context = context();
        let at = DecryptAt::new(&envelope, &message[..], MessageOptions::new(&context)).unwrap();
        let mut buffer = vec![0; wanted];
        let read = at.read_at(&mut buffer, offset).unwrap();
        let start = len.min(usize::try_from(offset).unwrap());
        let end = len.min(start + wanted);
        prop_assert!(buffer[..read] == payload[start..end]);
    }
}

/// A message of four chunks, the last of 100 bytes, and its pieces.
struct Cut {
    envelope: Envelope,
    message: Vec<u8>,
}

impl Cut {
    fn new() -> Self {
        let envelope = common::envelope();
        let message = envelope
            .encrypt(&payload(3 * CHUNK + 100), &context())
            .unwrap();
        Self { envelope, message }
    }

    fn header(&self) -> &[u8] {
        &self.message[..HEADER]
    }

    fn chunk(&self, number: usize) -> &[u8] {
        let body = &self.message[HEADER..];
        &body[number * SEALED..body.len().min((number + 1) * SEALED)]
    }

    fn join(&self, chunks: &[usize]) -> Vec<u8> {
        let chunks = chunks.iter().flat_map(|number| self.chunk(*number));
        self.header().iter().chain(chunks).copied().collect()
    }

    /// Fails unless every reader refuses `message`, gives only true plaintext before that, and
    /// goes on refusing.
    fn assert_refused(&self, message: &[u8], kind: ErrorKind, what: &str) {
        let context = context();
        let options = MessageOptions::new(&context);
        assert!(self.envelope.decrypt(message, &context).is_err(), "{what}");

        for reader in [
            DecryptReader::new(&self.envelope, message, options),
            DecryptReader::buffered(&self.envelope, message, options),
        ] {
            self.assert_fails(reader, kind, what);
        }

        let mut payload = Vec::new();
        if let Ok(at) = DecryptAt::new(&self.envelope, message, options) {
            let mut whole = vec![0; 100_000];
            assert!(at.read_at(&mut whole, 0).is_err(), "{what}");
        }
        let seeking = DecryptReader::new(&self.envelope, Cursor::new(message), options);
        if let Ok(mut reader) = seeking {
            let to_the_end = reader
                .seek(SeekFrom::End(-10))
                .and_then(|_| reader.read_to_end(&mut payload));
            let from_the_start = reader
                .seek(SeekFrom::Start(0))
                .and_then(|_| reader.read_to_end(&mut payload));
            assert!(to_the_end.is_err() || from_the_start.is_err(), "{what}");
        }
    }

    fn assert_fails(&self, reader: io::Result<DecryptReader<&[u8]>>, kind: ErrorKind, what: &str) {
        let mut payload = Vec::new();
        let error = match reader {
            Err(error) => error,
            Ok(mut reader) => {
                let error = reader.read_to_end(&mut payload).expect_err(what);
                let again = reader.read(&mut [0; 100]).expect_err("errors are for good");
                assert_eq!(again.kind(), error.kind(), "{what}");
                error
            }
        };
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(
            error.get_ref().is_some_and(|error| error.is::<Error>()),
            "{what}"
        );
        let truth = self.envelope.decrypt(&self.message, &context()).unwrap();
        assert!(truth.starts_with(&payload), "{what}: false plaintext");
        assert!(payload.len() < truth.len(), "{what}: all of it");
    }
}

#[test]
fn dropped_repeated_swapped_and_foreign_chunks() {
    let cut = Cut::new();
    assert_eq!(cut.join(&[0, 1, 2, 3]), cut.message);
    for chunks in [
        &[1, 2, 3][..],
        &[0, 2, 3],
        &[0, 1, 3],
        &[0, 0, 1, 2, 3],
        &[0, 1, 1, 3],
        &[1, 0, 2, 3],
        &[0, 2, 1, 3],
        &[0, 1, 2, 3, 3],
        &[0, 1, 2, 3, 0],
        &[3],
        &[3, 0, 1, 2],
        &[0, 3, 1, 2],
    ] {
        let message = cut.join(chunks);
        let ends_full = (message.len() - HEADER).is_multiple_of(SEALED);
        // A chunk in a wrong place is found before the end is.
        let kind = match chunks {
            [0, 1, 2] if ends_full => ErrorKind::UnexpectedEof,
            _ => ErrorKind::InvalidData,
        };
        cut.assert_refused(&message, kind, &format!("{chunks:?}"));
    }
    let other = Cut::new();
    for number in 0..4 {
        let mut message = cut.message.clone();
        let start = HEADER + number * SEALED;
        let chunk = other.chunk(number);
        message[start..start + chunk.len()].copy_from_slice(chunk);
        cut.assert_refused(
            &message,
            ErrorKind::InvalidData,
            "a chunk of another message",
        );
    }
}

#[test]
fn chunks_of_another_message_under_the_same_data_key() {
    let envelope = common::sharing_envelope();
    let header = HEADER + 24;
    let seal = || envelope.encrypt(&payload(2 * CHUNK), &context()).unwrap();
    let (first, other) = (seal(), seal());
    for number in 0..3 {
        let start = header + number * SEALED;
        let end = first.len().min(start + SEALED);
        let mut mixed = first.clone();
        mixed[start..end].copy_from_slice(&other[start..end]);
        let error = read_in_pieces(&envelope, &mixed, &[100_000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn truncation_at_and_near_every_edge() {
    let cut = Cut::new();
    for edge in [0, 1, 2, 3].map(|chunks| HEADER + chunks * SEALED) {
        for stray in 0..16 {
            let message = &cut.message[..edge + stray];
            cut.assert_refused(message, ErrorKind::UnexpectedEof, "at an edge");
        }
        for stray in [16, 17, 99, 115] {
            let message = &cut.message[..edge + stray];
            cut.assert_refused(message, ErrorKind::InvalidData, "after an edge");
        }
    }
    for len in 0..HEADER {
        cut.assert_refused(
            &cut.message[..len],
            ErrorKind::UnexpectedEof,
            "in the header",
        );
    }
    let longer = [&cut.message[..], b"more"].concat();
    cut.assert_refused(&longer, ErrorKind::InvalidData, "longer");
}

#[test]
fn every_byte_of_a_small_stream() {
    let cut = Cut::new();
    for position in (HEADER..cut.message.len()).step_by(97) {
        let mut message = cut.message.clone();
        message[position] ^= 0x10;
        cut.assert_refused(
            &message,
            ErrorKind::InvalidData,
            &format!("byte {position}"),
        );
    }
}

#[test]
fn a_dropped_writer_leaves_a_truncated_message() {
    let (envelope, context) = (common::envelope(), context());
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, 9 * CHUNK + 5] {
        for flush in [false, true] {
            let mut message = Vec::new();
            let options = MessageOptions::new(&context);
            let mut writer = EncryptWriter::new(&envelope, &mut message, options).unwrap();
            writer.write_all(&payload(len)).unwrap();
            if flush {
                writer.flush().unwrap();
            }
            drop(writer);
            if flush {
                assert_eq!(message.len(), HEADER + len / CHUNK * SEALED);
            }
            let error = read_in_pieces(&envelope, &message, &[1000]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{len}: {error}");
        }
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_taken() {
    let (envelope, context) = (common::envelope(), context());
    let payload = payload(5 * CHUNK + 77);
    for room in [0, 50, HEADER, HEADER + 1, HEADER + SEALED, 70_000, 82_000] {
        let options = MessageOptions::new(&context);
        let disk = FullDisk::new(room);
        let mut writer = EncryptWriter::new(&envelope, disk, options).unwrap();
        let mut rest = &payload[..];
        while !rest.is_empty() {
            match writer.write(&rest[..rest.len().min(10_000)]) {
                Ok(len) => rest = &rest[len..],
                Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull),
            }
        }
        while let Err(error) = writer.flush() {
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        }
        let disk = writer
            .finish()
            .unwrap_or_else(|error| panic!("{room}: {error}"));
        assert_eq!(disk.failures, 1, "{room}");
        let opened = envelope.decrypt(&disk.written, &context).unwrap();
        assert_eq!(*opened, payload, "{room}");
    }
    let options = MessageOptions::new(&context);
    let mut writer = EncryptWriter::new(&envelope, FullDisk::new(200), options).unwrap();
    writer.write_all(b"payload").unwrap();
    assert!(writer.finish().is_ok());
    let mut writer = EncryptWriter::new(&envelope, FullDisk::new(110), options).unwrap();
    writer.write_all(b"payload").unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn a_failing_source_ends_neither_stream() {
    /// Fails at every other call.
    struct Failing<R>(R, bool);
    impl<R: Read> Read for Failing<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::TimedOut.into());
            }
            let len = buffer.len().min(5000);
            self.0.read(&mut buffer[..len])
        }
    }
    fn read_all(mut reader: impl Read) -> Vec<u8> {
        let (mut all, mut piece) = (Vec::new(), [0; 3000]);
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return all,
                Ok(len) => all.extend_from_slice(&piece[..len]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
    }
    let (envelope, context) = (common::envelope(), context());
    let options = MessageOptions::new(&context);
    let payload = payload(100_000);
    let source = Failing(&payload[..], false);
    let message = read_all(EncryptReader::new(&envelope, source, options).unwrap());
    // The first call, which reads the header, goes well.
    let source = Failing(&message[..], true);
    let reader = DecryptReader::new(&envelope, source, options).unwrap();
    assert_eq!(read_all(reader), payload);
}

#[test]
fn a_failed_seek_is_mended_by_the_next() {
    /// Fails at one of its seeks.
    struct Failing {
        inner: Cursor<Vec<u8>>,
        seeks_until_failure: usize,
    }
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.inner.read(buffer)
        }
    }
    impl Seek for Failing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.seeks_until_failure = self.seeks_until_failure.wrapping_sub(1);
            if self.seeks_until_failure == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
            self.inner.seek(to)
        }
    }
    let (envelope, context) = (common::envelope(), context());
    let payload = payload(100_000);
    let message = envelope.encrypt(&payload, &context).unwrap();
    let mut failures = 0;
    for seeks_until_failure in 1..8 {
        for to in [
            SeekFrom::Start(50_000),
            SeekFrom::End(-50_000),
            SeekFrom::Current(49_990),
        ] {
            let source = Failing {
                inner: Cursor::new(message.clone()),
                seeks_until_failure,
            };
            let options = MessageOptions::new(&context);
            let mut reader = DecryptReader::new(&envelope, source, options).unwrap();
            let mut front = [0; 10];
            reader.read_exact(&mut front).unwrap();
            if reader.seek(to).is_err() {
                failures += 1;
                assert_eq!(reader.stream_position().unwrap(), 10);
                let mut next = [0; 10];
                if reader.read_exact(&mut next).is_ok() {
                    assert_eq!(next, payload[10..20]);
                    reader.seek(SeekFrom::Current(-10)).unwrap();
                }
                reader.seek(to).unwrap();
            }
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert!(rest == payload[50_000..]);
        }
    }
    assert!(failures > 6, "{failures}");
}

#[test]
fn a_range_touches_its_chunks_and_the_last() {
    let (envelope, context) = (common::envelope(), context());
    let options = MessageOptions::new(&context);
    for megabytes in [1, 16] {
        let len = megabytes << 20;
        let message = envelope.encrypt(&payload(len), &context).unwrap();
        let mut source = Counting::new(Cursor::new(message));
        let mut reader = DecryptReader::new(&envelope, &mut source, options).unwrap();
        let mut range = vec![0; 65536];
        reader
            .seek(SeekFrom::Start((len / 2 + 1000) as u64))
            .unwrap();
        reader.read_exact(&mut range).unwrap();
        assert_eq!(range, payload(len)[len / 2 + 1000..][..65536]);
        drop(reader);
        let read = source.read;
        assert!(read <= (5 * SEALED + 512) as u64, "{read} bytes");

        source.rewind().unwrap();
        let mut reader = DecryptReader::new(&envelope, &mut source, options).unwrap();
        reader.seek(SeekFrom::End(-65536 - 1000)).unwrap();
        reader.read_exact(&mut range).unwrap();
        drop(reader);
        let read = source.read - read;
        assert!(read <= (6 * SEALED + 1024) as u64, "{read} bytes");
    }
}

#[test]
fn the_header_errors_of_streams_are_those_of_messages() {
    let (envelope, context) = (common::envelope(), context());
    let options = MessageOptions::new(&context);
    let message = envelope.encrypt(b"payload", &context).unwrap();
    let other = Envelope::new(SingleKeyring::software(&RootKey::generate().unwrap()));
    let open = |envelope: &Envelope, message: &[u8], options| {
        let error = DecryptReader::new(envelope, message, options).err()?;
        let error = error.into_inner()?.downcast::<Error>().ok()?;
        Some(error.to_string())
    };
    let none = EncryptionContext::empty();
    let cases = [
        (&other, message.clone(), &context),
        (&envelope, message.clone(), &none),
        (&envelope, message[..50].to_vec(), &context),
        (&envelope, b"{}".to_vec(), &context),
        (&envelope, Vec::new(), &context),
    ];
    for (envelope, message, context) in cases {
        let expected = envelope.decrypt(&message, context).unwrap_err().to_string();
        let options = MessageOptions::new(context);
        assert_eq!(open(envelope, &message, options), Some(expected.clone()));
        let error = DecryptAt::new(envelope, message, options).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let strict = envelope.with_required_context_keys(["purpose"]);
    assert!(EncryptWriter::new(&strict, io::sink(), options).is_err());
    assert!(EncryptReader::new(&strict, io::empty(), options).is_err());
    assert!(DecryptReader::new(&strict, &message[..], options).is_err());
}

#[test]
fn a_large_header_is_found_by_every_reader() {
    let vector = common::vector::named("unknown_tag_longest_entry");
    let context = vector.context();
    let options = MessageOptions::new(&context).with_aad(&vector.aad);
    let mut payload = Vec::new();
    let source = Choppy::new(&vector.message[..], vec![1000, 7]);
    DecryptReader::new(&vector.opener(), source, options)
        .unwrap()
        .read_to_end(&mut payload)
        .unwrap();
    assert_eq!(payload, vector.plaintext());
    let at = DecryptAt::new(&vector.opener(), vector.message.clone(), options).unwrap();
    assert_eq!(at.payload_len().unwrap(), payload.len() as u64);
}

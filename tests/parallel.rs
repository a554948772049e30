//! With the `rayon` feature: the same bytes as without, from the same keys.
#![cfg(feature = "rayon")]

mod common;

use std::io::{self, ErrorKind, Read, Write};

use common::FixedRandom;
use proptest::prelude::*;
use waxseal::{
    DecryptReader, EncryptReader, EncryptWriter, EncryptionContext, Envelope, EnvelopeEncryptor,
    Error, MessageOptions, Parallelism,
};

const BATCH: usize = 64 * 16384;

fn fixed() -> Envelope {
    common::envelope().with_random_source(FixedRandom::new([0x42; 32]))
}

fn parallel() -> Envelope {
    fixed().with_parallelism(Parallelism::Rayon)
}

fn lengths() -> impl Strategy<Value = usize> {
    let edge = (0..3usize, -2..3isize)
        .prop_map(|(batches, offset)| (batches * BATCH).saturating_add_signed(offset));
    prop_oneof![0..100_000usize, edge, 0..3 * BATCH]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_bytes_are_those_of_one_thread(len in lengths(), piece in 1..3 * BATCH) {
        let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
        let context = EncryptionContext::empty();
        let options = MessageOptions::new(&context);
        let expected = fixed().encrypt(&payload, &context).unwrap();
        prop_assert!(parallel().encrypt(&payload, &context).unwrap() == expected);

        let mut writer = EncryptWriter::new(&parallel(), Vec::new(), options).unwrap();
        for piece in payload.chunks(piece) {
            writer.write_all(piece).unwrap();
        }
        prop_assert!(writer.finish().unwrap() == expected);

        let mut pulled = Vec::new();
        let mut reader = EncryptReader::new(&parallel(), &payload[..], options).unwrap();
        reader.read_to_end(&mut pulled).unwrap();
        prop_assert!(pulled == expected);

        let mut pulled = vec![0; expected.len()];
        let mut reader = EncryptReader::buffered(&parallel(), &payload[..], options).unwrap();
        for piece in pulled.chunks_mut(piece) {
            reader.read_exact(piece).unwrap();
        }
        prop_assert!(pulled == expected);
        prop_assert_eq!(reader.read(&mut [0]).unwrap(), 0);

        prop_assert!(*parallel().decrypt(&expected, &context).unwrap() == payload);
        for reader in [
            DecryptReader::new(&parallel(), &expected[..], options),
            DecryptReader::buffered(&parallel(), &expected[..], options),
        ] {
            let mut reader = reader.unwrap();
            let mut opened = vec![0; len];
            for piece in opened.chunks_mut(piece) {
                reader.read_exact(piece).unwrap();
            }
            prop_assert!(opened == payload);
            prop_assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    }
}

#[test]
fn a_changed_chunk_is_found_wherever_it_is() {
    let context = EncryptionContext::empty();
    let payload = vec![0xa5; 100 * 16384 + 5];
    let message = parallel().encrypt(&payload, &context).unwrap();
    for chunk in [0, 1, 50, 63, 64, 65, 99, 100] {
        let mut changed = message.clone();
        changed[101 + chunk * 16400 + 3] ^= 1;
        let mut buffer = vec![0x55; payload.len()];
        let options = MessageOptions::new(&context);
        let refused = parallel().decrypt_into(&changed, options, &mut buffer);
        assert!(matches!(refused, Err(Error::Decrypt)), "{chunk}");
        assert!(buffer.iter().all(|&byte| byte == 0), "{chunk}");
        let mut reader = DecryptReader::new(&parallel(), &changed[..], options).unwrap();
        let mut opened = Vec::new();
        assert!(reader.read_to_end(&mut opened).is_err(), "{chunk}");
        assert!(payload.starts_with(&opened), "{chunk}");
        assert!(opened.len() <= chunk * 16384, "{chunk}");
    }
}

/// Takes and gives a few KiB at a time, and fails at every third call.
struct Failing<T> {
    inner: T,
    calls: usize,
}

impl<T> Failing<T> {
    fn new(inner: T) -> Self {
        Self { inner, calls: 0 }
    }

    fn check(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.calls % 3 {
            0 => Err(ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

impl Write for Failing<Vec<u8>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.write(&bytes[..bytes.len().min(300_000)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Failing<&[u8]> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let len = buffer.len().min(700_000);
        self.inner.read(&mut buffer[..len])
    }
}

#[test]
fn a_failing_disk_loses_nothing_while_other_threads_work() {
    let context = EncryptionContext::empty();
    let options = MessageOptions::new(&context);
    let payload: Vec<u8> = (0..=250).cycle().take(5 * BATCH + 77).collect();
    let expected = fixed().encrypt(&payload, &context).unwrap();

    let mut failures = 0;
    let mut retry = |error: io::Error| {
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        failures += 1;
    };
    let mut writer = EncryptWriter::new(&parallel(), Failing::new(Vec::new()), options).unwrap();
    let mut rest = &payload[..];
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(len) => rest = &rest[len..],
            Err(error) => retry(error),
        }
    }
    while let Err(error) = writer.flush() {
        retry(error);
    }
    assert_eq!(
        writer.get_ref().inner,
        expected[..writer.get_ref().inner.len()]
    );

    let source = Failing::new(&expected[..]);
    let mut reader = loop {
        match DecryptReader::new(&parallel(), Failing::new(source.inner), options) {
            Ok(reader) => break reader,
            Err(error) => retry(error),
        }
    };
    let mut opened = vec![0; payload.len()];
    let mut filled = 0;
    while filled < opened.len() {
        match reader.read(&mut opened[filled..]) {
            Ok(0) => panic!("ended at {filled}"),
            Ok(len) => filled += len,
            Err(error) => retry(error),
        }
    }
    assert!(opened == payload);
    assert!(failures > 8, "{failures}");
}

struct Panicking;

impl Write for Panicking {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        panic!("as it may");
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_more_is_written_by_a_writer_that_panicked() {
    let context = EncryptionContext::empty();
    let options = MessageOptions::new(&context);
    let payload = vec![7; 2 * BATCH];
    for envelope in [fixed(), parallel()] {
        let mut writer = EncryptWriter::new(&envelope, Panicking, options).unwrap();
        let write = std::panic::AssertUnwindSafe(|| writer.write(&payload));
        assert!(std::panic::catch_unwind(write).is_err());
        for refused in [writer.write(&payload).err(), writer.finish().err()] {
            let error = refused.unwrap().to_string();
            assert!(error.contains("begin another"), "{error}");
        }
    }
}

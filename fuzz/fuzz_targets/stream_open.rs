//! Streams open what the one-shot call opens, and nothing else, whatever the sizes of reads.

#![no_main]

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal::{
    DecryptAt, DecryptReader, EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions,
    RootKey, SingleKeyring,
};

static ENVELOPE: LazyLock<Envelope> = LazyLock::new(|| {
    let root_key = RootKey::from_bytes(&std::array::from_fn(|i| i as u8));
    Envelope::new(SingleKeyring::software(&root_key))
});
static CONTEXT: LazyLock<EncryptionContext> =
    LazyLock::new(|| EncryptionContext::new([("tenant", "a")]).unwrap());
static SEALED: LazyLock<Vec<u8>> =
    LazyLock::new(|| ENVELOPE.encrypt(&[7; 40_000], &CONTEXT).unwrap());

/// The input: sizes of reads, and how to cut and change a sealed message.
#[derive(arbitrary::Arbitrary, Debug)]
struct Input {
    message: Option<Vec<u8>>,
    cut: Option<u16>,
    flip: Option<(u16, u8)>,
    reads: Vec<u16>,
    seeks: Vec<(bool, i32, u16)>,
}

fuzz_target!(|input: Input| {
    let mut message = input.message.unwrap_or_else(|| SEALED.clone());
    if let Some(cut) = input.cut {
        message.truncate(usize::from(cut));
    }
    if let Some((position, mask)) = input.flip {
        if let Some(byte) = message.get_mut(usize::from(position)) {
            *byte ^= mask;
        }
    }
    let expected = ENVELOPE.decrypt(&message, &CONTEXT).ok();
    let options = MessageOptions::new(&CONTEXT);

    for reader in [
        DecryptReader::new(&*ENVELOPE, &message[..], options),
        DecryptReader::buffered(&*ENVELOPE, &message[..], options),
    ] {
        let streamed = reader.and_then(|reader| read_all(reader, &input.reads));
        assert_eq!(streamed.ok().as_deref(), expected.as_deref());
    }

    let at = DecryptAt::new(&*ENVELOPE, &message[..], options);
    let whole = at.and_then(|at| {
        let mut whole = vec![0; message.len() + 1];
        let len = at.read_at(&mut whole, 0)?;
        whole.truncate(len);
        Ok(whole)
    });
    assert_eq!(whole.ok().as_deref(), expected.as_deref());

    if let (Some(expected), Ok(mut reader)) = (
        expected,
        DecryptReader::new(&*ENVELOPE, Cursor::new(&message), options),
    ) {
        for (from_end, place, len) in input.seeks {
            let to = if from_end {
                SeekFrom::End(place.into())
            } else {
                SeekFrom::Start(place.unsigned_abs().into())
            };
            let Ok(place) = reader.seek(to) else { continue };
            let mut piece = vec![0; len.into()];
            let read = reader.read(&mut piece).unwrap();
            let place = place as usize;
            assert_eq!(piece[..read], expected[place..place + read]);
        }
    }
});

fn read_all(mut reader: impl Read, sizes: &[u16]) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for size in sizes.iter().chain(std::iter::repeat(&60_000)) {
        let mut piece = vec![0; usize::from(*size) + 1];
        match reader.read(&mut piece)? {
            0 => break,
            len => all.extend_from_slice(&piece[..len]),
        }
    }
    Ok(all)
}

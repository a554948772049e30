//! With the `aws-lc` feature: both engines give the same bytes, open the same messages and refuse
//! the same.
#![cfg(feature = "aws-lc")]

mod common;

use std::io::{Read, Write};

use common::FixedRandom;
use common::header_store::Giving;
use common::vector::{self, Vector};
use proptest::prelude::*;
use waxseal::{
    DecryptAt, DecryptReader, EncryptReader, EncryptWriter, EncryptionContext, Engine, Envelope,
    EnvelopeEncryptor, Error, MemoryHeaderStore, MessageOptions, Opener, Sealer, Suite,
};

const ENGINES: [Engine; 2] = [Engine::RustCrypto, Engine::AwsLc];

#[test]
fn every_vector_does_the_same_with_each_engine() {
    for engine in ENGINES {
        let (mut opened, mut refused, mut resealed) = (0, 0, 0);
        for vector in vector::all() {
            let name = format!("{}, {engine:?}", vector.name);
            let Some(result) = open(&vector, engine) else {
                continue;
            };
            match result {
                Ok(payload) => {
                    assert_eq!(vector.expect, "opens", "{name}");
                    assert!(payload == vector.plaintext(), "{name}");
                    opened += 1;
                }
                Err(error) => {
                    assert_eq!(vector.expect, "refused", "{name}");
                    vector.assert_refusal(&error);
                    refused += 1;
                }
            }
            if vector.reproducible && vector.kind != "record" {
                assert!(seal(&vector, engine) == vector.message, "{name}");
                resealed += 1;
            }
        }
        // At least, since vectors are never removed.
        let counts = (opened, refused, resealed);
        assert!(
            opened >= 75 && refused >= 150 && resealed >= 33,
            "{engine:?}: {counts:?}"
        );
    }
}

/// What opening the vector gives, if it is of a message or a record and has a context.
fn open(vector: &Vector, engine: Engine) -> Option<Result<Vec<u8>, Error>> {
    let context = vector.try_context().ok()?;
    let envelope = || vector.opener().with_engine(engine);
    let opened = match vector.kind.as_str() {
        "message" | "handle" => {
            let options = MessageOptions::new(&context).with_aad(&vector.aad);
            let opened = envelope().decrypt_with(&vector.message, options);
            opened.map(|opened| opened.plaintext.to_vec())
        }
        "record" => {
            let headers = Giving::new(vector.headers.clone());
            let opener = Opener::new(envelope(), context, headers);
            let opened = opener.open(&vector.sealed_record, &vector.aad);
            opened.map(|plaintext| plaintext.to_vec())
        }
        _ => return None,
    };
    Some(opened)
}

fn seal(vector: &Vector, engine: Engine) -> Vec<u8> {
    let context = vector.context();
    let options = MessageOptions::new(&context).with_aad(&vector.aad);
    let sealer = vector.sealer().with_engine(engine);
    sealer.encrypt_with(&vector.plaintext(), options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_engines_give_the_same_bytes_and_open_each_others(
        message in a_message(),
        piece in 1..100_000usize,
    ) {
        let options = message.options();
        let sealed = message.envelope(Engine::RustCrypto).encrypt_with(&message.payload, options).unwrap();
        for engine in ENGINES {
            let envelope = || message.envelope(engine);
            prop_assert!(envelope().encrypt_with(&message.payload, options).unwrap() == sealed);
            let mut out = vec![0; envelope().max_message_len(message.payload.len())];
            let len = envelope().encrypt_into(&message.payload, options, &mut out).unwrap();
            prop_assert!(out[..len] == sealed);

            let mut writer = EncryptWriter::new(&envelope(), Vec::new(), options).unwrap();
            for piece in message.payload.chunks(piece) {
                writer.write_all(piece).unwrap();
            }
            prop_assert!(writer.finish().unwrap() == sealed);
            let mut pulled = Vec::new();
            let mut reader = EncryptReader::new(&envelope(), &message.payload[..], options).unwrap();
            reader.read_to_end(&mut pulled).unwrap();
            prop_assert!(pulled == sealed);

            let opened = envelope().decrypt_with(&sealed, options).unwrap();
            prop_assert!(*opened.plaintext == message.payload);
            let mut payload = vec![0; message.payload.len()];
            envelope().decrypt_into(&sealed, options, &mut payload).unwrap();
            prop_assert!(payload == message.payload);

            let mut payload = Vec::new();
            let mut reader = DecryptReader::new(&envelope(), &sealed[..], options).unwrap();
            reader.read_to_end(&mut payload).unwrap();
            prop_assert!(payload == message.payload);
            let reader = DecryptAt::new(&envelope(), &sealed[..], options).unwrap();
            prop_assert_eq!(reader.read_at(&mut payload, 0).unwrap(), message.payload.len());
            prop_assert!(payload == message.payload);
        }
    }

    #[test]
    fn the_engines_seal_the_same_records_and_open_each_others(message in a_message()) {
        let headers = MemoryHeaderStore::new();
        let records = ENGINES.map(|engine| {
            let envelope = message.envelope_for_records(engine);
            let sealer = Sealer::new(envelope, message.context.clone(), headers.clone());
            sealer.seal(&message.payload, &message.aad).unwrap()
        });
        prop_assert!(records[0] == records[1]);
        prop_assert_eq!(headers.len(), 1);
        for engine in ENGINES {
            let envelope = message.envelope_for_records(engine);
            let opener = Opener::new(envelope, message.context.clone(), headers.clone());
            prop_assert!(*opener.open(&records[0], &message.aad).unwrap() == message.payload);
            let mut flipped = records[0].clone();
            *flipped.last_mut().unwrap() ^= 1;
            let mut buffer = vec![0xa5; message.payload.len()];
            let refused = opener.open_into(&flipped, &message.aad, &mut buffer);
            prop_assert!(matches!(refused, Err(Error::Decrypt)));
            prop_assert!(buffer.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn the_engines_refuse_the_same_and_leave_nothing(
        message in a_message(),
        position in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
        cut in any::<prop::sample::Index>(),
    ) {
        let options = message.options();
        let sealed = message.envelope(Engine::AwsLc).encrypt_with(&message.payload, options).unwrap();
        let mut flipped = sealed.clone();
        flipped[position.index(sealed.len())] ^= flip;
        let mut last_flipped = sealed.clone();
        last_flipped[sealed.len() - 1] ^= flip;
        let other_aad = [&message.aad[..], b"!"].concat();
        let other_aad = options.with_aad(&other_aad);
        let other_context = EncryptionContext::new([("not", "the same")]).unwrap();
        let other_context = MessageOptions::new(&other_context).with_aad(&message.aad);

        for (sealed, options) in [
            (&flipped[..], options),
            (&last_flipped, options),
            (&sealed[..cut.index(sealed.len())], options),
            (&sealed, other_aad),
            (&sealed, other_context),
        ] {
            let refusals = ENGINES.map(|engine| refusal(&message.envelope(engine), sealed, options));
            prop_assert!(refusals[0].is_some());
            prop_assert_eq!(&refusals[0], &refusals[1]);
        }
    }
}

/// What a message is refused with, if it is, and the streams too.
fn refusal(envelope: &Envelope, sealed: &[u8], options: MessageOptions<'_>) -> Option<String> {
    let mut buffer = vec![0xa5; sealed.len()];
    let error = envelope.decrypt_into(sealed, options, &mut buffer).err()?;
    if matches!(error, Error::Decrypt) {
        let written = buffer
            .iter()
            .position(|&byte| byte != 0)
            .unwrap_or(buffer.len());
        assert!(buffer[written..].iter().all(|&byte| byte == 0xa5));
    }
    let streamed = DecryptReader::new(envelope, sealed, options)
        .and_then(|mut reader| reader.read_to_end(&mut Vec::new()));
    Some(format!("{error}; {}", streamed.err()?))
}

#[derive(Debug)]
struct Message {
    payload: Vec<u8>,
    context: EncryptionContext,
    aad: Vec<u8>,
    suite: Suite,
    data_key: [u8; 32],
}

impl Message {
    /// Seals one message, with the data key.
    fn envelope(&self, engine: Engine) -> Envelope {
        common::envelope()
            .with_suite(self.suite)
            .with_engine(engine)
            .with_random_source(FixedRandom::new(self.data_key))
    }

    /// Seals one record, with a nonce, the data key and a salt.
    fn envelope_for_records(&self, engine: Engine) -> Envelope {
        let random = [&[0x17; 12][..], &self.data_key, &[0x18; 24]].concat();
        self.envelope(engine)
            .with_random_source(FixedRandom::new(random))
    }

    fn options(&self) -> MessageOptions<'_> {
        MessageOptions::new(&self.context).with_aad(&self.aad)
    }
}

prop_compose! {
    fn a_message()(
        payload in payloads(),
        context in prop::collection::btree_map("[a-z]{1,9}", ".{0,20}", 0..4),
        aad in prop::collection::vec(any::<u8>(), 0..100),
        suite in prop::sample::select(vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305]),
        data_key in any::<[u8; 32]>(),
    ) -> Message {
        let context = EncryptionContext::new(context).unwrap();
        Message { payload, context, aad, suite, data_key }
    }
}

/// Short ones, ones about the ends of chunks, and any.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let chunk_ends = (0..4usize, -2..3isize)
        .prop_map(|(chunks, offset)| (chunks * 16384).saturating_add_signed(offset));
    let len = prop_oneof![0..300usize, 0..5000usize, chunk_ends, 0..200_000usize];
    (len, any::<u8>()).prop_map(|(len, first)| (first..=u8::MAX).cycle().take(len).collect())
}

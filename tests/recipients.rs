//! Sealing to a public key: who opens, what the keys look like, and what RFC 9180 says of them.
#![cfg(feature = "recipients")]

mod common;

use common::probe::Probe;
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Error, InvalidRecipientKey, Keyring,
    MessageOptions, MultiKeyring, RecipientAlgorithm, RecipientKeyring, RecipientOpener,
    RecipientPrivateKey, RecipientPublicKey, ThresholdKeyring, inspect,
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("source", "sensor-7")]).unwrap()
}

fn private(algorithm: RecipientAlgorithm, byte: u8) -> RecipientPrivateKey {
    RecipientPrivateKey::from_bytes(algorithm, &[byte; 32]).unwrap()
}

fn producer(key: &RecipientPrivateKey) -> Envelope {
    Envelope::new(RecipientKeyring::new(key.public_key().clone()))
}

#[test]
fn only_the_private_key_opens() {
    for &algorithm in RecipientAlgorithm::ALL {
        let key = private(algorithm, 1);
        let message = producer(&key).encrypt(b"payload", &context()).unwrap();
        let inspection = inspect(&message).unwrap();
        assert_eq!(inspection.wrapped_keys[0].provider, algorithm.name());
        assert_eq!(
            inspection.wrapped_keys[0].key,
            key.public_key().id().to_string()
        );

        let refused = producer(&key).decrypt(&message, &context());
        assert!(matches!(refused, Err(Error::OtherKey { .. })));
        let other = Envelope::new(RecipientOpener::new(private(algorithm, 2)));
        assert!(matches!(
            other.decrypt(&message, &context()),
            Err(Error::OtherKey { .. })
        ));

        let opener = RecipientOpener::new(key);
        assert!(opener.key().is_public_key());
        let consumer = Envelope::new(opener);
        let opened = consumer
            .decrypt_with(&message, MessageOptions::new(&context()))
            .unwrap();
        assert_eq!((&*opened.plaintext, opened.opened_by), (&b"payload"[..], 0));
        let elsewhere = EncryptionContext::new([("source", "sensor-8")]).unwrap();
        assert!(matches!(
            consumer.decrypt(&message, &elsewhere),
            Err(Error::Decrypt)
        ));
        assert!(matches!(
            consumer.encrypt(b"", &context()),
            Err(Error::OpensOnly)
        ));
    }
}

#[test]
fn every_changed_byte_of_a_wrapped_key_is_one_opaque_error() {
    for &algorithm in RecipientAlgorithm::ALL {
        let key = private(algorithm, 1);
        let message = producer(&key).encrypt(b"payload", &context()).unwrap();
        let header_len = usize::try_from(inspect(&message).unwrap().header_len).unwrap();
        let consumer = Envelope::new(RecipientOpener::new(key));
        // After version, flags, tag, length and key id.
        for position in (4 + 16 + 1..header_len).step_by(7) {
            let mut changed = message.clone();
            changed[position] ^= 1;
            let refused = consumer.decrypt(&changed, &context());
            assert!(
                matches!(refused, Err(Error::Decrypt)),
                "byte {position}: {refused:?}"
            );
        }
    }
}

#[test]
fn two_messages_for_one_recipient_have_nothing_in_common() {
    for &algorithm in RecipientAlgorithm::ALL {
        let producer = producer(&private(algorithm, 1));
        let [one, other] = [(), ()].map(|()| producer.encrypt(b"payload", &context()).unwrap());
        let prefix_len = 4 + 16 + 1;
        let common = one[prefix_len..]
            .iter()
            .zip(&other[prefix_len..])
            .filter(|(a, b)| a == b);
        assert!(common.count() < one.len() / 32);
    }
}

#[test]
fn beside_other_keys() {
    let key = private(RecipientAlgorithm::X25519, 1);
    let sealer =
        MultiKeyring::new(Probe::new()).with_key(RecipientKeyring::new(key.public_key().clone()));
    let message = Envelope::new(sealer)
        .encrypt(b"payload", &context())
        .unwrap();
    let opened = Envelope::new(RecipientOpener::new(key))
        .decrypt_with(&message, MessageOptions::new(&context()))
        .unwrap();
    assert_eq!((&*opened.plaintext, opened.opened_by), (&b"payload"[..], 1));
    assert_eq!(
        &*common::envelope().decrypt(&message, &context()).unwrap(),
        b"payload"
    );
}

/// A producer that can seal for custodians, two of whom must come together.
#[test]
fn shares_for_recipients() {
    let keys = [1, 2, 3].map(|byte| private(RecipientAlgorithm::XWing, byte));
    let sealers = keys
        .each_ref()
        .map(|key| RecipientKeyring::new(key.public_key().clone()));
    let keyring = ThresholdKeyring::new(2, sealers).unwrap();
    assert!(keyring.wraps_at_once());
    let producer = Envelope::new(keyring);
    let message = producer.encrypt(b"payload", &context()).unwrap();
    assert!(message.len() <= producer.max_message_len(7));
    assert!(matches!(
        producer.decrypt(&message, &context()),
        Err(Error::OtherKey { .. })
    ));
    let [first, _, third] = keys.map(RecipientOpener::new);
    let alone = Envelope::new(ThresholdKeyring::opening([first.clone()]));
    assert!(matches!(
        alone.decrypt(&message, &context()),
        Err(Error::TooFewShares { .. })
    ));
    let two = Envelope::new(ThresholdKeyring::opening([first, third]));
    assert_eq!(&*two.decrypt(&message, &context()).unwrap(), b"payload");
}

#[test]
fn keys_as_text() {
    for &algorithm in RecipientAlgorithm::ALL {
        let key = private(algorithm, 7);
        let public = key.public_key().to_string();
        assert!(public.starts_with(&format!(
            "waxseal-{algorithm}-public:{}:",
            key.public_key().id()
        )));
        assert_eq!(
            &public.parse::<RecipientPublicKey>().unwrap(),
            key.public_key()
        );
        assert_eq!(
            &format!(" {public}\n")
                .parse::<RecipientPublicKey>()
                .unwrap(),
            key.public_key()
        );
        let text = key.to_text();
        let read = RecipientPrivateKey::from_text(&text).unwrap();
        assert_eq!(
            (read.public_key(), read.expose()),
            (key.public_key(), key.expose())
        );

        let as_public = std::str::from_utf8(&text)
            .unwrap()
            .parse::<RecipientPublicKey>();
        assert_eq!(as_public.unwrap_err(), InvalidRecipientKey::Private);
        let as_private = RecipientPrivateKey::from_text(public.as_bytes());
        assert!(matches!(as_private, Err(InvalidRecipientKey::Text { .. })));

        // Any character that is another: in the name, in the id, in the key.
        for position in 0..public.len() {
            let mut changed = public.clone().into_bytes();
            changed[position] = if changed[position] == b'a' {
                b'b'
            } else {
                b'a'
            };
            let changed = String::from_utf8(changed).unwrap();
            if changed != public {
                assert!(changed.parse::<RecipientPublicKey>().is_err(), "{changed}");
            }
            assert!(public[..position].parse::<RecipientPublicKey>().is_err());
        }
        for position in 0..text.len() {
            let mut changed = text.to_vec();
            changed[position] = if changed[position] == b'a' {
                b'b'
            } else {
                b'a'
            };
            // The last of 43 characters has bits to spare, which must be zero.
            let read = RecipientPrivateKey::from_text(&changed);
            assert!(read.is_err() || read.unwrap().expose() == key.expose());
        }
    }
}

/// Points of low order (RFC 7748, section 6.1): the secret would be zero for everybody.
#[test]
fn public_keys_that_keep_no_secret_are_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    let order_eight = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ];
    for bytes in [[0; 32], one, order_eight] {
        let refused = RecipientPublicKey::from_bytes(RecipientAlgorithm::X25519, &bytes);
        assert!(matches!(refused, Err(InvalidRecipientKey::Key { .. })));
    }
    let algorithm = RecipientAlgorithm::XWing;
    for len in [0, 32, 1215, 1217] {
        assert!(RecipientPublicKey::from_bytes(algorithm, &vec![1; len]).is_err());
    }
    // Coefficients of ML-KEM that are not below 3329 (FIPS 203, section 7.2).
    assert!(RecipientPublicKey::from_bytes(algorithm, &[0xff; 1216]).is_err());
    let mut low = private(algorithm, 1).public_key().to_bytes();
    low[1184..].fill(0);
    assert!(
        RecipientPublicKey::from_bytes(algorithm, &low).is_ok(),
        "ML-KEM still protects"
    );
}

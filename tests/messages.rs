//! Sealing and opening: what holds for every payload, context and buffer.

mod common;

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use proptest::prelude::*;
use waxseal::format::{Limit, MAX_AAD_LEN};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Error, MessageOptions, RootKey, SingleKeyring,
    Suite, inspect,
};

fn payload(len: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(len).collect()
}

#[test]
fn an_empty_payload_takes_117_bytes() {
    let envelope = common::envelope();
    let message = envelope.encrypt(b"", &EncryptionContext::empty()).unwrap();
    assert_eq!(message.len(), 117);
    let shared = common::sharing_envelope();
    let message = shared.encrypt(b"", &EncryptionContext::empty()).unwrap();
    assert_eq!(message.len(), 141);
}

#[test]
fn bytes_of_another_kind_are_said_to_be_no_message() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let message = envelope.encrypt(b"x", &context).unwrap();
    let text = Base64::encode_string(&message);
    let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
    let cases: [(&[u8], &str); 10] = [
        (b"hello world", "what was never sealed cannot be opened"),
        (
            b"{\"card\": 4242}",
            "what was never sealed cannot be opened",
        ),
        (
            b"age-encryption.org/v1\n",
            "what was never sealed cannot be opened",
        ),
        (
            text.as_bytes(),
            "base64 or hexadecimal must be decoded first",
        ),
        (
            hex.as_bytes(),
            "base64 or hexadecimal must be decoded first",
        ),
        (b"\x1f\x8b\x08\0\0\0\0\0\x02\x03", "gzip"),
        (&[0; 200], "may never have been sealed"),
        (&[0xff; 200], "may never have been sealed"),
        (b"", "no bytes at all"),
        (&message[..60], "cut off"),
    ];
    for (bytes, words) in cases {
        let refused = envelope.decrypt(bytes, &context).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        let is_said = refused.contains("not a waxseal message") || refused.contains("truncated");
        assert!(is_said, "{refused}");
    }
}

#[test]
fn every_length_around_the_edges_of_chunks() {
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    let lengths = (0..4).flat_map(|chunks| {
        let edge = chunks * 16384usize;
        edge.saturating_sub(17)..edge + 18
    });
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        let envelope = common::envelope().with_suite(suite);
        for len in lengths.clone() {
            let message = envelope.encrypt(&payload(len), &context).unwrap();
            let chunks = len / 16384 + 1;
            assert_eq!(message.len(), 101 + len + 16 * chunks);
            assert_eq!(*envelope.decrypt(&message, &context).unwrap(), payload(len));
            let inspection = inspect(&message).unwrap();
            assert_eq!(inspection.suite, suite);
            assert_eq!(inspection.chunks, chunks as u64);
            assert_eq!(inspection.payload_len, len as u64);
        }
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_every_form(
        payload in prop::collection::vec(any::<u8>(), 0..40000),
        pairs in prop::collection::btree_map("\\PC{1,20}", "\\PC{0,20}", 0..10),
        aad in prop::collection::vec(any::<u8>(), 0..100),
        chacha: bool,
        shared: bool,
    ) {
        let suite = if chacha { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
        let envelope = if shared { common::sharing_envelope() } else { common::envelope() };
        let envelope = envelope.with_suite(suite);
        let context = EncryptionContext::new(pairs).unwrap();
        let options = MessageOptions::new(&context).with_aad(&aad);

        let message = envelope.encrypt_with(&payload, options).unwrap();
        let mut buffer = vec![0x55; envelope.max_message_len(payload.len()) + 3];
        let len = envelope.encrypt_into(&payload, options, &mut buffer).unwrap();
        prop_assert_eq!(len, message.len());
        prop_assert_ne!(&buffer[..len], &message[..]);

        for message in [&message[..], &buffer[..len]] {
            let opened = envelope.decrypt_with(message, options).unwrap();
            prop_assert_eq!(&*opened.plaintext, &payload[..]);
            prop_assert_eq!(opened.opened_by, 0);
            let mut plaintext = vec![0x55; message.len()];
            let opened = envelope.decrypt_into(message, options, &mut plaintext).unwrap();
            prop_assert_eq!(&plaintext[..opened.len], &payload[..]);
            prop_assert!(plaintext[opened.len..].iter().all(|&byte| byte == 0x55));
        }
    }
}

#[test]
fn no_associated_data_and_empty_associated_data_are_the_same() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let message = envelope.encrypt(b"payload", &context).unwrap();
    let options = MessageOptions::new(&context).with_aad(b"");
    assert_eq!(
        *envelope.decrypt_with(&message, options).unwrap().plaintext,
        *b"payload"
    );
}

#[test]
fn a_buffer_that_is_too_small_is_told_what_is_needed_and_left_alone() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let options = MessageOptions::new(&context);
    let message = envelope.encrypt(b"payload", &context).unwrap();
    for len in [0, 1, message.len() - 1] {
        let mut buffer = vec![0x55; len];
        let error = envelope
            .encrypt_into(b"payload", options, &mut buffer)
            .unwrap_err();
        assert!(matches!(error, Error::BufferTooSmall { needed: 124, len: l } if l == len));
        assert!(buffer.iter().all(|&byte| byte == 0x55));
    }
    let mut buffer = [0x55; 6];
    let error = envelope
        .decrypt_into(&message, options, &mut buffer)
        .unwrap_err();
    assert!(matches!(error, Error::BufferTooSmall { needed: 7, len: 6 }));
    assert_eq!(buffer, [0x55; 6]);
    let mut exact = [0; 7];
    envelope
        .decrypt_into(&message, options, &mut exact)
        .unwrap();
    assert_eq!(exact, *b"payload");
}

#[test]
fn required_context_keys_are_required_on_both_sides() {
    let open = common::envelope();
    let strict = open
        .clone()
        .with_required_context_keys(["tenant", "purpose"]);
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    let message = open.encrypt(b"payload", &context).unwrap();
    let missing = |error| matches!(error, Error::MissingContextKey { key } if key == "purpose");
    assert!(missing(strict.encrypt(b"payload", &context).unwrap_err()));
    assert!(missing(strict.decrypt(&message, &context).unwrap_err()));
    let full = EncryptionContext::new([("tenant", "acme"), ("purpose", "")]).unwrap();
    let message = strict.encrypt(b"payload", &full).unwrap();
    assert_eq!(*strict.decrypt(&message, &full).unwrap(), *b"payload");
}

#[test]
fn associated_data_at_and_over_its_limit() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let aad = vec![1; MAX_AAD_LEN + 1];
    let at_limit = MessageOptions::new(&context).with_aad(&aad[1..]);
    let message = envelope.encrypt_with(b"payload", at_limit).unwrap();
    assert!(envelope.decrypt_with(&message, at_limit).is_ok());
    let over = MessageOptions::new(&context).with_aad(&aad);
    let is_limit = |error: Error| match error {
        Error::Limit(error) => error.limit == Limit::AssociatedData && error.size == 65537,
        _ => false,
    };
    assert!(is_limit(
        envelope.encrypt_with(b"payload", over).unwrap_err()
    ));
    assert!(is_limit(envelope.decrypt_with(&message, over).unwrap_err()));
}

#[test]
fn another_root_key_is_named_and_not_called_a_failure_to_decrypt() {
    let context = EncryptionContext::empty();
    let message = common::envelope().encrypt(b"payload", &context).unwrap();
    let other = Envelope::new(SingleKeyring::software(&RootKey::generate().unwrap()));
    let error = other.decrypt(&message, &context).unwrap_err();
    assert!(matches!(error, Error::OtherKey { .. }));
    let text = error.to_string();
    assert!(text.starts_with("sealed under another root key"), "{text}");
    assert!(
        text.contains(&inspect(&message).unwrap().wrapped_keys[0].key),
        "{text}"
    );
}

#[test]
fn envelopes_are_used_behind_pointers_and_shared_between_threads() {
    let envelope: Arc<dyn EnvelopeEncryptor> = Arc::new(common::envelope());
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for len in 0..200 {
                    let message = envelope.encrypt(&payload(len), &context).unwrap();
                    assert_eq!(*envelope.decrypt(&message, &context).unwrap(), payload(len));
                }
            });
        }
    });
}

#[test]
fn two_seals_of_one_payload_share_nothing_that_is_derived_from_the_data_key() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let a = envelope.encrypt(&[0; 64], &context).unwrap();
    let b = envelope.encrypt(&[0; 64], &context).unwrap();
    // The header begins alike, up to the wrapped key.
    let prefix = 2 + 2 + 17;
    assert_eq!(a[..prefix], b[..prefix]);
    assert!(
        a[prefix..]
            .windows(16)
            .all(|window| !b.windows(16).any(|other| window == other))
    );
}

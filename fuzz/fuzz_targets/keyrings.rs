//! Keyrings of several keys, shares and recipients open nothing but what was sealed, and say no more of
//! changed wrapped keys than that they did not open.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Error, MultiKeyring, RecipientAlgorithm,
    RecipientKeyring, RecipientOpener, RecipientPrivateKey, RecipientPublicKey, RootKey,
    SingleKeyring, ThresholdKeyring,
};

struct Sealed {
    envelope: Envelope,
    context: EncryptionContext,
    message: Vec<u8>,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let single = |byte| SingleKeyring::software(&RootKey::from_bytes(&[byte; 32]));
    let key = RecipientPrivateKey::from_bytes(RecipientAlgorithm::X25519, &[9; 32]).unwrap();
    let keyring = MultiKeyring::new(ThresholdKeyring::new(2, [1, 2, 3].map(single)).unwrap())
        .with_key(RecipientKeyring::new(key.public_key().clone()))
        .opening_also(RecipientOpener::new(key))
        .with_key(single(4));
    let envelope = Envelope::new(keyring);
    let context = EncryptionContext::new([("tenant", "a")]).unwrap();
    let message = envelope.encrypt(b"payload", &context).unwrap();
    Sealed {
        envelope,
        context,
        message,
    }
});

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    edited(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(key) = text.parse::<RecipientPublicKey>()
    {
        assert_eq!(key.to_string(), text.trim_ascii());
    }
    let _refused_or_read = RecipientPrivateKey::from_text(bytes);
});

/// Takes the input as edits of a sealed message: position, length removed, bytes inserted.
fn edited(mut edits: &[u8]) {
    let mut message = SEALED.message.clone();
    while let [high, low, removed, inserted, rest @ ..] = edits {
        let from = usize::from(u16::from_be_bytes([*high, *low])).min(message.len());
        let to = (from + usize::from(*removed)).min(message.len());
        let (new, rest) = rest.split_at(rest.len().min(usize::from(*inserted)));
        message.splice(from..to, new.iter().copied());
        edits = rest;
    }
    check(&message);
}

fn check(message: &[u8]) {
    match SEALED.envelope.decrypt(message, &SEALED.context) {
        Ok(payload) => assert_eq!((&*payload, message), (&b"payload"[..], &*SEALED.message)),
        Err(
            Error::Decrypt
            | Error::Format(_)
            | Error::Limit(_)
            | Error::OtherKey { .. }
            | Error::TooFewShares { .. },
        ) => {}
        Err(Error::NotOpened { report, .. }) => {
            // Of shares that were changed, too few may be left; that is public.
            assert!(!report.is_retryable());
        }
        Err(other) => panic!("{other:?}"),
    }
}

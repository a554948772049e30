//! What keys of a KMS are for: data keys, small values, messages, signatures and MACs.

use std::time::Duration;

use waxseal::kms::{Ciphertext, Principal};
use waxseal::{
    CachingKeyring, CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, Error, KeySpec, Kms,
    KmsError, KmsHandle, ManualClock, MemoryKeyStore, MessageInput, RootKey, SigningAlgorithm,
    SingleKeyring, SoftwareKeyProvider, WaitingPeriod, inspect,
};

const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    clock: ManualClock,
    kms: Kms,
    handle: KmsHandle,
    context: EncryptionContext,
}

fn fixture() -> Fixture {
    let clock = ManualClock::default();
    let provider = SoftwareKeyProvider::generate().unwrap();
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(provider)
        .clock(clock.clone())
        .open()
        .unwrap();
    Fixture {
        clock,
        handle: kms.as_principal(Principal::new("svc:test")),
        kms,
        context: tenant("acme"),
    }
}

fn tenant(name: &str) -> EncryptionContext {
    EncryptionContext::new([("tenant", name)]).unwrap()
}

fn is_decrypt(error: &KmsError) -> bool {
    matches!(error, KmsError::Message(error) if matches!(**error, Error::Decrypt))
}

#[test]
fn a_small_value_comes_back_under_its_context_alone() {
    let Fixture {
        handle, context, ..
    } = fixture();
    let key = handle.create_key(CreateKey::new()).unwrap();
    for plaintext in [&b""[..], b"4111 1111 1111 1111", &[7; 4096]] {
        let Ciphertext { bytes, .. } = handle.encrypt(&key, plaintext, &context).unwrap();
        let opened = handle.decrypt(&bytes, &context).unwrap();
        assert_eq!(&opened.plaintext[..], plaintext);
        assert_eq!((opened.key, opened.version), (key.id, key.primary));
        assert!(is_decrypt(
            &handle.decrypt(&bytes, &tenant("other")).unwrap_err()
        ));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(handle.decrypt(&changed, &context).is_err(), "{place}");
        }
    }
    let error = handle.encrypt(&key, &[0; 4097], &context).unwrap_err();
    assert!(
        matches!(error, KmsError::TooLarge { len: 4097, .. }),
        "{error}"
    );
}

#[test]
fn a_data_key_is_what_its_ciphertext_decrypts_to() {
    let Fixture {
        handle, context, ..
    } = fixture();
    let key = handle.create_key(CreateKey::new()).unwrap();
    let generated = handle.generate_data_key(&key, &context).unwrap();
    assert_eq!(generated.plaintext.len(), 32);
    assert_eq!(generated.ciphertext.len(), 117 + 32);
    let opened = handle.decrypt(&generated.ciphertext, &context).unwrap();
    assert_eq!(opened.plaintext, generated.plaintext);

    for len in [1, 1024] {
        let generated = handle.generate_data_key_of(&key, len, &context).unwrap();
        assert_eq!(generated.plaintext.len(), len);
    }
    for len in [0, 1025] {
        let error = handle
            .generate_data_key_of(&key, len, &context)
            .unwrap_err();
        assert!(matches!(error, KmsError::OutOfRange { .. }), "{error}");
        assert!(handle.generate_random(len).is_err());
    }
    assert_eq!(handle.generate_random(1024).unwrap().len(), 1024);

    let blind = handle
        .generate_data_key_without_plaintext(&key, &context)
        .unwrap();
    let opened = handle.decrypt(&blind.bytes, &context).unwrap();
    assert_eq!(opened.plaintext.len(), 32);
    assert_ne!(opened.plaintext, generated.plaintext);
}

#[test]
fn every_version_opens_what_it_sealed() {
    let Fixture {
        handle, context, ..
    } = fixture();
    let key = handle.create_key(CreateKey::new()).unwrap();
    let mut sealed = Vec::new();
    for version in 1..=4 {
        let ciphertext = handle.encrypt(&key, b"value", &context).unwrap();
        assert_eq!(ciphertext.version.get(), version);
        sealed.push(ciphertext);
        handle.rotate_now(&key).unwrap();
    }
    for ciphertext in &sealed {
        let opened = handle.decrypt(&ciphertext.bytes, &context).unwrap();
        assert_eq!(opened.version, ciphertext.version);
    }
}

#[test]
fn a_certain_key_may_be_demanded() {
    let Fixture {
        handle, context, ..
    } = fixture();
    let one = handle.create_key(CreateKey::new()).unwrap();
    let other = handle.create_key(CreateKey::new()).unwrap();
    handle.create_alias("alias/one", &one).unwrap();
    let sealed = handle.encrypt(&one, b"value", &context).unwrap().bytes;
    assert!(handle.decrypt_under("alias/one", &sealed, &context).is_ok());
    let error = handle.decrypt_under(&other, &sealed, &context).unwrap_err();
    assert!(matches!(error, KmsError::IncorrectKey { key } if key == other.id));

    let root = RootKey::generate().unwrap();
    let foreign = Envelope::new(SingleKeyring::software(&root));
    let foreign = foreign.encrypt(b"value", &context).unwrap();
    let error = handle.decrypt(&foreign, &context).unwrap_err();
    assert!(matches!(error, KmsError::OtherKey), "{error}");
    let elsewhere = fixture();
    let error = elsewhere.handle.decrypt(&sealed, &context).unwrap_err();
    assert!(matches!(error, KmsError::NoKey { key, .. } if key == one.id));
    let error = handle.decrypt(b"no message", &context).unwrap_err();
    assert!(matches!(error, KmsError::Message(_)), "{error}");
}

#[test]
fn re_encrypting_changes_key_and_context() {
    let Fixture {
        handle, context, ..
    } = fixture();
    let from = handle.create_key(CreateKey::new()).unwrap();
    let to = handle.create_key(CreateKey::new()).unwrap();
    let sealed = handle.encrypt(&from, b"value", &context).unwrap();
    let moved = handle
        .re_encrypt(&sealed.bytes, &context, &to, &tenant("umbrella"))
        .unwrap();
    assert_eq!(moved.key, to.id);
    let opened = handle.decrypt(&moved.bytes, &tenant("umbrella")).unwrap();
    assert_eq!(&opened.plaintext[..], b"value");
    let wrong = handle.re_encrypt(&sealed.bytes, &tenant("x"), &to, &context);
    assert!(is_decrypt(&wrong.unwrap_err()));
    handle.disable_key(&from).unwrap();
    let refused = handle.re_encrypt(&sealed.bytes, &context, &to, &context);
    assert!(matches!(refused, Err(KmsError::InvalidState { .. })));
}

#[test]
fn messages_under_a_key_of_the_kms() {
    let Fixture {
        handle,
        context,
        clock,
        ..
    } = fixture();
    let key = handle.create_key(CreateKey::new()).unwrap();
    handle.create_alias("alias/files", &key).unwrap();
    let envelope = Envelope::new(handle.keyring("alias/files").unwrap());
    let first = envelope.encrypt(b"one", &context).unwrap();
    assert_eq!(first.len(), 117 + 3);
    assert_eq!(
        inspect(&first).unwrap().wrapped_keys[0].key,
        key.id.to_string()
    );
    handle.rotate_now(&key).unwrap();
    let second = envelope.encrypt(b"two", &context).unwrap();
    assert_eq!(*envelope.decrypt(&first, &context).unwrap(), *b"one");
    assert_eq!(*envelope.decrypt(&second, &context).unwrap(), *b"two");
    assert!(matches!(
        envelope.decrypt(&first, &tenant("other")),
        Err(Error::Decrypt)
    ));

    handle.disable_key(&key).unwrap();
    let refused = envelope.decrypt(&first, &context).unwrap_err();
    assert!(
        matches!(&refused, Error::Kms(error)
        if matches!(**error, KmsError::InvalidState { .. })),
        "{refused}"
    );
    handle.enable_key(&key).unwrap();

    handle
        .schedule_deletion(&key, WaitingPeriod::days(7).unwrap())
        .unwrap();
    clock.advance(8 * DAY);
    handle.tick().unwrap();
    let by_id = Envelope::new(handle.keyring(key.id).unwrap());
    let gone = by_id.decrypt(&first, &context).unwrap_err();
    assert!(gone.to_string().contains("was deleted on"), "{gone}");
}

#[test]
fn a_keyring_opens_no_other_key_unless_told_to() {
    let Fixture {
        handle, context, ..
    } = fixture();
    let old = handle.create_key(CreateKey::new()).unwrap();
    let new = handle.create_key(CreateKey::new()).unwrap();
    handle.create_alias("alias/files", &old).unwrap();
    let keyring = handle.keyring("alias/files").unwrap();
    let sealed = Envelope::new(keyring.clone())
        .encrypt(b"x", &context)
        .unwrap();
    handle.update_alias("alias/files", &new).unwrap();
    let refused = Envelope::new(keyring.clone()).decrypt(&sealed, &context);
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    for keyring in [
        keyring.clone().opening_also(&old).unwrap(),
        keyring.clone().opening_any_key(),
    ] {
        let opened = Envelope::new(keyring).decrypt(&sealed, &context).unwrap();
        assert_eq!(*opened, *b"x");
    }
    let elsewhere = fixture().handle;
    let any = elsewhere.keyring(new.id).unwrap().opening_any_key();
    let refused = Envelope::new(any).decrypt(&sealed, &context);
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    assert!(handle.keyring("no key").is_err());
}

#[test]
fn a_caching_keyring_asks_the_kms_once() {
    let Fixture {
        handle, context, ..
    } = fixture();
    let key = handle.create_key(CreateKey::new()).unwrap();
    let caching = CachingKeyring::new(handle.keyring(&key).unwrap());
    let envelope = Envelope::new(caching);
    let messages: Vec<_> = (0..20u8)
        .map(|number| envelope.encrypt(&[number], &context).unwrap())
        .collect();
    for (number, message) in (0..).zip(&messages) {
        assert_eq!(*envelope.decrypt(message, &context).unwrap(), [number]);
    }
}

#[test]
fn signatures_of_every_kind() {
    let Fixture { handle, .. } = fixture();
    let specs = [KeySpec::Ed25519, KeySpec::EcdsaP256, KeySpec::EcdsaP384];
    for spec in specs.into_iter().chain([KeySpec::Rsa2048]) {
        let key = handle.create_key(CreateKey::new().with_spec(spec)).unwrap();
        let public = handle.get_public_key(&key).unwrap();
        for &algorithm in spec.signing_algorithms() {
            let message = MessageInput::Raw(b"a statement");
            let signature = handle.sign(&key, algorithm, message).unwrap();
            let signature = signature.as_bytes();
            handle.verify(&key, algorithm, message, signature).unwrap();
            public.verify(algorithm, message, signature).unwrap();
            let other = MessageInput::Raw(b"another");
            let refused = handle.verify(&key, algorithm, other, signature);
            assert!(matches!(refused, Err(KmsError::Verify(_))), "{algorithm}");
        }
        let long = MessageInput::Raw(&[0; 4097]);
        let refused = handle.sign(&key, spec.signing_algorithms()[0], long);
        assert!(matches!(refused, Err(KmsError::TooLarge { .. })));
    }
    let wrapping = handle.create_key(CreateKey::new()).unwrap();
    let refused = handle.sign(
        &wrapping,
        SigningAlgorithm::Ed25519,
        MessageInput::Raw(b"x"),
    );
    assert!(matches!(refused, Err(KmsError::InvalidUsage { .. })));
}

#[test]
fn macs_are_verified_under_their_key() {
    let Fixture { handle, .. } = fixture();
    for spec in [KeySpec::Hmac256, KeySpec::Hmac384, KeySpec::Hmac512] {
        let key = handle.create_key(CreateKey::new().with_spec(spec)).unwrap();
        let other = handle.create_key(CreateKey::new().with_spec(spec)).unwrap();
        let mac = handle.generate_mac(&key, b"message").unwrap();
        handle.verify_mac(&key, b"message", mac.as_bytes()).unwrap();
        for refused in [
            handle.verify_mac(&key, b"another", mac.as_bytes()),
            handle.verify_mac(&other, b"message", mac.as_bytes()),
            handle.verify_mac(&key, b"message", &mac.as_bytes()[1..]),
            handle.verify_mac(&key, b"message", b""),
        ] {
            assert!(matches!(refused, Err(KmsError::InvalidMac { .. })));
        }
    }
}

#[test]
fn what_is_wrapped_counts_towards_the_budget() {
    use waxseal::RotationPolicy;

    let Fixture {
        handle, context, ..
    } = fixture();
    let request = CreateKey::new().with_rotation(RotationPolicy::every_days(365).with_budget(64));
    let key = handle.create_key(request).unwrap();
    let envelope = Envelope::new(handle.keyring(&key).unwrap());
    for _ in 0..70 {
        envelope.encrypt(b"x", &context).unwrap();
    }
    handle.tick().unwrap();
    assert_eq!(handle.describe_key(&key).unwrap().primary.get(), 2);
}

#[test]
fn clones_and_threads_share_the_kms() {
    let Fixture { kms, context, .. } = fixture();
    let key = kms
        .as_principal("svc:a")
        .create_key(CreateKey::new())
        .unwrap();
    std::thread::scope(|scope| {
        for name in ["svc:b", "svc:c", "svc:d"] {
            let (kms, context) = (kms.clone(), &context);
            scope.spawn(move || {
                let handle = kms.as_principal(name);
                for _ in 0..50 {
                    let sealed = handle.encrypt(key.id, b"x", context).unwrap();
                    handle.decrypt(&sealed.bytes, context).unwrap();
                }
            });
        }
    });
}

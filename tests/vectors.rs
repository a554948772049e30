//! Every vector of `testdata/v1`, made by the Python reference implementation.

mod common;

use std::sync::Arc;

use common::header_store::Giving;
use common::vector::{self, Vector};
use waxseal::format::{Header, HeaderKind, RECORD_OVERHEAD};
use waxseal::{
    EnvelopeEncryptor, KeyProvider, MacRequest, MessageInput, MessageOptions, PassphraseRecord,
    ProviderError, RootKey, RootKeyError, SignRequest, SoftwareKeyProvider, inspect,
};

#[test]
fn every_vector_does_what_it_says() {
    let mut opened = 0;
    let mut refused = 0;
    for vector in vector::all() {
        match (vector.kind.as_str(), vector.expect.as_str()) {
            ("message" | "handle", "opens") => check_opens(&vector),
            ("message" | "handle", "refused") => check_refused(&vector),
            ("record_header", _) => check_record_header(&vector),
            ("record", "opens") => check_record_opens(&vector),
            ("record", "refused") => check_record_refused(&vector),
            ("key", "opens") => check_key(&vector),
            ("key", "refused") => check_key_refused(&vector),
            ("passphrase", _) => check_passphrase(&vector),
            (kind, expect) => panic!("{}: unknown kind {kind} or {expect}", vector.name),
        }
        match vector.expect.as_str() {
            "opens" => opened += 1,
            _ => refused += 1,
        }
    }
    assert_eq!((opened, refused), (97, 194), "vectors are never removed");
}

#[test]
fn every_accepted_header_serialises_to_the_bytes_it_was_parsed_from() {
    let with_headers = |kind: &str| !matches!(kind, "passphrase" | "key");
    for vector in vector::all().filter(|vector| with_headers(&vector.kind)) {
        if let Ok((header, rest)) = Header::parse(&vector.message) {
            let front = &vector.message[..vector.message.len() - rest.len()];
            assert_eq!(header.to_bytes(), front, "{}", vector.name);
            assert_eq!(header.len(), front.len(), "{}", vector.name);
        }
    }
}

#[test]
fn sealing_a_reproducible_vector_gives_its_bytes() {
    let reproducible = vector::all().filter(|vector| vector.reproducible);
    let mut count = 0;
    for vector in reproducible {
        count += 1;
        if vector.kind == "record" {
            check_record_reproducible(&vector);
            continue;
        }
        let context = vector.context();
        let options = MessageOptions::new(&context).with_aad(&vector.aad);
        let sealed = vector
            .sealer()
            .encrypt_with(&vector.plaintext(), options)
            .unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(sealed, vector.message, "{}", vector.name);
    }
    assert_eq!(count, 48, "vectors are never removed");
}

fn check_opens(vector: &Vector) {
    let context = vector.context();
    let envelope = vector.opener();
    let openings = [(vector.aad.clone(), vector.plaintext())]
        .into_iter()
        .chain(vector.other_openings());
    for (aad, plaintext) in openings {
        let options = MessageOptions::new(&context).with_aad(&aad);
        let opened = envelope
            .decrypt_with(&vector.message, options)
            .unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(*opened.plaintext, plaintext, "{}", vector.name);
        let inspected = inspect(&vector.message).unwrap();
        assert_eq!(
            inspected.payload_len,
            plaintext.len() as u64,
            "{}",
            vector.name
        );
        assert!(
            opened.opened_by < inspected.wrapped_keys.len(),
            "{}",
            vector.name
        );
    }
}

fn check_refused(vector: &Vector) {
    let context = match vector.try_context() {
        Ok(context) => context,
        Err(_) => return assert_eq!(vector.error.as_deref(), Some("context"), "{}", vector.name),
    };
    let options = MessageOptions::new(&context).with_aad(&vector.aad);
    let error = vector
        .opener()
        .decrypt_with(&vector.message, options)
        .expect_err(&vector.name);
    vector.assert_refusal(&error);
}

fn check_record_header(vector: &Vector) {
    let parsed = Header::parse(&vector.message);
    match vector.expect.as_str() {
        "opens" => {
            let (header, rest) = parsed.unwrap();
            assert_eq!(header.kind(), HeaderKind::Record, "{}", vector.name);
            assert!(header.is_shared() && rest.is_empty(), "{}", vector.name);
        }
        _ => vector.assert_refusal(&parsed.expect_err(&vector.name).into()),
    }
}

fn check_record_opens(vector: &Vector) {
    let opener = vector.record_opener();
    let record = &vector.sealed_record;
    for how in ["by the store", "by the cache"] {
        let opened = opener
            .open(record, &vector.aad)
            .unwrap_or_else(|error| panic!("{} {how}: {error}", vector.name));
        assert_eq!(*opened, vector.plaintext(), "{} {how}", vector.name);
        let mut buffer = vec![0x55; record.len()];
        let len = opener.open_into(record, &vector.aad, &mut buffer).unwrap();
        assert_eq!(buffer[..len], *opened, "{} {how}", vector.name);
    }
    assert_eq!(record.len(), vector.plaintext().len() + RECORD_OVERHEAD);
}

fn check_record_refused(vector: &Vector) {
    let opener = vector.record_opener();
    let record = &vector.sealed_record;
    for _ in ["by the store", "with what is cached by then"] {
        let mut buffer = vec![0; record.len()];
        for refused in [
            opener.open(record, &vector.aad).map(drop),
            opener.open_into(record, &vector.aad, &mut buffer).map(drop),
        ] {
            vector.assert_refusal(&refused.expect_err(&vector.name));
        }
        assert!(buffer.iter().all(|&byte| byte == 0), "{}", vector.name);
    }
}

fn check_record_reproducible(vector: &Vector) {
    let headers = Arc::new(Giving::default());
    let sealed = vector
        .record_sealer(Arc::clone(&headers))
        .seal(&vector.plaintext(), &vector.aad)
        .unwrap_or_else(|error| panic!("{}: {error}", vector.name));
    assert_eq!(sealed, vector.sealed_record, "{}", vector.name);
    assert_eq!(headers.headers(), vector.headers, "{}", vector.name);
}

fn check_key(vector: &Vector) {
    let provider = SoftwareKeyProvider::new(&vector.root_key());
    let handle = vector.handle();
    let (name, spec) = (&vector.name, vector.spec.unwrap());
    assert_eq!(provider.describe_key(&handle).unwrap().spec, spec, "{name}");
    let message = MessageInput::Raw(&vector.message);
    match vector.algorithm {
        Some(algorithm) => {
            let public_key = provider.public_key(&handle).unwrap();
            assert_eq!(public_key.as_der(), vector.public_key, "{name}");
            let request = SignRequest::new(&handle, algorithm, message);
            let signature = provider.sign(request).unwrap();
            assert_eq!(signature.as_bytes(), vector.signature, "{name}");
            let verified = public_key.verify(algorithm, message, &vector.signature);
            assert_eq!(verified, Ok(()), "{name}");
        }
        None => {
            let request = MacRequest::new(&handle, &vector.message);
            let mac = provider.generate_mac(request).unwrap();
            assert_eq!(mac.as_bytes(), vector.mac, "{name}");
        }
    }
}

fn check_key_refused(vector: &Vector) {
    let provider = SoftwareKeyProvider::new(&vector.root_key());
    let error = provider
        .describe_key(&vector.handle())
        .expect_err(&vector.name);
    let refusal = match error {
        ProviderError::InvalidHandle { .. } => ("malformed", Some("handle")),
        ProviderError::OtherRootKey => ("other_key", None),
        other => panic!("{}: {other:?}", vector.name),
    };
    let expected = (vector.error.as_deref().unwrap(), vector.field.as_deref());
    assert_eq!(refusal, expected, "{}", vector.name);
}

fn check_passphrase(vector: &Vector) {
    let record = PassphraseRecord::from_bytes(&vector.record).unwrap();
    assert_eq!(record.to_bytes(), vector.record, "{}", vector.name);
    let opened = RootKey::from_passphrase(vector.passphrase.as_deref().unwrap(), &record);
    match vector.error.as_deref() {
        None => {
            let provider = SoftwareKeyProvider::new(&opened.unwrap());
            let expected = SoftwareKeyProvider::new(&vector.root_key());
            assert_eq!(
                provider.root_handle(),
                expected.root_handle(),
                "{}",
                vector.name
            );
        }
        Some(error) => {
            assert_eq!(error, "wrong_passphrase", "{}", vector.name);
            assert!(
                matches!(opened, Err(RootKeyError::WrongPassphrase)),
                "{}",
                vector.name
            );
        }
    }
}

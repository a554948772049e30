//! No error and no secret type shows a secret, however it is formatted.

mod audit;
mod keyrings;
mod keys;
mod kms;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod policies;
#[cfg(feature = "recipients")]
mod recipients;
mod stores;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use super::format::{InvalidEntry, InvalidReference, Limit};
use super::*;

/// The byte that all secret bytes of this test are made of, and the word in all secret texts.
const SECRET_BYTE: u8 = 0xa7;
const SECRET_WORD: &str = "hunter2";

/// Fails if `shown` holds the secret as text, hexadecimal, base64 or a list of numbers.
fn assert_clean(shown: &str) {
    let lower = shown.to_lowercase();
    for trace in [SECRET_WORD, "a7a7", "a7, a7", "167, 167", "0xa7"] {
        assert!(!lower.contains(trace), "{trace} in: {shown}");
    }
    assert!(!shown.contains("p6en"), "base64 in: {shown}");
    assert!(
        !shown.contains(char::REPLACEMENT_CHARACTER),
        "bytes in: {shown}"
    );
}

fn assert_debug_clean(value: &impl Debug) {
    assert_clean(&format!("{value:?}"));
    assert_clean(&format!("{value:#?}"));
}

fn assert_error_clean(error: &impl std::error::Error) {
    assert_clean(&error.to_string());
    assert_debug_clean(&error);
    let mut source = error.source();
    while let Some(cause) = source {
        assert_clean(&cause.to_string());
        assert_debug_clean(&cause);
        source = cause.source();
    }
}

fn secret_context() -> EncryptionContext {
    EncryptionContext::new([("tenant", SECRET_WORD)]).unwrap()
}

#[derive(Debug)]
struct SecretRandom;

impl RandomSource for SecretRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        buffer.fill(SECRET_BYTE);
        Ok(())
    }
}

fn data_key() -> DataKey {
    DataKey::from_bytes(&[SECRET_BYTE; 32]).unwrap()
}

#[test]
fn every_secret_type() {
    let root_key = RootKey::from_bytes(&[SECRET_BYTE; 32]);
    assert_debug_clean(&root_key);
    assert_debug_clean(&data_key());
    assert_debug_clean(&FreshDataKey::assume_fresh(data_key()));
    assert_debug_clean(&SecretBytes::from(SECRET_WORD.as_bytes().to_vec()));
    assert_debug_clean(&secret_context());
    assert_debug_clean(&RngSource::new(SECRET_WORD));
    assert_debug_clean(&SystemRandom);
    let root_key = RootKey::from_bytes(&[SECRET_BYTE; 32]);
    let caching = CachingKeyring::new(SingleKeyring::software(&root_key));
    let envelope = Envelope::new(caching.clone());
    envelope.encrypt(b"", &secret_context()).unwrap();
    assert_debug_clean(&caching);
    assert_debug_clean(&envelope);

    let provider = SoftwareKeyProvider::new(&root_key).with_random_source(SecretRandom);
    assert_debug_clean(&provider);
    let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
    assert_debug_clean(&handle);
    let data_key_to_wrap = data_key();
    let request = WrapRequest::new(&handle, &data_key_to_wrap, b"binding");
    assert_debug_clean(&request);
    let wrapped = provider.wrap_key(request).unwrap();
    assert_debug_clean(&wrapped);
    assert_debug_clean(&GeneratedDataKey::new(
        FreshDataKey::assume_fresh(data_key()),
        wrapped,
    ));

    let keyring = SingleKeyring::software(&root_key);
    assert_debug_clean(&keyring);
    let context = secret_context();
    let request = EncryptionRequest::new(&context, Suite::default(), &SecretRandom);
    assert_debug_clean(&request);
    let materials = keyring.encryption_materials(request).unwrap();
    assert_debug_clean(&materials);
    let request = DecryptionRequest::new(&context, Suite::default(), materials.entries());
    assert_debug_clean(&request);
    assert_debug_clean(&keyring.decryption_materials(request).unwrap());

    let envelope = Envelope::new(keyring).with_random_source(SecretRandom);
    assert_debug_clean(&envelope);
    let message = envelope.encrypt(SECRET_WORD.as_bytes(), &context).unwrap();
    assert_debug_clean(&inspect(&message).unwrap());
    assert_clean(&inspect(&message).unwrap().to_string());
    assert_debug_clean(&format::Header::parse(&message).unwrap().0);
    let opened = envelope
        .decrypt_with(&message, MessageOptions::new(&context))
        .unwrap();
    assert_debug_clean(&opened);

    let headers = MemoryHeaderStore::new();
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let sealer = Sealer::new(envelope.clone(), context.clone(), headers.clone());
    let record = sealer.seal(SECRET_WORD.as_bytes(), b"aad").unwrap();
    let opener = Opener::new(envelope, context, headers.clone());
    opener.open(&record, b"aad").unwrap();
    assert_debug_clean(&sealer);
    assert_debug_clean(&opener);
    assert_debug_clean(&headers);

    let costs = PassphraseCosts {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    let (root_key, _record) = PassphraseRecord::create_with(SECRET_WORD, costs).unwrap();
    assert_debug_clean(&root_key);
}

#[test]
fn every_error_that_input_can_cause() {
    let context = secret_context();
    let root_key = RootKey::from_bytes(&[SECRET_BYTE; 32]);
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let message = envelope.encrypt(SECRET_WORD.as_bytes(), &context).unwrap();
    for position in 0..message.len() {
        let mut changed = message.clone();
        changed[position] ^= SECRET_BYTE;
        assert_error_clean(&envelope.decrypt(&changed, &context).unwrap_err());
        assert_error_clean(
            &envelope
                .decrypt(&message[..position], &context)
                .unwrap_err(),
        );
    }
    for text in [SECRET_WORD.repeat(5), SECRET_WORD.repeat(6) + "xx"] {
        assert_error_clean(&RootKey::from_text(text.as_bytes()).unwrap_err());
    }
    for length in [31, 32, 33, 43, 44, 64] {
        assert_error_clean(&RootKey::from_text(&vec![SECRET_BYTE; length]).unwrap_err());
    }
    assert_error_clean(&DataKey::from_bytes(&[SECRET_BYTE; 31]).unwrap_err());
    let long = SECRET_WORD.repeat(2000);
    assert_error_clean(&EncryptionContext::new([("key", long)]).unwrap_err());
    let twice = [("key", SECRET_WORD), ("key", SECRET_WORD)];
    assert_error_clean(&EncryptionContext::new(twice).unwrap_err());
}

/// One of each. A new variant does not compile until it is listed here.
#[test]
fn every_error_variant() {
    let random = || RandomError::new(io::Error::other("no entropy"));
    let limit = LimitExceeded {
        limit: Limit::Pad,
        size: 5000,
        max: 4096,
    };
    let field = "padding";
    let provider = || "software".to_owned();
    let path = || PathBuf::from("root.key");
    let name = || "waxseal-root".to_owned();
    let source = || io::Error::other("denied");

    let format_errors = [
        FormatError::NotAMessage,
        FormatError::UnsupportedVersion { version: 2 },
        FormatError::UnsupportedSuite { suite: 3 },
        FormatError::RecordHeader,
        FormatError::MessageHeader,
        FormatError::NotARecord,
        FormatError::Truncated { field },
        FormatError::Malformed {
            field,
            reason: "it holds a byte that is not zero",
        },
        FormatError::Limit(limit),
    ];
    let provider_errors = [
        ProviderError::Rejected,
        ProviderError::InvalidHandle { reason: "cut" },
        ProviderError::UnknownKey {
            provider: provider(),
        },
        ProviderError::OtherRootKey,
        ProviderError::KeyDestroyed,
        ProviderError::WrongSpec {
            spec: KeySpec::Ed25519,
            operation: "wrap data keys",
        },
        ProviderError::Signing(SigningMismatch::Digest {
            algorithm: SigningAlgorithm::Ed25519,
        }),
        ProviderError::InvalidKeyMaterial {
            spec: KeySpec::Rsa2048,
            reason: "it is empty",
        },
        ProviderError::Denied {
            provider: provider(),
            reason: "policy".to_owned(),
        },
        ProviderError::Unsupported {
            provider: provider(),
            operation: "sign",
        },
        ProviderError::Refused {
            provider: provider(),
            source: source().into(),
        },
        ProviderError::Unavailable {
            provider: provider(),
            source: source().into(),
        },
        ProviderError::Random(random()),
    ];
    let root_key_errors = [
        RootKeyError::File {
            path: path(),
            action: "read",
            source: source(),
        },
        RootKeyError::ReadableByOthers {
            path: path(),
            mode: 0o644,
        },
        RootKeyError::NoVariable { name: name() },
        RootKeyError::NoCredential { name: name() },
        RootKeyError::CredentialName { name: name() },
        RootKeyError::NotAKey {
            place: "the file root.key".to_owned(),
            source: KeyTextError::Hex,
        },
        RootKeyError::WrongPassphrase,
        RootKeyError::EmptyPassphrase,
        RootKeyError::Costs {
            reason: "passes must be 1 to 64",
        },
        RootKeyError::Random(random()),
    ];
    let entry_errors = [
        InvalidEntry::Limit(limit),
        InvalidEntry::WrappedLength { len: 47 },
        InvalidEntry::Duplicate,
    ];
    let key = KeyReference::named("service", b"key-1").unwrap();
    let header_id = HeaderId::from_bytes([0x80, 1, 2, 3]);
    let errors = [
        Error::Decrypt,
        Error::OtherKey {
            message_keys: vec![key],
        },
        Error::MissingContextKey {
            key: "tenant".to_owned(),
        },
        Error::BufferTooSmall { needed: 2, len: 1 },
        Error::NoWrappedKey,
        Error::OpensOnly,
        Error::RemovesEveryKey,
        Error::Random(random()),
        Error::Limit(limit),
        Error::UnknownHeader { id: header_id },
        Error::StoredHeader {
            id: header_id,
            source: FormatError::MessageHeader,
        },
        Error::HeaderStore(HeaderStoreError::new(source())),
    ];
    let all = errors
        .into_iter()
        .chain(format_errors.map(Error::Format))
        .chain(provider_errors.map(Error::Provider))
        .chain(entry_errors.map(Error::Entry));
    for error in all {
        assert_listed(&error);
        assert_error_clean(&error);
    }
    for error in root_key_errors {
        assert_root_key_error_listed(&error);
        assert_error_clean(&error);
    }
    for error in [
        ContextError::EmptyKey,
        ContextError::DuplicateKey {
            key: "tenant".to_owned(),
        },
        ContextError::TooManyPairs { count: 65 },
        ContextError::TooLong { len: 9000 },
    ] {
        match error {
            ContextError::EmptyKey
            | ContextError::DuplicateKey { .. }
            | ContextError::TooManyPairs { .. }
            | ContextError::TooLong { .. } => assert_error_clean(&error),
        }
    }
    for error in [
        InvalidReference::ProviderName,
        InvalidReference::NestedShare,
        InvalidReference::Reference { len: 256 },
        InvalidReference::CkaId { len: 256 },
    ] {
        match error {
            InvalidReference::ProviderName
            | InvalidReference::NestedShare
            | InvalidReference::Reference { .. }
            | InvalidReference::CkaId { .. } => assert_error_clean(&error),
        }
    }
}

fn assert_listed(error: &Error) {
    match error {
        Error::Decrypt
        | Error::OtherKey { .. }
        | Error::MissingContextKey { .. }
        | Error::BufferTooSmall { .. }
        | Error::NoWrappedKey
        | Error::OpensOnly
        | Error::NotOpened { .. }
        | Error::TooFewShares { .. }
        | Error::NotAnswered(_)
        | Error::RemovesEveryKey
        | Error::Random(_)
        | Error::Limit(_)
        | Error::UnknownHeader { .. }
        | Error::StoredHeader { .. }
        | Error::HeaderStore(_)
        | Error::Kms(_) => {}
        #[cfg(feature = "recipients")]
        Error::Recipient(_) => {}
        Error::Format(error) => match error {
            FormatError::NotAMessage
            | FormatError::UnsupportedVersion { .. }
            | FormatError::UnsupportedSuite { .. }
            | FormatError::RecordHeader
            | FormatError::MessageHeader
            | FormatError::NotARecord
            | FormatError::Truncated { .. }
            | FormatError::Malformed { .. }
            | FormatError::Limit(_) => {}
        },
        Error::Provider(error) => match error {
            ProviderError::Rejected
            | ProviderError::InvalidHandle { .. }
            | ProviderError::UnknownKey { .. }
            | ProviderError::OtherRootKey
            | ProviderError::KeyDestroyed
            | ProviderError::WrongSpec { .. }
            | ProviderError::Signing(_)
            | ProviderError::InvalidKeyMaterial { .. }
            | ProviderError::Denied { .. }
            | ProviderError::Unsupported { .. }
            | ProviderError::Refused { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::Random(_) => {}
        },
        Error::Entry(error) => match error {
            InvalidEntry::Limit(_)
            | InvalidEntry::WrappedLength { .. }
            | InvalidEntry::Reference(_)
            | InvalidEntry::Duplicate => {}
        },
    }
}

fn assert_root_key_error_listed(error: &RootKeyError) {
    match error {
        RootKeyError::File { .. }
        | RootKeyError::ReadableByOthers { .. }
        | RootKeyError::NoVariable { .. }
        | RootKeyError::NoCredential { .. }
        | RootKeyError::CredentialName { .. }
        | RootKeyError::NotAKey { .. }
        | RootKeyError::WrongPassphrase
        | RootKeyError::EmptyPassphrase
        | RootKeyError::Costs { .. }
        | RootKeyError::Random(_) => {}
    }
}

//! A KMS over a provider that wraps in its own way.

mod common;

#[path = "../examples/custom_provider.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod custom_provider;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::kms::{DAY, World};
use custom_provider::KeyService;
use waxseal::format::{Header, KeyEntriesBuf};
use waxseal::{
    Capabilities, CreateKey, CreateKeyRequest, DataKey, EncryptionContext, Envelope,
    EnvelopeEncryptor, Error, KeyDescription, KeyHandle, KeyProvider, KeyReference, KeySpec,
    KeyState, Kms, KmsError, KmsHandle, Mac, MacRequest, Mechanism, MessageOptions, ProviderError,
    RotationPolicy, SoftwareKeyProvider, UnwrapRequest, WaitingPeriod, WrapRequest, WrappedKey,
    inspect,
};

/// A KMS whose keys the service of the example makes. It wraps to 60 bytes.
fn kms(world: &World) -> KmsHandle {
    let builder = Kms::builder(world.store.clone()).provider(Arc::new(KeyService::default()));
    let kms = builder.clock(world.clock.clone()).open().unwrap();
    kms.as_principal("test")
}

fn tenant(name: &str) -> EncryptionContext {
    EncryptionContext::new([("tenant", name)]).unwrap()
}

#[test]
fn messages_name_the_version_and_that_its_provider_wraps_in_its_own_way() {
    let kms = kms(&World::new());
    let (key, context) = (kms.create_key(CreateKey::new()).unwrap(), tenant("acme"));
    let ciphertext = kms.encrypt(&key, b"value", &context).unwrap();
    let opened = kms.decrypt(&ciphertext.bytes, &context).unwrap();
    assert_eq!(*opened.plaintext, *b"value");

    let envelope = Envelope::new(kms.keyring(&key).unwrap());
    let message = envelope.encrypt(b"payload", &context).unwrap();
    assert_eq!(*envelope.decrypt(&message, &context).unwrap(), *b"payload");
    let refused = envelope.decrypt(&message, &tenant("other"));
    assert!(matches!(refused, Err(Error::Decrypt)), "{refused:?}");

    for message in [&ciphertext.bytes, &message] {
        let wrapped = &inspect(message).unwrap().wrapped_keys[0];
        assert_eq!((wrapped.tag, wrapped.wrapped_len), (4, 60));
        assert_eq!(wrapped.mechanism, Some(Mechanism::PROVIDER_DEFINED));
        assert_eq!(wrapped.key, key.id.to_string());
        assert_eq!(
            wrapped.to_string(),
            format!(
                "kms key {} version 1 mechanism 255 (as the provider wraps) (tag 4, 60 bytes)",
                key.id
            )
        );
    }
}

#[test]
fn a_buffer_of_the_longest_message_suffices() {
    let kms = kms(&World::new());
    let key = kms.create_key(CreateKey::new()).unwrap();
    let envelope = Envelope::new(kms.keyring(&key).unwrap());
    let context = EncryptionContext::empty();
    let mut out = vec![0; envelope.max_message_len(7)];
    let options = MessageOptions::new(&context);
    let len = envelope
        .encrypt_into(b"payload", options, &mut out)
        .unwrap();
    assert_eq!(
        *envelope.decrypt(&out[..len], &context).unwrap(),
        *b"payload"
    );
}

#[test]
fn an_entry_of_another_mechanism_names_no_key_of_the_kms() {
    let kms = kms(&World::new());
    let (key, context) = (kms.create_key(CreateKey::new()).unwrap(), tenant("acme"));
    let message = kms.encrypt(&key, b"value", &context).unwrap().bytes;
    let (header, _) = Header::parse(&message).unwrap();
    let entry = header.entries().iter().next().unwrap();
    let own = KeyReference::kms_token(key.id, key.primary, Mechanism::PROVIDER_DEFINED);
    assert!(entry.names(&own));

    let in_place_of_own = |reference: &KeyReference, wrapped: &[u8]| {
        let mut entries = KeyEntriesBuf::new();
        entries.push(reference, wrapped).unwrap();
        let old = header.entries().as_bytes();
        let at = message.windows(old.len()).position(|part| part == old);
        let (front, rest) = message.split_at(at.unwrap());
        let entries = entries.as_entries();
        [front, entries.as_bytes(), &rest[old.len()..]].concat()
    };
    let wrapped = entry.wrapped();
    let unchanged = in_place_of_own(&own, wrapped);
    assert_eq!(
        *kms.decrypt(&unchanged, &context).unwrap().plaintext,
        *b"value"
    );
    for number in [1, 16, 254] {
        let mechanism = Mechanism::new(number).unwrap();
        let other = KeyReference::kms_token(key.id, key.primary, mechanism);
        let error = kms.decrypt(&in_place_of_own(&other, wrapped), &context);
        assert!(matches!(error, Err(KmsError::OtherKey)), "{error:?}");
    }
    let software = KeyReference::kms(key.id, key.primary);
    let error = kms.decrypt(&in_place_of_own(&software, &wrapped[..48]), &context);
    assert!(matches!(error, Err(KmsError::OtherKey)), "{error:?}");
}

#[test]
fn versions_are_rotated_and_destroyed_in_the_provider() {
    let world = World::new();
    let kms = kms(&world);
    let request = CreateKey::new().with_rotation(RotationPolicy::every_days(90));
    let (key, context) = (kms.create_key(request).unwrap(), tenant("acme"));
    let first = kms.encrypt(&key, b"first", &context).unwrap();
    world.clock.advance(91 * DAY);
    kms.tick().unwrap();
    world.clock.advance(DAY);
    kms.tick().unwrap();
    let second = kms.encrypt(&key, b"second", &context).unwrap();
    assert_eq!((first.version.get(), second.version.get()), (1, 2));
    for (ciphertext, plaintext) in [(&first, "first"), (&second, "second")] {
        let opened = kms.decrypt(&ciphertext.bytes, &context).unwrap();
        assert_eq!(*opened.plaintext, *plaintext.as_bytes());
    }
    let body = world.body(key.id);
    for version in body["versions"].as_array().unwrap() {
        assert_eq!(version["mechanism"], 255, "{version}");
    }

    kms.schedule_deletion(&key, WaitingPeriod::days(7).unwrap())
        .unwrap();
    assert_eq!(
        kms.describe_key(&key).unwrap().state,
        KeyState::PendingDeletion
    );
    world.clock.advance(8 * DAY);
    kms.tick().unwrap();
    let error = kms.decrypt(&second.bytes, &context).unwrap_err();
    assert!(matches!(error, KmsError::Deleted { .. }), "{error}");
}

#[test]
fn a_key_of_software_is_named_as_before() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap();
    let message = kms.encrypt(&key, b"", &EncryptionContext::empty()).unwrap();
    assert_eq!(message.bytes.len(), 117);
    let wrapped = &inspect(&message.bytes).unwrap().wrapped_keys[0];
    assert_eq!((wrapped.tag, wrapped.mechanism), (2, None));
    assert_eq!(world.body(key.id)["versions"][0].get("mechanism"), None);
}

/// Makes MACs of as many bytes as it is told.
#[derive(Debug)]
struct OtherMacs(SoftwareKeyProvider, Arc<AtomicUsize>);

impl KeyProvider for OtherMacs {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        self.0.create_key(request)
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        self.0.destroy_key(handle)
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        self.0.describe_key(handle)
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        self.0.wrap_key(request)
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        self.0.unwrap_key(request)
    }

    fn generate_mac(&self, _request: MacRequest<'_>) -> Result<Mac, ProviderError> {
        Ok(Mac::from_bytes(&vec![7; self.1.load(Ordering::SeqCst)]))
    }
}

#[test]
fn a_mac_of_another_length_is_none() {
    let len = Arc::new(AtomicUsize::new(32));
    let provider = OtherMacs(SoftwareKeyProvider::generate().unwrap(), Arc::clone(&len));
    let world = World::new();
    let kms = Kms::open(world.store.clone(), provider).unwrap();
    let kms = kms.as_principal("test");
    let key = kms
        .create_key(CreateKey::new().with_spec(KeySpec::Hmac256))
        .unwrap();
    assert_eq!(kms.generate_mac(&key, b"").unwrap().as_bytes(), [7; 32]);
    for wrong in [0, 1, 31, 33, 64] {
        len.store(wrong, Ordering::SeqCst);
        let made = kms.generate_mac(&key, b"").map(drop);
        let verified = kms.verify_mac(&key, b"", &vec![7; wrong]);
        for refused in [made, verified] {
            let is_outage = matches!(
                refused,
                Err(KmsError::Provider(ProviderError::Unavailable { .. }))
            );
            assert!(is_outage, "{wrong}: {refused:?}");
        }
    }
}

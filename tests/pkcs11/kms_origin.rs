//! Tokens as the origin of a KMS's keys, and as the keeper of its root key.

use std::time::Duration;

use waxseal::pkcs11::{PinSource, Pkcs11Config, Pkcs11KeyProvider, TokenKeyInfo};
use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, Error, KeyProvider, KeySpec,
    KeyState, Kms, KmsError, KmsHandle, ManualClock, Mechanism, MemoryKeyStore, MessageInput,
    ProviderError, SealedRootKey, SigningAlgorithm, SoftwareKeyProvider, WaitingPeriod, inspect,
};

use crate::keys::open;
use crate::tokens::{FULL, KEY_WRAP_ONLY, PIN, SOFTHSM, token_tests};

const DAY: Duration = Duration::from_secs(86_400);

struct World {
    clock: ManualClock,
    store: MemoryKeyStore,
    provider: Pkcs11KeyProvider,
}

impl World {
    fn new(provider: Pkcs11KeyProvider) -> Self {
        Self {
            clock: ManualClock::default(),
            store: MemoryKeyStore::new(),
            provider,
        }
    }

    fn kms(&self) -> KmsHandle {
        let builder = Kms::builder(self.store.clone()).provider(self.provider.clone());
        let kms = builder.clock(self.clock.clone()).open().unwrap();
        kms.as_principal("test")
    }

    fn keys_in_token(&self) -> Vec<TokenKeyInfo> {
        self.provider.list_keys().unwrap()
    }
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

token_tests! {
    fn each_version_is_a_key_in_the_token_until_it_is_destroyed(tokens) {
        let world = World::new(open(&tokens.softhsm(), SOFTHSM));
        let kms = world.kms();
        assert_eq!(world.keys_in_token().len(), 1, "the store's own");
        let key = kms.create_key(CreateKey::new()).unwrap();
        let first = kms.encrypt(&key, b"first", &context()).unwrap();
        kms.rotate_now(&key).unwrap();
        let second = kms.encrypt(&key, b"second", &context()).unwrap();
        assert_eq!((first.version.get(), second.version.get()), (1, 2));
        let in_token = world.keys_in_token();
        assert_eq!(in_token.len(), 3);
        for key in &in_token {
            assert_eq!((key.extractable, key.sensitive), (Some(false), Some(true)), "{key}");
        }
        let wrapped = &inspect(&second.bytes).unwrap().wrapped_keys[0];
        assert_eq!((wrapped.tag, wrapped.wrapped_len), (4, 60));
        assert_eq!(wrapped.mechanism, Some(Mechanism::GCM_CALLER_IV));

        let anew = world.kms();
        for (ciphertext, plaintext) in [(&first, "first"), (&second, "second")] {
            let opened = anew.decrypt(&ciphertext.bytes, &context()).unwrap();
            assert_eq!(*opened.plaintext, *plaintext.as_bytes());
            let other = anew.decrypt(&ciphertext.bytes, &EncryptionContext::empty()).unwrap_err();
            assert!(matches!(&other, KmsError::Message(error) if matches!(**error, Error::Decrypt)), "{other}");
        }
        kms.schedule_deletion(&key, WaitingPeriod::days(7).unwrap()).unwrap();
        world.clock.advance(8 * DAY);
        kms.tick().unwrap();
        assert_eq!(world.keys_in_token().len(), 1);
        let error = kms.decrypt(&first.bytes, &context()).unwrap_err();
        assert!(matches!(error, KmsError::Deleted { .. }), "{error}");
    }

    fn envelopes_over_keys_of_every_token(tokens) {
        let (softhsm, kryoptic) = (tokens.softhsm(), tokens.kryoptic());
        for (module, label) in [(&softhsm, SOFTHSM), (&kryoptic, FULL), (&kryoptic, KEY_WRAP_ONLY)] {
            let world = World::new(open(module, label));
            let kms = world.kms();
            let key = kms.create_key(CreateKey::new()).unwrap();
            let envelope = Envelope::new(kms.keyring(&key).unwrap());
            let message = envelope.encrypt(b"payload", &context()).unwrap();
            assert!(message.len() <= envelope.max_message_len(7), "{label}");
            assert_eq!(*envelope.decrypt(&message, &context()).unwrap(), *b"payload", "{label}");
            let refused = envelope.decrypt(&message, &EncryptionContext::empty());
            assert!(matches!(refused, Err(Error::Decrypt)), "{label}: {refused:?}");
        }
    }

    fn signing_and_mac_keys_of_a_kms_live_in_the_token(tokens) {
        let world = World::new(open(&tokens.softhsm(), SOFTHSM));
        let kms = world.kms();
        for (spec, algorithm) in [
            (KeySpec::EcdsaP256, SigningAlgorithm::EcdsaSha256),
            (KeySpec::EcdsaP384, SigningAlgorithm::EcdsaSha384),
            (KeySpec::Ed25519, SigningAlgorithm::Ed25519),
            (KeySpec::Rsa2048, SigningAlgorithm::RsaPssSha256),
            (KeySpec::Rsa2048, SigningAlgorithm::RsaPkcs1Sha512),
        ] {
            let key = kms.create_key(CreateKey::new().with_spec(spec)).unwrap();
            let message = MessageInput::Raw(b"message");
            let signed = kms.sign(&key, algorithm, message).unwrap();
            kms.verify(&key, algorithm, message, signed.as_bytes()).unwrap();
        }
        let key = kms.create_key(CreateKey::new().with_spec(KeySpec::Hmac384)).unwrap();
        let mac = kms.generate_mac(&key, b"message").unwrap();
        kms.verify_mac(&key, b"message", mac.as_bytes()).unwrap();
    }

    fn a_key_whose_token_is_away_is_unavailable_until_it_is_back(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let world = World::new(open(&shim.path, SOFTHSM));
        let kms = world.kms();
        let key = kms.create_key(CreateKey::new()).unwrap();
        let message = kms.encrypt(&key, b"value", &context()).unwrap();
        assert_eq!(kms.describe_key(&key).unwrap().state, KeyState::Enabled);

        shim.obey(&["fail * 0x32"]);
        std::thread::sleep(Duration::from_millis(1_100));
        assert_eq!(kms.describe_key(&key).unwrap().state, KeyState::Unavailable);
        for refused in [
            kms.encrypt(&key, b"value", &context()).map(drop),
            kms.decrypt(&message.bytes, &context()).map(drop),
            kms.rotate_now(&key).map(drop),
        ] {
            let error = refused.unwrap_err();
            assert!(error.is_retryable(), "{error:?}");
            assert!(matches!(error, KmsError::Provider(ProviderError::Unavailable { .. })), "{error:?}");
            assert!(error.to_string().contains("the pkcs11 provider is unavailable"), "{error}");
        }
        kms.disable_key(&key).unwrap();
        kms.enable_key(&key).unwrap();

        shim.obey(&[]);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let opened = loop {
            match kms.decrypt(&message.bytes, &context()) {
                Ok(opened) => break opened,
                Err(error) if std::time::Instant::now() < deadline => {
                    assert!(error.is_retryable(), "{error:?}");
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => panic!("{error:?}"),
            }
        };
        assert_eq!(*opened.plaintext, *b"value");
        std::thread::sleep(Duration::from_millis(1_100));
        assert_eq!(kms.describe_key(&key).unwrap().state, KeyState::Enabled);
    }

    fn a_kms_starts_while_a_token_is_away(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &["fail C_OpenSession 0xe0"]);
        let config = Pkcs11Config::new(&shim.path)
            .with_token_label(SOFTHSM)
            .with_pin(PinSource::callback(|_| Ok(PIN.as_bytes().to_vec().into())));
        Pkcs11KeyProvider::open(config.clone()).unwrap_err();
        let hsm = Pkcs11KeyProvider::open_later(config).unwrap().with_name("hsm");
        let kms = Kms::builder(MemoryKeyStore::new())
            .provider(SoftwareKeyProvider::generate().unwrap())
            .provider(hsm)
            .open()
            .unwrap()
            .as_principal("test");
        kms.create_key(CreateKey::new()).unwrap();
        let in_hsm = || kms.create_key(CreateKey::new().with_provider("hsm"));
        let error = in_hsm().unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("hsm"), "{error:?}");
        shim.obey(&[]);
        let key = in_hsm().unwrap();
        assert_eq!((key.provider.as_str(), key.state), ("hsm", KeyState::Enabled));
    }

    fn a_root_key_is_kept_by_the_token(tokens) {
        let hsm = open(&tokens.softhsm(), SOFTHSM);
        let (root_key, sealed) = SealedRootKey::create(&hsm).unwrap();
        let store = MemoryKeyStore::new();
        let kms = |root_key| {
            let provider = SoftwareKeyProvider::new(root_key);
            let builder = Kms::builder(store.clone()).provider(provider);
            builder.open().unwrap().as_principal("test")
        };
        let first = kms(&root_key);
        let key = first.create_key(CreateKey::new()).unwrap();
        let message = first.encrypt(&key, b"value", &context()).unwrap();
        drop(first);

        let read = SealedRootKey::from_bytes(&sealed.to_bytes()).unwrap();
        let again = kms(&read.open(&hsm).unwrap());
        assert_eq!(*again.decrypt(&message.bytes, &context()).unwrap().plaintext, *b"value");

        hsm.destroy_key(sealed.handle()).unwrap();
        let error = read.open(&hsm).unwrap_err();
        assert!(matches!(error, ProviderError::UnknownKey { .. }), "{error:?}");
    }
}

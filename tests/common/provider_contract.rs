//! The contract of `KeyProvider`, as its documentation states it, against any provider.

use waxseal::{
    Capabilities, CreateKeyRequest, DataKey, EncryptionContext, Envelope, EnvelopeEncryptor, Error,
    GenerateDataKeyRequest, ImportKeyRequest, KeyHandle, KeyMaterial, KeyProvider, KeySpec,
    MacRequest, MessageInput, ProviderError, SecretBytes, SignRequest, SigningAlgorithm,
    SingleKeyring, UnwrapRequest, WrapRequest, WrappedKey,
};

const BINDING: &[u8] = b"what this wrapped key is bound to";

/// Checks the contract against `provider`, which makes as many keys as it is asked for.
pub fn check<P: KeyProvider + Clone + 'static>(provider: &P) {
    wraps_and_unwraps(provider);
    binds_what_it_is_told_to(provider);
    refuses_changed_wrapped_keys(provider);
    refuses_foreign_handles(provider);
    keeps_keys_apart(provider);
    destroys(provider);
    generates_as_its_capabilities_say(provider);
    creates_as_its_capabilities_say(provider);
    imports_as_its_capabilities_say(provider);
    keeps_purposes_apart(provider);
    seals_and_opens(provider);
}

fn new_key(provider: &impl KeyProvider) -> KeyHandle {
    provider.create_key(CreateKeyRequest::default()).unwrap()
}

fn data_key() -> DataKey {
    DataKey::from_bytes(&[0x42; 32]).unwrap()
}

fn wrap(provider: &impl KeyProvider, handle: &KeyHandle) -> WrappedKey {
    let data_key = data_key();
    provider
        .wrap_key(WrapRequest::new(handle, &data_key, BINDING))
        .unwrap()
}

fn unwrap(
    provider: &impl KeyProvider,
    handle: &KeyHandle,
    wrapped: &[u8],
) -> Result<DataKey, ProviderError> {
    provider.unwrap_key(UnwrapRequest::new(handle, wrapped, BINDING))
}

fn wraps_and_unwraps(provider: &impl KeyProvider) {
    let handle = new_key(provider);
    let stored = KeyHandle::from_bytes(handle.as_bytes());
    let wrapped = wrap(provider, &handle);
    let description = provider.describe_key(&handle).unwrap();
    assert!(wrapped.as_bytes().len() <= description.wrapped_len);
    assert_eq!(
        unwrap(provider, &stored, wrapped.as_bytes()).unwrap(),
        data_key()
    );
    let in_clear = wrapped
        .as_bytes()
        .windows(8)
        .any(|window| window == [0x42; 8]);
    assert!(!in_clear, "the wrapped key shows the data key");
}

fn binds_what_it_is_told_to(provider: &impl KeyProvider) {
    let handle = new_key(provider);
    let wrapped = wrap(provider, &handle);
    let longer = [BINDING, b"\0"].concat();
    for binding in [b"".as_slice(), &BINDING[1..], &longer] {
        let request = UnwrapRequest::new(&handle, wrapped.as_bytes(), binding);
        let refused = provider.unwrap_key(request);
        assert!(
            matches!(refused, Err(ProviderError::Rejected)),
            "{refused:?}"
        );
    }
}

fn refuses_changed_wrapped_keys(provider: &impl KeyProvider) {
    let handle = new_key(provider);
    let wrapped = wrap(provider, &handle);
    let wrapped = wrapped.as_bytes();
    // Every bit, or of long ones one bit of each byte: each try may cost an operation with RSA.
    let step = if wrapped.len() > 128 { 9 } else { 1 };
    let flipped = (0..wrapped.len() * 8).step_by(step).map(|bit| {
        let mut changed = wrapped.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let cut = (0..wrapped.len()).map(|len| wrapped[..len].to_vec());
    let longer = [
        [wrapped, &[0]].concat(),
        [&[0], wrapped].concat(),
        vec![0; 20_000],
    ];
    for changed in flipped.chain(cut).chain(longer) {
        let refused = unwrap(provider, &handle, &changed);
        assert!(
            matches!(refused, Err(ProviderError::Rejected)),
            "{refused:?}"
        );
    }
}

fn refuses_foreign_handles(provider: &impl KeyProvider) {
    let handle = new_key(provider);
    let wrapped = wrap(provider, &handle);
    let bytes = handle.as_bytes();
    let flipped = (0..bytes.len()).map(|position| {
        let mut changed = bytes.to_vec();
        changed[position] ^= 0x20;
        changed
    });
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    for foreign in flipped
        .chain(cut)
        .chain([[bytes, b"x"].concat(), vec![0; 100_000]])
    {
        let foreign = KeyHandle::from_bytes(foreign);
        let data_key = data_key();
        assert!(provider.describe_key(&foreign).is_err());
        assert!(
            provider
                .wrap_key(WrapRequest::new(&foreign, &data_key, BINDING))
                .is_err()
        );
        assert!(unwrap(provider, &foreign, wrapped.as_bytes()).is_err());
        assert!(provider.destroy_key(&foreign).is_err());
    }
    assert!(unwrap(provider, &handle, wrapped.as_bytes()).is_ok());
}

fn keeps_keys_apart(provider: &impl KeyProvider) {
    let (a, b) = (new_key(provider), new_key(provider));
    assert_ne!(a, b);
    let reference = |handle| provider.describe_key(handle).unwrap().reference;
    assert_ne!(reference(&a), reference(&b));
    assert_eq!(reference(&a), reference(&a));
    let refused = unwrap(provider, &b, wrap(provider, &a).as_bytes());
    assert!(matches!(refused, Err(ProviderError::Rejected)));
}

fn destroys(provider: &(impl KeyProvider + Clone)) {
    let (kept, destroyed) = (new_key(provider), new_key(provider));
    let wrapped = wrap(provider, &destroyed);
    provider.destroy_key(&destroyed).unwrap();
    for provider in [provider.clone(), provider.clone()] {
        let data_key = data_key();
        let is_gone = |error| {
            matches!(
                error,
                ProviderError::KeyDestroyed | ProviderError::UnknownKey { .. }
            )
        };
        assert!(is_gone(
            unwrap(&provider, &destroyed, wrapped.as_bytes()).unwrap_err()
        ));
        let request = WrapRequest::new(&destroyed, &data_key, BINDING);
        assert!(is_gone(provider.wrap_key(request).unwrap_err()));
        assert!(is_gone(provider.describe_key(&destroyed).unwrap_err()));
        assert!(is_gone(provider.destroy_key(&destroyed).unwrap_err()));
        wrap(&provider, &kept);
    }
}

fn generates_as_its_capabilities_say(provider: &impl KeyProvider) {
    let handle = new_key(provider);
    let Capabilities {
        generates_data_keys,
        ..
    } = provider.capabilities();
    let request = GenerateDataKeyRequest::new(&handle, BINDING);
    match provider.generate_data_key(request) {
        Ok(generated) => {
            assert!(generates_data_keys);
            let unwrapped = unwrap(provider, &handle, generated.wrapped.as_bytes()).unwrap();
            assert_eq!(unwrapped, *generated.data_key.as_data_key());
            let next = provider.generate_data_key(request).unwrap();
            assert_ne!(next.data_key, generated.data_key);
        }
        Err(error) => {
            assert!(!generates_data_keys);
            assert!(matches!(error, ProviderError::Unsupported { .. }));
        }
    }
}

fn creates_as_its_capabilities_say(provider: &impl KeyProvider) {
    let creates = provider.capabilities().creates;
    for &spec in KeySpec::ALL {
        match provider.create_key(CreateKeyRequest::new(spec)) {
            Ok(handle) => {
                assert!(creates.contains(spec), "{spec}");
                does_what_its_spec_says(provider, &handle, spec);
                provider.destroy_key(&handle).unwrap();
            }
            Err(ProviderError::Unsupported { .. }) => assert!(!creates.contains(spec), "{spec}"),
            Err(other) => panic!("{spec}: {other}"),
        }
    }
}

fn imports_as_its_capabilities_say(provider: &impl KeyProvider) {
    let imports = provider.capabilities().imports;
    for &spec in KeySpec::ALL {
        let material = SecretBytes::from(Vec::new());
        let refused = provider.import_key(ImportKeyRequest::new(spec, &material));
        let error = refused.unwrap_err();
        if imports.contains(spec) {
            assert!(
                matches!(error, ProviderError::InvalidKeyMaterial { .. }),
                "{spec}: {error}"
            );
        } else {
            assert!(
                matches!(error, ProviderError::Unsupported { .. }),
                "{spec}: {error}"
            );
        }
    }
    for (spec, len) in [
        (KeySpec::Wrapping256, 32),
        (KeySpec::Hmac256, 32),
        (KeySpec::Hmac384, 48),
        (KeySpec::Hmac512, 64),
        (KeySpec::Hmac512, 128),
    ] {
        if !imports.contains(spec) {
            continue;
        }
        let material = SecretBytes::from(vec![0x42; len]);
        let request = ImportKeyRequest::new(spec, &material).with_binding(BINDING);
        let handle = provider.import_key(request).unwrap();
        assert_eq!(handle.binding(), BINDING);
        does_what_its_spec_says(provider, &handle, spec);
        let twin = provider.import_key(request).unwrap();
        let reference = |handle| provider.describe_key(handle).unwrap().reference;
        assert_ne!(reference(&handle), reference(&twin));
    }
}

fn does_what_its_spec_says(provider: &impl KeyProvider, handle: &KeyHandle, spec: KeySpec) {
    assert_eq!(provider.describe_key(handle).unwrap().spec, spec);
    let is_wrong_spec = |error| {
        matches!(
            error,
            ProviderError::WrongSpec { .. } | ProviderError::Unsupported { .. }
        )
    };
    let data_key = data_key();
    match provider.wrap_key(WrapRequest::new(handle, &data_key, BINDING)) {
        Ok(_) => assert!(spec.wraps()),
        Err(error) => assert!(!spec.wraps() && is_wrong_spec(error)),
    }
    match (
        provider.generate_mac(MacRequest::new(handle, b"message")),
        spec.mac_algorithm(),
    ) {
        (Ok(mac), Some(algorithm)) => {
            assert_eq!(mac.as_bytes().len(), algorithm.mac_len());
            let again = provider.generate_mac(MacRequest::new(handle, b"message"));
            assert_eq!(mac, again.unwrap());
            let other = provider.generate_mac(MacRequest::new(handle, b"other message"));
            assert_ne!(mac, other.unwrap());
        }
        (Err(error), None) => assert!(is_wrong_spec(error)),
        (answer, _) => panic!("{spec}: {answer:?}"),
    }
    let message = MessageInput::Raw(b"message");
    match provider.public_key(handle) {
        Ok(public_key) => {
            assert_eq!(public_key.spec(), spec);
            for &algorithm in spec.signing_algorithms() {
                let request = SignRequest::new(handle, algorithm, message);
                let signature = provider.sign(request).unwrap();
                let verified = public_key.verify(algorithm, message, signature.as_bytes());
                assert_eq!(verified, Ok(()), "{algorithm}");
            }
        }
        Err(error) => {
            assert!(!spec.has_public_key() && is_wrong_spec(error));
            for &algorithm in SigningAlgorithm::ALL {
                let request = SignRequest::new(handle, algorithm, message);
                assert!(is_wrong_spec(provider.sign(request).unwrap_err()));
            }
        }
    }
}

fn keeps_purposes_apart(provider: &impl KeyProvider) {
    let request = CreateKeyRequest::default().with_binding(BINDING);
    let handle = provider.create_key(request).unwrap();
    assert_eq!(handle.binding(), BINDING);
    let stored = KeyHandle::from_bytes(handle.as_bytes());
    let wrapped = wrap(provider, &handle);
    let bound = stored.clone().with_binding(BINDING);
    unwrap(provider, &bound, wrapped.as_bytes()).unwrap();
    if provider.capabilities().key_material != KeyMaterial::InHandle {
        return;
    }
    let other = stored.clone().with_binding(&BINDING[1..]);
    for other in [stored, other] {
        let is_refused = |error| matches!(error, ProviderError::InvalidHandle { .. });
        let data_key = data_key();
        let wrapping = provider.wrap_key(WrapRequest::new(&other, &data_key, BINDING));
        assert!(is_refused(wrapping.unwrap_err()));
        assert!(is_refused(
            unwrap(provider, &other, wrapped.as_bytes()).unwrap_err()
        ));
        assert!(is_refused(provider.describe_key(&other).unwrap_err()));
        assert!(is_refused(provider.destroy_key(&other).unwrap_err()));
    }
    unwrap(provider, &bound, wrapped.as_bytes()).unwrap();
}

fn seals_and_opens<P: KeyProvider + Clone + 'static>(provider: &P) {
    let keyring = |handle| SingleKeyring::new(provider.clone(), handle).unwrap();
    let handle = new_key(provider);
    let envelope = Envelope::new(keyring(handle.clone()));
    let other = Envelope::new(keyring(new_key(provider)));
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    let message = envelope.encrypt(b"payload", &context).unwrap();
    assert!(message.len() <= envelope.max_message_len(7));
    assert_eq!(*envelope.decrypt(&message, &context).unwrap(), *b"payload");
    let refused = envelope.decrypt(&message, &EncryptionContext::empty());
    assert!(matches!(refused, Err(Error::Decrypt)));
    let refused = other.decrypt(&message, &context);
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    provider.destroy_key(&handle).unwrap();
    let refused = envelope.decrypt(&message, &context).unwrap_err();
    assert!(matches!(refused, Error::Provider(_)) && !refused.is_retryable());
}

//! Keys of tokens: made, used, adopted, listed and destroyed, by each mechanism.

use waxseal::pkcs11::{
    AdoptKey, PinSource, Pkcs11Config, Pkcs11KeyProvider, TokenKeyKind, TokenWrapping,
};
use waxseal::{
    CreateKeyRequest, DataKey, GenerateDataKeyRequest, KeyProvider, KeyReference, KeySpec,
    Mechanism, ProviderError, UnwrapRequest, WrapRequest,
};

use crate::raw::{self, Use};
use crate::tokens::{FULL, KEY_WRAP_ONLY, MAC_ONLY, OAEP_ONLY, PIN, SOFTHSM, token_tests};

pub fn open(module: &std::path::Path, label: &str) -> Pkcs11KeyProvider {
    let config = Pkcs11Config::new(module)
        .with_token_label(label)
        .with_pin(PinSource::callback(|_| Ok(PIN.as_bytes().to_vec().into())));
    Pkcs11KeyProvider::open(config).unwrap()
}

const BINDING: &[u8] = &[0x11; 80];

fn data_key() -> DataKey {
    DataKey::from_bytes(&[0x22; 32]).unwrap()
}

token_tests! {
    fn the_first_mechanism_that_a_token_has_is_chosen(tokens) {
        let softhsm = open(&tokens.softhsm(), SOFTHSM);
        assert_eq!(softhsm.mechanism().unwrap(), Mechanism::GCM_CALLER_IV);
        let module = tokens.kryoptic();
        for (label, mechanism) in [
            (FULL, Mechanism::GCM_CALLER_IV),
            (KEY_WRAP_ONLY, Mechanism::AES_KEY_WRAP),
            (OAEP_ONLY, Mechanism::RSA_OAEP_SHA256),
        ] {
            assert_eq!(open(&module, label).mechanism().unwrap(), mechanism, "{label}");
        }
        let error = open(&module, MAC_ONLY).mechanism().unwrap_err();
        assert!(matches!(error, ProviderError::Refused { .. }), "{error:?}");
    }

    fn each_mechanism_of_each_token_wraps(tokens) {
        let (softhsm, kryoptic) = (tokens.softhsm(), tokens.kryoptic());
        for (module, label, mechanism, len) in [
            (&softhsm, SOFTHSM, Mechanism::GCM_CALLER_IV, 60),
            (&softhsm, SOFTHSM, Mechanism::AES_KEY_WRAP, 72),
            (&softhsm, SOFTHSM, Mechanism::RSA_OAEP_SHA1, 384),
            (&softhsm, SOFTHSM, Mechanism::CBC_HMAC_SHA256, 128),
            (&kryoptic, FULL, Mechanism::GCM_CALLER_IV, 60),
            (&kryoptic, FULL, Mechanism::AES_KEY_WRAP, 72),
            (&kryoptic, FULL, Mechanism::RSA_OAEP_SHA1, 384),
            (&kryoptic, FULL, Mechanism::RSA_OAEP_SHA256, 384),
            (&kryoptic, FULL, Mechanism::RSA_OAEP_SHA384, 384),
            (&kryoptic, FULL, Mechanism::RSA_OAEP_SHA512, 384),
            (&kryoptic, FULL, Mechanism::CBC_HMAC_SHA256, 128),
            (&kryoptic, KEY_WRAP_ONLY, Mechanism::AES_KEY_WRAP, 72),
            (&kryoptic, OAEP_ONLY, Mechanism::RSA_OAEP_SHA256, 384),
            (&kryoptic, MAC_ONLY, Mechanism::CBC_HMAC_SHA256, 128),
        ] {
            let name = format!("{label} {mechanism}");
            let wrapping = TokenWrapping::default().with_mechanism(mechanism);
            let provider = open(module, label).with_wrapping(wrapping);
            let request = CreateKeyRequest::default().with_binding(b"purpose");
            let handle = provider.create_key(request).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            let description = provider.describe_key(&handle).unwrap();
            assert_eq!(description.mechanism, Some(mechanism), "{name}");
            let data_key = data_key();
            let wrapped = provider.wrap_key(WrapRequest::new(&handle, &data_key, BINDING)).unwrap();
            assert_eq!(wrapped.as_bytes().len(), len, "{name}");
            assert!(description.wrapped_len >= len, "{name}");
            let unwrap = |bytes: &[u8], binding| {
                provider.unwrap_key(UnwrapRequest::new(&handle, bytes, binding))
            };
            assert_eq!(unwrap(wrapped.as_bytes(), BINDING).unwrap(), data_key, "{name}");
            let other = unwrap(wrapped.as_bytes(), &BINDING[1..]);
            assert!(matches!(other, Err(ProviderError::Rejected)), "{name}: {other:?}");
            for place in 0..wrapped.as_bytes().len() {
                let mut changed = wrapped.as_bytes().to_vec();
                changed[place] ^= 0x40;
                let refused = unwrap(&changed, BINDING);
                assert!(matches!(refused, Err(ProviderError::Rejected)), "{name}: {refused:?}");
            }
            for len in (0..wrapped.as_bytes().len()).step_by(4) {
                let refused = unwrap(&wrapped.as_bytes()[..len], BINDING);
                assert!(matches!(refused, Err(ProviderError::Rejected)), "{name}: {refused:?}");
            }
            provider.destroy_key(&handle).unwrap();
            let gone = unwrap(wrapped.as_bytes(), BINDING);
            assert!(matches!(gone, Err(ProviderError::UnknownKey { .. })), "{name}: {gone:?}");
            assert_eq!(provider.list_keys().unwrap(), [], "{name}");
        }
    }
}

token_tests! {
    fn keys_that_are_there_are_adopted_if_they_do_what_they_should(tokens) {
        let module = tokens.softhsm();
        let provider = open(&module, SOFTHSM);
        let session = raw::session(&raw::module(&module), SOFTHSM);
        raw::put_aes_key(&session, b"encrypts", &[0x33; 32], Use::Encrypts);
        let adopt = AdoptKey::by_id(*b"encrypts").with_binding(b"purpose");
        let handle = provider.adopt(&adopt).unwrap();
        assert_eq!(handle.binding(), b"purpose");
        assert_eq!(provider.adopt(&AdoptKey::by_label("known to the tests")).unwrap().binding(), b"");
        let described = provider.describe_key(&handle).unwrap();
        let named = KeyReference::pkcs11(b"encrypts", Mechanism::GCM_CALLER_IV).unwrap();
        assert_eq!(described.reference, named);
        let listed = provider.list_keys().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].kind, &listed[0].id[..]), (TokenKeyKind::Secret, &b"encrypts"[..]));
        assert_eq!(listed[0].algorithm, "AES");

        let data_key = data_key();
        let wrapped = provider.wrap_key(WrapRequest::new(&handle, &data_key, BINDING)).unwrap();
        for elsewhere in [open(&module, SOFTHSM), provider.clone()] {
            let handle = elsewhere.adopt(&adopt).unwrap();
            let request = UnwrapRequest::new(&handle, wrapped.as_bytes(), BINDING);
            assert_eq!(elsewhere.unwrap_key(request).unwrap(), data_key);
        }

        let refused = |adopt: AdoptKey| provider.adopt(&adopt).unwrap_err();
        for (own, other) in [
            (Mechanism::GCM_CALLER_IV, Mechanism::AES_KEY_WRAP),
            (Mechanism::AES_KEY_WRAP, Mechanism::GCM_CALLER_IV),
        ] {
            let wrapping = TokenWrapping::default().with_mechanism(own);
            let maker = provider.clone().with_wrapping(wrapping).with_key_label(own.to_string());
            maker.create_key(CreateKeyRequest::default()).unwrap();
            let error = refused(AdoptKey::by_label(own.to_string()).with_mechanism(other));
            assert!(matches!(error, ProviderError::Refused { .. }), "{own}: {error:?}");
        }
        for unknown in [AdoptKey::by_id(*b"nobody's"), AdoptKey::by_label("nobody's")] {
            let error = refused(unknown);
            assert!(matches!(error, ProviderError::UnknownKey { .. }), "{error:?}");
        }
        let error = refused(AdoptKey::by_id(*b"encrypts").with_spec(KeySpec::EcdsaP256));
        assert!(matches!(error, ProviderError::UnknownKey { .. }), "{error:?}");
    }

    fn data_keys_are_mixed_with_random_bytes_of_the_token_by_choice(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let plain = open(&shim.path, SOFTHSM);
        let handle = plain.create_key(CreateKeyRequest::default()).unwrap();
        let request = GenerateDataKeyRequest::new(&handle, BINDING);
        let refused = plain.generate_data_key(request);
        assert!(matches!(refused, Err(ProviderError::Unsupported { .. })));
        let before = shim.count("C_GenerateRandom");
        let mixing = plain.with_token_randomness();
        assert!(mixing.capabilities().generates_data_keys);
        let [first, second] = [(); 2].map(|()| mixing.generate_data_key(request).unwrap());
        assert_eq!(shim.count("C_GenerateRandom"), before + 2);
        assert_ne!(first.data_key, second.data_key);
        let request = UnwrapRequest::new(&handle, first.wrapped.as_bytes(), BINDING);
        assert_eq!(mixing.unwrap_key(request).unwrap(), *first.data_key.as_data_key());
    }

    fn a_token_that_makes_ivs_in_another_way_than_configured_is_not_used(tokens) {
        let softhsm = tokens.softhsm();
        for (rules, mechanism, said) in [
            ("iv zero", Mechanism::GCM_RETURNED_IV, "an IV of zeros"),
            ("iv caller", Mechanism::GCM_RETURNED_IV, "an IV of zeros"),
            ("length C_Encrypt -5", Mechanism::GCM_CALLER_IV, "a wrong length"),
        ] {
            let shim = tokens.shim(&softhsm, &[rules]);
            let wrapping = TokenWrapping::default().with_mechanism(mechanism);
            let provider = open(&shim.path, SOFTHSM).with_wrapping(wrapping);
            let error = provider.create_key(CreateKeyRequest::default()).unwrap_err();
            let ProviderError::Refused { source, .. } = &error else {
                panic!("{rules}: {error:?}");
            };
            assert!(source.to_string().contains(said), "{rules}: {source}");
            assert_eq!(provider.list_keys().unwrap(), [], "{rules}");
        }
    }
}

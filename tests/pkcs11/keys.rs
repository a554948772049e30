//! Keys of tokens: made, used, adopted, listed and destroyed, by each mechanism.

use waxseal::pkcs11::{
    AdoptKey, PinSource, Pkcs11Config, Pkcs11KeyProvider, TokenKeyKind, TokenWrapping, Vendor,
};
use waxseal::{
    Capabilities, CreateKeyRequest, DataKey, GenerateDataKeyRequest, KeyProvider, KeyReference,
    KeySpec, Mechanism, ProviderError, UnwrapRequest, WrapRequest, WrappedKey,
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

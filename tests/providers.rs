//! Providers keep their contract.

mod common;

#[path = "../examples/custom_provider.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod custom_provider;

use std::sync::Arc;

use common::provider_contract;
use waxseal::{
    CreateKeyRequest, KeyProvider, KeySpec, ProviderError, SingleKeyring, SoftwareKeyProvider,
};

#[test]
fn software_provider_keeps_the_contract() {
    provider_contract::check(&SoftwareKeyProvider::generate().unwrap());
}

#[test]
fn software_provider_without_kept_keys_keeps_the_contract() {
    let provider = SoftwareKeyProvider::generate().unwrap();
    provider_contract::check(&provider.with_key_cache(0));
}

#[test]
fn software_provider_behind_a_pointer_keeps_the_contract() {
    let provider: Arc<dyn KeyProvider> = Arc::new(SoftwareKeyProvider::generate().unwrap());
    provider_contract::check(&provider);
}

#[test]
fn the_example_of_a_custom_provider_keeps_the_contract() {
    provider_contract::check(&Arc::new(custom_provider::KeyService::default()));
}

#[test]
fn a_provider_that_only_wraps_says_so() {
    let provider = custom_provider::KeyService::default();
    let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
    let error = provider.public_key(&handle).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key-service provider cannot give out public keys; ask its capabilities first, or use another provider"
    );
}

#[test]
fn a_wrapping_keyring_takes_no_other_key() {
    let provider = SoftwareKeyProvider::generate().unwrap();
    for spec in [KeySpec::Ed25519, KeySpec::Hmac256] {
        let handle = provider.create_key(CreateKeyRequest::new(spec)).unwrap();
        let refused = SingleKeyring::new(provider.clone(), handle).map(drop);
        assert!(matches!(refused, Err(ProviderError::WrongSpec { .. })));
    }
}

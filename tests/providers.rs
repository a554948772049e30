//! Providers keep their contract, and the software provider's handles do what they say.

mod common;

#[path = "../examples/custom_provider.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod custom_provider;

use std::sync::Arc;

use common::provider_contract;
use waxseal::{
    CreateKeyRequest, KeyHandle, KeyProvider, ProviderError, RootKey, SoftwareKeyProvider,
};

#[test]
fn software_provider_keeps_the_contract() {
    provider_contract::check(&SoftwareKeyProvider::generate().unwrap());
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
fn a_handle_works_wherever_its_root_key_is() {
    let root_key = RootKey::from_bytes(&common::ROOT_KEY);
    let handle = SoftwareKeyProvider::new(&root_key)
        .create_key(CreateKeyRequest::default())
        .unwrap();
    assert_eq!(handle.as_bytes().len(), 81);
    let elsewhere = SoftwareKeyProvider::new(&RootKey::from_bytes(&common::ROOT_KEY));
    assert!(elsewhere.describe_key(&handle).is_ok());
}

#[test]
fn a_handle_of_another_root_key_is_called_that() {
    let (a, b) = (
        SoftwareKeyProvider::generate().unwrap(),
        SoftwareKeyProvider::generate().unwrap(),
    );
    let created = a.create_key(CreateKeyRequest::default()).unwrap();
    for handle in [created, a.root_handle()] {
        let refused = b.describe_key(&handle);
        assert!(matches!(refused, Err(ProviderError::OtherRootKey)));
    }
}

#[test]
fn a_handle_cannot_be_made_of_parts_of_two() {
    let provider = SoftwareKeyProvider::generate().unwrap();
    let (a, b) = (
        provider.create_key(CreateKeyRequest::default()).unwrap(),
        provider.create_key(CreateKeyRequest::default()).unwrap(),
    );
    let id_of_a_and_key_of_b = [&a.as_bytes()[..33], &b.as_bytes()[33..]].concat();
    let refused = provider.describe_key(&KeyHandle::from_bytes(id_of_a_and_key_of_b));
    assert!(matches!(refused, Err(ProviderError::InvalidHandle { .. })));
}

#[test]
fn the_root_key_is_not_destroyed_by_its_provider() {
    let provider = SoftwareKeyProvider::generate().unwrap();
    let error = provider.destroy_key(&provider.root_handle()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("erase the root key where it is stored"),
        "{error}"
    );
    assert!(provider.describe_key(&provider.root_handle()).is_ok());
}

//! Handles of keys, of software and of tokens, as who writes the store can make them: what opens is a
//! handle that the provider gave, and what is read of a token's handle is all that it says.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use waxseal::pkcs11::reread_handle;
use waxseal::{
    CreateKeyRequest, KeyHandle, KeyProvider, KeySpec, ProviderError, RootKey, SoftwareKeyProvider,
    UnwrapRequest,
};

const BINDING: &[u8] = b"purpose";

struct Software {
    provider: SoftwareKeyProvider,
    handles: Vec<KeyHandle>,
}

static SOFTWARE: LazyLock<Software> = LazyLock::new(|| {
    let provider = SoftwareKeyProvider::new(&RootKey::from_bytes(&[1; 32]));
    let create = |spec| CreateKeyRequest::new(spec).with_binding(BINDING);
    let handles = [KeySpec::Wrapping256, KeySpec::Hmac256, KeySpec::Ed25519]
        .map(|spec| provider.create_key(create(spec)).unwrap())
        .to_vec();
    Software { provider, handles }
});

fuzz_target!(|bytes: &[u8]| {
    of_software(bytes);
    of_tokens(bytes);
    // With the check that anybody can make.
    let check = Sha256::new()
        .chain_update(b"waxseal/v1/token-handle\0")
        .chain_update(bytes)
        .chain_update(BINDING)
        .finalize();
    of_tokens(&[bytes, &check[..16]].concat());
});

fn of_software(bytes: &[u8]) {
    let Software { provider, handles } = &*SOFTWARE;
    let describe = |bytes: Vec<u8>| {
        let handle = KeyHandle::from_bytes(bytes).with_binding(BINDING);
        let wrapped = UnwrapRequest::new(&handle, &[7; 48], b"context");
        let _rejected = provider.unwrap_key(wrapped).unwrap_err();
        provider.describe_key(&handle)
    };
    // The handle of the root key itself is no secret, and has no binding.
    if describe(bytes.to_vec()).is_ok() {
        assert!(handles.iter().any(|handle| handle.as_bytes() == bytes));
    }
    for handle in handles {
        let mut changed = handle.as_bytes().to_vec();
        for change in bytes.as_chunks::<2>().0 {
            let at = usize::from(change[0]) % changed.len();
            changed[at] ^= change[1];
        }
        let is_genuine = changed == handle.as_bytes();
        assert_eq!(describe(changed).is_ok(), is_genuine);
    }
}

fn of_tokens(bytes: &[u8]) {
    let handle = KeyHandle::from_bytes(bytes).with_binding(BINDING);
    match reread_handle(&handle) {
        Ok(again) => assert_eq!(again.as_bytes(), bytes),
        Err(ProviderError::InvalidHandle { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

//! A forked child begins with no kept key, and refuses what its parent destroyed.
#![cfg(unix)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fork::{Fork, fork, waitpid};
use waxseal::{
    CreateKeyRequest, DataKey, KeyHandle, KeyProvider, ProviderError, SoftwareKeyProvider,
    WrapRequest,
};

fn in_child(action: impl FnOnce()) {
    match fork().unwrap() {
        Fork::Child => exit(i32::from(catch_unwind(AssertUnwindSafe(action)).is_err())),
        Fork::Parent(child) => assert_eq!(waitpid(child).unwrap(), 0),
    }
}

fn create(provider: &SoftwareKeyProvider) -> KeyHandle {
    provider.create_key(CreateKeyRequest::default()).unwrap()
}

fn wrap(provider: &SoftwareKeyProvider, handle: &KeyHandle) -> Result<Vec<u8>, ProviderError> {
    let data_key = DataKey::from_bytes(&[7; 32]).unwrap();
    let wrapped = provider.wrap_key(WrapRequest::new(handle, &data_key, b"binding"))?;
    Ok(wrapped.as_bytes().to_vec())
}

/// Forks while other threads are at the cache all the time: a child that inherited a lock of
/// theirs would wait for ever.
#[test]
fn a_child_keeps_its_own_keys() {
    let provider = SoftwareKeyProvider::generate().unwrap().with_key_cache(3);
    let (handle, destroyed) = (create(&provider), create(&provider));
    let wrapped = wrap(&provider, &handle).unwrap();
    provider.destroy_key(&destroyed).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let handle = create(&provider);
                    wrap(&provider, &handle).unwrap();
                    provider.destroy_key(&handle).unwrap();
                }
            });
        }
        for _ in 0..100 {
            in_child(|| {
                assert_eq!(provider.key_cache_stats().keys, 0);
                assert_eq!(provider.key_cache_stats().capacity, 3);
                assert_eq!(wrap(&provider, &handle).unwrap(), wrapped);
                assert_eq!(provider.key_cache_stats().keys, 1);
                let refused = wrap(&provider, &destroyed);
                assert!(matches!(refused, Err(ProviderError::KeyDestroyed)));
            });
        }
        done.store(true, Ordering::Relaxed);
    });
}

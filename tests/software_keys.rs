//! Handles of software keys: what they are bound to, how keys move, and which keys are kept.

mod common;

use std::thread;

use common::{FixedRandom, ROOT_KEY};
use waxseal::{
    CreateKeyRequest, DataKey, ImportKeyRequest, KeyHandle, KeyProvider, KeySpec, MacRequest,
    ProviderError, RootKey, SecretBytes, SoftwareKeyProvider, UnwrapRequest, WrapRequest,
};

const BINDING: &[u8] = b"what the data key is bound to";
const PURPOSE: &[u8] = b"what the key is for";

fn provider() -> SoftwareKeyProvider {
    SoftwareKeyProvider::generate().unwrap()
}

fn create(provider: &SoftwareKeyProvider) -> KeyHandle {
    let request = CreateKeyRequest::default().with_binding(PURPOSE);
    provider.create_key(request).unwrap()
}

fn wrap(provider: &SoftwareKeyProvider, handle: &KeyHandle) -> Result<Vec<u8>, ProviderError> {
    let data_key = DataKey::from_bytes(&[7; 32]).unwrap();
    let wrapped = provider.wrap_key(WrapRequest::new(handle, &data_key, BINDING))?;
    Ok(wrapped.as_bytes().to_vec())
}

fn unwrap(provider: &SoftwareKeyProvider, handle: &KeyHandle, wrapped: &[u8]) {
    let request = UnwrapRequest::new(handle, wrapped, BINDING);
    assert_eq!(provider.unwrap_key(request).unwrap().expose(), &[7; 32]);
}

#[test]
fn a_handle_works_wherever_its_root_key_is() {
    let there = SoftwareKeyProvider::new(&RootKey::from_bytes(&ROOT_KEY));
    let handle = create(&there);
    assert_eq!(handle.as_bytes().len(), 82);
    let elsewhere = SoftwareKeyProvider::new(&RootKey::from_bytes(&ROOT_KEY));
    unwrap(&elsewhere, &handle, &wrap(&there, &handle).unwrap());
}

#[test]
fn a_handle_of_another_root_key_is_called_that() {
    let (a, b) = (provider(), provider());
    for handle in [create(&a), a.root_handle()] {
        let refused = b.describe_key(&handle);
        assert!(matches!(refused, Err(ProviderError::OtherRootKey)));
    }
}

#[test]
fn a_handle_cannot_be_made_of_parts_of_two() {
    let provider = provider();
    let (a, b) = (create(&provider), create(&provider));
    wrap(&provider, &a).unwrap();
    let id_of_a_and_key_of_b = [&a.as_bytes()[..34], &b.as_bytes()[34..]].concat();
    let handle = KeyHandle::from_bytes(id_of_a_and_key_of_b).with_binding(PURPOSE);
    let refused = wrap(&provider, &handle);
    assert!(matches!(refused, Err(ProviderError::InvalidHandle { .. })));
}

#[test]
fn the_root_key_is_neither_destroyed_nor_moved_by_its_provider() {
    let provider = provider();
    let handle = provider.root_handle();
    let error = provider.destroy_key(&handle).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("erase the root key where it is stored"),
        "{error}"
    );
    let refused = provider.move_key(&handle, &self::provider());
    assert!(matches!(refused, Err(ProviderError::Unsupported { .. })));
    assert!(provider.describe_key(&handle).is_ok());
}

#[test]
fn a_moved_key_is_the_same_key() {
    let (old, new) = (provider(), provider());
    let handle = create(&old);
    let wrapped = wrap(&old, &handle).unwrap();
    let moved = old.move_key(&handle, &new).unwrap();
    assert_eq!(moved.binding(), PURPOSE);
    let reference =
        |provider: &SoftwareKeyProvider, handle| provider.describe_key(handle).unwrap().reference;
    assert_eq!(reference(&old, &handle), reference(&new, &moved));
    unwrap(&new, &moved, &wrapped);
    assert_eq!(wrap(&new, &moved).unwrap(), wrapped);
    unwrap(&old, &handle, &wrapped);
    let back = new.move_key(&moved, &old).unwrap();
    assert_eq!(back, handle);
    let elsewhere = KeyHandle::from_bytes(moved.as_bytes()).with_binding(*b"other");
    assert!(new.describe_key(&elsewhere).is_err());
    assert!(new.move_key(&handle, &old).is_err());
    old.destroy_key(&handle).unwrap();
    let refused = old.move_key(&handle, &new);
    assert!(matches!(refused, Err(ProviderError::KeyDestroyed)));
}

#[test]
fn a_provider_takes_the_handles_of_another_root_too() {
    let old_root = RootKey::from_bytes(&ROOT_KEY);
    let old = SoftwareKeyProvider::new(&old_root);
    let (handle, unknown) = (create(&old), create(&provider()));
    let wrapped = wrap(&old, &handle).unwrap();
    let both = provider().with_other_root(&old_root);
    unwrap(&both, &handle, &wrapped);
    assert_eq!(wrap(&both, &old.root_handle()).unwrap().len(), 48);
    let moved = both.move_key(&handle, &both).unwrap();
    assert_ne!(moved, handle);
    for handle in [&moved, &handle, &moved] {
        unwrap(&both, handle, &wrapped);
    }
    assert!(matches!(
        wrap(&old, &moved),
        Err(ProviderError::OtherRootKey)
    ));
    assert!(matches!(
        wrap(&both, &unknown),
        Err(ProviderError::OtherRootKey)
    ));
    both.destroy_key(&moved).unwrap();
    for handle in [&moved, &handle] {
        assert!(matches!(
            wrap(&both, handle),
            Err(ProviderError::KeyDestroyed)
        ));
    }
}

#[test]
fn keys_of_every_kind_move() {
    let (old, new) = (provider(), provider());
    let material = SecretBytes::from(vec![9; 100]);
    let request = ImportKeyRequest::new(KeySpec::Hmac512, &material).with_binding(PURPOSE);
    let handle = old.import_key(request).unwrap();
    let mac = old.generate_mac(MacRequest::new(&handle, b"message"));
    let moved = old.move_key(&handle, &new).unwrap();
    let again = new.generate_mac(MacRequest::new(&moved, b"message"));
    assert_eq!(mac.unwrap(), again.unwrap());

    let handle = old.create_key(CreateKeyRequest::new(KeySpec::Ed25519));
    let handle = handle.unwrap();
    let moved = old.move_key(&handle, &new).unwrap();
    assert_eq!(
        old.public_key(&handle).unwrap(),
        new.public_key(&moved).unwrap()
    );
}

/// As the second implementation makes it: see `testdata`.
#[test]
fn the_handle_of_a_vector_is_created_from_its_key() {
    let vector = common::vector::named("key_hmac_384");
    let expected = vector.handle();
    let key_id = &expected.as_bytes()[17..33];
    let provider = SoftwareKeyProvider::new(&vector.root_key());
    let mac_of = |handle: &KeyHandle| {
        let request = MacRequest::new(handle, &vector.message);
        provider.generate_mac(request).unwrap().as_bytes().to_vec()
    };
    assert_eq!(mac_of(&expected), vector.mac);

    let key = [0x11; 48];
    let random = FixedRandom::new([key_id, &key].concat());
    let provider = SoftwareKeyProvider::new(&vector.root_key()).with_random_source(random);
    let request = CreateKeyRequest::new(KeySpec::Hmac384).with_binding(expected.binding());
    let created = provider.create_key(request).unwrap();
    assert_eq!(created.as_bytes()[..34], expected.as_bytes()[..34]);
    let material = SecretBytes::from(key.to_vec());
    let random = FixedRandom::new(key_id);
    let provider = SoftwareKeyProvider::new(&vector.root_key()).with_random_source(random);
    let request = ImportKeyRequest::new(KeySpec::Hmac384, &material);
    let imported = provider.import_key(request.with_binding(expected.binding()));
    assert_eq!(imported.unwrap(), created);
}

#[test]
fn kept_keys_are_bounded_and_counted() {
    let provider = provider().with_key_cache(10);
    let handles: Vec<_> = (0..100).map(|_| create(&provider)).collect();
    assert_eq!(provider.key_cache_stats().keys, 0);
    for handle in &handles {
        let wrapped = wrap(&provider, handle).unwrap();
        unwrap(&provider, handle, &wrapped);
    }
    let stats = provider.key_cache_stats();
    assert_eq!((stats.keys, stats.capacity, stats.evictions), (10, 10, 90));
    assert!(stats.bytes >= stats.locked_bytes && stats.bytes > 0);
    for handle in &handles {
        provider.destroy_key(handle).unwrap();
    }
    assert_eq!(provider.key_cache_stats().keys, 0);
    assert_eq!(provider.key_cache_stats().bytes, stats.bytes);
    let provider = provider.with_key_cache(0);
    wrap(&provider, &create(&provider)).unwrap();
    let stats = provider.key_cache_stats();
    assert_eq!((stats.keys, stats.capacity, stats.bytes), (0, 0, 0));
}

#[test]
fn a_key_in_use_is_not_the_first_to_go() {
    let provider = provider().with_key_cache(10);
    let in_use = create(&provider);
    for _ in 0..1000 {
        wrap(&provider, &in_use).unwrap();
        wrap(&provider, &create(&provider)).unwrap();
    }
    let evictions = provider.key_cache_stats().evictions;
    assert!(
        evictions < 991 + 300,
        "{evictions}: it was unwrapped again and again"
    );
}

#[test]
fn a_kept_key_answers_for_its_handle_and_binding_alone() {
    let provider = provider();
    let handle = create(&provider);
    let wrapped = wrap(&provider, &handle).unwrap();
    let stored = KeyHandle::from_bytes(handle.as_bytes());
    let mut others = vec![
        stored.clone(),
        stored.clone().with_binding(&PURPOSE[1..]),
        stored.with_binding([PURPOSE, b"\0"].concat()),
    ];
    for bit in 0..handle.as_bytes().len() * 8 {
        let mut bytes = handle.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        others.push(KeyHandle::from_bytes(bytes).with_binding(PURPOSE));
    }
    for other in others {
        assert!(wrap(&provider, &other).is_err(), "{other:?}");
    }
    assert_eq!(provider.key_cache_stats().keys, 1);
    unwrap(&provider, &handle, &wrapped);
}

#[test]
fn clones_share_what_is_kept_and_what_is_destroyed() {
    let provider = provider();
    let clone = provider.clone();
    let handle = create(&provider);
    wrap(&provider, &handle).unwrap();
    assert_eq!(clone.key_cache_stats(), provider.key_cache_stats());
    clone.destroy_key(&handle).unwrap();
    let refused = wrap(&provider, &handle);
    assert!(matches!(refused, Err(ProviderError::KeyDestroyed)));
}

/// Threads that use a key while another destroys it: once `destroy_key` has returned, nobody does.
#[test]
fn a_destroyed_key_does_not_come_back() {
    let provider = provider().with_key_cache(4);
    for _ in 0..200 {
        let handle = create(&provider);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while wrap(&provider, &handle).is_ok() {
                        wrap(&provider, &create(&provider)).unwrap();
                    }
                });
            }
            scope.spawn(|| provider.destroy_key(&handle).unwrap());
        });
        let refused = wrap(&provider, &handle);
        assert!(matches!(refused, Err(ProviderError::KeyDestroyed)));
    }
}

#[test]
fn a_kept_key_wraps_and_unwraps_without_allocating() {
    let provider = provider();
    let handle = create(&provider);
    let data_key = DataKey::from_bytes(&[7; 32]).unwrap();
    let round_trip = || {
        let request = WrapRequest::new(&handle, &data_key, BINDING);
        let wrapped = provider.wrap_key(request).unwrap();
        let request = UnwrapRequest::new(&handle, wrapped.as_bytes(), BINDING);
        assert_eq!(provider.unwrap_key(request).unwrap(), data_key);
    };
    round_trip();
    let cost = allocation_counter::measure(round_trip);
    assert_eq!(cost.count_total, 0);
}

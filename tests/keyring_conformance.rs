//! One suite for every keyring, alone and in each other.
#![cfg(feature = "testing")]

mod common;

use std::time::Duration;

use common::kms::World;
use common::probe::Probe;
use waxseal::audit::{AuditTrail, MemorySink};
use waxseal::testing::{keyring, keyrings};
use waxseal::{
    CacheLimits, CachingKeyring, CreateKey, DiscoveryKeyring, FallbackKeyring, FallbackLimits,
    KeyReference, Keyring, Kms, KmsKeyring, MultiKeyring, RootKey, SingleKeyring, ThresholdKeyring,
};
#[cfg(feature = "recipients")]
use waxseal::{RecipientAlgorithm, RecipientKeyring, RecipientOpener, RecipientPrivateKey};

type AnyKeyring = Box<dyn Keyring>;

fn single(byte: u8) -> SingleKeyring {
    SingleKeyring::software(&RootKey::from_bytes(&[byte; 32]))
}

/// Blocks, so that it is asked on other threads where that is possible.
fn blocking(byte: u8) -> Probe {
    Probe::with_root(&RootKey::from_bytes(&[byte; 32]))
}

fn kms() -> KmsKeyring {
    key_of(&World::new().open())
}

/// A key of a KMS that records what is done with it.
fn audited() -> KmsKeyring {
    let trail = AuditTrail::builder(MemorySink::new());
    key_of(&World::new().builder().audit(trail).open().unwrap())
}

fn key_of(kms: &Kms) -> KmsKeyring {
    let handle = kms.as_principal("test");
    let key = handle.create_key(CreateKey::new()).unwrap().id;
    handle.keyring(key).unwrap()
}

fn caching(inside: impl Keyring + 'static) -> CachingKeyring {
    CachingKeyring::new(inside)
}

fn multi() -> MultiKeyring {
    MultiKeyring::new(single(1)).with_key(blocking(2))
}

fn threshold() -> ThresholdKeyring {
    ThresholdKeyring::new(2, [1, 2, 3].map(single)).unwrap()
}

fn fallback() -> FallbackKeyring {
    patient(FallbackKeyring::new(blocking(1)).or(single(2)))
}

/// Not overtaken by a machine that has other things to do.
fn patient(keyring: FallbackKeyring) -> FallbackKeyring {
    keyring.with_limits(FallbackLimits::default().with_timeout(Duration::from_secs(60)))
}

fn any(keyring: impl Keyring + 'static) -> AnyKeyring {
    Box::new(keyring)
}

#[cfg(feature = "recipients")]
fn recipient(algorithm: RecipientAlgorithm, byte: u8) -> (RecipientKeyring, RecipientOpener) {
    let key = RecipientPrivateKey::from_bytes(algorithm, &[byte; 32]).unwrap();
    (
        RecipientKeyring::new(key.public_key().clone()),
        RecipientOpener::new(key),
    )
}

#[test]
fn each_alone() {
    keyring(single(1));
    keyring(any(single(1)));
    keyring(blocking(1));
    keyring(kms());
    keyring(audited());
    keyring(caching(single(1)));
    keyring(caching(single(1)).with_limits(CacheLimits::default().with_max_entries(0)));
    keyring(multi());
    keyring(threshold());
    keyring(fallback());
}

#[test]
fn around_a_multi_keyring() {
    keyring(caching(multi()));
    keyring(MultiKeyring::new(multi()).with_key(single(3)));
    keyring(MultiKeyring::new(single(3)).with_key(multi()));
    keyring(FallbackKeyring::new(multi()).or(single(3)));
    keyring(ThresholdKeyring::new(2, [any(multi()), any(single(3))]).unwrap());
}

#[test]
fn around_caching_keyrings() {
    keyring(caching(caching(single(1))));
    keyring(MultiKeyring::new(caching(single(1))).with_key(caching(single(2))));
    keyring(MultiKeyring::new(single(1)).with_optional_key(caching(blocking(2))));
    keyring(patient(
        FallbackKeyring::new(caching(blocking(1))).or(caching(single(2))),
    ));
    keyring(ThresholdKeyring::new(3, [1, 2, 3].map(|byte| caching(single(byte)))).unwrap());
}

#[test]
fn around_threshold_keyrings() {
    keyring(caching(threshold()));
    keyring(MultiKeyring::new(threshold()).with_key(single(9)));
    keyring(MultiKeyring::new(single(9)).with_key(threshold()));
    let other = ThresholdKeyring::new(2, [4, 5].map(single)).unwrap();
    keyring(MultiKeyring::new(threshold()).with_key(other));
    keyring(FallbackKeyring::new(threshold()).or(single(9)));
}

#[test]
fn around_keys_of_a_kms() {
    for kms in [kms, audited] {
        keyring(caching(kms()));
        keyring(MultiKeyring::new(kms()).with_key(single(1)));
        keyring(MultiKeyring::new(single(1)).with_key(kms()).with_key(kms()));
        keyring(FallbackKeyring::new(kms()).or(kms()));
        let three = [any(kms()), any(caching(kms())), any(single(1))];
        keyring(ThresholdKeyring::new(2, three).unwrap());
        keyring(caching(MultiKeyring::new(kms()).with_key(threshold())));
    }
}

#[test]
fn around_fallback_keyrings() {
    keyring(caching(fallback()));
    keyring(patient(FallbackKeyring::new(fallback()).or(blocking(3))));
    keyring(MultiKeyring::new(fallback()).with_key(single(3)));
    keyring(MultiKeyring::new(single(3)).with_key(fallback()));
    keyring(ThresholdKeyring::new(2, [any(fallback()), any(blocking(3))]).unwrap());
    let hedging = FallbackLimits::default().with_hedge_after(Duration::ZERO);
    keyring(fallback().with_limits(hedging));
}

#[cfg(feature = "recipients")]
#[test]
fn recipients() {
    for &algorithm in RecipientAlgorithm::ALL {
        let (sealing, opening) = recipient(algorithm, 1);
        keyrings(sealing.clone(), opening.clone());
        keyrings(caching(sealing.clone()), caching(opening.clone()));
        keyrings(
            MultiKeyring::new(single(1)).with_key(sealing.clone()),
            opening.clone(),
        );
        keyrings(
            FallbackKeyring::new(sealing.clone()).or(single(1)),
            opening.clone(),
        );
        let own = MultiKeyring::new(single(1)).with_key(sealing.clone());
        keyring(own.opening_also(opening.clone()));
        let (other_sealing, other_opening) = recipient(algorithm, 2);
        keyrings(
            ThresholdKeyring::new(2, [any(sealing), any(other_sealing), any(single(1))]).unwrap(),
            ThresholdKeyring::opening([other_opening, opening]),
        );
    }
}

#[test]
fn some_of_the_keys() {
    keyrings(multi(), single(1));
    keyrings(multi(), blocking(2));
    keyrings(threshold(), ThresholdKeyring::opening([3, 1].map(single)));
    keyrings(
        threshold(),
        ThresholdKeyring::opening([3, 9, 1, 2].map(single)),
    );
    keyrings(fallback(), single(1));
    let deep = MultiKeyring::new(threshold()).with_key(caching(fallback()));
    keyrings(deep.clone(), single(1));
    keyrings(deep, ThresholdKeyring::opening([1, 2].map(single)));
}

#[test]
fn discovered() {
    let discovering = DiscoveryKeyring::new(|_| true)
        .among(single(1))
        .among(blocking(2));
    keyrings(single(2), discovering.clone());
    keyrings(multi(), discovering);
    let software = DiscoveryKeyring::new(KeyReference::is_software);
    keyrings(
        threshold(),
        software.among(ThresholdKeyring::opening([1, 2].map(single))),
    );
    let world = World::new();
    let handle = world.handle();
    let key = handle.create_key(CreateKey::new()).unwrap().id;
    let of_kms = DiscoveryKeyring::new(|key| key.kms_version().is_some()).among_keys_of(&handle);
    keyrings(handle.keyring(key).unwrap(), of_kms.clone());
    keyrings(caching(handle.keyring(key).unwrap()), caching(of_kms));
}

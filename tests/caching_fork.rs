//! A forked child shares no data key with its parent, and its own expire too.
#![cfg(unix)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::time::Duration;

use common::probe::{Probe, eventually};
use fork::{Fork, fork, waitpid};
use waxseal::{
    CacheLimits, CacheStats, CachingKeyring, EncryptionContext, Envelope, EnvelopeEncryptor,
};

fn seal(keyring: &CachingKeyring) -> Vec<u8> {
    Envelope::new(keyring.clone())
        .encrypt(b"payload", &EncryptionContext::empty())
        .unwrap()
}

fn open(keyring: &CachingKeyring, message: &[u8]) {
    Envelope::new(keyring.clone())
        .decrypt(message, &EncryptionContext::empty())
        .unwrap();
}

/// The wrapped key of a message with a salt.
fn wrapped_key(message: &[u8]) -> &[u8] {
    &message[26..93]
}

fn in_child(action: impl FnOnce()) {
    match fork().unwrap() {
        Fork::Child => exit(i32::from(catch_unwind(AssertUnwindSafe(action)).is_err())),
        Fork::Parent(child) => assert_eq!(waitpid(child).unwrap(), 0),
    }
}

#[test]
fn a_child_begins_with_no_data_keys_and_the_parent_keeps_its_own() {
    let probe = Probe::new();
    let keyring = CachingKeyring::new(probe.clone());
    let message = seal(&keyring);
    open(&keyring, &message);
    in_child(|| {
        assert_eq!(keyring.stats(), CacheStats::default());
        let own = seal(&keyring);
        assert_ne!(wrapped_key(&own), wrapped_key(&message));
        assert_eq!(wrapped_key(&seal(&keyring)), wrapped_key(&own));
        open(&keyring, &message);
        assert_eq!(probe.calls(), 4);
        in_child(|| assert_ne!(wrapped_key(&seal(&keyring)), wrapped_key(&own)));
    });
    assert_eq!(wrapped_key(&seal(&keyring)), wrapped_key(&message));
    assert_eq!(probe.calls(), 2);
}

#[test]
fn what_a_child_keeps_is_dropped_without_a_call_too() {
    let limits = CacheLimits::default().with_max_age(Duration::from_millis(50));
    let keyring = CachingKeyring::new(Probe::new()).with_limits(limits);
    let message = seal(&keyring);
    in_child(|| {
        seal(&keyring);
        open(&keyring, &message);
        eventually(|| {
            let stats = keyring.stats();
            (stats.encryption.entries, stats.decryption.entries) == (0, 0)
        });
        assert_eq!(keyring.stats().encryption.evictions, 1);
    });
}

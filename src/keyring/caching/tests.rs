//! What only the inside can see: when data keys are erased, and that the thread ends.

use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::limits::Budget;
use super::{CacheLimits, CachingKeyring};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::context::EncryptionContext;
use crate::format::Suite;
use crate::keyring::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, SingleKeyring, Unwrapped,
};
use crate::provider::RootKey;
use crate::rng::SystemRandom;
use crate::secret::DataKey;

fn software() -> CachingKeyring {
    CachingKeyring::new(SingleKeyring::software(&RootKey::generate().unwrap()))
}

fn seal(keyring: &CachingKeyring) -> EncryptionMaterials {
    let context = EncryptionContext::empty();
    let request = EncryptionRequest::new(&context, Suite::default(), &SystemRandom);
    keyring
        .encryption_materials(request.with_payload_len(1))
        .unwrap()
}

/// Fills both caches, and returns both data keys without keeping them alive.
fn fill(keyring: &CachingKeyring) -> [Weak<DataKey>; 2] {
    let sealing = seal(keyring);
    let context = EncryptionContext::empty();
    let request = DecryptionRequest::new(&context, Suite::default(), sealing.entries());
    let Ok(Unwrapped::Done(opening)) = keyring.decryption_materials(request) else {
        panic!("it opens");
    };
    let (sealing, _) = sealing.into_shared_parts();
    let (opening, _) = opening.into_shared_parts();
    [Arc::downgrade(&sealing), Arc::downgrade(&opening)]
}

fn erased(keys: &[Weak<DataKey>]) -> bool {
    keys.iter().all(|key| key.strong_count() == 0)
}

fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never holds");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A manual clock that tells how many hold it, and holds up the thread that drops what expires.
#[derive(Debug, Clone, Default)]
struct HeldClock {
    clock: ManualClock,
    holders: Arc<()>,
    hold_up: Arc<Mutex<()>>,
}

impl HeldClock {
    /// Those who hold it, but for the test: one for a keyring and its thread.
    fn holders(&self) -> usize {
        Arc::strong_count(&self.holders) - 1
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Duration {
        if thread::current().name() == Some("waxseal-expiry") {
            drop(self.hold_up.lock());
        }
        self.clock.now()
    }

    fn unix_time(&self) -> Timestamp {
        self.clock.unix_time()
    }

    fn park_until(&self, deadline: Duration) {
        self.clock.park_until(deadline);
    }
}

#[test]
fn an_expired_data_key_is_erased_without_a_call() {
    let clock = ManualClock::default();
    let keyring = software().with_clock(clock.clone());
    let keys = fill(&keyring);
    assert!(keys.iter().all(|key| key.strong_count() == 1));
    clock.advance(CacheLimits::default().max_age);
    eventually(|| erased(&keys));
}

#[test]
fn a_data_key_in_use_is_erased_after_use() {
    let keyring = software();
    let in_use = seal(&keyring);
    let keys = fill(&keyring);
    keyring.clear();
    assert_eq!(keys[0].strong_count(), 1);
    assert_eq!(keys[1].strong_count(), 0);
    drop(in_use);
    assert!(erased(&keys));
}

#[test]
fn everything_is_erased_when_the_last_clone_is_dropped() {
    let keyring = software();
    let clone = keyring.clone();
    let keys = fill(&keyring);
    drop(keyring);
    assert!(!erased(&keys));
    drop(clone);
    assert!(erased(&keys));
}

#[test]
fn everything_is_erased_even_while_the_thread_is_busy() {
    let clock = HeldClock::default();
    let keyring = software().with_clock(clock.clone());
    let store = Arc::downgrade(keyring.store());
    let held_up = clock.hold_up.lock();
    let keys = fill(&keyring);
    eventually(|| store.strong_count() == 2);
    drop(keyring);
    assert_eq!(store.strong_count(), 1);
    assert!(erased(&keys));
    drop(held_up);
    eventually(|| clock.holders() == 0);
}

#[test]
fn the_thread_ends_with_the_keyring() {
    for clear in [false, true] {
        let clock = HeldClock::default();
        let keyring = software().with_clock(clock.clone());
        fill(&keyring);
        if clear {
            keyring.clear();
        }
        thread::sleep(Duration::from_millis(20));
        drop(keyring);
        eventually(|| clock.holders() == 0);
    }
}

#[test]
fn the_format_bounds_the_messages() {
    let limits = CacheLimits::default().with_max_messages(u64::MAX);
    let bound = CacheLimits::default().with_max_messages(1 << 32);
    assert_eq!(Budget::to_seal(&limits), Budget::to_seal(&bound));
    assert_ne!(
        Budget::to_seal(&bound.with_max_messages((1 << 32) - 1)),
        Budget::to_seal(&bound)
    );
}

/// Only the thread that forks exists in the child: a lock that another held is never released.
#[cfg(unix)]
#[test]
fn a_lock_that_is_held_at_a_fork_does_not_hold_up_the_child() {
    use std::process::{Command, exit};

    use fork::{Fork, fork, waitpid_nohang};

    let mut keyring = Some(software());
    let store = Arc::clone(keyring.as_ref().unwrap().store());
    keyring.as_ref().map(fill);
    let child = store.encryption.while_locked(|| match fork().unwrap() {
        Fork::Child => {
            keyring.as_ref().map(fill);
            drop(keyring.take());
            exit(0);
        }
        Fork::Parent(child) => child,
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = waitpid_nohang(child).unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(20) {
            Command::new("kill")
                .args(["-9", &child.to_string()])
                .status()
                .unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(status, 0);
    assert_eq!(store.encryption.counters().entries, 1);
}

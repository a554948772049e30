//! The caching keyring: who asks, who waits, and what calls under way leave behind.

mod common;

use std::collections::HashMap;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use common::caching::{context, entries, materials, open, probed, request, wrapped};
use common::probe::{Fault, Probe};
use waxseal::format::KeyEntriesBuf;
use waxseal::{
    CacheLimits, CachingKeyring, DecryptionRequest, EncryptionRequest, Error, Keyring, RootKey,
    SingleKeyring, Suite, SystemRandom, Unwrapped,
};

#[test]
fn sixty_four_threads_ask_once() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    let keys = at_once(&probe, 64, || wrapped(&keyring, &context, 10));
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(probe.calls(), 1);
    let counters = keyring.stats().encryption;
    assert_eq!((counters.hits, counters.misses), (63, 1));

    let opened = at_once(&probe, 64, || open(&keyring, &context, &keys[0]).unwrap());
    assert!(opened.iter().all(|it| matches!(it, Unwrapped::Done(_))));
    assert_eq!(probe.calls(), 2);
    let counters = keyring.stats().decryption;
    assert_eq!((counters.hits, counters.misses), (63, 1));
}

#[test]
fn those_who_wait_keep_the_limits_too() {
    let (probe, keyring) = probed(CacheLimits::default().with_max_messages(4));
    let context = context("acme");
    let mut messages = HashMap::new();
    for key in at_once(&probe, 64, || wrapped(&keyring, &context, 10)) {
        *messages
            .entry(key.as_entries().as_bytes().to_vec())
            .or_insert(0) += 1;
    }
    assert!(messages.values().all(|&count| count == 4), "{messages:?}");
    assert_eq!(probe.calls(), 16, "and none waits for a second call");
    assert_eq!(keyring.stats().encryption.entries, 0, "all are used up");

    let (probe, keyring) = probed(CacheLimits::default().with_max_bytes(100));
    let mut bytes = HashMap::new();
    for key in at_once(&probe, 64, || wrapped(&keyring, &context, 30)) {
        *bytes
            .entry(key.as_entries().as_bytes().to_vec())
            .or_insert(0) += 30;
    }
    assert!(bytes.values().all(|&count| count <= 100), "{bytes:?}");
}

#[test]
fn an_outage_is_told_to_all_who_wait() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    let key = wrapped(&Probe::new(), &context, 10);
    for fault in [Fault::Outage, Fault::Refusal] {
        probe.fail(fault);
        let calls = probe.calls();
        let sealed = at_once(&probe, 16, || {
            keyring.encryption_materials(request(&context)).unwrap_err()
        });
        let opened = at_once(&probe, 16, || open(&keyring, &context, &key).unwrap_err());
        for error in sealed.into_iter().chain(opened) {
            match fault {
                Fault::Outage => assert!(error.is_retryable(), "{error}"),
                _ => assert!(matches!(error, Error::Decrypt), "{error}"),
            }
        }
        assert_eq!(probe.calls(), calls + 2);
    }
    probe.fail(None);
    let _ = open(&keyring, &context, &key).unwrap();
    materials(&keyring, &context);
}

#[test]
fn after_any_other_failure_those_who_wait_ask_for_themselves() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    probe.fail(Fault::Invalid);
    let failures = at_once(&probe, 16, || {
        keyring.encryption_materials(request(&context)).unwrap_err()
    });
    assert!(failures.iter().all(|it| matches!(it, Error::Entry(_))));
    assert_eq!(probe.calls(), 16);
    probe.fail(None);
    materials(&keyring, &context);
    assert_eq!(keyring.stats().encryption.misses, 17);
}

#[test]
fn a_panic_inside_holds_up_nobody() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    probe.fail(Fault::Panic);
    probe.hold_up();
    thread::scope(|scope| {
        let first = scope.spawn(|| materials(&keyring, &context));
        probe.wait_for_calls(1);
        let others =
            [(); 8].map(|()| scope.spawn(|| keyring.encryption_materials(request(&context))));
        thread::sleep(Duration::from_millis(50));
        probe.let_go();
        assert!(first.join().is_err());
        probe.fail(None);
        for other in others {
            let _ = other.join();
        }
    });
    materials(&keyring, &context);
    assert_eq!(keyring.stats().encryption.entries, 1);
}

#[test]
fn not_mine_is_passed_on_and_not_kept() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    let key = wrapped(&keyring, &context, 10);
    probe.fail(Fault::NotMine);
    let answers = at_once(&probe, 16, || open(&keyring, &context, &key).unwrap());
    assert!(answers.iter().all(|it| matches!(it, Unwrapped::NotMine)));
    assert_eq!(probe.calls(), 2);
    probe.fail(None);
    let opened = open(&keyring, &context, &key).unwrap();
    assert!(matches!(opened, Unwrapped::Done(_)));
}

#[test]
fn a_slow_call_holds_up_only_those_who_need_its_data_key() {
    let (probe, keyring) = probed(CacheLimits::default());
    let (slow, quick, known) = (context("slow"), context("quick"), context("known"));
    let key = wrapped(&keyring, &known, 10);
    let _ = open(&keyring, &known, &key).unwrap();
    probe.hold_up();
    thread::scope(|scope| {
        let held_up = scope.spawn(|| wrapped(&keyring, &slow, 10));
        probe.wait_for_calls(3);
        assert_eq!(wrapped(&keyring, &known, 10), key);
        let _ = open(&keyring, &known, &key).unwrap();
        let other = scope.spawn(|| wrapped(&keyring, &quick, 10));
        probe.wait_for_calls(4);
        assert!(!held_up.is_finished() && !other.is_finished());
        probe.let_go();
    });
}

#[test]
fn a_call_that_began_before_is_not_kept_after() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    let key = wrapped(&Probe::new(), &context, 10);
    let mine = key.as_entries().iter().next().unwrap().reference();
    for drop in [&(|| keyring.invalidate(&mine)) as &dyn Fn(), &|| {
        keyring.clear()
    }] {
        probe.hold_up();
        let calls = probe.calls();
        thread::scope(|scope| {
            let sealing = scope.spawn(|| wrapped(&keyring, &context, 10));
            let opening = scope.spawn(|| open(&keyring, &context, &key).unwrap());
            probe.wait_for_calls(calls + 2);
            drop();
            let later = scope.spawn(|| wrapped(&keyring, &context, 10));
            probe.wait_for_calls(calls + 3);
            probe.let_go();
            let early = sealing.join().unwrap();
            let later = later.join().unwrap();
            assert!(matches!(opening.join(), Ok(Unwrapped::Done(_))));
            assert_ne!(early, later);
            assert_eq!(wrapped(&keyring, &context, 10), later);
        });
        assert_eq!(keyring.stats().decryption.entries, 0);
        keyring.clear();
    }
}

#[test]
fn callers_who_must_not_block_get_what_is_there() {
    let context = context("acme");
    let at_once = CachingKeyring::new(SingleKeyring::software(&RootKey::generate().unwrap()));
    let first = at_once.try_encryption_materials(request(&context));
    let first = entries(&first.expect("software only computes").unwrap());
    let again = at_once.try_encryption_materials(request(&context));
    assert_eq!(entries(&again.unwrap().unwrap()), first);
    let to_open = |key: &KeyEntriesBuf, keyring: &CachingKeyring| {
        let request = DecryptionRequest::new(&context, Suite::default(), key.as_entries());
        keyring.try_decryption_materials(request)
    };
    for _ in 0..2 {
        let found = to_open(&first, &at_once);
        assert!(matches!(found, Some(Ok(Unwrapped::Done(_)))));
    }
    let stats = at_once.stats();
    assert_eq!((stats.encryption.hits, stats.encryption.misses), (1, 1));
    assert_eq!((stats.decryption.hits, stats.decryption.misses), (1, 1));

    let (probe, slow) = probed(CacheLimits::default());
    let try_both = |key: &KeyEntriesBuf| {
        let sealing = slow.try_encryption_materials(request(&context));
        (sealing.is_some(), to_open(key, &slow).is_some())
    };
    let key = wrapped(&Probe::new(), &context, 10);
    assert_eq!(try_both(&key), (false, false));
    assert_eq!(probe.calls() as u64, slow.stats().encryption.misses);
    probe.hold_up();
    thread::scope(|scope| {
        scope.spawn(|| wrapped(&slow, &context, 10));
        scope.spawn(|| open(&slow, &context, &key).map(drop));
        probe.wait_for_calls(2);
        assert_eq!(try_both(&key), (false, false), "nor do they wait");
        probe.let_go();
    });
    assert_eq!(try_both(&key), (true, true));
    let unknown_len = EncryptionRequest::new(&context, Suite::default(), &SystemRandom);
    assert!(slow.try_encryption_materials(unknown_len).is_none());
    assert!(at_once.try_encryption_materials(unknown_len).is_some());
}

#[test]
fn the_limits_hold_whatever_happens_at_once() {
    let limits = CacheLimits::default()
        .with_max_messages(5)
        .with_max_bytes(1000)
        .with_max_age(Duration::from_millis(2))
        .with_max_entries(2);
    let (_, keyring) = probed(limits);
    let contexts = ["a", "b", "c"].map(context);
    let key = wrapped(&Probe::new(), &contexts[0], 10);
    let mine = key.as_entries().iter().next().unwrap().reference();
    let uses = Mutex::new(HashMap::<Vec<u8>, (u64, u64)>::new());
    thread::scope(|scope| {
        for thread in 0..8 {
            let (keyring, contexts, uses, mine) = (&keyring, &contexts, &uses, &mine);
            scope.spawn(move || {
                for turn in 0..500 {
                    let context = &contexts[(turn / 7 + thread) % 3];
                    let len = (turn * 37 % 600) as u64;
                    let key = wrapped(keyring, context, len);
                    let opened = open(keyring, context, &key).unwrap();
                    assert!(matches!(opened, Unwrapped::Done(_)));
                    let mut uses = uses.lock().unwrap();
                    let (messages, bytes) = uses
                        .entry(key.as_entries().as_bytes().to_vec())
                        .or_default();
                    *messages += 1;
                    *bytes += len;
                    drop(uses);
                    match turn % 97 {
                        13 => keyring.invalidate(mine),
                        57 => keyring.clear(),
                        _ => {}
                    }
                    let stats = keyring.stats();
                    assert!(stats.encryption.entries <= 2 && stats.decryption.entries <= 2);
                }
            });
        }
    });
    let uses = uses.into_inner().unwrap();
    assert!(
        uses.values()
            .all(|&(messages, bytes)| messages <= 5 && bytes <= 1000)
    );
    assert!(uses.len() < 8 * 500, "some were shared");
    let counters = keyring.stats().encryption;
    assert_eq!(counters.hits + counters.misses, 8 * 500);
}

/// Runs `ask` on many threads, all of which have begun before the keyring inside answers.
fn at_once<T: Send>(probe: &Probe, threads: usize, ask: impl Fn() -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    probe.hold_up();
    thread::scope(|scope| {
        let asked: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    ask()
                })
            })
            .collect();
        probe.wait_for_calls(1);
        thread::sleep(Duration::from_millis(100));
        probe.let_go();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

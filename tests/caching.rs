//! The caching keyring: what it keeps, for how long and for how much.

mod common;

use std::thread;
use std::time::Duration;

use common::caching::{context, entries, materials, open, probed, timed, wrapped};
use common::probe::eventually;
use waxseal::{
    CacheLimits, CachingKeyring, DecryptionRequest, EncryptWriter, EncryptionRequest, Envelope,
    EnvelopeEncryptor, Error, Keyring, MessageOptions, RootKey, SingleKeyring, Suite, SystemRandom,
    Unwrapped,
};

fn has_salt(message: &[u8]) -> bool {
    message[1] & 1 == 1
}

#[test]
fn messages_of_a_context_share_a_data_key_and_open_anywhere() {
    let (probe, keyring) = probed(CacheLimits::default());
    let (caching, plain) = (Envelope::new(keyring.clone()), common::envelope());
    let context = context("acme");
    let mut keys = Vec::new();
    for payload in [&b"first"[..], b"", &[7; 100_000]] {
        let message = caching.encrypt(payload, &context).unwrap();
        assert!(has_salt(&message), "shared from the first message on");
        assert!(message.len() <= caching.max_message_len(payload.len()));
        keys.push(message[26..93].to_vec());
        for envelope in [&caching, &plain] {
            assert_eq!(*envelope.decrypt(&message, &context).unwrap(), *payload);
        }
        let message = plain.encrypt(payload, &context).unwrap();
        assert_eq!(*caching.decrypt(&message, &context).unwrap(), *payload);
    }
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(probe.calls(), 1 + 1 + 3);
    let stats = keyring.stats();
    assert_eq!((stats.encryption.hits, stats.encryption.misses), (2, 1));
    assert_eq!((stats.decryption.hits, stats.decryption.misses), (2, 4));
    assert_eq!((stats.encryption.entries, stats.decryption.entries), (1, 4));
    assert_eq!(stats.encryption.evictions, 0);
    assert!(
        serde_json::to_string(&stats)
            .unwrap()
            .contains("\"hits\":2")
    );
}

#[test]
fn as_many_messages_as_the_limit_and_no_more() {
    let (_, keyring) = probed(CacheLimits::default().with_max_messages(3));
    let context = context("acme");
    let keys: Vec<_> = (0..7).map(|_| wrapped(&keyring, &context, 10)).collect();
    assert!(keys[..3].iter().all(|key| *key == keys[0]));
    assert!(keys[3..6].iter().all(|key| *key == keys[3]));
    assert!(keys[0] != keys[3] && keys[3] != keys[6]);
    let counters = keyring.stats().encryption;
    assert_eq!((counters.hits, counters.misses), (4, 3));
    assert_eq!((counters.evictions, counters.entries), (2, 1));
}

#[test]
fn a_data_key_is_dropped_with_its_last_message() {
    let (_, keyring) = probed(CacheLimits::default().with_max_messages(2));
    let context = context("acme");
    wrapped(&keyring, &context, 10);
    assert_eq!(keyring.stats().encryption.entries, 1);
    wrapped(&keyring, &context, 10);
    assert_eq!(keyring.stats().encryption.entries, 0);
}

#[test]
fn as_many_bytes_as_the_limit_and_no_more() {
    let (_, keyring) = probed(CacheLimits::default().with_max_bytes(100));
    let context = context("acme");
    let first = wrapped(&keyring, &context, 60);
    assert_eq!(wrapped(&keyring, &context, 40), first, "100 bytes in all");
    let second = wrapped(&keyring, &context, 0);
    assert_ne!(second, first);
    assert_eq!(wrapped(&keyring, &context, 60), second);
    let third = wrapped(&keyring, &context, 41);
    assert_ne!(third, second, "101 bytes in all");
    assert_eq!(wrapped(&keyring, &context, 0), third);
    assert_eq!(keyring.stats().encryption.evictions, 2);
}

#[test]
fn what_cannot_be_counted_or_shared_has_a_data_key_of_its_own() {
    let (probe, keyring) = probed(CacheLimits::default().with_max_bytes(100));
    let context = context("acme");
    let shared = wrapped(&keyring, &context, 10);
    for len in [100, 101, u64::MAX] {
        assert_ne!(wrapped(&keyring, &context, len), shared);
    }
    let envelope = Envelope::new(keyring.clone());
    let options = MessageOptions::new(&context);
    let writer = EncryptWriter::new(&envelope, Vec::new(), options).unwrap();
    let message = writer.finish().unwrap();
    assert!(!has_salt(&message));
    assert_eq!(wrapped(&keyring, &context, 10), shared);
    assert_eq!(probe.calls(), 5);
    let counters = keyring.stats().encryption;
    assert_eq!((counters.hits, counters.misses), (1, 5));
}

#[test]
fn as_old_as_the_limit_and_no_older() {
    let max_age = Duration::from_secs(300);
    let (clock, probe, keyring) = timed(CacheLimits::default().with_max_age(max_age));
    let context = context("acme");
    let first = wrapped(&keyring, &context, 10);
    let _ = open(&keyring, &context, &first).unwrap();
    clock.advance(max_age - Duration::from_nanos(1));
    assert_eq!(wrapped(&keyring, &context, 10), first);
    let _ = open(&keyring, &context, &first).unwrap();
    assert_eq!(probe.calls(), 2);
    clock.advance(Duration::from_nanos(1));
    assert_ne!(wrapped(&keyring, &context, 10), first);
    let _ = open(&keyring, &context, &first).unwrap();
    assert_eq!(probe.calls(), 4);
    let stats = keyring.stats();
    assert_eq!(stats.encryption.evictions, 1);
    assert_eq!(stats.decryption.evictions, 1);
}

#[test]
fn age_counts_from_the_beginning_of_the_call() {
    let max_age = Duration::from_secs(300);
    let (clock, probe, keyring) = timed(CacheLimits::default().with_max_age(max_age));
    let context = context("acme");
    for (call_takes, entries) in [(max_age, 0), (max_age - Duration::from_nanos(1), 1)] {
        probe.hold_up();
        let calls = probe.calls();
        thread::scope(|scope| {
            scope.spawn(|| materials(&keyring, &context));
            probe.wait_for_calls(calls + 1);
            clock.advance(call_takes);
            probe.let_go();
        });
        assert_eq!(keyring.stats().encryption.entries, entries);
    }
    clock.advance(Duration::from_nanos(1));
    eventually(|| keyring.stats().encryption.entries == 0);
}

#[test]
fn as_many_entries_as_the_limit_and_the_least_recently_used_goes() {
    let (probe, keyring) = probed(CacheLimits::default().with_max_entries(2));
    let (a, b, c) = (context("a"), context("b"), context("c"));
    let keys = [&a, &b].map(|context| wrapped(&keyring, context, 10));
    assert_eq!(wrapped(&keyring, &a, 10), keys[0], "a is used after b");
    wrapped(&keyring, &c, 10);
    let counters = keyring.stats().encryption;
    assert_eq!((counters.entries, counters.evictions), (2, 1));
    assert_eq!(wrapped(&keyring, &a, 10), keys[0]);
    assert_ne!(wrapped(&keyring, &b, 10), keys[1]);
    assert_eq!(probe.calls(), 4);

    for (context, key) in [(&a, &keys[0]), (&b, &keys[1]), (&a, &keys[0])] {
        let _ = open(&keyring, context, key).unwrap();
    }
    let other = wrapped(&keyring, &c, 10);
    let calls = probe.calls();
    let _ = open(&keyring, &c, &other).unwrap();
    let _ = open(&keyring, &a, &keys[0]).unwrap();
    assert_eq!(probe.calls(), calls + 1);
    let _ = open(&keyring, &b, &keys[1]).unwrap();
    assert_eq!(probe.calls(), calls + 2);
}

#[test]
fn limits_that_leave_nothing_turn_the_cache_off() {
    let context = context("acme");
    let on = CacheLimits::default();
    for off in [
        on.with_max_entries(0),
        on.with_max_age(Duration::ZERO),
        on.with_max_messages(1),
        on.with_max_messages(0),
        on.with_max_bytes(0),
    ] {
        let (probe, keyring) = probed(off);
        let envelope = Envelope::new(keyring.clone());
        for _ in 0..2 {
            let message = envelope.encrypt(b"payload", &context).unwrap();
            assert!(!has_salt(&message));
        }
        assert_eq!(probe.calls(), 2);
        let counters = keyring.stats().encryption;
        assert_eq!((counters.misses, counters.entries), (2, 0), "{off:?}");
    }
    let (probe, keyring) = probed(on.with_max_entries(0));
    let key = wrapped(&keyring, &context, 10);
    for _ in 0..2 {
        let _ = open(&keyring, &context, &key).unwrap();
    }
    assert_eq!((probe.calls(), keyring.stats().decryption.misses), (3, 2));
}

#[test]
fn contexts_and_suites_are_kept_apart() {
    let (probe, keyring) = probed(CacheLimits::default());
    let (a, b) = (context("a"), context("b"));
    let ask = |context, suite| {
        let request = EncryptionRequest::new(context, suite, &SystemRandom).with_payload_len(1);
        entries(&keyring.encryption_materials(request).unwrap())
    };
    let (gcm, chacha) = (Suite::Aes256Gcm, Suite::ChaCha20Poly1305);
    let asked = || [ask(&a, gcm), ask(&b, gcm), ask(&a, chacha)];
    let keys = asked();
    assert_eq!(asked(), keys);
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    assert_eq!(probe.calls(), 3);

    let open = |context, suite| {
        let request = DecryptionRequest::new(context, suite, keys[0].as_entries());
        keyring.decryption_materials(request)
    };
    let _ = open(&a, gcm).unwrap();
    assert!(matches!(open(&b, gcm), Err(Error::Decrypt)));
    let _ = open(&a, chacha).unwrap();
    assert_eq!(probe.calls(), 6, "none is found under the key of another");
    let _ = open(&a, gcm).unwrap();
    assert!(matches!(open(&b, gcm), Err(Error::Decrypt)));
    assert_eq!(probe.calls(), 7, "a refusal is not kept");
}

#[test]
fn a_changed_wrapped_key_is_not_found_under_the_original() {
    let (_, keyring) = probed(CacheLimits::default());
    let envelope = Envelope::new(keyring);
    let context = context("acme");
    let message = envelope.encrypt(b"payload", &context).unwrap();
    assert!(envelope.decrypt(&message, &context).is_ok());
    for position in 26 + 19..93 {
        let mut changed = message.clone();
        changed[position] ^= 1;
        let refused = envelope.decrypt(&changed, &context);
        assert!(matches!(refused, Err(Error::Decrypt)), "{position}");
    }
}

#[test]
fn any_of_several_wrapped_keys_is_found() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    let other = SingleKeyring::software(&RootKey::generate().unwrap());
    let mut both = entries(&materials(&other, &context));
    let mine = materials(&keyring, &context);
    for entry in mine.entries() {
        both.push(&entry.reference(), entry.wrapped()).unwrap();
    }
    for _ in 0..3 {
        let Unwrapped::Done(found) = open(&keyring, &context, &both).unwrap() else {
            panic!("the second is mine");
        };
        assert_eq!(found.entry(), 1);
    }
    let Unwrapped::Done(found) = open(&keyring, &context, &entries(&mine)).unwrap() else {
        panic!("it is mine");
    };
    assert_eq!((found.entry(), probe.calls()), (0, 2));
}

#[test]
fn expired_data_keys_are_dropped_without_a_call() {
    let max_age = Duration::from_secs(300);
    let (clock, _, keyring) = timed(CacheLimits::default().with_max_age(max_age));
    let kept = || {
        let stats = keyring.stats();
        (stats.encryption.entries, stats.decryption.entries)
    };
    let (a, b) = (context("a"), context("b"));
    let key = wrapped(&keyring, &a, 10);
    clock.advance(Duration::from_secs(100));
    wrapped(&keyring, &b, 10);
    let _ = open(&keyring, &a, &key).unwrap();
    assert_eq!(kept(), (2, 1));
    clock.advance(Duration::from_secs(200));
    eventually(|| kept() == (1, 1));
    clock.advance(Duration::from_secs(99));
    thread::sleep(Duration::from_millis(20));
    assert_eq!(kept(), (1, 1));
    clock.advance(Duration::from_secs(1));
    eventually(|| kept() == (0, 0));
    wrapped(&keyring, &a, 10);
    clock.advance(max_age);
    eventually(|| kept() == (0, 0));
    assert_eq!(keyring.stats().encryption.evictions, 3);
}

#[test]
fn a_data_key_in_the_place_of_another_has_a_life_of_its_own() {
    let limits = CacheLimits::default().with_max_age(Duration::from_secs(300));
    let (clock, _, keyring) = timed(limits.with_max_messages(2));
    let context = context("acme");
    wrapped(&keyring, &context, 10);
    clock.advance(Duration::from_secs(100));
    keyring.clear();
    wrapped(&keyring, &context, 10);
    clock.advance(Duration::from_secs(100));
    wrapped(&keyring, &context, 10);
    let key = wrapped(&keyring, &context, 10);
    for _ in 0..2 {
        clock.advance(Duration::from_secs(100));
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(wrapped(&keyring, &context, 10), key);
}

#[test]
fn they_are_dropped_by_the_system_clock_too() {
    let (_, keyring) = probed(CacheLimits::default().with_max_age(Duration::from_millis(50)));
    let context = context("acme");
    let key = wrapped(&keyring, &context, 10);
    let _ = open(&keyring, &context, &key).unwrap();
    eventually(|| {
        let stats = keyring.stats();
        (stats.encryption.entries, stats.decryption.entries) == (0, 0)
    });
}

#[test]
fn what_is_invalidated_is_asked_for_again() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    let key = wrapped(&keyring, &context, 10);
    let _ = open(&keyring, &context, &key).unwrap();
    let mine = key.as_entries().iter().next().unwrap().reference();
    let other = SingleKeyring::software(&RootKey::generate().unwrap());
    keyring.invalidate(other.key());
    assert_eq!(wrapped(&keyring, &context, 10), key);
    let _ = open(&keyring, &context, &key).unwrap();
    assert_eq!(probe.calls(), 2);

    for drop in [&(|| keyring.invalidate(&mine)) as &dyn Fn(), &|| {
        keyring.clear()
    }] {
        let key = wrapped(&keyring, &context, 10);
        let _ = open(&keyring, &context, &key).unwrap();
        let calls = probe.calls();
        drop();
        let stats = keyring.stats();
        assert_eq!((stats.encryption.entries, stats.decryption.entries), (0, 0));
        assert_ne!(wrapped(&keyring, &context, 10), key);
        let _ = open(&keyring, &context, &key).unwrap();
        assert_eq!(probe.calls(), calls + 2);
        assert_eq!(stats.encryption.evictions + stats.decryption.evictions, 0);
    }
}

#[test]
fn clones_share_what_is_kept() {
    let (probe, keyring) = probed(CacheLimits::default());
    let context = context("acme");
    let key = wrapped(&keyring, &context, 10);
    let clone = keyring.clone();
    drop(keyring);
    assert_eq!(wrapped(&clone, &context, 10), key);
    assert_eq!(probe.calls(), 1);
}

#[test]
fn a_hit_allocates_nothing() {
    let (_, keyring) = probed(CacheLimits::default());
    let envelope = Envelope::new(keyring);
    let context = context("acme");
    let options = MessageOptions::new(&context).with_aad(b"row 42");
    let mut message = vec![0; envelope.max_message_len(64)];
    let mut opened = [0; 64];
    let mut round_trip = || {
        let len = envelope
            .encrypt_into(&[7; 64], options, &mut message)
            .unwrap();
        envelope
            .decrypt_into(&message[..len], options, &mut opened)
            .unwrap();
    };
    round_trip();
    assert_eq!(allocation_counter::measure(round_trip).count_total, 0);
}

#[test]
fn debug_shows_no_context() {
    let (_, keyring) = probed(CacheLimits::default());
    let context = context("hunter2");
    let key = wrapped(&keyring, &context, 10);
    let _ = open(&keyring, &context, &key).unwrap();
    let shown = format!("{keyring:?} {:?}", keyring.stats());
    assert!(shown.contains("max_age: 300s"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_data_key_that_is_shared_inside_is_passed_on_and_not_kept() {
    let single = SingleKeyring::software(&RootKey::from_bytes(&common::ROOT_KEY));
    let sharing = common::SharingKeyring::new(single, &[0x33; 32]);
    let keyring = CachingKeyring::new(sharing);
    let context = context("acme");
    let keys = [(); 3].map(|()| wrapped(&keyring, &context, 10));
    assert!(keys.iter().all(|key| *key == keys[0]));
    let counters = keyring.stats().encryption;
    assert_eq!((counters.misses, counters.entries), (3, 0));

    let limits = CacheLimits::default().with_max_messages(3);
    let (probe, inside) = probed(limits);
    let keyring = CachingKeyring::new(inside).with_limits(limits);
    let keys = [(); 4].map(|()| wrapped(&keyring, &context, 10));
    assert!(keys[0] == keys[2] && keys[2] != keys[3]);
    assert_eq!(probe.calls(), 2);
}

//! Messages for several keys: who opens them, who is asked, and what is said when none opens.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::probe::{Fault, Probe};
use waxseal::format::{KeyEntriesBuf, KeyEntry};
use waxseal::{
    DecryptionRequest, DiscoveryKeyring, EncryptionContext, EncryptionMaterials, EncryptionRequest,
    EntryOutcome, Envelope, EnvelopeEncryptor, Error, KeyReference, Keyring, MessageOptions,
    MultiKeyring, Rewrap, RootKey, SingleKeyring, Unwrapped, WrapDataKeyRequest,
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn probes() -> [Probe; 4] {
    [1, 2, 3, 4].map(|byte| Probe::with_root(&RootKey::from_bytes(&[byte; 32])))
}

/// Those of four keyrings whose bit is set, as one.
fn some_of(probes: &[Probe; 4], bits: u8) -> Option<MultiKeyring> {
    let mut chosen = (0..4)
        .filter(|number| bits & 1 << number != 0)
        .map(|number| probes[number].clone());
    let first = MultiKeyring::new(chosen.next()?);
    Some(chosen.fold(first, MultiKeyring::with_key))
}

#[test]
fn every_choice_of_keys_held_and_keys_wrapped() {
    let probes = probes();
    for wrapped in 1..16u8 {
        let message = Envelope::new(some_of(&probes, wrapped).unwrap())
            .encrypt(b"payload", &context())
            .unwrap();
        for held in 1..16u8 {
            let before = probes.each_ref().map(Probe::calls);
            let envelope = Envelope::new(some_of(&probes, held).unwrap());
            let opened = envelope.decrypt_with(&message, MessageOptions::new(&context()));
            let asked: Vec<_> = (0..4)
                .filter(|&number| probes[number].calls() > before[number])
                .collect();
            match held & wrapped {
                0 => {
                    let Err(Error::OtherKey { message_keys }) = opened else {
                        panic!("{opened:?}");
                    };
                    assert_eq!(message_keys.len(), wrapped.count_ones() as usize);
                    assert!(asked.is_empty());
                }
                both => {
                    let first = both.trailing_zeros() as usize;
                    let place = (wrapped & ((1 << first) - 1)).count_ones() as usize;
                    let opened = opened.unwrap();
                    assert_eq!(
                        (&*opened.plaintext, opened.opened_by),
                        (&b"payload"[..], place)
                    );
                    assert_eq!(asked, [first], "held {held:04b}, wrapped {wrapped:04b}");
                }
            }
        }
    }
}

/// For each of four keys that are all in the message: whether it is held and opens, is not held, is
/// unavailable, or refuses.
#[test]
fn every_choice_of_outcomes_is_told_exactly() {
    let probes = probes();
    let message = Envelope::new(some_of(&probes, 15).unwrap())
        .encrypt(b"payload", &context())
        .unwrap();
    let outcomes = [
        None,
        Some(EntryOutcome::NotMine),
        Some(EntryOutcome::Unavailable),
        Some(EntryOutcome::DidNotOpen),
    ];
    for choice in 0..256usize {
        let chosen: [_; 4] = std::array::from_fn(|number| outcomes[choice >> (2 * number) & 3]);
        let mut held = 0;
        for (number, (outcome, probe)) in chosen.iter().zip(&probes).enumerate() {
            held |= u8::from(*outcome != Some(EntryOutcome::NotMine)) << number;
            probe.fail(match outcome {
                Some(EntryOutcome::Unavailable) => Some(Fault::Outage),
                Some(EntryOutcome::DidNotOpen) => Some(Fault::Refusal),
                _ => None,
            });
        }
        let Some(keyring) = some_of(&probes, held) else {
            continue;
        };
        let opened = Envelope::new(keyring).decrypt_with(&message, MessageOptions::new(&context()));
        if let Some(number) = chosen.iter().position(Option::is_none) {
            assert_eq!(opened.unwrap().opened_by, number);
        } else if chosen.contains(&Some(EntryOutcome::Unavailable)) {
            let error = opened.unwrap_err();
            assert!(error.is_retryable());
            let Error::NotOpened { report, .. } = error else {
                panic!("{error:?}");
            };
            let told: Vec<_> = report
                .entries()
                .iter()
                .map(|entry| Some(entry.outcome))
                .collect();
            assert_eq!(told, chosen);
        } else {
            assert!(matches!(opened, Err(Error::Decrypt)), "{opened:?}");
        }
    }
}

#[test]
fn the_report_reads_well_and_is_data() {
    let [first, second, ..] = probes();
    let keyring = MultiKeyring::new(first.clone()).with_key(second.clone());
    let message = Envelope::new(keyring.clone())
        .encrypt(b"", &context())
        .unwrap();
    first.fail(Fault::Outage);
    second.fail(Fault::Refusal);
    let error = Envelope::new(keyring)
        .decrypt(&message, &context())
        .unwrap_err();
    let [first, second] = [first.key(), second.key()];
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "no key opened the message ({first}: unavailable; {second}: did not open): {source}"
        )
    );
    let Error::NotOpened { report, source } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*source, Error::Provider(_)));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["entries"][0]["outcome"], "unavailable");
    assert_eq!(json["entries"][1]["key"], second.to_string());
}

#[test]
fn a_required_key_that_fails_fails_the_message_and_an_optional_one_does_not() {
    let [first, second, ..] = probes();
    second.fail(Fault::Outage);
    let required = MultiKeyring::new(first.clone()).with_key(second.clone());
    let refused = Envelope::new(required).encrypt(b"payload", &context());
    assert!(refused.unwrap_err().is_retryable());

    let optional = MultiKeyring::new(first.clone()).with_optional_key(second.clone());
    let envelope = Envelope::new(optional.clone());
    let message = envelope.encrypt(b"payload", &context()).unwrap();
    assert_eq!(waxseal::inspect(&message).unwrap().wrapped_keys.len(), 1);
    assert_eq!(optional.sealed_without(), [1]);
    second.fail(None);
    let message = envelope.encrypt(b"payload", &context()).unwrap();
    assert_eq!(waxseal::inspect(&message).unwrap().wrapped_keys.len(), 2);
    assert_eq!(optional.sealed_without(), [1]);

    first.fail(Fault::Outage);
    let refused = envelope.encrypt(b"payload", &context());
    assert!(
        refused.unwrap_err().is_retryable(),
        "the first gives the data key"
    );
}

/// As a key whose provider opens, and refuses to encrypt.
#[derive(Debug)]
struct Unwilling(SingleKeyring);

impl Keyring for Unwilling {
    fn encryption_materials(
        &self,
        _request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        Err(Error::Decrypt)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.0.decryption_materials(request)
    }

    fn wrap_data_key(&self, _request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        Err(Error::Decrypt)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.0.holds(entry)
    }

    fn max_entries_len(&self) -> usize {
        self.0.max_entries_len()
    }
}

#[test]
fn a_rewrap_leaves_an_optional_key_that_it_cannot_wrap_for() {
    let single = |byte| SingleKeyring::software(&RootKey::from_bytes(&[byte; 32]));
    let both = MultiKeyring::new(single(1)).with_optional_key(single(2));
    let message = Envelope::new(both).encrypt(b"x", &context()).unwrap();
    let wrapped = |message: &[u8]| waxseal::inspect(message).unwrap().wrapped_keys.len();
    assert_eq!(wrapped(&message), 2);

    let without = MultiKeyring::new(single(1)).with_optional_key(Unwilling(single(2)));
    let envelope = Envelope::new(without.clone());
    let rewrapped = envelope.rewrap(&message, &context()).unwrap();
    assert!(!rewrapped.is_changed);
    let moved = Rewrap::to(MultiKeyring::new(single(3)).with_optional_key(Unwilling(single(2))));
    let rewrapped = envelope.rewrap_with(&message, &context(), &moved).unwrap();
    let mut moved = message.clone();
    moved.splice(..rewrapped.replaces, rewrapped.header);
    for opens in [2, 3] {
        let opened = Envelope::new(single(opens)).decrypt(&moved, &context());
        assert_eq!(*opened.unwrap(), *b"x");
    }
    assert_eq!(wrapped(&moved), 2);
    assert_eq!(without.sealed_without(), [0]);
}

#[test]
fn a_keyring_that_only_opens_wraps_nothing() {
    let [first, second, ..] = probes();
    let keyring = MultiKeyring::new(first.clone()).opening_also(second.clone());
    let message = Envelope::new(keyring.clone())
        .encrypt(b"payload", &context())
        .unwrap();
    assert_eq!(
        (
            waxseal::inspect(&message).unwrap().wrapped_keys.len(),
            second.calls()
        ),
        (1, 0)
    );
    let theirs = Envelope::new(second)
        .encrypt(b"payload", &context())
        .unwrap();
    assert_eq!(
        &*Envelope::new(keyring).decrypt(&theirs, &context()).unwrap(),
        b"payload"
    );
}

#[test]
fn the_same_key_twice_is_refused() {
    let [first, ..] = probes();
    let keyring = MultiKeyring::new(first.clone()).with_key(first);
    let refused = Envelope::new(keyring).encrypt(b"payload", &context());
    assert!(matches!(refused, Err(Error::Entry(_))));
}

#[test]
fn discovery_opens_what_its_filter_lets_pass_and_seals_nothing() {
    let [first, second, third, _] = probes();
    let sealed_for = |probe: &Probe| {
        Envelope::new(probe.clone())
            .encrypt(b"payload", &context())
            .unwrap()
    };
    let allowed = [first.key(), third.key()];
    let filter = move |key: &KeyReference| allowed.contains(key);
    let keyring = DiscoveryKeyring::new(filter)
        .among(first.clone())
        .among(second.clone());
    let envelope = Envelope::new(keyring);
    let opened = envelope.decrypt(&sealed_for(&first), &context()).unwrap();
    assert_eq!(&*opened, b"payload");

    // Held and not let pass; let pass and not held.
    for other in [&second, &third] {
        let message = sealed_for(other);
        let calls = other.calls();
        let refused = envelope.decrypt(&message, &context());
        assert!(matches!(refused, Err(Error::OtherKey { .. })));
        assert_eq!(other.calls(), calls, "a filtered key was asked");
    }
    let refused = envelope.encrypt(b"payload", &context());
    assert!(matches!(refused, Err(Error::OpensOnly)));
}

/// What is said of the entries that pass is said of their places in the message.
#[test]
fn discovery_tells_of_all_wrapped_keys() {
    let probes = probes();
    let message = Envelope::new(some_of(&probes, 15).unwrap())
        .encrypt(b"payload", &context())
        .unwrap();
    let second = probes[1].key();
    let keyring = DiscoveryKeyring::new(move |key| *key == second);
    let keyring = probes
        .iter()
        .cloned()
        .fold(keyring, DiscoveryKeyring::among);
    let envelope = Envelope::new(keyring);
    let opened = envelope
        .decrypt_with(&message, MessageOptions::new(&context()))
        .unwrap();
    assert_eq!(opened.opened_by, 1);
    probes[1].fail(Fault::Outage);
    let Err(Error::NotOpened { report, .. }) = envelope.decrypt(&message, &context()) else {
        panic!("no report");
    };
    let outcomes: Vec<_> = report.entries().iter().map(|entry| entry.outcome).collect();
    use EntryOutcome::{NotMine, Unavailable};
    assert_eq!(outcomes, [NotMine, Unavailable, NotMine, NotMine]);
}

/// A filter is asked about the key, before anything else is done with it.
#[test]
fn a_filter_sees_every_wrapped_key_once() {
    let probes = probes();
    let message = Envelope::new(some_of(&probes, 15).unwrap())
        .encrypt(b"", &context())
        .unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let keyring = DiscoveryKeyring::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        false
    });
    let refused = Envelope::new(keyring.among(probes[0].clone())).decrypt(&message, &context());
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    assert_eq!(seen.load(Ordering::Relaxed), 4);
}

/// Without a thread for it: all keys are in this process.
#[test]
fn it_answers_at_once_where_all_of_its_keys_do() {
    let [first, second] =
        [5, 6].map(|byte| SingleKeyring::software(&RootKey::from_bytes(&[byte; 32])));
    let keyring = MultiKeyring::new(first.clone()).with_key(second);
    assert!(keyring.wraps_at_once());
    let random = waxseal::SystemRandom;
    let context = context();
    let request = EncryptionRequest::new(&context, waxseal::Suite::default(), &random);
    let materials = keyring.try_encryption_materials(request).unwrap().unwrap();
    assert_eq!(materials.entries().count(), 2);
    let slow = MultiKeyring::new(first).with_key(Probe::new());
    assert!(!slow.wraps_at_once() && slow.try_encryption_materials(request).is_none());
}

//! Messages that take several key holders: how many it takes, who is asked, and what is said.

mod common;

use common::probe::{Fault, Probe};
use waxseal::{
    CachingKeyring, EncryptionContext, EntryOutcome, Envelope, EnvelopeEncryptor, Error,
    KeyReference, Keyring, MultiKeyring, RootKey, SingleKeyring, ThresholdKeyring, inspect,
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn probes(count: u8) -> Vec<Probe> {
    (1..=count)
        .map(|byte| Probe::with_root(&RootKey::from_bytes(&[byte; 32])))
        .collect()
}

fn chosen(probes: &[Probe], bits: u32) -> Vec<Probe> {
    let numbered = probes.iter().enumerate();
    numbered
        .filter(|(number, _)| bits >> number & 1 == 1)
        .map(|(_, probe)| probe.clone())
        .collect()
}

#[test]
fn every_choice_of_holders() {
    for (threshold, count) in [(2u8, 2u8), (2, 3), (3, 5), (4, 4)] {
        let probes = probes(count);
        let sealer = ThresholdKeyring::new(threshold, probes.clone()).unwrap();
        let message = Envelope::new(sealer)
            .encrypt(b"payload", &context())
            .unwrap();
        assert_eq!(
            inspect(&message).unwrap().wrapped_keys.len(),
            usize::from(count)
        );
        for bits in 0..1u32 << count {
            let holders = chosen(&probes, bits);
            let before: usize = probes.iter().map(Probe::calls).sum();
            let opened =
                Envelope::new(ThresholdKeyring::opening(holders)).decrypt(&message, &context());
            let asked = probes.iter().map(Probe::calls).sum::<usize>() - before;
            match bits.count_ones() {
                0 => assert!(matches!(opened, Err(Error::OtherKey { .. })), "{opened:?}"),
                few if few < u32::from(threshold) => {
                    let Err(Error::TooFewShares { needed, held }) = opened else {
                        panic!("{opened:?}");
                    };
                    assert_eq!((needed, u32::from(held), asked), (threshold, few, 0));
                }
                _ => {
                    assert_eq!(&*opened.unwrap(), b"payload");
                    assert_eq!(
                        asked,
                        usize::from(threshold),
                        "as many as it takes are asked"
                    );
                }
            }
        }
    }
}

#[test]
fn holders_who_cannot_be_reached_are_made_up_for_by_others() {
    let probes = probes(4);
    let keyring = ThresholdKeyring::new(2, probes.clone()).unwrap();
    let envelope = Envelope::new(keyring);
    let message = envelope.encrypt(b"payload", &context()).unwrap();
    for failing in 0..16u32 {
        for fault in [Fault::Outage, Fault::Refusal] {
            for (number, probe) in probes.iter().enumerate() {
                probe.fail((failing >> number & 1 == 1).then_some(fault));
            }
            let opened = envelope.decrypt(&message, &context());
            match (failing.count_ones(), fault) {
                (0..=2, _) => assert_eq!(&*opened.unwrap(), b"payload"),
                (_, Fault::Refusal) => assert!(matches!(opened, Err(Error::Decrypt))),
                _ => {
                    let error = opened.unwrap_err();
                    assert!(error.is_retryable());
                    let Error::NotOpened { report, .. } = error else {
                        panic!("{error:?}");
                    };
                    for (number, entry) in report.entries().iter().enumerate() {
                        let expected = match failing >> number & 1 {
                            1 => EntryOutcome::Unavailable,
                            _ => EntryOutcome::TooFewShares,
                        };
                        assert_eq!(entry.outcome, expected);
                    }
                }
            }
        }
    }
}

#[test]
fn a_share_does_not_serve_in_another_message() {
    let probes = probes(3);
    let envelope = Envelope::new(ThresholdKeyring::new(2, probes).unwrap());
    let [one, other] =
        [b"one", b"two"].map(|payload| envelope.encrypt(payload, &context()).unwrap());
    let entry_len = (one.len() - 2 - 32 - 3 - 16) / 3;
    for number in 0..3 {
        let entry = 2 + number * entry_len..2 + (number + 1) * entry_len;
        let mut mixed = one.clone();
        mixed[entry.clone()].copy_from_slice(&other[entry]);
        let refused = envelope.decrypt(&mixed, &context());
        assert!(matches!(refused, Err(Error::Decrypt)), "{refused:?}");
    }
    // Every byte of a share's place counts: group, threshold, shares, number.
    let start = 2 + 2;
    for position in start..start + 19 {
        for bit in 0..8 {
            let mut changed = one.clone();
            changed[position] ^= 1 << bit;
            assert!(
                envelope.decrypt(&changed, &context()).is_err(),
                "byte {position}"
            );
        }
    }
}

#[test]
fn any_key_of_a_member_gives_its_share() {
    let probes = probes(4);
    let [a, b, c, d] = [0, 1, 2, 3].map(|number| probes[number].clone());
    let one = MultiKeyring::new(a.clone()).with_key(b.clone());
    let members: [Box<dyn Keyring>; 2] = [Box::new(one), Box::new(CachingKeyring::new(c.clone()))];
    let keyring = ThresholdKeyring::new(2, members).unwrap();
    let message = Envelope::new(keyring)
        .encrypt(b"payload", &context())
        .unwrap();
    for holder in [a.clone(), b.clone()] {
        let two = ThresholdKeyring::opening([holder, c.clone()]);
        assert_eq!(
            &*Envelope::new(two).decrypt(&message, &context()).unwrap(),
            b"payload"
        );
    }
    // Both have the same share.
    let same = Envelope::new(ThresholdKeyring::opening([a, b, d]));
    let refused = same.decrypt(&message, &context());
    assert!(matches!(
        refused,
        Err(Error::TooFewShares { needed: 2, held: 1 })
    ));
}

#[test]
fn one_of_several_ways_to_open() {
    let probes = probes(4);
    let [director, a, b, c] = [0, 1, 2, 3].map(|number| probes[number].clone());
    let custodians = ThresholdKeyring::new(2, [a.clone(), b.clone(), c]).unwrap();
    let keyring = MultiKeyring::new(director.clone()).with_key(custodians);
    let message = Envelope::new(keyring)
        .encrypt(b"payload", &context())
        .unwrap();
    let open = |keyring: Box<dyn Keyring>| Envelope::new(keyring).decrypt(&message, &context());
    assert!(open(Box::new(director.clone())).is_ok());
    assert!(open(Box::new(ThresholdKeyring::opening([a.clone(), b]))).is_ok());
    let alone = open(Box::new(ThresholdKeyring::opening([a.clone()])));
    assert!(matches!(
        alone,
        Err(Error::TooFewShares { needed: 2, held: 1 })
    ));
    // A share is not a data key, even to who holds its key.
    assert!(matches!(open(Box::new(a)), Err(Error::OtherKey { .. })));
}

#[test]
fn what_makes_no_threshold_is_refused() {
    for (threshold, members) in [(0, 3), (1, 3), (4, 3), (2, 1), (2, 17)] {
        let refused = ThresholdKeyring::new(threshold, probes(members)).unwrap_err();
        assert_eq!(
            (refused.threshold, refused.members),
            (threshold, members.into())
        );
    }
    let probes = probes(3);
    let seal = |keyring: ThresholdKeyring| Envelope::new(keyring).encrypt(b"", &context());
    let opening = seal(ThresholdKeyring::opening(probes.clone()));
    assert!(matches!(opening, Err(Error::OpensOnly)));
    let twice = ThresholdKeyring::new(2, [probes[0].clone(), probes[0].clone()]).unwrap();
    assert!(
        matches!(seal(twice), Err(Error::Entry(_))),
        "one key would have two shares"
    );
    let inner = ThresholdKeyring::new(2, probes.clone()).unwrap();
    let nested: [Box<dyn Keyring>; 2] = [Box::new(inner), Box::new(probes[0].clone())];
    assert!(matches!(
        seal(ThresholdKeyring::new(2, nested).unwrap()),
        Err(Error::Entry(_))
    ));
}

#[test]
fn inspect_tells_of_shares() {
    let software = [1, 2].map(|byte| SingleKeyring::software(&RootKey::from_bytes(&[byte; 32])));
    let keys = software.each_ref().map(|keyring| keyring.key().clone());
    let keyring = ThresholdKeyring::new(2, software).unwrap();
    let room = keyring.max_entries_len();
    let message = Envelope::new(keyring).encrypt(b"", &context()).unwrap();
    let inspection = inspect(&message).unwrap();
    for ((number, info), key) in (1..).zip(&inspection.wrapped_keys).zip(&keys) {
        let share = info.share.unwrap();
        assert_eq!(
            (share.number(), share.threshold(), share.shares()),
            (number, 2, 2)
        );
        assert_eq!((info.tag, info.provider.as_str()), (7, "software"));
        assert!(key.to_string().contains(&info.key));
    }
    assert!(inspection.to_string().contains("share 1 of 2 (2 needed)"));
    let (header, _) = waxseal::format::Header::parse(&message).unwrap();
    let references: Vec<KeyReference> = header
        .entries()
        .iter()
        .map(|entry| entry.reference())
        .collect();
    assert_eq!(
        references
            .iter()
            .map(KeyReference::wrapping_key)
            .collect::<Vec<_>>(),
        keys
    );
    assert!(header.entries().as_bytes().len() <= room);
}

/// Else one of the shares would do, from the second time on.
#[test]
fn a_cache_does_not_stand_for_the_holders() {
    let probes = probes(3);
    let sealer = ThresholdKeyring::new(2, probes.clone()).unwrap();
    let keyring = CachingKeyring::new(sealer);
    let envelope = Envelope::new(keyring.clone());
    let message = envelope.encrypt(b"payload", &context()).unwrap();
    for _ in 0..2 {
        assert_eq!(
            &*envelope.decrypt(&message, &context()).unwrap(),
            b"payload"
        );
    }
    for probe in &probes[1..] {
        probe.fail(Fault::Outage);
    }
    let refused = envelope.decrypt(&message, &context());
    assert!(refused.unwrap_err().is_retryable(), "one holder is left");

    // What it seals with is dropped when one of the holders' keys is.
    for probe in &probes {
        probe.fail(None);
    }
    let calls = probes[0].calls();
    envelope.encrypt(b"payload", &context()).unwrap();
    assert_eq!(probes[0].calls(), calls);
    keyring.invalidate(&probes[1].key());
    envelope.encrypt(b"payload", &context()).unwrap();
    assert_eq!(probes[0].calls(), calls + 1);
}

//! Keyrings that stand in for each other: how long callers wait, who is passed by, and for how long.

mod common;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::probe::{Fault, Probe, eventually};
use waxseal::{
    CachingKeyring, EncryptionContext, Envelope, EnvelopeEncryptor, Error, FallbackKeyring,
    FallbackLimits, ManualClock, MultiKeyring, NotAnswered, RootKey, WhyNotAnswered, inspect,
};

const TIMEOUT: Duration = Duration::from_millis(200);
/// What a call takes at the most that waits for one timeout, on a machine that has other work.
const ONE_TIMEOUT: Duration = Duration::from_secs(15);

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn probes() -> [Probe; 2] {
    [1, 2].map(|byte| Probe::with_root(&RootKey::from_bytes(&[byte; 32])))
}

fn limits() -> FallbackLimits {
    FallbackLimits::default()
        .with_timeout(TIMEOUT)
        .with_retries(0, Duration::ZERO)
}

fn over(probes: &[Probe; 2], clock: &ManualClock) -> FallbackKeyring {
    FallbackKeyring::new(probes[0].clone())
        .or(probes[1].clone())
        .with_limits(limits())
        .with_clock(clock.clone())
}

fn sealed_by(envelope: &Envelope, probes: &[Probe; 2]) -> Result<usize, Error> {
    let message = envelope.encrypt(b"payload", &context())?;
    let (header, _) = waxseal::format::Header::parse(&message).unwrap();
    let key = header.entries().iter().next().unwrap().reference();
    Ok(probes.iter().position(|probe| probe.key() == key).unwrap())
}

/// As long as the test wants, which stands for 30 seconds and more.
#[test]
fn a_provider_that_hangs_delays_by_the_timeout_and_then_nobody() {
    let probes = probes();
    let clock = ManualClock::default();
    let keyring = over(&probes, &clock);
    let envelope = Envelope::new(keyring.clone());
    assert_eq!(sealed_by(&envelope, &probes).unwrap(), 0);

    probes[0].hold_up();
    let start = Instant::now();
    assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1);
    let waited = start.elapsed();
    assert!(waited >= TIMEOUT && waited < ONE_TIMEOUT, "{waited:?}");
    assert_eq!(keyring.put_aside(), [0]);

    let calls = probes[0].calls();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1);
    }
    assert!(start.elapsed() < 20 * TIMEOUT, "nobody waits");
    assert_eq!(probes[0].calls(), calls, "nobody asks");

    // It is tried again, by one call; it hangs still.
    clock.advance(Duration::from_secs(10));
    assert!(keyring.put_aside().is_empty());
    assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1);
    assert_eq!(
        (probes[0].calls(), keyring.put_aside()),
        (calls + 1, vec![0])
    );

    probes[0].let_go();
    clock.advance(Duration::from_secs(10));
    assert_eq!(sealed_by(&envelope, &probes).unwrap(), 0);
    assert!(keyring.put_aside().is_empty());
}

#[test]
fn many_callers_wait_for_one_timeout_at_the_most() {
    let probes = probes();
    probes[0].hold_up();
    let envelope = Envelope::new(over(&probes, &ManualClock::default()));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1));
        }
    });
    assert!(start.elapsed() < ONE_TIMEOUT);
    assert!(probes[0].calls() <= 16, "{} calls hang", probes[0].calls());
    probes[0].let_go();
}

/// Within the limits that there are unless others are told: a second for each keyring.
#[test]
fn thirty_seconds_of_a_provider_are_one_second_of_its_callers() {
    const HANGS: Duration = Duration::from_secs(30);
    let bound = FallbackLimits::default().timeout;
    for is_cached in [false, true] {
        let probes = probes();
        let fallback = FallbackKeyring::new(probes[0].clone()).or(probes[1].clone());
        let envelope = if is_cached {
            Envelope::new(CachingKeyring::new(fallback.clone()))
        } else {
            Envelope::new(fallback.clone())
        };
        let near = Envelope::new(probes[0].clone());
        let message = near.encrypt(b"payload", &context()).unwrap();
        let waits = |call: &dyn Fn()| {
            let start = Instant::now();
            call();
            start.elapsed()
        };

        probes[0].hang_for(HANGS);
        let seal = || assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1);
        let waited = thread::scope(|scope| {
            let callers: Vec<_> = (0..64).map(|_| scope.spawn(|| waits(&seal))).collect();
            let waited = callers.into_iter().map(|caller| caller.join().unwrap());
            waited.max().unwrap()
        });
        assert!(waited >= bound && waited < ONE_TIMEOUT, "{waited:?}");
        assert_eq!(fallback.put_aside(), [0]);
        let calls = probes[0].calls();
        // Who comes now does not wait for it, and who asks what only it can open is told so.
        let open = || assert!(envelope.decrypt(&message, &context()).is_err());
        let waited = waits(&|| (0..10).for_each(|_| seal())) + waits(&open);
        assert!(waited < ONE_TIMEOUT, "{waited:?}");
        assert_eq!(probes[0].calls(), calls, "nobody asks");
        probes[0].let_go();
    }
}

#[test]
fn outages_are_tried_again_and_then_put_aside() {
    let probes = probes();
    let clock = ManualClock::default();
    let retrying = limits()
        .with_timeout(ONE_TIMEOUT)
        .with_retries(2, Duration::from_millis(1));
    let keyring = over(&probes, &clock).with_limits(retrying);
    let envelope = Envelope::new(keyring.clone());
    probes[0].fail(Fault::Outage);
    for round in 1..=3 {
        assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1);
        assert_eq!(probes[0].calls(), 3 * round);
    }
    assert_eq!(keyring.put_aside(), [0]);
    assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1);
    assert_eq!(probes[0].calls(), 9);

    // Other failures are answers.
    probes[0].fail(Fault::Invalid);
    clock.advance(Duration::from_secs(10));
    assert!(matches!(
        sealed_by(&envelope, &probes),
        Err(Error::Entry(_))
    ));
    assert_eq!(probes[0].calls(), 10);
    assert!(keyring.put_aside().is_empty());
}

#[test]
fn when_nobody_answers_it_may_be_tried_again() {
    let probes = probes();
    let envelope = Envelope::new(over(&probes, &ManualClock::default()));
    let message = envelope.encrypt(b"payload", &context()).unwrap();
    for probe in &probes {
        probe.hold_up();
    }
    let error = envelope.encrypt(b"payload", &context()).unwrap_err();
    assert!(error.is_retryable());
    let timed_out = WhyNotAnswered::TimedOut { after: TIMEOUT };
    let Error::NotAnswered(NotAnswered {
        keyring: 1, why, ..
    }) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(why, timed_out);
    // Both are put aside now.
    let start = Instant::now();
    let error = envelope.decrypt(&message, &context()).unwrap_err();
    assert!(error.is_retryable() && start.elapsed() < TIMEOUT);
    assert!(error.to_string().contains("unavailable"), "{error}");
    for probe in &probes {
        probe.let_go();
    }
}

#[test]
fn the_next_is_asked_too_when_the_first_takes_long() {
    let probes = probes();
    let hedging = limits()
        .with_timeout(ONE_TIMEOUT)
        .with_hedge_after(Duration::from_millis(20));
    let envelope = Envelope::new(over(&probes, &ManualClock::default()).with_limits(hedging));
    probes[0].hold_up();
    let start = Instant::now();
    assert_eq!(sealed_by(&envelope, &probes).unwrap(), 1);
    assert!(start.elapsed() < ONE_TIMEOUT / 2);
    probes[0].let_go();
    eventually(|| sealed_by(&envelope, &probes).unwrap() == 0);
}

#[test]
fn opening_asks_who_holds_a_key_and_goes_on_after_a_refusal() {
    let probes = probes();
    let both = Envelope::new(MultiKeyring::new(probes[0].clone()).with_key(probes[1].clone()));
    let message = both.encrypt(b"payload", &context()).unwrap();
    let envelope = Envelope::new(over(&probes, &ManualClock::default()));
    let open = || {
        envelope
            .decrypt(&message, &context())
            .map(|payload| payload.to_vec())
    };
    assert_eq!(open().unwrap(), b"payload");
    for fault in [Fault::Refusal, Fault::Outage, Fault::Panic] {
        probes[0].fail(fault);
        assert_eq!(open().unwrap(), b"payload", "{fault:?}");
    }
    for probe in &probes {
        probe.fail(Fault::Refusal);
    }
    assert!(matches!(open(), Err(Error::Decrypt)));

    let theirs = Envelope::new(probes[1].clone());
    probes[1].fail(None);
    let message = theirs.encrypt(b"payload", &context()).unwrap();
    let calls = probes[0].calls();
    assert!(envelope.decrypt(&message, &context()).is_ok());
    assert_eq!(probes[0].calls(), calls, "it does not hold the key");
}

#[test]
fn what_is_at_hand_needs_nobody() {
    let probes = probes();
    let [near, far] = probes
        .each_ref()
        .map(|probe| CachingKeyring::new(probe.clone()));
    let keyring = FallbackKeyring::new(near).or(far).with_limits(limits());
    let envelope = Envelope::new(keyring);
    assert_eq!(sealed_by(&envelope, &probes).unwrap(), 0);
    probes[0].hold_up();
    for _ in 0..10 {
        assert_eq!(sealed_by(&envelope, &probes).unwrap(), 0);
    }
    assert_eq!(probes[0].calls(), 1);
    probes[0].let_go();
}

/// The same over a single provider, over several keys, and over keyrings that stand in.
#[test]
fn sixty_four_threads_ask_a_provider_once() {
    let probes = probes();
    let [first, second] = &probes;
    let multi = MultiKeyring::new(first.clone()).with_key(second.clone());
    let patient = limits().with_timeout(ONE_TIMEOUT);
    let fallback = over(&probes, &ManualClock::default()).with_limits(patient);
    let keyrings = [
        (CachingKeyring::new(first.clone()), [1, 0]),
        (CachingKeyring::new(multi), [1, 1]),
        (CachingKeyring::new(fallback), [1, 0]),
    ];
    for (keyring, expected) in keyrings {
        let before = probes.each_ref().map(Probe::calls);
        let envelope = Arc::new(Envelope::new(keyring.clone()));
        first.hold_up();
        thread::scope(|scope| {
            for _ in 0..64 {
                let envelope = Arc::clone(&envelope);
                scope.spawn(move || envelope.encrypt(b"payload", &context()).unwrap());
            }
            first.wait_for_calls(before[0] + 1);
            thread::sleep(Duration::from_millis(100));
            first.let_go();
        });
        let after = probes.each_ref().map(Probe::calls);
        assert_eq!([after[0] - before[0], after[1] - before[1]], expected);
        assert_eq!(
            inspect(&envelope.encrypt(b"", &context()).unwrap())
                .unwrap()
                .wrapped_keys
                .len(),
            1 + expected[1]
        );
    }
}

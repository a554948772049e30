//! New versions of keys, in virtual time.

mod common;

use std::time::Duration;

use common::kms::{DAY, Ledger, World, numbers};
use waxseal::kms::{VersionCause, VersionState};
use waxseal::{
    Clock, CreateKey, KeyId, KeySpec, KeyVersion, Kms, KmsError, KmsHandle, RotationPolicy,
    WaitingPeriod,
};

fn rotating(kms: &KmsHandle, policy: RotationPolicy) -> KeyId {
    let request = CreateKey::new().with_rotation(policy);
    kms.create_key(request).unwrap().id
}

fn version(number: u32) -> KeyVersion {
    KeyVersion::new(number).unwrap()
}

fn primary(kms: &KmsHandle, key: KeyId) -> u32 {
    kms.describe_key(key).unwrap().primary.get()
}

#[test]
fn a_period_rotates_and_keeps_its_rhythm() {
    let world = World::new();
    let kms = world.handle();
    let created = world.clock.unix_time();
    let key = rotating(&kms, RotationPolicy::every_days(90));
    let next = |kms: &KmsHandle| kms.rotation_status(key).unwrap().next_rotation.unwrap();
    assert_eq!(next(&kms), created.saturating_add(90 * DAY));

    world.clock.advance(90 * DAY - Duration::from_millis(1));
    assert!(kms.tick().unwrap().is_empty());
    world.clock.advance(Duration::from_millis(1));
    let report = kms.tick().unwrap();
    assert_eq!(report.promoted, [(key, version(2))]);
    assert!(kms.tick().unwrap().is_empty());

    // Late by three periods and a day: one rotation, and the next at its old time.
    world.clock.advance(3 * 90 * DAY + DAY);
    assert_eq!(kms.tick().unwrap().promoted, [(key, version(3))]);
    assert!(kms.tick().unwrap().is_empty());
    assert_eq!(next(&kms), created.saturating_add(5 * 90 * DAY));

    let versions = kms.list_versions(key).unwrap();
    assert_eq!(numbers(&versions), [1, 2, 3]);
    assert!(versions.iter().all(|it| it.state == VersionState::Enabled));
    assert_eq!(
        versions.iter().map(|it| it.primary).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(versions[1].cause, VersionCause::Period);
    assert_eq!(versions[1].promoted, Some(created.saturating_add(90 * DAY)));
    assert_eq!(world.provider.alive(), world.stored_handles());
}

#[test]
fn rotation_on_demand_leaves_the_schedule_alone() {
    let world = World::new();
    let kms = world.handle();
    let key = rotating(&kms, RotationPolicy::default());
    let status = kms.rotation_status(key).unwrap();
    assert!(status.enabled);
    assert_eq!(
        status.next_rotation,
        Some(world.clock.unix_time().saturating_add(365 * DAY))
    );
    world.clock.advance(100 * DAY);
    assert_eq!(kms.rotate_now(key).unwrap(), version(2));
    assert_eq!(kms.rotation_status(key).unwrap(), status);
    assert_eq!(
        kms.list_versions(key).unwrap()[1].cause,
        VersionCause::OnDemand
    );
    world.clock.advance(265 * DAY);
    assert_eq!(kms.tick().unwrap().promoted, [(key, version(3))]);
}

#[test]
fn rotation_is_changed_and_ended() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let status = kms.rotation_status(key).unwrap();
    assert!(!status.enabled && status.policy.is_none() && status.next_rotation.is_none());

    let policy = RotationPolicy::every_days(100);
    kms.enable_rotation(key, policy).unwrap();
    world.clock.advance(50 * DAY);
    kms.enable_rotation(key, policy).unwrap();
    world.clock.advance(49 * DAY);
    assert!(kms.tick().unwrap().is_empty());
    world.clock.advance(DAY);
    assert_eq!(kms.tick().unwrap().promoted.len(), 1, "begun 100 days ago");

    kms.enable_rotation(key, RotationPolicy::every_days(90))
        .unwrap();
    world.clock.advance(90 * DAY);
    assert_eq!(kms.tick().unwrap().promoted.len(), 1);

    kms.disable_rotation(key).unwrap();
    world.clock.advance(5000 * DAY);
    assert!(kms.tick().unwrap().is_empty());
}

#[test]
fn policies_have_bounds() {
    let kms = World::new().handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let good = [
        RotationPolicy::every_days(90),
        RotationPolicy::every_days(2560),
        RotationPolicy::by_budget(1),
        RotationPolicy::by_budget(1 << 48),
        RotationPolicy::default().with_guard(30 * DAY),
    ];
    for policy in good {
        kms.enable_rotation(key, policy).unwrap();
        let status = kms.rotation_status(key).unwrap();
        assert_eq!(status.policy, Some(policy));
    }
    let status = kms.rotation_status(key).unwrap();
    for (policy, message) in [
        (
            RotationPolicy::every_days(2561),
            "the rotation period must be 90 to 2560 days, and 2561 was given",
        ),
        (
            RotationPolicy::by_budget(0),
            "the budget of a version must be 1 to 281474976710656 wraps, and 0 was given",
        ),
        (
            RotationPolicy::default().with_guard(31 * DAY),
            "the guard of a new version must be 0 to 2592000 seconds, and 2678400 was given",
        ),
    ] {
        let error = kms.enable_rotation(key, policy).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(kms.rotation_status(key).unwrap(), status);
}

#[test]
fn what_does_not_wrap_or_is_imported_is_not_rotated() {
    let kms = World::new().handle();
    let signs = kms
        .create_key(CreateKey::new().with_spec(KeySpec::Ed25519))
        .unwrap()
        .id;
    let error = kms.rotate_now(signs).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "RotateKeyOnDemand is refused because the key {signs} is for SIGN_VERIFY; use a key that is for it"
        )
    );
    let imported = kms.create_key(CreateKey::new().for_import()).unwrap().id;
    let error = kms
        .enable_rotation(imported, RotationPolicy::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "EnableKeyRotation is refused because the material of the key {imported} is imported, and only its owner can make more of it; use a key that was not created for import"
        )
    );
}

#[test]
fn a_guard_lets_a_version_wait() {
    let world = World::new();
    let kms = world.handle();
    let policy = RotationPolicy::every_days(90).with_guard(3 * DAY);
    let key = rotating(&kms, policy);
    world.clock.advance(91 * DAY);
    let due = world.clock.unix_time();
    let report = kms.tick().unwrap();
    assert_eq!(report.pending, [(key, version(2))]);
    assert_eq!(report.promoted, []);
    let status = kms.rotation_status(key).unwrap();
    assert_eq!(status.pending_version, Some(version(2)));
    assert_eq!(status.promotion_date, Some(due.saturating_add(3 * DAY)));
    assert_eq!(primary(&kms, key), 1);
    assert_eq!(
        kms.list_versions(key).unwrap()[1].state,
        VersionState::Pending
    );

    world.clock.advance(3 * DAY - Duration::from_millis(1));
    assert!(kms.tick().unwrap().is_empty());
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(kms.tick().unwrap().promoted, [(key, version(2))]);
    assert_eq!(primary(&kms, key), 2);
    let status = kms.rotation_status(key).unwrap();
    assert_eq!(
        (status.pending_version, status.promotion_date),
        (None, None)
    );
}

#[test]
fn a_version_is_made_and_promoted_by_hand() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    assert_eq!(kms.create_pending_version(key).unwrap(), version(2));
    let error = kms.create_pending_version(key).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "version 2 of the key {key} already waits to be promoted; promote it with promote_version first"
        )
    );
    world.clock.advance(5000 * DAY);
    assert!(kms.tick().unwrap().is_empty());
    assert_eq!(primary(&kms, key), 1);
    kms.promote_version(key, version(2)).unwrap();
    kms.promote_version(key, version(2)).unwrap();
    assert_eq!(primary(&kms, key), 2);
    assert_eq!(
        kms.promote_version(key, version(1))
            .unwrap_err()
            .to_string(),
        format!(
            "version 1 of the key {key} is past waiting to be promoted; promote a version that waits"
        )
    );
    assert!(matches!(
        kms.promote_version(key, version(3)),
        Err(KmsError::NoVersion { .. })
    ));

    kms.create_pending_version(key).unwrap();
    assert_eq!(
        kms.rotate_now(key).unwrap(),
        version(3),
        "the one that waits, and no other"
    );
    assert_eq!(numbers(&kms.list_versions(key).unwrap()), [1, 2, 3]);
    assert_eq!(world.provider.alive(), world.stored_handles());
}

#[test]
fn a_rotation_that_is_due_promotes_the_version_that_waits() {
    let world = World::new();
    let kms = world.handle();
    let without = rotating(&kms, RotationPolicy::every_days(90));
    let guarded = rotating(&kms, RotationPolicy::every_days(90).with_guard(10 * DAY));
    world.clock.advance(85 * DAY);
    kms.create_pending_version(without).unwrap();
    kms.create_pending_version(guarded).unwrap();
    world.clock.advance(5 * DAY);
    let report = kms.tick().unwrap();
    assert_eq!(report.promoted, [(without, version(2))]);
    assert_eq!(report.pending, [(guarded, version(2))]);
    world.clock.advance(5 * DAY);
    assert_eq!(kms.tick().unwrap().promoted, [(guarded, version(2))]);
    assert!(kms.tick().unwrap().is_empty());
}

#[test]
fn nothing_is_rotated_while_a_key_is_not_enabled() {
    let world = World::new();
    let kms = world.handle();
    let key = rotating(&kms, RotationPolicy::every_days(90));
    kms.disable_key(key).unwrap();
    world.clock.advance(100 * DAY);
    assert!(kms.tick().unwrap().is_empty());
    assert!(kms.rotation_status(key).unwrap().enabled);

    kms.schedule_deletion(key, WaitingPeriod::default())
        .unwrap();
    let status = kms.rotation_status(key).unwrap();
    assert!(!status.enabled && status.next_rotation.is_none());
    assert!(kms.tick().unwrap().is_empty());

    kms.cancel_deletion(key).unwrap();
    assert!(kms.rotation_status(key).unwrap().enabled);
    assert!(kms.tick().unwrap().is_empty());
    kms.enable_key(key).unwrap();
    assert_eq!(kms.tick().unwrap().promoted, [(key, version(2))]);
}

#[test]
fn what_cannot_be_done_is_reported_and_done_later() {
    let world = World::new();
    let kms = world.handle();
    let key = rotating(&kms, RotationPolicy::every_days(90));
    let other = kms.create_key(CreateKey::new()).unwrap().id;
    kms.schedule_deletion(other, WaitingPeriod::default())
        .unwrap();
    world.clock.advance(90 * DAY);
    world.provider.set_outage(true);
    for _ in 0..2 {
        let report = kms.tick().unwrap();
        let failed: Vec<_> = report.failures.iter().map(|failure| failure.key).collect();
        assert_eq!(failed.len(), 2);
        assert!(failed.contains(&key) && failed.contains(&other));
        assert!(report.failures.iter().all(|it| it.error.is_retryable()));
        assert!(report.promoted.is_empty() && report.deleted.is_empty());
    }
    world.provider.set_outage(false);
    let report = kms.tick().unwrap();
    assert_eq!(report.promoted, [(key, version(2))]);
    assert_eq!(report.deleted, [other]);
    assert_eq!(world.provider.alive(), world.stored_handles());
}

#[test]
fn versions_are_made_in_the_provider_of_the_key() {
    let world = World::new();
    let other = Ledger::new("other");
    let kms = world.builder().provider(other.clone()).open().unwrap();
    let kms = kms.as_principal("test");
    let request = CreateKey::new().with_provider("other");
    let key = kms.create_key(request).unwrap();
    assert_eq!(key.provider, "other");
    kms.rotate_now(&key).unwrap();
    assert_eq!(other.created(), 2);
    let versions = kms.list_versions(&key).unwrap();
    assert!(versions.iter().all(|version| version.provider == "other"));

    let without = world.handle();
    let error = without.rotate_now(&key).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "RotateKeyOnDemand is refused because the key {} is unavailable: its provider was not given to this Kms; open it with that provider",
            key.id
        )
    );
}

#[test]
fn many_tick_at_once_and_each_rotation_is_done_once() {
    let world = World::new();
    let kms = world.handle();
    let policy = RotationPolicy::every_days(90).with_guard(DAY);
    let keys: Vec<_> = (0..20).map(|_| rotating(&kms, policy)).collect();
    let doomed = kms.create_key(CreateKey::new()).unwrap().id;
    kms.schedule_deletion(doomed, WaitingPeriod::default())
        .unwrap();
    let opened: Vec<Kms> = (0..4).map(|_| world.open()).collect();
    let mut deleted = Vec::new();
    for round in 1..=3 {
        for step in [89 * DAY, DAY] {
            world.clock.advance(step);
            let barrier = std::sync::Barrier::new(opened.len());
            std::thread::scope(|scope| {
                let ticking: Vec<_> = opened
                    .iter()
                    .map(|kms| {
                        let barrier = &barrier;
                        scope.spawn(move || {
                            barrier.wait();
                            kms.as_principal("ticker").tick().unwrap()
                        })
                    })
                    .collect();
                for thread in ticking {
                    let report = thread.join().unwrap();
                    assert!(report.failures.is_empty(), "{:?}", report.failures);
                    deleted.extend(report.deleted);
                }
            });
        }
        world.clock.advance(Duration::from_secs(1));
        let fresh = world.handle();
        for &key in &keys {
            let versions = fresh.list_versions(key).unwrap();
            assert_eq!(versions.len(), round as usize + 1, "round {round}");
            assert_eq!(versions.iter().filter(|it| it.primary).count(), 1);
        }
        assert_eq!(world.provider.alive(), world.stored_handles());
    }
    assert_eq!(deleted, [doomed]);
}

#[test]
fn a_thread_ticks_until_it_is_dropped() {
    let world = World::new();
    let kms = world.open();
    let handle = kms.as_principal("test");
    let key = rotating(&handle, RotationPolicy::every_days(90));
    let ticker = kms.spawn_ticker(Duration::from_secs(60)).unwrap();
    let report = |ticker: &waxseal::kms::Ticker| {
        loop {
            if let Some(report) = ticker.take_report() {
                return report.unwrap();
            }
            std::thread::yield_now();
        }
    };
    assert!(report(&ticker).is_empty());
    world.clock.advance(90 * DAY);
    assert_eq!(report(&ticker).promoted, [(key, version(2))]);
    world.clock.advance(Duration::from_secs(60));
    assert!(report(&ticker).is_empty());
    drop(ticker);
    world.clock.advance(90 * DAY);
    assert_eq!(primary(&handle, key), 2);
}

#[test]
fn a_date_that_is_set_back_does_no_harm() {
    let world = World::new();
    let kms = world.handle();
    let key = rotating(&kms, RotationPolicy::every_days(90));
    let date = world.clock.unix_time();
    world.clock.advance(90 * DAY);
    kms.tick().unwrap();
    world.clock.set_unix_time(date);
    assert!(kms.tick().unwrap().is_empty());
    kms.rotate_now(key).unwrap();
    assert_eq!(primary(&kms, key), 3);
    assert!(kms.tick().unwrap().is_empty());
}

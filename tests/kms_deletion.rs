//! The end of keys, in virtual time.

mod common;

use std::time::Duration;

use common::kms::{DAY, World};
use waxseal::{Clock, CreateKey, KeyState, KmsError, ListKeys, RotationPolicy, WaitingPeriod};

#[test]
fn a_key_waits_and_is_destroyed() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.rotate_now(key).unwrap();
    kms.create_pending_version(key).unwrap();
    assert_eq!(world.provider.alive().len(), 4, "three, and the store's");
    let scheduled = world.clock.unix_time();
    let on = kms
        .schedule_deletion(key, WaitingPeriod::default())
        .unwrap();
    assert_eq!(on, scheduled.saturating_add(30 * DAY));
    let told = kms.describe_key(key).unwrap();
    assert_eq!(told.state, KeyState::PendingDeletion);
    assert_eq!(told.deletion_date, Some(on));

    world.clock.advance(30 * DAY - Duration::from_millis(1));
    assert!(kms.tick().unwrap().is_empty());
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(kms.tick().unwrap().deleted, [key]);
    assert!(kms.tick().unwrap().is_empty());
    assert_eq!(world.provider.alive().len(), 1);
    assert_eq!(world.provider.alive(), world.stored_handles());

    for kms in [&kms, &world.handle()] {
        let error = kms.describe_key(key).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the key {key} was deleted on 2026-01-31T00:00:00.000Z; what is under it cannot be opened any more"
            )
        );
        for error in [
            kms.enable_key(key).unwrap_err(),
            kms.cancel_deletion(key).unwrap_err(),
            kms.rotate_now(key).unwrap_err(),
            kms.create_alias("alias/a", key).unwrap_err(),
        ] {
            assert!(matches!(error, KmsError::Deleted { .. }), "{error}");
        }
        assert_eq!(kms.list_keys(&ListKeys::new()).unwrap().keys, []);
    }
    assert!(world.handle().tick().unwrap().is_empty());
}

#[test]
fn a_scheduled_deletion_is_cancelled() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let waiting = WaitingPeriod::days(7).unwrap();
    kms.schedule_deletion(key, waiting).unwrap();
    world.clock.advance(8 * DAY);
    kms.cancel_deletion(key).unwrap();
    assert_eq!(kms.describe_key(key).unwrap().state, KeyState::Disabled);
    assert_eq!(kms.describe_key(key).unwrap().deletion_date, None);
    assert!(kms.tick().unwrap().is_empty());
    assert_eq!(
        kms.cancel_deletion(key).unwrap_err().to_string(),
        format!(
            "CancelKeyDeletion is refused because the key {key} is not to be deleted; there is nothing to cancel"
        )
    );
    kms.enable_key(key).unwrap();

    let imported = kms.create_key(CreateKey::new().for_import()).unwrap().id;
    kms.schedule_deletion(imported, waiting).unwrap();
    kms.cancel_deletion(imported).unwrap();
    assert_eq!(
        kms.describe_key(imported).unwrap().state,
        KeyState::PendingImport
    );
}

#[test]
fn waiting_periods_have_bounds() {
    for days in 7..=30 {
        WaitingPeriod::days(days).unwrap();
    }
    for days in [0, 6, 31, u32::MAX] {
        assert_eq!(
            WaitingPeriod::days(days).unwrap_err().to_string(),
            format!("the waiting period must be 7 to 30 days, and {days} was given")
        );
    }
}

#[test]
fn a_key_that_is_to_be_deleted_refuses_almost_everything() {
    let kms = World::new().handle();
    let request = CreateKey::new().with_rotation(RotationPolicy::default());
    let key = kms.create_key(request).unwrap().id;
    let waiting = WaitingPeriod::default();
    kms.schedule_deletion(key, waiting).unwrap();
    let refused = |operation| {
        format!(
            "{operation} is refused because the key {key} is to be deleted; cancel its deletion first"
        )
    };
    for (operation, outcome) in [
        ("EnableKey", kms.enable_key(key)),
        ("DisableKey", kms.disable_key(key)),
        ("TagResource", kms.tag_key(key, "a", "b")),
        ("UpdateKeyDescription", kms.update_description(key, "")),
        ("CreateAlias", kms.create_alias("alias/a", key)),
        ("RotateKeyOnDemand", kms.rotate_now(key).map(drop)),
        (
            "ScheduleKeyDeletion",
            kms.schedule_deletion(key, waiting).map(drop),
        ),
    ] {
        assert_eq!(outcome.unwrap_err().to_string(), refused(operation));
    }
}

#[test]
fn a_provider_that_is_away_delays_the_end_and_nothing_else() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.schedule_deletion(key, WaitingPeriod::default())
        .unwrap();
    let other = world.handle();
    world.clock.advance(31 * DAY);
    world.provider.set_outage(true);
    assert_eq!(kms.tick().unwrap().failures.len(), 1);
    for kms in [&kms, &other] {
        assert!(matches!(
            kms.cancel_deletion(key),
            Err(KmsError::Deleted { .. })
        ));
    }
    world.provider.set_outage(false);
    assert_eq!(kms.tick().unwrap().deleted, [key]);
    assert_eq!(world.provider.alive(), world.stored_handles());
}

//! Two do something with one key at the same moment: here between the reading and the writing of
//! the other.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::kms::{DAY, World, numbers};
use common::kms_stores::{Again, Interrupted};
use waxseal::{
    CreateKey, KeyId, KeyState, KeyVersion, Kms, KmsError, KmsHandle, RotationPolicy, WaitingPeriod,
};

/// One whose commits can be interrupted, and one who interrupts.
struct Pair {
    world: World,
    store: Interrupted,
    one: KmsHandle,
    other: KmsHandle,
    key: KeyId,
}

impl Pair {
    fn new() -> Self {
        let world = World::new();
        let store = Interrupted::new(&world);
        let one = world
            .builder_over(store.clone())
            .open()
            .unwrap()
            .as_principal("one");
        let other = world.handle();
        let request = CreateKey::new().with_rotation(RotationPolicy::every_days(90));
        let key = one.create_key(request).unwrap().id;
        Self {
            world,
            store,
            one,
            other,
            key,
        }
    }

    /// What the other does before the next commit of the one.
    fn interrupt<T: std::fmt::Debug>(
        &self,
        action: impl FnOnce(&KmsHandle, KeyId) -> Result<T, KmsError> + Send + 'static,
    ) {
        let (other, key) = (self.other.clone(), self.key);
        self.store.once(move || {
            action(&other, key).unwrap();
        });
    }

    fn versions(&self) -> Vec<u32> {
        numbers(&self.world.handle().list_versions(self.key).unwrap())
    }

    fn assert_nothing_is_orphaned(&self) {
        assert_eq!(self.world.provider.alive(), self.world.stored_handles());
    }
}

#[test]
fn a_rotation_meets_another_change() {
    let pair = Pair::new();
    pair.interrupt(|kms, key| kms.tag_key(key, "a", "b"));
    assert_eq!(pair.one.rotate_now(pair.key).unwrap().get(), 2);
    assert_eq!(pair.one.describe_key(pair.key).unwrap().tags["a"], "b");
    pair.assert_nothing_is_orphaned();
}

#[test]
fn a_rotation_meets_a_rotation() {
    let pair = Pair::new();
    pair.interrupt(|kms, key| kms.rotate_now(key));
    assert_eq!(pair.one.rotate_now(pair.key).unwrap().get(), 3);
    assert_eq!(pair.versions(), [1, 2, 3]);
    pair.assert_nothing_is_orphaned();
}

#[test]
fn a_rotation_that_is_due_is_done_once() {
    let pair = Pair::new();
    pair.world.clock.advance(90 * DAY);
    pair.interrupt(|kms, _| {
        let report = kms.tick()?;
        assert_eq!(report.promoted.len(), 1);
        Ok(())
    });
    assert!(pair.one.tick().unwrap().is_empty());
    assert_eq!(pair.versions(), [1, 2]);
    assert_eq!(pair.world.provider.created(), 4, "one for nothing");
    pair.assert_nothing_is_orphaned();
}

#[test]
fn one_version_waits_at_a_time() {
    let pair = Pair::new();
    pair.interrupt(|kms, key| kms.create_pending_version(key));
    assert!(matches!(
        pair.one.create_pending_version(pair.key),
        Err(KmsError::PendingVersion { .. })
    ));
    pair.assert_nothing_is_orphaned();

    pair.interrupt(|kms, key| kms.promote_version(key, KeyVersion::new(2).unwrap()));
    assert_eq!(
        pair.one.rotate_now(pair.key).unwrap().get(),
        3,
        "the one that waited is promoted by the other"
    );
    pair.assert_nothing_is_orphaned();
}

#[test]
fn a_key_that_is_disabled_meanwhile_is_not_changed() {
    let pair = Pair::new();
    pair.interrupt(|kms, key| kms.disable_key(key));
    let error = pair.one.rotate_now(pair.key).unwrap_err();
    assert!(
        matches!(
            error,
            KmsError::InvalidState {
                state: KeyState::Disabled,
                ..
            }
        ),
        "{error}"
    );
    pair.other.enable_key(pair.key).unwrap();
    pair.world.clock.advance(DAY);
    pair.interrupt(|kms, key| kms.disable_key(key));
    let policy = RotationPolicy::every_days(100);
    let error = pair.one.enable_rotation(pair.key, policy).unwrap_err();
    assert!(matches!(error, KmsError::InvalidState { .. }), "{error}");
    pair.assert_nothing_is_orphaned();
}

#[test]
fn a_deletion_that_is_cancelled_in_time_is_not_done() {
    let pair = Pair::new();
    pair.one
        .schedule_deletion(pair.key, WaitingPeriod::default())
        .unwrap();
    pair.world.clock.advance(30 * DAY);
    pair.interrupt(|kms, key| kms.cancel_deletion(key));
    assert!(pair.one.tick().unwrap().is_empty());
    assert_eq!(
        pair.one.describe_key(pair.key).unwrap().state,
        KeyState::Disabled
    );
    pair.assert_nothing_is_orphaned();
}

#[test]
fn a_deletion_is_told_once() {
    let pair = Pair::new();
    pair.one
        .schedule_deletion(pair.key, WaitingPeriod::default())
        .unwrap();
    pair.world.clock.advance(30 * DAY);
    pair.interrupt(|kms, _| {
        assert_eq!(kms.tick()?.deleted.len(), 1);
        Ok(())
    });
    assert!(pair.one.tick().unwrap().is_empty());
    pair.assert_nothing_is_orphaned();
}

#[test]
fn an_alias_is_given_to_one_of_two() {
    let pair = Pair::new();
    let second = pair.one.create_key(CreateKey::new()).unwrap().id;
    pair.interrupt(|kms, key| kms.create_alias("alias/a", key));
    let error = pair.one.create_alias("alias/a", second).unwrap_err();
    assert!(matches!(error, KmsError::AliasExists { .. }), "{error}");

    pair.interrupt(|kms, _| kms.delete_alias("alias/a"));
    let error = pair.one.update_alias("alias/a", second).unwrap_err();
    assert!(matches!(error, KmsError::NoAlias { .. }), "{error}");
    pair.world.clock.advance(Kms::DEFAULT_REFRESH_INTERVAL);
    let error = pair.one.describe_key("alias/a").unwrap_err();
    assert!(matches!(error, KmsError::NoAlias { .. }), "{error}");
}

#[test]
fn an_alias_that_is_given_away_meanwhile_is_taken_from_its_new_key() {
    let pair = Pair::new();
    let second = pair.one.create_key(CreateKey::new()).unwrap().id;
    let third = pair.one.create_key(CreateKey::new()).unwrap().id;
    pair.one.create_alias("alias/a", pair.key).unwrap();
    pair.interrupt(move |kms, _| kms.update_alias("alias/a", second));
    pair.one.update_alias("alias/a", third).unwrap();
    let fresh = pair.world.handle();
    assert_eq!(fresh.describe_key("alias/a").unwrap().id, third);
    for key in [pair.key, second] {
        assert!(fresh.describe_key(key).unwrap().aliases.is_empty());
    }
    pair.interrupt(move |kms, _| kms.update_alias("alias/a", second));
    pair.one.delete_alias("alias/a").unwrap();
    let fresh = pair.world.handle();
    for key in [pair.key, second, third] {
        assert!(fresh.describe_key(key).unwrap().aliases.is_empty());
    }
}

#[test]
fn a_store_gets_one_key() {
    let world = World::new();
    let store = Interrupted::new(&world);
    let first = world.clone();
    store.once(move || drop(first.open()));
    let kms = Kms::builder(store)
        .provider(world.provider.clone())
        .open()
        .unwrap();
    let key = kms
        .as_principal("one")
        .create_key(CreateKey::new())
        .unwrap();
    assert_eq!(world.handle().describe_key(key.id).unwrap(), key);
    assert_eq!(world.provider.created(), 3, "one for nothing");
    assert_eq!(world.provider.alive(), world.stored_handles());
}

/// What was read before a change was learned must not be kept after it.
#[test]
fn a_reading_that_is_overtaken_is_not_kept() {
    let pair = Pair::new();
    let second = pair.one.create_key(CreateKey::new()).unwrap().id;
    pair.one.create_alias("alias/a", pair.key).unwrap();
    let builder = Kms::builder(pair.store.clone())
        .provider(pair.world.provider.clone())
        .clock(pair.world.clock.clone());
    let reader = builder.open().unwrap().as_principal("reader");
    let (learner, other, clock, key) = (
        reader.clone(),
        pair.other.clone(),
        pair.world.clock.clone(),
        pair.key,
    );
    pair.store.after_read(move || {
        other.disable_key(key).unwrap();
        clock.advance(Kms::DEFAULT_REFRESH_INTERVAL);
        learner.describe_key(second).unwrap();
    });
    let state = |key| reader.describe_key(key).unwrap().state;
    assert_eq!(
        state(pair.key),
        KeyState::Enabled,
        "it was when it was read"
    );
    assert_eq!(state(pair.key), KeyState::Disabled);

    // The same within one process: what it committed is newer than what it was reading.
    let third = pair.other.create_key(CreateKey::new()).unwrap().id;
    let writer = reader.clone();
    pair.store
        .after_read(move || writer.disable_key(third).unwrap());
    assert_eq!(state(third), KeyState::Enabled);
    assert_eq!(state(third), KeyState::Disabled);
}

#[test]
fn who_is_always_interrupted_gives_up_and_leaves_nothing() {
    let pair = Pair::new();
    let (other, key) = (pair.other.clone(), pair.key);
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    pair.store.each_time(move || {
        let number = counting.fetch_add(1, Ordering::SeqCst);
        other.tag_key(key, "number", &number.to_string()).unwrap();
        Again::Yes
    });
    for error in [
        pair.one.rotate_now(key).unwrap_err(),
        pair.one.disable_key(key).unwrap_err(),
        pair.one.create_alias("alias/a", key).unwrap_err(),
    ] {
        assert!(matches!(error, KmsError::Conflict { .. }), "{error}");
        assert!(error.is_retryable());
    }
    assert_eq!(count.load(Ordering::SeqCst), 300);
    pair.assert_nothing_is_orphaned();
}

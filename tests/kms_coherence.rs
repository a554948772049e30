//! What one process changes, another learns: at the latest when the refresh interval is over.

mod common;

use std::time::{Duration, Instant};

use common::kms::World;
use common::kms_stores::{Death, Mortal};
use waxseal::{CreateKey, KeyState, Kms, KmsError, KmsHandle};

const INTERVAL: Duration = Duration::from_secs(5);

fn opened(world: &World) -> KmsHandle {
    let builder = world.builder().refresh_interval(INTERVAL);
    builder.open().unwrap().as_principal("test")
}

/// Two KMSs that both have asked the store just now.
fn pair(world: &World) -> (KmsHandle, KmsHandle) {
    let pair = (opened(world), opened(world));
    for kms in [&pair.0, &pair.1] {
        let error = kms.describe_key("alias/none").unwrap_err();
        assert!(matches!(error, KmsError::NoAlias { .. }));
    }
    pair
}

#[test]
fn a_change_is_seen_at_once_here_and_in_an_interval_there() {
    let world = World::new();
    let (here, there) = pair(&world);
    let key = here.create_key(CreateKey::new()).unwrap().id;
    let state = |kms: &KmsHandle| kms.describe_key(key).unwrap().state;
    assert_eq!(state(&there), KeyState::Enabled, "what is new is read");

    here.disable_key(key).unwrap();
    assert_eq!(state(&here), KeyState::Disabled);
    world.clock.advance(INTERVAL - Duration::from_nanos(1));
    assert_eq!(state(&there), KeyState::Enabled, "not yet");
    world.clock.advance(Duration::from_nanos(1));
    assert_eq!(state(&there), KeyState::Disabled);

    // The interval counts from when the store was asked, not from when it was last used.
    here.enable_key(key).unwrap();
    for _ in 0..4 {
        world.clock.advance(INTERVAL / 4);
        let _ = state(&there);
    }
    assert_eq!(state(&there), KeyState::Enabled);
}

#[test]
fn so_are_aliases_and_what_is_deleted() {
    let world = World::new();
    let (here, there) = pair(&world);
    let first = here.create_key(CreateKey::new()).unwrap().id;
    let second = here.create_key(CreateKey::new()).unwrap().id;
    here.create_alias("alias/a", first).unwrap();
    let named = |kms: &KmsHandle| kms.describe_key("alias/a").map(|key| key.id);
    assert_eq!(named(&there).unwrap(), first);
    here.update_alias("alias/a", second).unwrap();
    assert_eq!(named(&here).unwrap(), second);
    world.clock.advance(INTERVAL);
    assert_eq!(named(&there).unwrap(), second);
    here.delete_alias("alias/a").unwrap();
    world.clock.advance(INTERVAL);
    assert!(matches!(named(&there), Err(KmsError::NoAlias { .. })));
}

#[test]
fn what_is_changed_on_an_old_reading_is_changed_on_the_newest() {
    let world = World::new();
    let (here, there) = pair(&world);
    let key = here.create_key(CreateKey::new()).unwrap().id;
    there.describe_key(key).unwrap();
    here.tag_key(key, "here", "1").unwrap();
    there.tag_key(key, "there", "2").unwrap();
    let tags = there.describe_key(key).unwrap().tags;
    assert_eq!(tags.len(), 2, "no update is lost");

    here.disable_key(key).unwrap();
    let error = there.rotate_now(key).unwrap_err();
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
    assert_eq!(world.provider.alive(), world.stored_handles());
}

#[test]
fn a_key_in_use_costs_no_query_within_the_interval() {
    let world = World::new();
    let store = Mortal::new(&world);
    let kms = world.builder_over(store.clone()).open().unwrap();
    let kms = kms.as_principal("test");
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.create_alias("alias/a", key).unwrap();
    kms.describe_key("alias/a").unwrap();
    store.take_reads();
    for _ in 0..1000 {
        kms.describe_key(key).unwrap();
        kms.describe_key("alias/a").unwrap();
    }
    assert_eq!(store.take_reads(), 0);
    world.clock.advance(Kms::DEFAULT_REFRESH_INTERVAL);
    for _ in 0..1000 {
        kms.describe_key(key).unwrap();
    }
    assert_eq!(store.take_reads(), 1, "the feed of changes, once");
}

#[test]
fn nothing_is_done_when_the_store_cannot_be_asked() {
    let world = World::new();
    let store = Mortal::new(&world);
    let kms = world
        .builder_over(store.clone())
        .refresh_interval(INTERVAL)
        .open()
        .unwrap();
    let kms = kms.as_principal("test");
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    store.die(Death {
        commit: 0,
        committed: false,
    });
    kms.disable_key(key).unwrap_err();
    assert_eq!(kms.describe_key(key).unwrap().state, KeyState::Enabled);
    world.clock.advance(INTERVAL);
    for error in [
        kms.describe_key(key).unwrap_err(),
        kms.enable_key(key).unwrap_err(),
        kms.tick().unwrap_err(),
    ] {
        assert!(matches!(&error, KmsError::Store(_)), "{error}");
        assert!(error.is_retryable());
    }
}

#[test]
fn a_small_cache_forgets_and_reads_again() {
    let world = World::new();
    let many = opened(&world);
    let keys: Vec<_> = (0..50)
        .map(|_| many.create_key(CreateKey::new()).unwrap().id)
        .collect();
    for cached in [0, 1, 7] {
        let builder = world.builder().cached_keys(cached);
        let few = builder.open().unwrap().as_principal("test");
        for round in 0..3 {
            for &key in &keys {
                few.tag_key(key, "round", &round.to_string()).unwrap();
                assert_eq!(
                    few.describe_key(key).unwrap().tags["round"],
                    round.to_string()
                );
            }
        }
    }
}

#[test]
fn threads_never_see_a_key_go_back() {
    let world = World::new();
    let writer = opened(&world);
    let key = writer.create_key(CreateKey::new()).unwrap().id;
    let readers: Vec<_> = (0..3)
        .map(|number| {
            let interval = Duration::from_millis(number);
            let builder = world.builder().refresh_interval(interval);
            builder.open().unwrap().as_principal("reader")
        })
        .chain([writer.clone()])
        .collect();
    std::thread::scope(|scope| {
        for kms in readers {
            scope.spawn(move || {
                let mut last = 0;
                let begun = Instant::now();
                while last < 300 {
                    assert!(begun.elapsed() < Duration::from_secs(60), "{last} for long");
                    let key = kms.describe_key(key).unwrap();
                    let seen = key.description.parse().unwrap_or(0);
                    assert!(seen >= last, "{seen} after {last}");
                    last = seen;
                }
            });
        }
        for number in 1..=300 {
            writer.update_description(key, &number.to_string()).unwrap();
            world.clock.advance(Duration::from_millis(1));
        }
        world.clock.advance(INTERVAL);
    });
}

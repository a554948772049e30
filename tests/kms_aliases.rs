//! Names of keys that can be given to other keys.

mod common;

use common::kms::{DAY, World};
use waxseal::kms::{AliasName, ListAliases};
use waxseal::{CreateKey, KeyId, KmsError, KmsHandle, WaitingPeriod};

fn key(kms: &KmsHandle) -> KeyId {
    kms.create_key(CreateKey::new()).unwrap().id
}

fn named(kms: &KmsHandle, alias: &str) -> KeyId {
    kms.describe_key(alias).unwrap().id
}

fn aliases(kms: &KmsHandle, key: KeyId) -> Vec<String> {
    let key = kms.describe_key(key).unwrap();
    key.aliases.iter().map(ToString::to_string).collect()
}

#[test]
fn an_alias_is_given_passed_on_and_taken_away() {
    let world = World::new();
    let kms = world.handle();
    let (first, second) = (key(&kms), key(&kms));
    kms.create_alias("alias/cards", first).unwrap();
    assert_eq!(named(&kms, "alias/cards"), first);
    assert_eq!(aliases(&kms, first), ["alias/cards"]);

    let error = kms.create_alias("alias/cards", second).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "alias/cards is an alias of the key {first} already; give it to another key with update_alias, or choose another name"
        )
    );

    kms.update_alias("alias/cards", second).unwrap();
    kms.update_alias("alias/cards", second).unwrap();
    for kms in [&kms, &world.handle()] {
        assert_eq!(named(kms, "alias/cards"), second);
        assert_eq!(aliases(kms, first), [""; 0]);
        assert_eq!(aliases(kms, second), ["alias/cards"]);
    }

    kms.delete_alias("alias/cards").unwrap();
    for error in [
        kms.describe_key("alias/cards").unwrap_err(),
        kms.delete_alias("alias/cards").unwrap_err(),
        kms.update_alias("alias/cards", first).unwrap_err(),
    ] {
        assert!(matches!(error, KmsError::NoAlias { .. }), "{error}");
    }
    assert_eq!(aliases(&kms, second), [""; 0]);
    kms.create_alias("alias/cards", first).unwrap();
    assert_eq!(named(&kms, "alias/cards"), first);
}

#[test]
fn an_alias_can_be_given_by_another() {
    let kms = World::new().handle();
    let first = key(&kms);
    kms.create_alias("alias/a", first).unwrap();
    kms.create_alias("alias/b", "alias/a").unwrap();
    assert_eq!(aliases(&kms, first), ["alias/a", "alias/b"]);
}

#[test]
fn names_have_a_form() {
    let kms = World::new().handle();
    let key = key(&kms);
    let longest = format!("alias/{}", "x".repeat(249));
    for name in ["alias/a", "alias/A/b_c-d:9", &longest] {
        kms.create_alias(name, key).unwrap();
    }
    let too_long = format!("{longest}x");
    for name in [
        "",
        "a",
        "alias/",
        "alias/a b",
        "alias/ä",
        "Alias/a",
        &too_long,
    ] {
        let error = kms.create_alias(name, key).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an alias is 'alias/' and then 1 to 249 of a to z, A to Z, 0 to 9, '/', '_', '-' and ':'; what was given is not"
        );
    }
}

#[test]
fn a_key_has_at_most_50() {
    let kms = World::new().handle();
    let (first, second) = (key(&kms), key(&kms));
    for number in 0..50 {
        kms.create_alias(&format!("alias/{number}"), first).unwrap();
    }
    kms.create_alias("alias/other", second).unwrap();
    for error in [
        kms.create_alias("alias/51", first).unwrap_err(),
        kms.update_alias("alias/other", first).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            format!("the key {first} may have at most 50 aliases; remove some, or use another key")
        );
    }
    kms.update_alias("alias/7", first).unwrap();
}

#[test]
fn lists_are_paged() {
    let kms = World::new().handle();
    let key = key(&kms);
    let names: Vec<_> = (10..40).map(|number| format!("alias/{number}")).collect();
    for name in &names {
        kms.create_alias(name, key).unwrap();
    }
    for limit in [1, 7, 29, 30, 31] {
        let mut request = ListAliases::new().with_limit(limit);
        let mut listed = Vec::new();
        loop {
            let page = kms.list_aliases(&request).unwrap();
            assert!(page.aliases.iter().all(|alias| alias.key == key));
            listed.extend(page.aliases.iter().map(|alias| alias.name.to_string()));
            let Some(next) = page.next else { break };
            request = request.after(next);
        }
        assert_eq!(listed, names);
    }
    let request = ListAliases::new().after(AliasName::new("alias/35").unwrap());
    assert_eq!(kms.list_aliases(&request).unwrap().aliases.len(), 4);
}

#[test]
fn a_deleted_key_leaves_its_aliases_free() {
    let world = World::new();
    let kms = world.handle();
    let (first, second) = (key(&kms), key(&kms));
    kms.create_alias("alias/a", first).unwrap();
    kms.create_alias("alias/b", first).unwrap();
    let waiting = WaitingPeriod::days(7).unwrap();
    kms.schedule_deletion("alias/a", waiting).unwrap();
    // The one that loses an alias may be in any state.
    kms.update_alias("alias/b", second).unwrap();
    world.clock.advance(7 * DAY);
    kms.tick().unwrap();
    let error = kms.describe_key("alias/a").unwrap_err();
    assert!(matches!(error, KmsError::NoAlias { .. }), "{error}");
    kms.create_alias("alias/a", second).unwrap();
    assert_eq!(aliases(&kms, second), ["alias/a", "alias/b"]);
}

#[test]
fn many_hands_give_one_alias_and_it_always_has_one_key() {
    let world = World::new();
    let kms = world.handle();
    let keys: Vec<_> = (0..3).map(|_| key(&kms)).collect();
    kms.create_alias("alias/hot", keys[0]).unwrap();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (world, keys) = (&world, &keys);
            scope.spawn(move || {
                let kms = world.handle();
                for round in 0..100 {
                    kms.update_alias("alias/hot", keys[(number + round) % 3])
                        .unwrap();
                    assert!(keys.contains(&named(&kms, "alias/hot")));
                }
            });
        }
    });
    let fresh = world.handle();
    let holder = named(&fresh, "alias/hot");
    for key in keys {
        let expected: &[&str] = if key == holder { &["alias/hot"] } else { &[] };
        assert_eq!(aliases(&fresh, key), expected);
    }
}

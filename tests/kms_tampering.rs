//! Whoever writes to the store from elsewhere is noticed, and the record is named.

mod common;

use std::time::Duration;

use common::kms::{World, alias_address, key_address};
use waxseal::store::{Collection, KeyStore, RecordKey, Transaction};
use waxseal::{CreateKey, KeyId, KmsError, KmsHandle, ListKeys, RotationPolicy};

fn key(kms: &KmsHandle) -> KeyId {
    kms.create_key(CreateKey::new()).unwrap().id
}

/// Fails unless every use of the key, in this process and in a new one, names its record.
fn assert_noticed(world: &World, kms: &KmsHandle, key: KeyId) {
    world.clock.advance(Duration::from_secs(1));
    let address = key_address(key);
    let tampered = format!(
        "the record {address} in the memory store is not what waxseal wrote there: it was changed, or put there from elsewhere; find out who writes to the store, and restore it from a backup"
    );
    for kms in [kms, &world.handle()] {
        for error in [
            kms.describe_key(key).unwrap_err(),
            kms.enable_key(key).unwrap_err(),
            kms.rotate_now(key).unwrap_err(),
            kms.list_keys(&ListKeys::new()).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), tampered);
        }
        for _ in 0..2 {
            let failures = kms.tick().unwrap().failures;
            assert_eq!(failures.len(), 1);
            assert_eq!(failures[0].key, key);
            assert_eq!(failures[0].error.to_string(), tampered);
        }
    }
}

#[test]
fn the_record_of_another_key() {
    let world = World::new();
    let kms = world.handle();
    let (first, second) = (key(&kms), key(&kms));
    let swapped = world.stored(second).bytes;
    world.overwrite(&key_address(first), swapped);
    assert_noticed(&world, &kms, first);
    kms.describe_key(second).unwrap();
}

#[test]
fn a_record_under_a_new_id() {
    let world = World::new();
    let kms = world.handle();
    let old = world.stored(key(&kms)).bytes;
    let new = KeyId::from_bytes([7; 16]);
    world.overwrite(&key_address(new), old);
    assert_noticed(&world, &kms, new);
}

#[test]
fn an_edited_body() {
    let world = World::new();
    let kms = world.handle();
    let key = key(&kms);
    kms.disable_key(key).unwrap();
    let bytes = world.stored(key).bytes;
    let (tagged, tag) = bytes.split_at(bytes.len() - 32);
    let text = std::str::from_utf8(&tagged[1..]).unwrap();
    assert!(text.contains("DISABLED"));
    let mut edited = vec![1];
    edited.extend(text.replace("DISABLED", "ENABLED").as_bytes());
    edited.extend(tag);
    world.overwrite(&key_address(key), edited);
    assert_noticed(&world, &kms, key);
}

#[test]
fn every_byte_of_a_record_counts() {
    let world = World::new();
    let kms = world
        .builder()
        .refresh_interval(Duration::ZERO)
        .open()
        .unwrap()
        .as_principal("test");
    let key = key(&kms);
    let bytes = world.stored(key).bytes;
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 0x20;
        for bytes in [changed, bytes[..index].to_vec()] {
            world.overwrite(&key_address(key), bytes);
            let error = kms.describe_key(key).unwrap_err();
            assert!(matches!(error, KmsError::Tampered { .. }), "{error}");
        }
    }
    world.overwrite(&key_address(key), bytes);
    kms.describe_key(key).unwrap();
}

#[test]
fn an_older_record_of_the_same_key() {
    let world = World::new();
    let kms = world.handle();
    let key = key(&kms);
    let enabled = world.stored(key).bytes;
    kms.disable_key(key).unwrap();
    world.overwrite(&key_address(key), enabled);
    world.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let error = kms.describe_key(key).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the record {} in the memory store went back to an older state; find out who writes to the store, or open the Kms anew if it was restored on purpose",
                key_address(key)
            )
        );
    }
    assert!(kms.tick().unwrap().failures.is_empty(), "nothing is due");
}

#[test]
fn an_older_record_of_an_alias() {
    let world = World::new();
    let kms = world.handle();
    let (first, second) = (key(&kms), key(&kms));
    kms.create_alias("alias/cards", first).unwrap();
    let address = alias_address("alias/cards");
    let old = world.store.get(&address).unwrap().unwrap().bytes;
    kms.update_alias("alias/cards", second).unwrap();
    world.overwrite(&address, old);
    world.clock.advance(Duration::from_secs(1));
    for kms in [&kms, &world.handle()] {
        let error = kms.describe_key("alias/cards").unwrap_err();
        assert!(
            matches!(&error, KmsError::Tampered { record, .. } if *record == address),
            "{error}"
        );
    }
}

#[test]
fn the_record_of_another_alias() {
    let world = World::new();
    let kms = world.handle();
    kms.create_alias("alias/a", key(&kms)).unwrap();
    kms.create_alias("alias/b", key(&kms)).unwrap();
    let other = world.store.get(&alias_address("alias/b")).unwrap().unwrap();
    world.overwrite(&alias_address("alias/a"), other.bytes);
    world.clock.advance(Duration::from_secs(1));
    let error = kms.describe_key("alias/a").unwrap_err();
    assert!(matches!(error, KmsError::Tampered { .. }), "{error}");
    kms.describe_key("alias/b").unwrap();
}

#[test]
fn a_record_of_another_store_with_the_same_root_key() {
    let (world, mut other) = (World::new(), World::new());
    other.provider = world.provider.clone();
    let key = key(&other.handle());
    let kms = world.handle();
    world.overwrite(&key_address(key), other.stored(key).bytes);
    let error = kms.describe_key(key).unwrap_err();
    assert!(matches!(error, KmsError::Tampered { .. }), "{error}");
}

fn store_record() -> RecordKey {
    RecordKey::new(Collection::META, (*b"waxseal/v1/store").into())
}

#[test]
fn the_record_of_the_store() {
    let world = World::new();
    let kms = world.handle();
    let address = store_record();
    let record = world.store.get(&address).unwrap().unwrap();
    for index in 0..record.bytes.len() {
        let mut changed = record.bytes.clone();
        changed[index] ^= 1;
        world.overwrite(&address, changed);
        world.builder().open().unwrap_err();
    }

    // Of another store: it opens, and fits none of the records.
    let mut other = World::new();
    other.provider = world.provider.clone();
    other.open();
    let key = key(&kms);
    let foreign = other.store.get(&address).unwrap().unwrap().bytes;
    world.overwrite(&address, foreign);
    let error = world.handle().describe_key(key).unwrap_err();
    assert!(matches!(error, KmsError::Tampered { .. }), "{error}");

    let revision = world.store.get(&address).unwrap().unwrap().revision;
    let delete = Transaction::new().delete(address, revision);
    world.store.commit(&delete).unwrap();
    let error = world.builder().open().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the memory store has keys and no record meta/waxseal/v1/store, without which they cannot be used; restore it from a backup"
    );
}

#[test]
fn the_record_of_a_newer_version() {
    let world = World::new();
    let kms = world.handle();
    let key = key(&kms);
    // Its tag cannot be made here, so what is told is that it was changed; but the store's own
    // record is read before its tag is verified.
    let address = store_record();
    let mut bytes = world.store.get(&address).unwrap().unwrap().bytes;
    bytes[0] = 2;
    world.overwrite(&address, bytes);
    let error = world.builder().open().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the record meta/waxseal/v1/store in the memory store was written by a newer version of waxseal; use that version, or a newer one"
    );
    kms.describe_key(key).unwrap();
}

#[test]
fn records_hold_nothing_that_is_secret_and_all_that_an_operator_asks() {
    let world = World::new();
    let kms = world.handle();
    let request = CreateKey::new()
        .with_description("card numbers")
        .with_rotation(RotationPolicy::default());
    let key = kms.create_key(request).unwrap().id;
    let body = world.body(key);
    assert_eq!(body["key"], key.to_string());
    assert_eq!(body["state"]["name"], "ENABLED");
    assert_eq!(body["description"], "card numbers");
    assert_eq!(body["rotation"]["policy"]["period_days"], 365);
    assert_eq!(body["versions"][0]["created"], "2026-01-01T00:00:00.000Z");
}

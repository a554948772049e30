use super::{World, new_key};
use crate::KeyId;
use crate::format::KeyVersion;
use crate::kms::usage::{MAX_UNCOUNTED, uncounted};
use crate::kms::{
    CreateKey, KmsError, KmsHandle, Operation, RotationPolicy, VersionCause, WaitingPeriod,
};

fn wrap(kms: &KmsHandle, key: KeyId, times: u64) {
    for _ in 0..times {
        kms.gate()
            .perform(Operation::GenerateDataKey, key.into(), None, |_| Ok(()))
            .unwrap();
    }
}

fn counted(kms: &KmsHandle, key: KeyId) -> Vec<u64> {
    let versions = kms.list_versions(key).unwrap();
    versions.iter().map(|version| version.wraps).collect()
}

#[test]
fn wraps_are_counted_and_others_know_when_this_process_ticks() {
    let world = World::new();
    let (kms, other) = (world.handle(), world.handle());
    let key = new_key(&kms);
    wrap(&kms, key, 70);
    wrap(&other, key, 5);
    assert_eq!(counted(&world.handle(), key), [0]);
    kms.tick().unwrap();
    assert_eq!(counted(&world.handle(), key), [70]);
    kms.rotate_now(key).unwrap();
    wrap(&kms, key, 3);
    for kms in [&other, &kms, &other] {
        kms.tick().unwrap();
    }
    assert_eq!(counted(&world.handle(), key), [75, 3]);
}

#[test]
fn what_does_not_wrap_or_fails_is_not_counted() {
    let world = World::new();
    let kms = world.handle();
    let key = new_key(&kms);
    let gate = kms.gate();
    let selector = key.into();
    gate.perform(Operation::Decrypt, selector, None, |_| Ok(()))
        .unwrap();
    gate.perform(Operation::Encrypt, selector, None, |_| {
        Err::<(), _>(KmsError::InvalidSelector)
    })
    .unwrap_err();
    kms.tick().unwrap();
    assert_eq!(counted(&kms, key), [0]);
}

#[test]
fn a_used_up_budget_rotates() {
    let world = World::new();
    let kms = world.handle();
    let request = CreateKey::new().with_rotation(RotationPolicy::by_budget(100));
    let key = kms.create_key(request).unwrap().id;
    wrap(&kms, key, 99);
    assert!(kms.tick().unwrap().is_empty());
    assert_eq!(counted(&kms, key), [99]);
    wrap(&kms, key, 1);
    let promoted = kms.tick().unwrap().promoted;
    assert_eq!(promoted, [(key, KeyVersion::new(2).unwrap())]);
    assert_eq!(counted(&kms, key), [100, 0]);
    let versions = kms.list_versions(key).unwrap();
    assert_eq!(versions[1].cause, VersionCause::Budget);
    assert!(kms.tick().unwrap().is_empty());
}

#[test]
fn the_store_is_never_behind_by_more_than_a_64th_of_the_budget() {
    let world = World::new();
    let kms = world.handle();
    let request = CreateKey::new().with_rotation(RotationPolicy::by_budget(640));
    let key = kms.create_key(request).unwrap().id;
    for wrapped in 1..=100 {
        wrap(&kms, key, 1);
        let [stored] = counted(&world.handle(), key)[..] else {
            panic!("one version");
        };
        assert!(stored <= wrapped && wrapped < stored + 10);
    }
    assert_eq!(uncounted(Some(1)), 1);
    assert_eq!(uncounted(Some(1 << 40)), MAX_UNCOUNTED);
    assert_eq!(uncounted(None), MAX_UNCOUNTED);
}

#[test]
fn keys_of_which_many_wrapped_are_counted_together() {
    let world = World::new();
    let kms = world.handle();
    let keys: Vec<_> = (0..150).map(|_| new_key(&kms)).collect();
    for &key in &keys {
        wrap(&kms, key, 2);
    }
    let gone = keys[3];
    // Another process changes one, and one is about to be gone.
    let other = world.handle();
    other.tag_key(keys[100], "a", "b").unwrap();
    other
        .schedule_deletion(gone, WaitingPeriod::days(7).unwrap())
        .unwrap();
    let before = crate::store::KeyStore::latest(&world.store).unwrap().get();
    assert!(kms.tick().unwrap().is_empty());
    let after = crate::store::KeyStore::latest(&world.store).unwrap().get();
    assert!(after - before < 150, "{} commits", after - before);
    for key in keys {
        assert_eq!(counted(&kms, key), [2]);
    }
}

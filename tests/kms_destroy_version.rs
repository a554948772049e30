//! Old versions are destroyed, and nothing that an inventory finds in use.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::kms::{DAY, World};
use waxseal::kms::VersionState;
use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, Error, InventoryError, KeyId,
    KeyState, KeyVersion, KmsError, UsageInventory, WaitingPeriod,
};

fn version(number: u32) -> KeyVersion {
    KeyVersion::new(number).unwrap()
}

/// Finds as many uses of anything as it was told. With `u64::MAX`, cannot tell.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Told {
    fn set(&self, uses: u64) {
        self.0.store(uses, Ordering::SeqCst);
    }
}

impl UsageInventory for Told {
    fn name(&self) -> String {
        "the told inventory".to_owned()
    }

    fn uses(&self, _key: KeyId, _version: Option<KeyVersion>) -> Result<u64, InventoryError> {
        match self.0.load(Ordering::SeqCst) {
            u64::MAX => Err(InventoryError::new("the disk is out")),
            uses => Ok(uses),
        }
    }
}

#[test]
fn an_old_version_is_destroyed_and_says_so() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let envelope = Envelope::new(kms.keyring(key).unwrap());
    let context = EncryptionContext::empty();
    let old = envelope.encrypt(b"old", &context).unwrap();
    kms.rotate_now(key).unwrap();
    let new = envelope.encrypt(b"new", &context).unwrap();
    let alive = world.provider.alive().len();

    kms.destroy_version(key, version(1)).unwrap();
    assert_eq!(world.provider.alive().len(), alive - 1);
    assert_eq!(world.provider.alive(), world.stored_handles());
    assert!(kms.tick().unwrap().is_empty());
    for kms in [&kms, &world.handle()] {
        let versions = kms.list_versions(key).unwrap();
        assert_eq!(versions[0].state, VersionState::Destroyed);
        assert!(versions[0].destroyed.is_some());
        assert_eq!(versions[1].destroyed, None);
        let envelope = Envelope::new(kms.keyring(key).unwrap());
        assert_eq!(*envelope.decrypt(&new, &context).unwrap(), *b"new");
        let Error::Kms(error) = envelope.decrypt(&old, &context).unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(
            error.to_string(),
            format!(
                "version 1 of the key {key} was destroyed on 2026-01-01T00:00:00.000Z; what is under it cannot be opened any more"
            )
        );
        kms.destroy_version(key, version(1)).unwrap();
    }
    kms.rotate_now(key).unwrap();
    assert_eq!(*envelope.decrypt(&new, &context).unwrap(), *b"new");
}

#[test]
fn what_is_not_an_old_version_is_not_destroyed() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let refused = kms.destroy_version(key, version(1)).unwrap_err();
    assert!(
        matches!(refused, KmsError::PrimaryVersion { .. }),
        "{refused}"
    );
    let refused = kms
        .destroy_version_even_if_used(key, version(2))
        .unwrap_err();
    assert!(matches!(refused, KmsError::NoVersion { .. }), "{refused}");

    let pending = kms.create_pending_version(key).unwrap();
    kms.destroy_version(key, pending).unwrap();
    let refused = kms.promote_version(key, pending).unwrap_err();
    assert!(
        matches!(refused, KmsError::InvalidVersionState { .. }),
        "{refused}"
    );
    assert_eq!(kms.create_pending_version(key).unwrap(), version(3));

    let imported = kms.create_key(CreateKey::new().for_import()).unwrap().id;
    let refused = kms.destroy_version(imported, version(1)).unwrap_err();
    assert!(
        matches!(
            refused,
            KmsError::InvalidState { .. } | KmsError::InvalidOrigin { .. }
        ),
        "{refused}"
    );
}

#[test]
fn what_is_in_use_is_not_destroyed() {
    let world = World::new();
    let kms = world.open();
    let (one, other) = (Told::default(), Told::default());
    kms.register_inventory(one.clone());
    kms.register_inventory(other.clone());
    let kms = kms.as_principal("test");
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.rotate_now(key).unwrap();

    other.set(12);
    assert_eq!(
        kms.destroy_version(key, version(1))
            .unwrap_err()
            .to_string(),
        format!(
            "version 1 of the key {key} is not destroyed because the told inventory needs it for 12 messages, headers or seeds; rewrap them under another key or version first, or say that they may be lost by the call whose name ends in even_if_used"
        )
    );
    other.set(u64::MAX);
    let refused = kms.destroy_version(key, version(1)).unwrap_err();
    assert!(matches!(refused, KmsError::Inventory { .. }), "{refused}");
    assert_eq!(
        kms.list_versions(key).unwrap()[0].state,
        VersionState::Enabled
    );
    kms.destroy_version_even_if_used(key, version(1)).unwrap();

    one.set(1);
    other.set(0);
    let waiting = WaitingPeriod::days(7).unwrap();
    let refused = kms.schedule_deletion(key, waiting).unwrap_err();
    assert!(
        matches!(
            refused,
            KmsError::InUse {
                uses: 1,
                version: None,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(kms.describe_key(key).unwrap().state, KeyState::Enabled);
}

#[test]
fn a_deletion_that_is_due_waits_until_nothing_is_in_use() {
    let world = World::new();
    let kms = world.open();
    let inventory = Told::default();
    kms.register_inventory(inventory.clone());
    let kms = kms.as_principal("test");
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let waiting = WaitingPeriod::days(7).unwrap();
    kms.schedule_deletion(key, waiting).unwrap();
    inventory.set(3);
    world.clock.advance(8 * DAY);
    for _ in 0..2 {
        let report = kms.tick().unwrap();
        assert!(report.deleted.is_empty());
        assert!(
            matches!(report.failures[0].error, KmsError::InUse { uses: 3, .. }),
            "{report:?}"
        );
        let state = kms.describe_key(key).unwrap().state;
        assert_eq!(state, KeyState::PendingDeletion);
    }
    inventory.set(0);
    assert_eq!(kms.tick().unwrap().deleted, [key]);

    let key = kms.create_key(CreateKey::new()).unwrap().id;
    inventory.set(3);
    kms.schedule_deletion_even_if_used(key, waiting).unwrap();
    world.clock.advance(8 * DAY);
    assert_eq!(kms.tick().unwrap().deleted, [key]);
}

#[test]
fn a_tick_goes_on_where_the_provider_failed() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.rotate_now(key).unwrap();
    world.provider.set_outage(true);
    let failed = kms.destroy_version(key, version(1)).unwrap_err();
    assert!(matches!(failed, KmsError::Provider(_)), "{failed}");
    assert_eq!(
        kms.list_versions(key).unwrap()[0].state,
        VersionState::Destroyed
    );
    assert_eq!(kms.tick().unwrap().failures.len(), 1);
    world.provider.set_outage(false);
    assert_eq!(kms.tick().unwrap().destroyed, [(key, version(1))]);
    assert!(kms.tick().unwrap().is_empty());
    assert_eq!(world.provider.alive(), world.stored_handles());
}

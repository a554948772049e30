//! A new root key for a store, while the process dies at any commit and others go on.

mod common;

use common::kms::{DAY, Ledger, World};
use common::kms_estate::{Estate, both, context, new, old, open, root, try_open};
use common::kms_stores::{Death, Mortal};
use waxseal::{
    CreateKey, CreateKeyRequest, Envelope, EnvelopeEncryptor, KeyHandle, KeyProvider, KeyStore,
    Kms, KmsError, ProviderError, SingleKeyring, SoftwareKeyProvider,
};

#[test]
fn the_old_root_key_is_not_needed_any_more() {
    let estate = Estate::new();
    let error = try_open(estate.store.clone(), &estate.clock, new()).unwrap_err();
    assert!(
        matches!(
            error,
            KmsError::StoreKey {
                source: ProviderError::OtherRootKey,
                ..
            }
        ),
        "{error}"
    );
    let kms = estate.open(both());
    estate.check(&kms);
    let report = kms.rekey_root(&both()).unwrap();
    // The store's record, four keys that wrap, one that signs, one for MACs, one to be deleted.
    assert_eq!(report.records, 8);
    assert_eq!(kms.rekey_root(&both()).unwrap().records, 0);
    estate.check(&kms);
    let kms = estate.open(new());
    estate.check(&kms);
    estate.clock.advance(8 * DAY);
    assert_eq!(kms.tick().unwrap().deleted, [estate.dying]);
    assert!(try_open(estate.store.clone(), &estate.clock, old()).is_err());
}

#[test]
fn it_dies_at_any_commit_and_goes_on() {
    let mut deaths = 0;
    for commit in 0.. {
        let mut survived = true;
        for committed in [false, true] {
            let estate = Estate::new();
            let store = Mortal::over(&estate.store);
            store.die(Death { commit, committed });
            let rekeyed = open(store, &estate.clock, both()).rekey_root(&both());
            survived &= rekeyed.is_ok();
            deaths += usize::from(rekeyed.is_err());
            // Others have both root keys, whichever of them they create under.
            let kms = estate.open(both());
            estate.check(&kms);
            estate.check(&estate.open(old().with_other_root(&root(2))));
            kms.rekey_root(&both()).unwrap();
            estate.check(&estate.open(new()));
        }
        if survived {
            break;
        }
    }
    assert_eq!(deaths, 2 * 8);
}

#[test]
fn other_processes_work_meanwhile() {
    let estate = Estate::new();
    let rekeying = estate.open(both());
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // It creates under the old root key.
            let kms = estate.open(old().with_other_root(&root(2)));
            for _ in 0..20 {
                let key = kms.create_key(CreateKey::new()).unwrap().id;
                let sealed = kms.encrypt(key, b"payload", &context()).unwrap();
                kms.rotate_now("alias/0").unwrap();
                kms.decrypt(&sealed.bytes, &context()).unwrap();
                estate.check(&kms);
            }
        });
        while !worker.is_finished() {
            rekeying.rekey_root(&both()).unwrap();
        }
    });
    rekeying.rekey_root(&both()).unwrap();
    let kms = estate.open(new());
    estate.check(&kms);
    assert_eq!(kms.list_versions("alias/0").unwrap().len(), 21);
}

#[test]
fn what_is_refused_changes_nothing() {
    let estate = Estate::new();
    let before = estate.store.latest().unwrap();
    let kms = estate.open(old());
    let error = kms.rekey_root(&both()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this Kms was opened without the root key that its keys are to be moved to; open it with \
         that provider first, in every process that has the store"
    );
    let error = estate.open(both()).rekey_root(&new()).unwrap_err();
    assert!(
        matches!(error, KmsError::Provider(ProviderError::OtherRootKey)),
        "{error}"
    );
    assert_eq!(estate.store.latest().unwrap(), before);
}

#[test]
fn keys_of_other_providers_stay_where_they_are() {
    let world = World::new();
    let other = Ledger::new("other");
    let kms = Kms::builder(world.store.clone())
        .provider(both())
        .provider(other.clone())
        .open()
        .unwrap()
        .as_principal("ops:alice");
    let key = kms
        .create_key(CreateKey::new().with_provider("other"))
        .unwrap()
        .id;
    let handles = other.alive();
    assert_eq!(kms.rekey_root(&both()).unwrap().records, 0);
    assert!(world.stored_handles().is_superset(&handles));
    kms.encrypt(key, b"payload", &context()).unwrap();
}

/// Material that is condemned when the root key changes is destroyed, and not moved.
#[test]
fn what_is_to_be_destroyed_is_destroyed() {
    for commits in 1..=3 {
        let estate = Estate::new();
        estate.clock.advance(8 * DAY);
        let store = Mortal::over(&estate.store);
        store.die(Death {
            commit: commits,
            committed: false,
        });
        // A tick that does not come to its end.
        let _ = open(store, &estate.clock, old()).tick();
        let kms = estate.open(both());
        kms.rekey_root(&both()).unwrap();
        let kms = estate.open(new());
        assert!(kms.tick().unwrap().failures.is_empty());
        assert!(matches!(
            kms.describe_key(estate.dying),
            Err(KmsError::Deleted { .. })
        ));
    }
}

#[test]
fn a_provider_with_two_root_keys() {
    let message = |provider: &SoftwareKeyProvider, handle: KeyHandle| {
        let envelope = Envelope::new(SingleKeyring::new(provider.clone(), handle).unwrap());
        envelope.encrypt(b"payload", &context()).unwrap()
    };
    let opens = |provider: &SoftwareKeyProvider, handle: KeyHandle, message: &[u8]| {
        let envelope = Envelope::new(SingleKeyring::new(provider.clone(), handle)?);
        assert_eq!(*envelope.decrypt(message, &context()).unwrap(), *b"payload");
        Ok::<_, ProviderError>(())
    };
    let request = CreateKeyRequest::default().with_binding(b"purpose");
    let handle = old().create_key(request).unwrap();
    for handle in [handle.clone(), old().root_handle()] {
        let sealed = message(&old(), handle.clone());
        opens(&both(), handle.clone(), &sealed).unwrap();
        let error = opens(&new(), handle, &sealed).unwrap_err();
        assert!(matches!(error, ProviderError::OtherRootKey), "{error}");
    }
    assert_eq!(both().root_handle(), new().root_handle());
    let own = both().create_key(request).unwrap();
    let sealed = message(&new(), own.clone());
    opens(&both(), own.clone(), &sealed).unwrap();
    assert!(opens(&old(), own, &sealed).is_err());

    // Moved within one provider, by whichever handle it is used, it is one key.
    let provider = both();
    let moved = provider.move_key(&handle, &provider).unwrap();
    let sealed = message(&provider, handle.clone());
    opens(&provider, moved.clone(), &sealed).unwrap();
    opens(&new(), moved.clone(), &sealed).unwrap();
    provider.destroy_key(&moved).unwrap();
    for handle in [handle, moved] {
        let error = opens(&provider, handle, &sealed).unwrap_err();
        assert!(matches!(error, ProviderError::KeyDestroyed), "{error}");
    }
}

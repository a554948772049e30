//! A process dies at any commit, before it or after it, and the next one goes on.

mod common;

use common::kms::{DAY, World};
use common::kms_stores::{Death, Mortal};
use waxseal::store::Collection;
use waxseal::store::ScanRequest;
use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyId, KeyStore, KmsError,
    KmsHandle, ListKeys, RotationPolicy, WaitingPeriod,
};

/// The whole life of two keys; stops at the first error, with what was acknowledged until then.
fn live(world: &World, kms: &KmsHandle, acknowledged: &mut Vec<KeyId>) -> Result<(), KmsError> {
    let policy = RotationPolicy::every_days(90).with_guard(DAY);
    let first = kms.create_key(CreateKey::new().with_rotation(policy))?.id;
    acknowledged.push(first);
    let second = kms.create_key(CreateKey::new())?.id;
    acknowledged.push(second);
    kms.create_alias("alias/a", second)?;
    kms.create_alias("alias/b", second)?;
    kms.rotate_now(second)?;
    kms.update_alias("alias/a", first)?;
    kms.schedule_deletion(second, WaitingPeriod::days(7)?)?;
    for _ in 0..95 {
        world.clock.advance(DAY);
        let failures = kms.tick()?.failures;
        if let Some(failure) = failures.into_iter().next() {
            return Err(failure.error);
        }
    }
    assert_eq!(kms.describe_key("alias/a")?.primary.get(), 2);
    Ok(())
}

#[test]
fn whenever_a_process_dies_the_next_one_goes_on() {
    let mut deaths = 0;
    for commit in 0.. {
        let mut survived = true;
        for committed in [false, true] {
            let world = World::new();
            let store = Mortal::new(&world);
            let kms = world.builder_over(store.clone()).open().unwrap();
            store.die(Death { commit, committed });
            let mut acknowledged = Vec::new();
            let lived = live(&world, &kms.as_principal("mortal"), &mut acknowledged);
            assert_eq!(lived.is_err(), store.is_dead());
            drop(kms);
            if store.is_dead() {
                survived = false;
                deaths += 1;
                world.provider.set_outage(false);
                go_on(&world, &acknowledged, Death { commit, committed });
            }
        }
        if survived {
            break;
        }
    }
    assert!(deaths > 20, "{deaths}");
}

/// What must hold after a death, however it came.
fn go_on(world: &World, acknowledged: &[KeyId], death: Death) {
    let kms = world.handle();
    let handles = world.stored_handles();
    let alive = world.provider.alive();
    for handle in &handles {
        // A version may be destroyed in the provider, and its record not yet say so.
        let dying = kms.list_keys(&ListKeys::new()).unwrap().keys.len() < key_records(world);
        assert!(alive.contains(handle) || dying, "a key is lost: {death:?}");
    }
    for &key in acknowledged {
        match kms.describe_key(key) {
            Ok(told) => {
                let versions = kms.list_versions(key).unwrap();
                let primaries: Vec<_> = versions.iter().filter(|it| it.primary).collect();
                assert_eq!(primaries.len(), 1);
                assert_eq!(primaries[0].version, told.primary);
            }
            Err(error) => assert!(matches!(error, KmsError::Deleted { .. }), "{error}"),
        }
    }
    world.clock.advance(100 * DAY);
    let report = kms.tick().unwrap();
    assert!(report.failures.is_empty(), "{death:?}: {report:?}");
    world.clock.advance(DAY);
    let report = kms.tick().unwrap();
    assert!(report.failures.is_empty(), "{death:?}: {report:?}");
    assert!(kms.tick().unwrap().is_empty());

    let (handles, alive) = (world.stored_handles(), world.provider.alive());
    assert!(handles.is_subset(&alive), "{death:?}");
    let orphans = alive.difference(&handles).count();
    assert!(orphans <= 1, "{death:?}: {orphans} orphans");
    for key in kms.list_keys(&ListKeys::new()).unwrap().keys {
        for alias in &key.aliases {
            assert_eq!(kms.describe_key(alias).unwrap().id, key.id);
        }
        kms.rotate_now(key.id).unwrap();
    }
}

fn key_records(world: &World) -> usize {
    let all = ScanRequest::new(Collection::KEYS, usize::MAX);
    world.store.scan(all).unwrap().len()
}

const SUBJECT: &str = "person:1";

fn subject_envelope(kms: &KmsHandle, key: KeyId) -> Envelope {
    Envelope::new(kms.subject_keyring(key, SUBJECT).unwrap())
}

fn begun_erasures(world: &World) -> usize {
    let all = ScanRequest::new(Collection::ERASURES, usize::MAX);
    world.store.scan(all).unwrap().len()
}

#[test]
fn an_erasure_of_a_subject_that_is_cut_off_is_finished_by_a_tick() {
    let context = EncryptionContext::empty();
    let mut cut_off = 0;
    for commit in 0.. {
        let mut survived = true;
        for committed in [false, true] {
            let world = World::new();
            let kms = world.handle();
            let key = kms.create_key(CreateKey::new()).unwrap().id;
            let subject = kms.create_subject(key, SUBJECT).unwrap();
            let message = subject_envelope(&kms, key).encrypt(b"x", &context).unwrap();
            let store = Mortal::new(&world);
            let mortal = world.builder_over(store.clone()).open().unwrap();
            let death = Death { commit, committed };
            store.die(death);
            let erased = mortal.as_principal("mortal").erase_subject(key, SUBJECT);
            assert_eq!(erased.is_err(), store.is_dead());
            drop(mortal);
            survived &= !store.is_dead();
            world.provider.set_outage(false);

            let is_erased = kms.describe_subject(key, SUBJECT).unwrap().id.is_none();
            let begun = begun_erasures(&world);
            cut_off += begun;
            let expected = vec![(key, subject); begun];
            // One that dies while it finishes it, and one that does not.
            let next = Mortal::new(&world);
            let mortal = world.builder_over(next.clone()).open().unwrap();
            next.die(Death {
                commit: 0,
                committed,
            });
            let report = mortal.as_principal("mortal").tick().unwrap();
            assert_eq!((report.failures.len(), next.is_dead()), (begun, begun == 1));
            world.provider.set_outage(false);
            let last = Mortal::over(&world.store);
            let kms = world.builder_over(last.clone()).open().unwrap();
            let kms = kms.as_principal("test");
            let report = kms.tick().unwrap();
            assert!(report.failures.is_empty(), "{death:?}: {report:?}");
            let is_left = begun == 1 && !committed;
            assert_eq!(
                report.erased_subjects,
                if is_left { expected } else { Vec::new() }
            );
            assert_eq!(
                next.take_erasures() + last.take_erasures(),
                begun + usize::from(is_left)
            );
            assert_eq!(begun_erasures(&world), 0);
            assert!(kms.tick().unwrap().is_empty());

            let opened = subject_envelope(&kms, key).decrypt(&message, &context);
            assert_eq!(opened.is_err(), is_erased, "{death:?}");
            let proof = kms.erase_subject(key, SUBJECT).unwrap();
            kms.verify_erasure(&proof, Some(SUBJECT)).unwrap();
            assert_eq!(proof.by, if is_erased { "mortal" } else { "test" });
            assert_eq!(begun_erasures(&world), 0);
        }
        if survived {
            break;
        }
    }
    assert_eq!(cut_off, 2, "after the first commit, and before the second");
}

#[test]
fn erasures_that_were_cut_off_make_room_for_others() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let name = |number| format!("person:{number}");
    for number in 0..40 {
        kms.create_subject(key, &name(number)).unwrap();
    }
    for number in 0..40 {
        let store = Mortal::new(&world);
        let mortal = world.builder_over(store.clone()).open().unwrap();
        store.die(Death {
            commit: 0,
            committed: true,
        });
        // It dies later if there is another one to be finished first.
        let mortal = mortal.as_principal("mortal");
        mortal.erase_subject(key, &name(number)).unwrap_err();
        world.provider.set_outage(false);
    }
    let begun = begun_erasures(&world);
    assert!((2..=16).contains(&begun), "{begun}");
    let erased = |number: &i32| {
        let told = kms.describe_subject(key, &name(*number)).unwrap();
        told.id.is_none()
    };
    assert!((0..40).filter(erased).count() >= begun);
    assert_eq!(kms.tick().unwrap().erased_subjects.len(), begun);
    for number in 0..40 {
        kms.erase_subject(key, &name(number)).unwrap();
    }
    assert_eq!(
        (begun_erasures(&world), (0..40).filter(erased).count()),
        (0, 40)
    );
}

/// Whatever has become of the KMS key meanwhile.
#[test]
fn an_erasure_is_finished_under_a_key_that_is_deleted() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let subject = kms.create_subject(key, SUBJECT).unwrap();
    kms.schedule_deletion_even_if_used(key, WaitingPeriod::days(7).unwrap())
        .unwrap();
    let store = Mortal::new(&world);
    let mortal = world.builder_over(store.clone()).open().unwrap();
    store.die(Death {
        commit: 1,
        committed: false,
    });
    mortal
        .as_principal("mortal")
        .erase_subject(key, SUBJECT)
        .unwrap_err();
    world.provider.set_outage(false);
    world.clock.advance(8 * DAY);
    let report = kms.tick().unwrap();
    assert_eq!(
        (report.deleted, report.erased_subjects),
        (vec![key], vec![(key, subject)])
    );
    assert!(kms.tick().unwrap().is_empty());
}

//! A key for each subject, and its end.

mod common;

use std::time::{Duration, Instant};

use common::kms::{DAY, World};
use common::kms_stores::Interrupted;
use waxseal::format::Header;
use waxseal::kms::Backup;
use waxseal::store::{Collection, ScanRequest};
use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, ErasureProof, Error, Inventory,
    KeyId, KeyStore, KeyVersion, Kms, KmsError, KmsHandle, MemoryKeyStore, Rewrap, RewrapJob,
    RootKey, SingleKeyring, SoftwareKeyProvider, WaitingPeriod, inspect,
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("purpose", "profile")]).unwrap()
}

fn envelope(kms: &KmsHandle, key: KeyId, subject: &str) -> Envelope {
    Envelope::new(kms.subject_keyring(key, subject).unwrap())
}

fn kms_error(error: Error) -> KmsError {
    match error {
        Error::Kms(error) => *error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_subject_is_forgotten_and_others_are_not() {
    let world = World::new();
    let (kms, reader) = (world.handle(), world.handle());
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let created = world.provider.created();
    let ids: Vec<_> = (0..100)
        .map(|number| {
            kms.create_subject(key, &format!("person:{number}"))
                .unwrap()
        })
        .collect();
    assert_eq!(kms.create_subject(key, "person:3").unwrap(), ids[3]);
    assert_eq!(world.provider.created(), created, "no key of the provider");
    let seal = |number: usize| {
        let envelope = envelope(&kms, key, &format!("person:{number}"));
        envelope.encrypt(b"born 1971", &context()).unwrap()
    };
    let (three, four) = (seal(3), seal(4));
    assert_eq!(Header::parse(&three).unwrap().0.len(), 2 + 2 + 32 + 48 + 32);
    let told = inspect(&three).unwrap();
    assert_eq!(told.wrapped_keys[0].provider, "kms-subject");
    assert_eq!(told.wrapped_keys[0].key, key.to_string());
    assert_eq!(told.wrapped_keys[0].subject, Some(ids[3]));
    let open = |kms: &KmsHandle, number: usize, message: &[u8]| {
        envelope(kms, key, &format!("person:{number}")).decrypt(message, &context())
    };
    for kms in [&kms, &reader, &world.handle()] {
        assert_eq!(*open(kms, 3, &three).unwrap(), *b"born 1971");
        let other = open(kms, 4, &three).unwrap_err();
        assert!(matches!(other, Error::OtherKey { .. }), "{other}");
    }

    let proof = kms.erase_subject(key, "person:3").unwrap();
    assert_eq!(
        (proof.key, proof.subject, proof.by.as_str()),
        (key, ids[3], "test")
    );
    assert_eq!(kms.erase_subject(key, "person:3").unwrap(), proof);
    world.clock.advance(Duration::from_secs(2));
    for kms in [&kms, &reader, &world.handle()] {
        let error = kms_error(open(kms, 3, &three).unwrap_err());
        assert_eq!(
            error.to_string(),
            format!(
                "the key {} of a subject under the key {key} was erased on 2026-01-01T00:00:00.000Z; what is under it cannot be opened any more, and to seal anew takes create_subject",
                ids[3]
            )
        );
        let refused = envelope(kms, key, "person:3").encrypt(b"x", &context());
        let refused = kms_error(refused.unwrap_err());
        assert!(
            matches!(refused, KmsError::SubjectErased { .. }),
            "{refused}"
        );
        assert_eq!(*open(kms, 4, &four).unwrap(), *b"born 1971");
        let told = kms.describe_subject(key, "person:3").unwrap();
        assert_eq!((told.id, told.erasures), (None, vec![proof.clone()]));
    }
    // The person comes back, and what was is still gone.
    let again = kms.create_subject(key, "person:3").unwrap();
    assert_ne!(again, ids[3]);
    let new = seal(3);
    assert_eq!(*open(&kms, 3, &new).unwrap(), *b"born 1971");
    let error = kms_error(open(&kms, 3, &three).unwrap_err());
    assert!(matches!(error, KmsError::SubjectErased { .. }), "{error}");
}

#[test]
fn a_proof_is_verified() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.create_subject(key, "person:1").unwrap();
    let proof = kms.erase_subject(key, "person:1").unwrap();
    let text = serde_json::to_string(&proof).unwrap();
    assert!(!text.contains("person"), "{text}");
    let read: ErasureProof = serde_json::from_str(&text).unwrap();
    for kms in [&kms, &world.handle()] {
        kms.verify_erasure(&read, None).unwrap();
        kms.verify_erasure(&read, Some("person:1")).unwrap();
        let refused = kms.verify_erasure(&read, Some("person:2")).unwrap_err();
        assert!(
            matches!(refused, KmsError::InvalidErasureProof { .. }),
            "{refused}"
        );
    }
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (member, value) in json.as_object().unwrap() {
        let mut changed = json.clone();
        let text = value.as_str().unwrap();
        changed[member] = match member.as_str() {
            "created" | "erased" => "2026-02-02T00:00:00.000Z".into(),
            "by" => "somebody else".into(),
            "store" | "key" | "subject" => "00".repeat(16).into(),
            _ => format!(
                "{}{}",
                if text.starts_with('A') { "B" } else { "A" },
                &text[1..]
            )
            .into(),
        };
        let forged: ErasureProof = serde_json::from_value(changed).unwrap();
        let refused = kms.verify_erasure(&forged, None).unwrap_err();
        assert!(
            matches!(refused, KmsError::InvalidErasureProof { .. }),
            "{member}"
        );
    }
    let other = World::new().handle();
    assert!(other.verify_erasure(&read, None).is_err());
}

#[test]
fn no_trace_of_a_name_or_a_seed_is_left() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.create_subject(key, "zoe@example.com").unwrap();
    let subjects = || {
        world
            .store
            .scan(ScanRequest::new(Collection::SUBJECTS, 10))
            .unwrap()
    };
    let body = |record: &waxseal::store::Record| common::kms::body_of(&record.bytes);
    let (_, before) = subjects().remove(0);
    let seed = body(&before)["live"]["seed"].as_str().unwrap().to_owned();
    assert!(before.bytes.len() < 350, "{}", before.bytes.len());
    kms.erase_subject(key, "zoe@example.com").unwrap();
    let (id, after) = subjects().remove(0);
    for text in [
        String::from_utf8_lossy(&after.bytes),
        String::from_utf8_lossy(id.as_bytes()),
    ] {
        assert!(!text.contains("zoe") && !text.contains(&seed), "{text}");
    }
    let begun = ScanRequest::new(Collection::ERASURES, 10);
    assert!(world.store.scan(begun).unwrap().is_empty());
    let keyring = kms.subject_keyring(key, "zoe@example.com").unwrap();
    assert!(!format!("{keyring:?}").contains("zoe"));
    for name in ["", &"x".repeat(257)] {
        assert!(matches!(
            kms.subject_keyring(key, name),
            Err(KmsError::InvalidName { .. })
        ));
    }
    let unknown = kms_error(
        envelope(&kms, key, "nobody")
            .encrypt(b"", &context())
            .unwrap_err(),
    );
    assert!(matches!(unknown, KmsError::NoSubject { .. }), "{unknown}");
}

#[test]
fn subjects_live_and_die_with_their_key() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    for number in 0..300 {
        kms.create_subject(key, &format!("person:{number}"))
            .unwrap();
    }
    let envelope = envelope(&kms, key, "person:7");
    let message = envelope.encrypt(b"x", &context()).unwrap();
    kms.disable_key(key).unwrap();
    let refused = kms_error(envelope.decrypt(&message, &context()).unwrap_err());
    assert!(
        matches!(refused, KmsError::InvalidState { .. }),
        "{refused}"
    );
    kms.erase_subject(key, "person:8").unwrap();
    kms.enable_key(key).unwrap();

    kms.rotate_now(key).unwrap();
    let refused = kms.destroy_version(key, KeyVersion::FIRST).unwrap_err();
    assert!(
        matches!(refused, KmsError::InUse { uses: 299, .. }),
        "{refused}"
    );
    let report = kms.rewrap_subjects(key).unwrap();
    assert_eq!((report.rewrapped, report.current), (299, 0));
    let report = kms.rewrap_subjects(key).unwrap();
    assert_eq!((report.rewrapped, report.current), (0, 299));
    kms.destroy_version(key, KeyVersion::FIRST).unwrap();
    for kms in [&kms, &world.handle()] {
        let envelope = Envelope::new(kms.subject_keyring(key, "person:7").unwrap());
        assert_eq!(*envelope.decrypt(&message, &context()).unwrap(), *b"x");
    }
    let waiting = WaitingPeriod::days(7).unwrap();
    let refused = kms.schedule_deletion(key, waiting).unwrap_err();
    assert!(
        matches!(refused, KmsError::InUse { uses: 299, .. }),
        "{refused}"
    );
    kms.schedule_deletion_even_if_used(key, waiting).unwrap();
    world.clock.advance(8 * DAY);
    assert_eq!(kms.tick().unwrap().deleted, [key]);
    assert!(envelope.decrypt(&message, &context()).is_err());
}

#[test]
fn messages_go_to_subjects_and_back_by_rewrap() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.create_subject(key, "person:1").unwrap();
    let shared = Envelope::new(kms.keyring(key).unwrap());
    let message = shared.encrypt(b"x", &context()).unwrap();
    let subject = kms.subject_keyring(key, "person:1").unwrap();
    let rewrapped = shared
        .rewrap_with(&message, &context(), &Rewrap::to(subject.clone()))
        .unwrap();
    let mut own = message.clone();
    own.splice(..rewrapped.replaces, rewrapped.header);
    assert_eq!(
        *Envelope::new(subject.clone())
            .decrypt(&own, &context())
            .unwrap(),
        *b"x"
    );
    assert!(shared.decrypt(&own, &context()).is_err());
    assert!(
        !Envelope::new(subject)
            .rewrap(&own, &context())
            .unwrap()
            .is_changed
    );

    let inventory = Inventory::of([&own, &message]);
    assert_eq!(inventory.uses(key, None), 2);
    assert_eq!(inventory.uses(key, Some(KeyVersion::FIRST)), 1);
    assert_eq!(inventory.keys().len(), 2);
    let _ = RewrapJob::new(&shared, Rewrap::new());
}

#[test]
fn backups_have_subjects_unless_they_are_made_without() {
    let root_key = RootKey::from_bytes(&[7; 32]);
    let provider = SoftwareKeyProvider::new(&root_key);
    let kms = Kms::open(MemoryKeyStore::new(), provider.clone())
        .unwrap()
        .as_principal("test");
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.create_subject(key, "person:1").unwrap();
    let envelope = Envelope::new(kms.subject_keyring(key, "person:1").unwrap());
    let message = envelope.encrypt(b"x", &context()).unwrap();
    let by = Envelope::new(SingleKeyring::software(&root_key));
    let restored = |backup: Backup<'_>| {
        let mut file = Vec::new();
        kms.backup(&backup, &mut file).unwrap();
        let store = MemoryKeyStore::new();
        Kms::restore(&store, "ops:alice", &backup, file.as_slice()).unwrap();
        Kms::open(store, provider.clone())
            .unwrap()
            .as_principal("test")
    };
    let backup = Backup::under(&by).with_software(&provider);
    let (with, without) = (restored(backup), restored(backup.without_subjects()));
    let proof = kms.erase_subject(key, "person:1").unwrap();
    let open = |kms: &KmsHandle| {
        let keyring = kms.subject_keyring(key, "person:1").unwrap();
        Envelope::new(keyring).decrypt(&message, &context())
    };
    assert!(open(&kms).is_err());
    let lost = kms_error(open(&without).unwrap_err());
    assert!(matches!(lost, KmsError::NoSubject { .. }), "{lost}");
    // What an older backup has is back, until it is erased there too.
    assert_eq!(*open(&with).unwrap(), *b"x");
    with.verify_erasure(&proof, Some("person:1")).unwrap();
    with.erase_subject(key, "person:1").unwrap();
    assert!(open(&with).is_err());
}

#[test]
fn threads_create_one_subject_once() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| kms.create_subject(key, "person:1").unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(
        Some(ids[0]),
        kms.describe_subject(key, "person:1").unwrap().id
    );
}

#[test]
fn no_seed_comes_under_a_version_that_others_destroy_meanwhile() {
    let world = World::new();
    let store = Interrupted::new(&world);
    let kms = world.builder_over(store.clone()).open().unwrap();
    let kms = kms.as_principal("test");
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let destroy_primary = {
        let (other, clock) = (world.handle(), world.clock.clone());
        move || {
            clock.advance(Duration::from_secs(2));
            let primary = other.describe_key(key).unwrap().primary;
            other.rotate_now(key).unwrap();
            other.rewrap_subjects(key).unwrap();
            other.destroy_version(key, primary).unwrap();
        }
    };

    store.once(destroy_primary.clone());
    kms.create_subject(key, "person:1").unwrap();
    let message = envelope(&world.handle(), key, "person:1")
        .encrypt(b"x", &context())
        .unwrap();

    kms.rotate_now(key).unwrap();
    store.once(destroy_primary);
    kms.rewrap_subjects(key).unwrap();
    let opened = envelope(&world.handle(), key, "person:1").decrypt(&message, &context());
    assert_eq!(*opened.unwrap(), *b"x");
}

/// With `WAXSEAL_TEST_SUBJECTS=1000000` and in release, the scale that subjects are for.
#[test]
fn a_subject_is_found_without_a_scan() {
    let subjects = std::env::var("WAXSEAL_TEST_SUBJECTS");
    let subjects: u32 = subjects.map_or(3000, |count| count.parse().unwrap());
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    for number in 0..subjects {
        kms.create_subject(key, &format!("person:{number}"))
            .unwrap();
    }
    let began = Instant::now();
    for number in (0..subjects).step_by(usize::try_from(subjects / 100).unwrap()) {
        let envelope = envelope(&world.handle(), key, &format!("person:{number}"));
        envelope.encrypt(b"x", &context()).unwrap();
    }
    println!(
        "{subjects} subjects: {:?} for a first message",
        began.elapsed() / 100
    );
}

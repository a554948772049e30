//! A store goes into a file, its root key is lost, and everything comes back under another.

mod common;

use std::io;

use common::kms::{DAY, Ledger};
use common::kms_estate::{Estate, context, new, old, open};
use waxseal::kms::{Backup, BackupError, BackupReport, VersionCause};
use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyStore, Kms, KmsError, KmsHandle,
    ManualClock, MemoryKeyStore, MessageOptions, PassphraseCosts, PassphraseRecord, ProviderError,
    RootKey, SingleKeyring,
};

fn envelope() -> Envelope {
    Envelope::new(SingleKeyring::software(&RootKey::from_bytes(&[9; 32])))
}

fn back_up(kms: &KmsHandle) -> Vec<u8> {
    let mut file = Vec::new();
    let (envelope, old) = (envelope(), old());
    let backup = Backup::under(&envelope).with_software(&old);
    kms.backup(&backup, &mut file).unwrap();
    file
}

fn restore(store: &MemoryKeyStore, file: &[u8]) -> Result<BackupReport, KmsError> {
    let (envelope, new) = (envelope(), new());
    let backup = Backup::under(&envelope).with_software(&new);
    Kms::restore(store, "ops:alice", &backup, file)
}

/// Into a store that has a KMS, by a handle.
fn restore_by(kms: &KmsHandle, file: &[u8]) -> Result<BackupReport, KmsError> {
    let (envelope, new) = (envelope(), new());
    kms.restore(&Backup::under(&envelope).with_software(&new), file)
}

fn reason(error: KmsError) -> BackupError {
    match error {
        KmsError::Backup(error) => *error,
        error => panic!("{error}"),
    }
}

#[test]
fn a_restored_store_is_the_same_under_another_root_key() {
    let estate = Estate::new();
    let kms = estate.open(old());
    let file = back_up(&kms);
    let store = MemoryKeyStore::new();
    let report = restore(&store, &file).unwrap();
    assert_eq!((report.keys, report.aliases, report.records), (9, 4, 14));
    assert_eq!(report.to_string(), "9 keys, 4 aliases, 14 records in all");
    assert_eq!(store.latest().unwrap().get(), 1, "in one transaction");

    let restored = open(store.clone(), &estate.clock, new());
    estate.check(&restored);
    for number in 0..4 {
        let alias = format!("alias/{number}");
        assert_eq!(
            restored.describe_key(alias.as_str()).unwrap(),
            kms.describe_key(alias.as_str()).unwrap()
        );
        assert_eq!(
            restored.list_versions(alias.as_str()).unwrap(),
            kms.list_versions(alias.as_str()).unwrap()
        );
    }
    // It lives on.
    restored.rotate_now("alias/0").unwrap();
    let sealed = restored.encrypt("alias/0", b"new", &context()).unwrap();
    restored.decrypt(&sealed.bytes, &context()).unwrap();
    restored.cancel_deletion(estate.dying).unwrap();
    estate.clock.advance(8 * DAY);
    assert!(restored.tick().unwrap().failures.is_empty());
}

#[test]
fn under_a_passphrase_and_a_context() {
    let estate = Estate::new();
    let costs = PassphraseCosts {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    let (root_key, record) = PassphraseRecord::create_with("a long passphrase", costs).unwrap();
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let (bound, old, new) = (context(), old(), new());
    let backup = Backup::under(&envelope).with_context(&bound);
    let mut file = Vec::new();
    estate
        .open(old.clone())
        .backup(&backup.with_software(&old), &mut file)
        .unwrap();

    let root_key = RootKey::from_passphrase("a long passphrase", &record).unwrap();
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let store = MemoryKeyStore::new();
    let without = Backup::under(&envelope).with_software(&new);
    let error = Kms::restore(&store, "ops:alice", &without, file.as_slice()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("could not be read: could not decrypt"),
        "{error}"
    );
    assert!(error.contains("; give the whole file"), "{error}");
    let with = without.with_context(&bound);
    Kms::restore(&store, "ops:alice", &with, file.as_slice()).unwrap();
    estate.check(&open(store, &estate.clock, new));
}

#[test]
fn the_backup_of_a_restored_store() {
    let estate = Estate::new();
    let first = MemoryKeyStore::new();
    restore(&first, &back_up(&estate.open(old()))).unwrap();
    let kms = open(first, &estate.clock, new());
    let (envelope, new, old) = (envelope(), new(), old());
    let mut file = Vec::new();
    kms.backup(&Backup::under(&envelope).with_software(&new), &mut file)
        .unwrap();
    let second = MemoryKeyStore::new();
    let backup = Backup::under(&envelope).with_software(&old);
    Kms::restore(&second, "ops:alice", &backup, file.as_slice()).unwrap();
    estate.check(&open(second, &estate.clock, old.clone()));
}

#[test]
fn every_changed_or_missing_byte_is_noticed_and_nothing_is_written() {
    let estate = Estate::new();
    let file = back_up(&estate.open(old()));
    let store = MemoryKeyStore::new();
    let step = if file.len() > 4000 { 37 } else { 1 };
    for at in (0..file.len()).step_by(step).chain([file.len() - 1]) {
        let mut changed = file.clone();
        changed[at] ^= 0x20;
        let error = reason(restore(&store, &changed).unwrap_err());
        assert!(matches!(error, BackupError::Read(_)), "{at}: {error}");
        let error = reason(restore(&store, &file[..at]).unwrap_err());
        assert!(matches!(error, BackupError::Read(_)), "{at}: {error}");
    }
    let error = reason(restore(&store, &[file.clone(), vec![0]].concat()).unwrap_err());
    assert!(matches!(error, BackupError::Read(_)), "{error}");
    assert_eq!(store.latest().unwrap().get(), 0);
    restore(&store, &file).unwrap();
}

#[test]
fn what_opens_and_is_no_backup() {
    let store = MemoryKeyStore::new();
    let seal = |payload: &[u8], aad: &[u8]| {
        let empty = EncryptionContext::empty();
        let options = MessageOptions::new(&empty).with_aad(aad);
        envelope().encrypt_with(payload, options).unwrap()
    };
    let aad = b"waxseal/v1/kms-backup\0";
    let payload =
        |parts: &[&[u8]]| [b"waxseal kms backup 1\n", &[1; 64][..], &parts.concat()].concat();
    let refused = |payload: &[u8]| reason(restore(&store, &seal(payload, aad)).unwrap_err());

    let error = reason(restore(&store, &seal(&payload(&[]), b"")).unwrap_err());
    assert!(matches!(error, BackupError::Read(_)), "{error}");
    assert_eq!(
        refused(b"a letter to my grandmother").to_string(),
        "the file opens and is no backup of a KMS: it does not begin as one; give a file that \
         backup wrote"
    );
    assert_eq!(
        refused(b"waxseal kms backup 2\n").to_string(),
        "the backup was written by a newer version of waxseal; use that version, or a newer one"
    );
    for (parts, told) in [
        (&[&b""[..]][..], "it ends too early"),
        (
            &[b"\0\0\0\0\0\0\0\0\x01"],
            "it has another number of records than it says",
        ),
        (&[b"\0\0\0\0\0\0\0\0\0!"], "something comes after its end"),
        (&[b"\0\0\0\0\0\0\0\0\0"], "it has no record of the store"),
        (
            &[b"\x01\x04KEYS\x01k\0\0\0\0"],
            "a record is in no collection",
        ),
        (&[b"\x01\x04keys\0\0\0\0\0"], "a record has no id"),
        (&[b"\x01\x04keys\x01k\0\x10\0\x01"], "a record is too long"),
    ] {
        match refused(&payload(parts)) {
            BackupError::NotABackup { reason } => assert_eq!(reason, told),
            error => panic!("{error}"),
        }
    }
    let forged = payload(&[b"\x01\x04keys\x01k\0\0\0\x21", &[1; 33]]);
    let error = restore(&store, &seal(&forged, aad)).unwrap_err();
    assert!(matches!(error, KmsError::Tampered { .. }), "{error}");
    assert_eq!(store.latest().unwrap().get(), 0);
}

#[test]
fn a_store_with_anything_newer_is_not_touched() {
    let estate = Estate::new();
    let kms = estate.open(old());
    let file = back_up(&kms);
    // What happens after a backup, each on a store of its own.
    let changes: [&dyn Fn(&KmsHandle); 5] = [
        &|kms| drop(kms.create_key(CreateKey::new()).unwrap()),
        &|kms| {
            kms.rotate_now("alias/1").unwrap();
        },
        &|kms| kms.create_alias("alias/new", estate.signing).unwrap(),
        &|kms| kms.disable_key("alias/1").unwrap(),
        &|kms| kms.cancel_deletion(estate.dying).unwrap(),
    ];
    for change in changes {
        let store = MemoryKeyStore::new();
        restore(&store, &file).unwrap();
        let kms = open(store.clone(), &estate.clock, new());
        change(&kms);
        let before = store.latest().unwrap();
        let error = reason(restore_by(&kms, &file).unwrap_err());
        assert!(matches!(error, BackupError::NewerState { .. }), "{error}");
        assert_eq!(store.latest().unwrap(), before);
        // A backup that knows of it can.
        let mut newer = Vec::new();
        let (envelope, new) = (envelope(), new());
        kms.backup(&Backup::under(&envelope).with_software(&new), &mut newer)
            .unwrap();
        restore_by(&kms, &newer).unwrap();
        estate_opens(&estate, &store);
    }
}

fn estate_opens(estate: &Estate, store: &MemoryKeyStore) {
    let kms = open(store.clone(), &estate.clock, new());
    for number in 0..4 {
        let _ = kms.enable_key(format!("alias/{number}").as_str());
    }
    for message in &estate.messages {
        kms.decrypt(&message.bytes, &context()).unwrap();
    }
}

#[test]
fn an_older_state_of_the_same_store_is_brought_up_to_date() {
    let estate = Estate::new();
    let kms = estate.open(old());
    let older = back_up(&kms);
    kms.rotate_now("alias/0").unwrap();
    let sealed = kms.encrypt("alias/0", b"new", &context()).unwrap();
    kms.update_alias("alias/1", estate.mac_key).unwrap();
    let newer = back_up(&kms);

    let store = MemoryKeyStore::new();
    restore(&store, &older).unwrap();
    let reader = open(store.clone(), &estate.clock, new());
    reader.decrypt(&sealed.bytes, &context()).unwrap_err();
    restore_by(&reader, &newer).unwrap();
    reader.decrypt(&sealed.bytes, &context()).unwrap();
    assert_eq!(reader.describe_key("alias/1").unwrap().id, estate.mac_key);
    estate.check(&reader);

    // Two lives of one key, of the same length: neither is newer.
    let other_life = MemoryKeyStore::new();
    restore(&other_life, &older).unwrap();
    let other = open(other_life.clone(), &estate.clock, new());
    other.rotate_now("alias/0").unwrap();
    let versions = other.list_versions("alias/0").unwrap();
    assert_eq!(versions.last().unwrap().cause, VersionCause::OnDemand);
    let error = reason(restore_by(&other, &newer).unwrap_err());
    assert!(matches!(error, BackupError::NewerState { .. }), "{error}");
}

#[test]
fn another_store_is_not_touched() {
    let estate = Estate::new();
    let file = back_up(&estate.open(old()));
    let stranger = Estate::new();
    let by_stranger = |file: &[u8]| {
        let (envelope, old) = (envelope(), old());
        let backup = Backup::under(&envelope).with_software(&old);
        stranger.open(old.clone()).restore(&backup, file)
    };
    assert_eq!(
        reason(by_stranger(&file).unwrap_err()).to_string(),
        "the memory store has keys of another KMS than the one that the backup was made of; \
         nothing was changed; restore into an empty store"
    );
    stranger.check(&stranger.open(old()));
    // Not even one that has no keys yet; and without a handle, none that is not empty.
    let store = MemoryKeyStore::new();
    let kms = open(store.clone(), &estate.clock, new());
    let error = reason(restore_by(&kms, &file).unwrap_err());
    assert!(matches!(error, BackupError::OtherStore { .. }), "{error}");
    let error = reason(restore(&store, &file).unwrap_err());
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
}

/// What is restored must be at home where the KMS looks for it.
#[test]
fn a_root_key_that_the_kms_does_not_have() {
    let estate = Estate::new();
    let kms = estate.open(old());
    let file = back_up(&kms);
    let error = restore_by(&kms, &file).unwrap_err();
    assert!(matches!(error, KmsError::RootNotInUse), "{error}");
    estate.check(&kms);
}

/// The clock stands still, so the refresh interval is never over.
#[test]
fn what_was_restored_is_seen_by_the_next_call() {
    let estate = Estate::new();
    let kms = estate.open(old());
    let store = MemoryKeyStore::new();
    restore(&store, &back_up(&kms)).unwrap();
    kms.update_alias("alias/1", estate.mac_key).unwrap();
    let newer = back_up(&kms);

    let kms = Kms::builder(store).clock(estate.clock.clone());
    let kms = kms.provider(new()).open().unwrap().as_principal("ops");
    assert_ne!(kms.describe_key("alias/1").unwrap().id, estate.mac_key);
    restore_by(&kms, &newer).unwrap();
    assert_eq!(kms.describe_key("alias/1").unwrap().id, estate.mac_key);
}

#[test]
fn keys_of_other_providers_are_there_by_their_handles() {
    let (store, clock) = (MemoryKeyStore::new(), ManualClock::default());
    let hsm = Ledger::new("hsm");
    let open = |store: &MemoryKeyStore, provider| {
        let builder = Kms::builder(store.clone()).clock(clock.clone());
        let kms = builder.provider(provider).provider(hsm.clone()).open();
        kms.unwrap().as_principal("ops:alice")
    };
    let kms = open(&store, old());
    let of_hsm = kms
        .create_key(CreateKey::new().with_provider("hsm"))
        .unwrap()
        .id;
    let sealed = kms.encrypt(of_hsm, b"payload", &context()).unwrap();

    let envelope = envelope();
    let mut file = Vec::new();
    let error = kms
        .backup(&Backup::under(&envelope), &mut file)
        .unwrap_err();
    assert!(matches!(error, KmsError::NoProvider { .. }), "{error}");
    assert!(file.is_empty());
    let file = back_up(&kms);
    let restored = MemoryKeyStore::new();
    let backup = Backup::under(&envelope);
    let error = Kms::restore(&restored, "ops:alice", &backup, file.as_slice()).unwrap_err();
    assert!(matches!(error, KmsError::NoProvider { .. }), "{error}");
    restore(&restored, &file).unwrap();
    let kms = open(&restored, new());
    kms.decrypt(&sealed.bytes, &context()).unwrap();

    // A KMS that has nothing but an HSM needs no provider for software.
    let store = MemoryKeyStore::new();
    let kms = Kms::open(store, hsm.clone()).unwrap().as_principal("ops");
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let mut file = Vec::new();
    kms.backup(&Backup::under(&envelope), &mut file).unwrap();
    let store = MemoryKeyStore::new();
    Kms::restore(&store, "ops:alice", &backup, file.as_slice()).unwrap();
    let kms = Kms::open(store, hsm.clone()).unwrap().as_principal("ops");
    kms.describe_key(key).unwrap();
}

#[test]
fn material_that_is_to_be_destroyed_is_not_in_a_backup() {
    let estate = Estate::new();
    estate.clock.advance(8 * DAY);
    let kms = estate.open(old());
    let file = back_up(&kms);
    kms.tick().unwrap();
    let after = back_up(&kms);
    for file in [&file, &after] {
        let store = MemoryKeyStore::new();
        restore(&store, file).unwrap();
        let kms = open(store, &estate.clock, new());
        assert!(kms.tick().unwrap().failures.is_empty());
        let error = kms.describe_key(estate.dying).unwrap_err();
        assert!(matches!(error, KmsError::Deleted { .. }), "{error}");
    }
}

/// A store is changed all the time while it is backed up.
#[test]
fn a_backup_is_of_one_moment() {
    let estate = Estate::new();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let kms = estate.open(old());
            for round in 0..200 {
                let to = if round % 2 == 0 {
                    estate.signing
                } else {
                    estate.mac_key
                };
                kms.update_alias("alias/0", to).unwrap();
            }
        });
        let kms = estate.open(old());
        while !worker.is_finished() {
            // It is refused if an alias and its key do not fit.
            restore(&MemoryKeyStore::new(), &back_up(&kms)).unwrap();
        }
    });
}

#[test]
fn a_place_that_cannot_be_written_to() {
    #[derive(Debug)]
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let estate = Estate::new();
    let (envelope, old) = (envelope(), old());
    let backup = Backup::under(&envelope).with_software(&old);
    let error = estate.open(old.clone()).backup(&backup, Full).unwrap_err();
    assert!(matches!(reason(error), BackupError::Write(_)));
    // And a provider that is not the one of the keys.
    let new = new();
    let backup = Backup::under(&envelope).with_software(&new);
    let error = estate
        .open(old.clone())
        .backup(&backup, Vec::new())
        .unwrap_err();
    assert!(
        matches!(error, KmsError::Provider(ProviderError::OtherRootKey)),
        "{error}"
    );
}

#[cfg(feature = "sqlite")]
#[test]
fn into_a_file_and_out_of_one() {
    use waxseal::{SoftwareKeyProvider, SqliteKeyStore};

    let estate = Estate::new();
    let kms = estate.open(old());
    for _ in 0..300 {
        kms.create_key(CreateKey::new()).unwrap();
    }
    let file = back_up(&kms);
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteKeyStore::create(folder.path().join("keys.db")).unwrap();
    let (envelope, new_root) = (envelope(), new());
    let backup = Backup::under(&envelope).with_software(&new_root);
    Kms::restore(&store, "ops:alice", &backup, file.as_slice()).unwrap();
    drop(store);
    let store = || SqliteKeyStore::open(folder.path().join("keys.db")).unwrap();
    estate.check(&open(store(), &estate.clock, new()));
    // And to a third root key, in the file.
    let third = SoftwareKeyProvider::new(&RootKey::from_bytes(&[3; 32]));
    let rekeying = third
        .clone()
        .with_other_root(&RootKey::from_bytes(&[2; 32]));
    let report = open(store(), &estate.clock, rekeying.clone())
        .rekey_root(&rekeying)
        .unwrap();
    assert_eq!(report.records, 308);
    estate.check(&open(store(), &estate.clock, third));
}

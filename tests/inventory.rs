//! What is sealed under which keys, without any.

mod common;

use std::path::Path;

use common::kms::World;
use waxseal::format::Header;
use waxseal::{
    CreateKey, DirectoryInventory, EncryptionContext, Envelope, EnvelopeEncryptor, Inventory,
    KeyId, KeyVersion, KmsError, KmsHandle, MemoryHeaderStore, Rewrap, RewrapJob, RootKey, Sealer,
    SingleKeyring, Suite, Timestamp, UsageInventory,
};

fn empty() -> EncryptionContext {
    EncryptionContext::empty()
}

fn software(number: u8) -> SingleKeyring {
    SingleKeyring::software(&RootKey::from_bytes(&[number; 32]))
}

#[test]
fn messages_and_headers_are_counted_by_key_and_version() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let envelope = Envelope::new(kms.keyring(key).unwrap());
    let mut sealed = Vec::new();
    for number in 1..=3 {
        for _ in 0..number {
            sealed.push(envelope.encrypt(&[7; 20_000], &empty()).unwrap());
        }
        kms.rotate_now(key).unwrap();
    }
    let headers = MemoryHeaderStore::new();
    let record = Sealer::new(envelope.clone(), empty(), headers.clone())
        .seal(b"x", b"")
        .unwrap();
    let id = waxseal::HeaderId::of_record(&record).unwrap();
    sealed.push(waxseal::HeaderStore::get(&headers, id).unwrap().remove(0));
    sealed.push(record);
    sealed.push(Vec::new());
    sealed.push(b"not a message".to_vec());
    sealed.push(sealed[0][..80].to_vec());
    let chacha = envelope.clone().with_suite(Suite::ChaCha20Poly1305);
    let message = chacha.encrypt(b"x", &empty()).unwrap();
    let both = chacha
        .rewrap_with(&message, &empty(), &Rewrap::keeping().add_key(software(1)))
        .unwrap();
    sealed.push(both.header);

    // Fronts are enough.
    let fronts = sealed.iter().map(|bytes| &bytes[..bytes.len().min(1024)]);
    let mut inventory = Inventory::at(Timestamp::UNIX_EPOCH);
    for front in fronts {
        inventory.add(front, None);
    }
    assert_eq!((inventory.messages(), inventory.record_headers()), (7, 1));
    assert_eq!((inventory.other(), inventory.cut()), (3, 1));
    assert_eq!(inventory.of_suite(Suite::ChaCha20Poly1305), 1);
    assert_eq!(inventory.of_suite(Suite::Aes256Gcm), 7);
    assert_eq!(inventory.ages().unknown, 8);
    assert!(!inventory.is_complete(), "one is cut, under whatever key");
    let uses = |version| inventory.uses(key, KeyVersion::new(version));
    assert_eq!([1, 2, 3, 4, 5].map(uses), [1, 2, 3, 2, 0]);
    assert_eq!(inventory.uses(key, None), 8);
    let counts = inventory.under(software(1).key());
    assert_eq!((counts.messages, counts.only), (1, 0));

    let json = serde_json::to_value(&inventory).unwrap();
    assert_eq!(json["messages"], 7);
    assert_eq!(json["keys"].as_array().unwrap().len(), 5);
    assert_eq!(json["keys"][4]["provider"], "kms");
    assert_eq!(json["keys"][4]["key_version"], 4);
    assert_eq!(json["keys"][4]["record_headers"], 1);
    assert_eq!(json["keys"][4]["only"], 1);
    assert_eq!(json["newer"], 0);
    let text = inventory.to_string();
    assert!(
        text.starts_with("7 messages, 1 headers for records, 1 cut in their headers, 3 others\n"),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "        3  kms key {key} version 3 (3 under no other key)"
        )),
        "{text}"
    );
}

#[test]
fn rows_of_a_query_are_counted() {
    let database = rusqlite::Connection::open_in_memory().unwrap();
    database
        .execute_batch("CREATE TABLE users (email BLOB)")
        .unwrap();
    let envelope = Envelope::new(software(1));
    for row in 0..100 {
        let sealed = envelope.encrypt(&[row; 5000], &empty()).unwrap();
        database
            .execute("INSERT INTO users VALUES (?1)", [sealed])
            .unwrap();
    }
    let mut query = database
        .prepare("SELECT substr(email, 1, 1024) FROM users")
        .unwrap();
    let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let inventory = Inventory::try_of(rows).unwrap();
    assert_eq!(inventory.under(software(1).key()).only, 100);
}

#[test]
fn many_keys_take_no_more_than_the_memory_for_so_many() {
    let envelope = Envelope::new(software(1));
    let message = envelope.encrypt(b"", &empty()).unwrap();
    let mut inventory = Inventory::new();
    for number in 0..u32::try_from(Inventory::MAX_KEYS).unwrap() + 7 {
        let mut front = message.clone();
        front[4..8].copy_from_slice(&number.to_be_bytes());
        assert!(Header::parse(&front).is_ok());
        inventory.add(&front, None);
    }
    assert_eq!(inventory.keys().len(), Inventory::MAX_KEYS);
    assert!(!inventory.is_complete());
    assert!(
        inventory
            .to_string()
            .contains(", 7 under keys beyond those counted")
    );
}

/// A KMS that asks what is in a directory before it destroys something.
fn watching(directory: &Path) -> (KmsHandle, DirectoryInventory) {
    let kms = World::new().open();
    let files = DirectoryInventory::new(directory);
    kms.register_inventory(files.clone());
    (kms.as_principal("test"), files)
}

#[test]
fn a_directory_keeps_a_version_from_being_destroyed() {
    let directory = tempfile::tempdir().unwrap();
    let (kms, files) = watching(directory.path());
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let envelope = Envelope::new(kms.keyring(key).unwrap());
    let inside = directory.path().join("a/b/c");
    std::fs::create_dir_all(&inside).unwrap();
    for name in ["one", "two"] {
        std::fs::write(inside.join(name), envelope.encrypt(b"x", &empty()).unwrap()).unwrap();
    }
    std::fs::write(directory.path().join("notes.txt"), "nothing sealed").unwrap();
    kms.rotate_now(key).unwrap();
    let counted = files.count().unwrap();
    assert_eq!((counted.messages(), counted.other()), (2, 1));
    assert_eq!(counted.ages().under_30_days, 2);
    assert!(counted.is_complete());

    let refused = kms.destroy_version(key, KeyVersion::FIRST).unwrap_err();
    assert!(
        matches!(&refused, KmsError::InUse { uses: 2, inventory, .. } if inventory.contains("the directory")),
        "{refused}"
    );
    for name in ["one", "two"] {
        waxseal::rewrap_file(inside.join(name), &envelope, &empty(), &Rewrap::new()).unwrap();
    }
    kms.destroy_version(key, KeyVersion::FIRST).unwrap();
    let missing = DirectoryInventory::new(directory.path().join("missing"));
    assert!(missing.uses(key, None).is_err());
}

#[test]
fn what_a_newer_waxseal_sealed_keeps_a_key_from_being_destroyed() {
    let directory = tempfile::tempdir().unwrap();
    let (kms, files) = watching(directory.path());
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let envelope = Envelope::new(kms.keyring(key).unwrap());
    let mut newer = envelope.encrypt(b"x", &empty()).unwrap();
    kms.rotate_now(key).unwrap();
    let file = directory.path().join("newer");

    // Version 2, and version 1 with a suite that it may get.
    for first in [0x21, 0x13] {
        newer[0] = first;
        std::fs::write(&file, &newer).unwrap();
        let counted = files.count().unwrap();
        assert_eq!((counted.newer(), counted.other()), (1, 0));
        assert!(!counted.is_complete());
        assert_eq!(
            counted.to_string(),
            "0 messages, 0 headers for records, 1 of a newer format"
        );
        let refused = kms.destroy_version(key, KeyVersion::FIRST).unwrap_err();
        let source = std::error::Error::source(&refused).unwrap();
        let source = source.source().unwrap().to_string();
        assert!(matches!(refused, KmsError::Inventory { .. }));
        assert!(
            source.contains("newer looks like a message of a newer"),
            "{source}"
        );

        let job = || RewrapJob::new(&envelope, Rewrap::new());
        let report = job().run_directory(directory.path(), |_| Some(empty()));
        let report = report.unwrap();
        assert_eq!((report.failed, report.other), (1, 0));
        assert!(report.failures[0].error.contains("a newer waxseal made it"));
        let rows = [Ok::<_, std::io::Error>(("row", &newer, empty()))];
        assert_eq!(job().run(rows, |_, _| Ok(())).failed, 1);
    }
    std::fs::remove_file(file).unwrap();
    kms.destroy_version(key, KeyVersion::FIRST).unwrap();
}

#[test]
fn a_key_in_der_is_no_message() {
    // A public key of P-256 whose numbers are a wrapped key, to be followed by five, and the front
    // of another.
    let mut der = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a".to_vec();
    der.extend(b"\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04");
    der.extend([0x20; 64]);
    assert_eq!(Inventory::of([&der]).newer(), 1, "it may be a front");

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key.der"), der).unwrap();
    let files = DirectoryInventory::new(directory.path());
    let counted = files.count().unwrap();
    assert_eq!((counted.newer(), counted.other()), (0, 1));
    let uses = files.uses(KeyId::from_bytes([7; 16]), None);
    assert_eq!(uses.unwrap(), 0);
}

#[cfg(feature = "recipients")]
#[test]
fn a_newer_message_is_told_also_by_a_long_wrapped_key() {
    use waxseal::{RecipientAlgorithm, RecipientKeyring, RecipientPrivateKey};

    let directory = tempfile::tempdir().unwrap();
    let recipient = RecipientPrivateKey::generate(RecipientAlgorithm::XWing).unwrap();
    let keyring = RecipientKeyring::new(recipient.public_key().clone());
    let mut newer = Envelope::new(keyring).encrypt(b"x", &empty()).unwrap();
    newer[0] = 0x21;
    std::fs::write(directory.path().join("newer"), newer).unwrap();
    let counted = DirectoryInventory::new(directory.path()).count().unwrap();
    assert_eq!(counted.newer(), 1);
}

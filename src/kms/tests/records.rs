use super::{World, new_key};
use crate::clock::Timestamp;
use crate::crypto::Expand;
use crate::format::{KeyId, KeyVersion, Mechanism};
use crate::kms::key::{KeyOrigin, KeyUsage, VersionCause, VersionState};
use crate::kms::policy::{Policy, Statement};
use crate::kms::record::{Codec, KeyRecord, StoredBytes, StoredState, VersionRecord};
use crate::kms::stored_policy::StoredPolicy;
use crate::provider::KeySpec;
use crate::store::KeyStore;

fn record() -> KeyRecord {
    let created = Timestamp::from_unix_millis(1_767_225_600_000);
    KeyRecord {
        key: KeyId::from_bytes(*b"0123456789abcdef"),
        generation: 1,
        spec: KeySpec::Wrapping256,
        usage: KeyUsage::EncryptDecrypt,
        origin: KeyOrigin::Provider,
        provider: "software".to_owned(),
        created,
        state: StoredState::Enabled,
        description: String::new(),
        tags: [].into(),
        aliases: [].into(),
        rotation: None,
        primary: KeyVersion::FIRST,
        versions: vec![VersionRecord {
            number: KeyVersion::FIRST,
            state: VersionState::Enabled,
            cause: VersionCause::Created,
            created,
            promoted: Some(created),
            promotion: None,
            provider: "software".to_owned(),
            handle: Some(StoredBytes::new(b"handle")),
            erase: false,
            expires: None,
            destroyed: None,
            digest: None,
            mechanism: None,
            wraps: 0,
        }],
        policy: None,
        grants: None,
    }
}

/// The example of `FORMAT.md`, whose tag was computed by other code.
#[test]
fn the_bytes_are_those_of_the_format() {
    let codec = Codec::new(Expand::new(&[0x20; 32]));
    let record = record();
    let address = KeyRecord::address(record.key);
    let bytes = codec.encode(&address, &record);
    let format = include_str!("../../../FORMAT.md");
    let (_, example) = format.split_once("```kms-record\n").unwrap();
    let mut lines = example.lines();
    let body = lines.next().unwrap();
    let tag = lines.next().unwrap();
    assert_eq!(bytes[0], 1);
    let (shown, made) = bytes[1..].split_at(bytes.len() - 33);
    assert_eq!(std::str::from_utf8(shown).unwrap(), body);
    assert_eq!(base16ct::lower::encode_string(made), tag);
    assert_eq!(codec.decode_key(&address, &bytes), Ok(record));
}

#[test]
fn a_handle_is_bound_to_what_the_format_says() {
    let binding = record().binding(KeyVersion::new(300).unwrap());
    let mut expected = b"waxseal/v1/kms-version\0".to_vec();
    expected.extend(b"0123456789abcdef");
    expected.extend([0xac, 0x02]);
    expected.extend(b"\x11SYMMETRIC_DEFAULT\x0fENCRYPT_DECRYPT");
    assert_eq!(binding, expected);
}

#[test]
fn a_record_that_is_not_sound_is_of_a_newer_version() {
    let codec = Codec::new(Expand::new(&[0x20; 32]));
    let address = KeyRecord::address(record().key);
    let changes: [fn(&mut KeyRecord); 6] = [
        |record| record.versions.clear(),
        |record| record.primary = KeyVersion::new(2).unwrap(),
        |record| record.versions[0].number = KeyVersion::new(2).unwrap(),
        |record| record.versions[0].state = VersionState::Pending,
        |record| record.usage = KeyUsage::SignVerify,
        |record| {
            for number in [2, 3] {
                let mut version = record.versions[0].clone();
                version.number = KeyVersion::new(number).unwrap();
                version.state = VersionState::Pending;
                record.versions.push(version);
            }
        },
    ];
    for change in changes {
        let mut record = record();
        change(&mut record);
        let bytes = codec.encode(&address, &record);
        codec.decode_key(&address, &bytes).unwrap_err();
    }
    let mut body = serde_json::to_value(record()).unwrap();
    codec
        .decode_key(&address, &codec.encode(&address, &body))
        .unwrap();
    body["colour"] = "green".into();
    codec
        .decode_key(&address, &codec.encode(&address, &body))
        .unwrap_err();
}

#[test]
fn there_is_room_for_1000_versions() {
    let mut record = record();
    for number in 2..=1000 {
        assert_eq!(record.next_version().map(KeyVersion::get), Some(number));
        let version = VersionRecord {
            number: KeyVersion::new(number).unwrap(),
            handle: Some(StoredBytes::new(&[0; 255])),
            promotion: record.versions[0].promoted,
            expires: record.versions[0].promoted,
            digest: Some(StoredBytes::new(&[0; 32])),
            mechanism: Mechanism::new(u8::MAX),
            wraps: u64::MAX,
            ..record.versions[0].clone()
        };
        record.versions.push(version);
    }
    assert_eq!(record.next_version(), None);
    let principals = (0..2000).map(|number| format!("svc:{number}"));
    let statement = Statement::allow().principals(principals).all_actions();
    let policy = Policy::builder().statement(statement).build().unwrap();
    assert!(policy.to_json().len() > 20_000);
    record.policy = Some(StoredPolicy::new(policy));
    let codec = Codec::new(Expand::new(&[0x20; 32]));
    let bytes = codec.encode(&KeyRecord::address(record.key), &record);
    assert!(
        bytes.len() < crate::store::MAX_RECORD_LEN,
        "{}",
        bytes.len()
    );
}

#[test]
fn a_tombstone_has_no_handle_and_no_alias() {
    let world = World::new();
    let kms = world.handle();
    let key = new_key(&kms);
    kms.create_alias("alias/a", key).unwrap();
    kms.schedule_deletion(key, crate::WaitingPeriod::default())
        .unwrap();
    world.clock.advance(31 * super::DAY);
    kms.tick().unwrap();
    let body = super::body(&world.store, key);
    assert_eq!(body["state"]["name"], "DELETED");
    assert_eq!(body["versions"], serde_json::json!([]));
    assert_eq!(body["aliases"], serde_json::json!([]));
    let bytes = world.store.get(&KeyRecord::address(key)).unwrap().unwrap();
    assert!(bytes.bytes.len() < 500);
}

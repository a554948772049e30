//! A backup and an import token that the Python reference implementation made.

mod common;

use std::collections::BTreeMap;

use common::kms::body_of;
use common::vector::from_hex;
use serde::Deserialize;
use waxseal::kms::{Backup, GrantConstraint, GrantToken, ListGrants};
use waxseal::store::{Collection, RecordId, RecordKey};
use waxseal::{
    Clock, EncryptionContext, Envelope, KeyId, KeyState, KeyStore, Kms, KmsError, ListKeys,
    ManualClock, MemoryKeyStore, RootKey, SingleKeyring, SoftwareKeyProvider, Timestamp,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "comment")]
    _comment: String,
    root_key: String,
    backup: String,
    key: KeyId,
    alias: String,
    context: BTreeMap<String, String>,
    sealed: String,
    plaintext: String,
    import_key: KeyId,
    token: String,
    valid_until: Timestamp,
    wrapped_material: String,
    other_wrapped_material: String,
    digest: String,
}

fn vector() -> Vector {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/testdata/kms/backup.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_backup_is_restored_and_the_token_imports() {
    let vector = vector();
    let root_key = from_hex(&vector.root_key).try_into().unwrap();
    let envelope = Envelope::new(SingleKeyring::software(&RootKey::from_bytes(&root_key)));
    let provider = SoftwareKeyProvider::generate().unwrap();
    let backup = Backup::under(&envelope).with_software(&provider);
    let store = MemoryKeyStore::new();
    let report = Kms::restore(
        &store,
        "ops:alice",
        &backup,
        from_hex(&vector.backup).as_slice(),
    )
    .unwrap();
    assert_eq!((report.keys, report.aliases, report.records), (2, 1, 4));

    let clock = ManualClock::default();
    let kms = Kms::builder(store.clone())
        .provider(provider)
        .clock(clock.clone())
        .open()
        .unwrap()
        .as_principal("reader");
    let context = EncryptionContext::new(vector.context.clone()).unwrap();
    let opened = kms.decrypt(&from_hex(&vector.sealed), &context).unwrap();
    assert_eq!(*opened.plaintext, *vector.plaintext.as_bytes());
    assert_eq!(opened.key, vector.key);
    assert_eq!(
        kms.describe_key(vector.alias.as_str()).unwrap().id,
        vector.key
    );

    let import = |wrapped: &str| {
        let (token, wrapped) = (from_hex(&vector.token), from_hex(wrapped));
        kms.import_key_material(vector.import_key, &token, &wrapped, None)
    };
    assert_eq!(
        vector.valid_until.saturating_since(clock.unix_time()),
        common::kms::DAY
    );
    let error = import(&vector.other_wrapped_material).unwrap_err();
    assert!(matches!(error, KmsError::OtherMaterial { .. }), "{error}");
    import(&vector.wrapped_material).unwrap();
    let state = kms.describe_key(vector.import_key).unwrap().state;
    assert_eq!(state, KeyState::Enabled);
    let id = RecordId::from(*vector.import_key.as_bytes());
    let stored = store.get(&RecordKey::new(Collection::KEYS, id)).unwrap();
    let body = body_of(&stored.unwrap().bytes);
    assert_eq!(body["versions"][0]["digest"], vector.digest);

    clock.advance(common::kms::DAY);
    let error = import(&vector.wrapped_material).unwrap_err();
    assert!(
        matches!(error, KmsError::ImportTokenExpired { .. }),
        "{error}"
    );
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessVector {
    #[serde(rename = "comment")]
    _comment: String,
    root_key: String,
    backup: String,
    key: KeyId,
    grants: [String; 2],
    token: String,
    context: BTreeMap<String, String>,
    sealed: String,
    plaintext: String,
}

#[test]
fn policies_and_grants_that_other_code_wrote_are_asked() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/testdata/kms/access.json"
    );
    let vector: AccessVector = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let root_key = from_hex(&vector.root_key).try_into().unwrap();
    let envelope = Envelope::new(SingleKeyring::software(&RootKey::from_bytes(&root_key)));
    let provider = SoftwareKeyProvider::generate().unwrap();
    let backup = Backup::under(&envelope).with_software(&provider);
    let store = MemoryKeyStore::new();
    Kms::restore(
        &store,
        "ops:alice",
        &backup,
        from_hex(&vector.backup).as_slice(),
    )
    .unwrap();
    let clock = ManualClock::default();
    let kms = Kms::builder(store)
        .provider(provider)
        .clock(clock.clone())
        .open()
        .unwrap();

    let (alice, export) = (
        kms.as_principal("ops:alice"),
        kms.as_principal("svc:export"),
    );
    let context = EncryptionContext::new(vector.context).unwrap();
    let sealed = from_hex(&vector.sealed);
    let opened = export.decrypt(&sealed, &context).unwrap();
    assert_eq!(*opened.plaintext, *vector.plaintext.as_bytes());
    alice.list_keys(&ListKeys::new()).unwrap();
    let denied = export.list_keys(&ListKeys::new()).unwrap_err();
    assert!(matches!(denied, KmsError::Denied { .. }), "{denied}");

    let listed = alice
        .list_grants(vector.key, &ListGrants::new())
        .unwrap()
        .grants;
    let ids: Vec<_> = listed.iter().map(|grant| grant.id.to_string()).collect();
    assert_eq!(ids, vector.grants);
    assert_eq!(
        listed[0].expires,
        Some("2026-01-02T00:00:00.000Z".parse().unwrap())
    );
    assert_eq!(
        listed[1].constraint,
        Some(GrantConstraint::Subset(context.clone()))
    );
    // The token is that of the second; the first ends by itself.
    let token = GrantToken::from_bytes(&from_hex(&vector.token)).unwrap();
    kms.as_principal("svc:lead").retire_grant(&token).unwrap();
    export.decrypt(&sealed, &context).unwrap();
    clock.advance(std::time::Duration::from_secs(86_400));
    export.decrypt(&sealed, &context).unwrap_err();
    assert_eq!(
        alice.tick().unwrap().ended_grants,
        [(vector.key, listed[0].id)]
    );
}

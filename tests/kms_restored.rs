//! The audit trail of a KMS that came from a backup says so.

mod common;

use common::kms_estate::{new, old};
use waxseal::audit::{AuditQuery, AuditRecord, AuditTrail, MemorySink, Outcome, TrailReader};
use waxseal::kms::{Authorisation, Backup, KmsBuilder};
use waxseal::{
    CreateKey, Envelope, KeyId, Kms, KmsError, KmsHandle, MemoryKeyStore, RootKey, SingleKeyring,
};

const ADMIN: &str = "ops:alice";
const RESTORER: &str = "ops:bob";

fn envelope() -> Envelope {
    Envelope::new(SingleKeyring::software(&RootKey::from_bytes(&[9; 32])))
}

/// A backup of a KMS with a policy, a key, and a trail.
fn backed_up(sink: &MemorySink) -> (Vec<u8>, KeyId) {
    let (envelope, old) = (envelope(), old());
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(old.clone())
        .authorisation(Authorisation::enforced(ADMIN))
        .audit(AuditTrail::builder(sink.clone()))
        .open()
        .unwrap()
        .as_principal(ADMIN);
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let mut file = Vec::new();
    kms.backup(&Backup::under(&envelope).with_software(&old), &mut file)
        .unwrap();
    (file, key)
}

fn restored(file: &[u8]) -> MemoryKeyStore {
    let (store, envelope, new) = (MemoryKeyStore::new(), envelope(), new());
    let backup = Backup::under(&envelope).with_software(&new);
    Kms::restore(&store, RESTORER, &backup, file).unwrap();
    store
}

fn builder(store: &MemoryKeyStore) -> KmsBuilder {
    Kms::builder(store.clone()).provider(new())
}

fn audited(store: &MemoryKeyStore, sink: &MemorySink) -> KmsHandle {
    let builder = builder(store).audit(AuditTrail::builder(sink.clone()));
    builder.open().unwrap().as_principal(ADMIN)
}

fn records(sink: &MemorySink) -> Vec<AuditRecord> {
    let lines = sink.to_bytes();
    let all = AuditQuery::new().over(TrailReader::bytes(&lines));
    all.collect::<Result<_, _>>().unwrap()
}

fn assert_restored(record: &AuditRecord) {
    assert_eq!(record.action, "kms:Restore");
    assert_eq!(record.identity.principal, RESTORER);
    assert_eq!(record.outcome, Outcome::Allowed);
    assert_eq!(record.decided_by, None);
}

#[test]
fn the_first_record_says_who_restored_it() {
    let (file, key) = backed_up(&MemorySink::new());
    let store = restored(&file);
    // Without a trail there is nobody to tell; the store keeps it.
    builder(&store).open().unwrap();
    let sink = MemorySink::new();
    let kms = audited(&store, &sink);
    let told = records(&sink);
    assert_eq!(told.len(), 1);
    assert_restored(&told[0]);

    // Once, and what comes after is as ever.
    kms.describe_key(key).unwrap();
    drop(kms);
    audited(&store, &sink).describe_key(key).unwrap();
    let actions: Vec<_> = records(&sink).into_iter().map(|it| it.action).collect();
    let described = "kms:DescribeKey";
    assert_eq!(actions, ["kms:Restore", described, described]);
}

#[test]
fn a_trail_in_the_key_store_too() {
    let (file, _) = backed_up(&MemorySink::new());
    let store = restored(&file);
    let open = || {
        let builder = builder(&store).audit(AuditTrail::in_key_store());
        builder.open().unwrap().as_principal(ADMIN)
    };
    drop(open());
    let kms = open();
    let lines = TrailReader::store(&store);
    let found = kms.read_audit_trail(lines, &AuditQuery::new()).unwrap();
    assert_eq!(found.len(), 1);
    assert_restored(&found[0]);
}

#[test]
fn the_trail_of_before_goes_on_with_it() {
    let sink = MemorySink::new();
    let (file, key) = backed_up(&sink);
    let before = records(&sink).len();
    audited(&restored(&file), &sink).describe_key(key).unwrap();
    let told = records(&sink);
    assert_restored(&told[before]);
    assert_eq!(told[before + 1].action, "kms:DescribeKey");
}

#[test]
fn a_kms_that_is_open_asks_its_policy_and_records_it() {
    let (file, _) = backed_up(&MemorySink::new());
    let sink = MemorySink::new();
    let kms = builder(&restored(&file))
        .audit(AuditTrail::builder(sink.clone()))
        .open()
        .unwrap();
    let (envelope, new) = (envelope(), new());
    let backup = Backup::under(&envelope).with_software(&new);
    let denied = kms.as_principal(RESTORER).restore(&backup, file.as_slice());
    assert!(matches!(denied, Err(KmsError::Denied { .. })), "{denied:?}");
    let admin = kms.as_principal(ADMIN);
    admin.restore(&backup, file.as_slice()).unwrap();

    let told: Vec<_> = records(&sink)
        .into_iter()
        .map(|it| (it.action, it.identity.principal, it.outcome))
        .collect();
    let record = |who: &str, outcome| ("kms:Restore".to_owned(), who.to_owned(), outcome);
    assert_eq!(
        told,
        [
            record(RESTORER, Outcome::Allowed),
            record(RESTORER, Outcome::Denied),
            record(ADMIN, Outcome::Allowed),
        ]
    );
}

#[test]
fn nobody_restores_without_a_name() {
    let (file, _) = backed_up(&MemorySink::new());
    let (store, envelope, new) = (MemoryKeyStore::new(), envelope(), new());
    let backup = Backup::under(&envelope).with_software(&new);
    let error = Kms::restore(&store, "", &backup, file.as_slice()).unwrap_err();
    assert!(matches!(error, KmsError::InvalidName { .. }), "{error}");
    Kms::restore(&store, RESTORER, &backup, file.as_slice()).unwrap();
}

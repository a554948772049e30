use super::*;
use crate::audit::{AuditError, VerifyTrailError};
use crate::kms::{
    AliasName, GrantId, ImportParameters, InventoryError, KeyOrigin, KeyUsage, Operation, Policy,
    VersionState,
};
use crate::store::{Collection, RecordId, RecordKey};

/// One of each. A new variant does not compile until it is listed here.
#[test]
fn every_error_of_a_kms() {
    let key = KeyId::from_bytes([1; 16]);
    let version = KeyVersion::FIRST;
    let operation = Operation::Sign;
    let store = || "the SQLite file keys.db".to_owned();
    let provider = || "software".to_owned();
    let alias = || AliasName::new("alias/cards").unwrap();
    let record = || RecordKey::new(Collection::KEYS, RecordId::from([1; 16]));
    let mut errors = vec![
        KmsError::Denied {
            operation,
            key: Some(key.to_string()),
        },
        KmsError::DryRun { operation },
        KmsError::PolicyLockout { operation },
        KmsError::NoTrail,
        KmsError::VerifyTrail(Box::new(VerifyTrailError::Read(AuditError::Setting {
            what: "an audit trail needs a key",
        }))),
        KmsError::Policy(Policy::from_json("{").unwrap_err()),
        KmsError::Audit(AuditError::Setting {
            what: "an audit trail needs a key",
        }),
        KmsError::NoGrant {
            grant: GrantId::from_bytes([2; 16]),
            key,
        },
        KmsError::InvalidGrant {
            reason: "it allows nothing",
        },
        KmsError::InvalidGrantToken,
        KmsError::NoKey {
            key,
            store: store(),
        },
        KmsError::NoAlias {
            alias: alias(),
            store: store(),
        },
        KmsError::Deleted {
            key,
            on: Timestamp::UNIX_EPOCH,
        },
        KmsError::InvalidUsage {
            key,
            usage: KeyUsage::SignVerify,
            operation,
        },
        KmsError::UsageOfSpec {
            spec: KeySpec::Ed25519,
            usage: KeyUsage::EncryptDecrypt,
        },
        KmsError::NoRotation,
        KmsError::NoVersion { key, version },
        KmsError::PendingVersion { key, version },
        KmsError::VersionDestroyed {
            key,
            version,
            on: Timestamp::UNIX_EPOCH,
        },
        KmsError::PrimaryVersion { key, version },
        KmsError::NoSubject {
            key,
            store: store(),
        },
        KmsError::SubjectErased {
            key,
            subject: key,
            on: Timestamp::UNIX_EPOCH,
        },
        KmsError::InvalidErasureProof { key },
        KmsError::InUse {
            key,
            version: Some(version),
            uses: 3,
            inventory: "the directory /srv/files".to_owned(),
        },
        KmsError::Inventory {
            key,
            inventory: "the directory /srv/files".to_owned(),
            source: InventoryError::new("no permission"),
        },
        KmsError::AliasExists {
            alias: alias(),
            key,
        },
        KmsError::InvalidName {
            what: "a tag",
            rule: "short",
        },
        KmsError::InvalidSelector,
        KmsError::OutOfRange {
            what: "the period",
            min: 90,
            max: 2560,
            unit: "days",
            given: 1,
        },
        KmsError::Limit {
            key,
            what: "tags",
            max: 50,
        },
        KmsError::Conflict { record: record() },
        KmsError::NoProvider {
            provider: provider(),
        },
        KmsError::NoProviders,
        KmsError::RootNotInUse,
        KmsError::SameProvider {
            provider: provider(),
        },
        KmsError::UnsupportedSpec {
            provider: provider(),
            action: "import",
            spec: KeySpec::Ed25519,
        },
        KmsError::ImportToken {
            key,
            reason: "it is empty",
        },
        KmsError::ImportTokenExpired {
            key,
            on: Timestamp::UNIX_EPOCH,
        },
        KmsError::OtherMaterial { key },
        KmsError::ExpiresInPast {
            expires: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
        },
        KmsError::Tampered {
            record: record(),
            store: store(),
        },
        KmsError::RolledBack {
            record: record(),
            store: store(),
        },
        KmsError::NewerRecord {
            record: record(),
            store: store(),
        },
        KmsError::StoreKey {
            store: store(),
            provider: provider(),
            source: ProviderError::Rejected,
        },
        KmsError::NoStoreRecord {
            record: record(),
            store: store(),
        },
        KmsError::IncorrectKey { key },
        KmsError::OtherKey,
        KmsError::TooLarge {
            what: "a plaintext",
            len: 4097,
            max: 4096,
        },
        KmsError::InvalidMac { key },
        KmsError::Verify(VerifyError::InvalidSignature),
        KmsError::Message(Box::new(Error::Decrypt)),
        KmsError::Store(StoreError::Busy { store: store() }),
        KmsError::Provider(ProviderError::KeyDestroyed),
        KmsError::Random(RandomError::new(io::Error::other("no entropy"))),
    ];
    errors.extend(KeyState::ALL.iter().map(|&state| KmsError::InvalidState {
        key,
        state,
        operation,
    }));
    errors.extend(
        KeyOrigin::ALL
            .iter()
            .map(|&origin| KmsError::InvalidOrigin {
                key,
                origin,
                operation,
            }),
    );
    errors.extend(
        VersionState::ALL
            .iter()
            .map(|&state| KmsError::InvalidVersionState {
                key,
                version,
                state,
            }),
    );
    let io = || io::Error::other("the disk is gone");
    let backup_errors = [
        BackupError::Seal(Box::new(Error::Decrypt)),
        BackupError::Write(io()),
        BackupError::Read(io()),
        BackupError::NotABackup { reason: "short" },
        BackupError::NewerVersion,
        BackupError::NotEmpty { store: store() },
        BackupError::OtherStore { store: store() },
        BackupError::NewerState {
            store: store(),
            record: record(),
        },
    ];
    for error in backup_errors {
        match error {
            BackupError::Seal(_)
            | BackupError::Write(_)
            | BackupError::Read(_)
            | BackupError::NotABackup { .. }
            | BackupError::NewerVersion
            | BackupError::NotEmpty { .. }
            | BackupError::OtherStore { .. }
            | BackupError::NewerState { .. } => errors.push(error.into()),
        }
    }
    for &wrapping in ImportWrapping::ALL {
        errors.push(KmsError::WrappedMaterial { key, wrapping });
        errors.push(KmsError::ImportWrapping {
            spec: KeySpec::Rsa2048,
            wrapping,
        });
    }
    for error in errors {
        assert_listed(&error);
        assert_error_clean(&error);
        assert_error_clean(&Error::from(error));
    }
}

/// Descriptions and tags are not secret, and still no error and no handle shows them; a principal
/// is shown.
#[test]
fn a_kms_and_its_handles() {
    let provider = SoftwareKeyProvider::new(&RootKey::from_bytes(&[SECRET_BYTE; 32]));
    let kms = Kms::open(MemoryKeyStore::new(), provider).unwrap();
    let handle = kms.as_principal("ops:alice");
    let request = CreateKey::new().with_description(SECRET_WORD);
    let key = handle.create_key(request).unwrap().id;
    assert_debug_clean(&kms);
    assert_debug_clean(&handle.keyring(key).unwrap());
    let context = EncryptionContext::new([("tenant", SECRET_WORD)]).unwrap();
    let sealed = handle.encrypt(key, &[SECRET_BYTE; 32], &context).unwrap();
    assert_debug_clean(&handle.decrypt(&sealed.bytes, &context).unwrap());
    assert_debug_clean(&handle.generate_data_key(key, &context).unwrap().plaintext);
    let other = EncryptionContext::empty();
    assert_error_clean(&handle.decrypt(&sealed.bytes, &other).unwrap_err());
    assert_debug_clean(&handle);
    assert_debug_clean(
        &kms.spawn_ticker(std::time::Duration::from_secs(60))
            .unwrap(),
    );
    assert_error_clean(&handle.cancel_deletion(key).unwrap_err());
    let key = handle.create_key(CreateKey::new().for_import()).unwrap().id;
    let parameters = ImportParameters::new(ImportWrapping::RsaOaepSha256);
    let given = handle.get_parameters_for_import(key, parameters).unwrap();
    assert_debug_clean(&given);
    let secret = [SECRET_BYTE; 384];
    for token in [&given.token[..], &secret, b"\x01"] {
        let refused = handle.import_key_material(key, token, &secret, None);
        assert_error_clean(&refused.unwrap_err());
    }
    assert_error_clean(
        &handle
            .tag_key(key, &SECRET_WORD.repeat(50), "")
            .unwrap_err(),
    );
    assert_error_clean(&handle.describe_key(SECRET_WORD).unwrap_err());
}

fn assert_listed(error: &KmsError) {
    match error {
        KmsError::Denied { .. }
        | KmsError::DryRun { .. }
        | KmsError::Policy(_)
        | KmsError::PolicyLockout { .. }
        | KmsError::Audit(_)
        | KmsError::VerifyTrail(_)
        | KmsError::NoTrail
        | KmsError::NoGrant { .. }
        | KmsError::InvalidGrant { .. }
        | KmsError::InvalidGrantToken
        | KmsError::NoKey { .. }
        | KmsError::NoAlias { .. }
        | KmsError::Deleted { .. }
        | KmsError::InvalidState { .. }
        | KmsError::InvalidUsage { .. }
        | KmsError::InvalidOrigin { .. }
        | KmsError::UsageOfSpec { .. }
        | KmsError::NoRotation
        | KmsError::NoVersion { .. }
        | KmsError::InvalidVersionState { .. }
        | KmsError::VersionDestroyed { .. }
        | KmsError::PrimaryVersion { .. }
        | KmsError::NoSubject { .. }
        | KmsError::SubjectErased { .. }
        | KmsError::InvalidErasureProof { .. }
        | KmsError::InUse { .. }
        | KmsError::Inventory { .. }
        | KmsError::PendingVersion { .. }
        | KmsError::AliasExists { .. }
        | KmsError::InvalidName { .. }
        | KmsError::InvalidSelector
        | KmsError::OutOfRange { .. }
        | KmsError::Limit { .. }
        | KmsError::Conflict { .. }
        | KmsError::NoProvider { .. }
        | KmsError::NoProviders
        | KmsError::RootNotInUse
        | KmsError::SameProvider { .. }
        | KmsError::UnsupportedSpec { .. }
        | KmsError::ImportWrapping { .. }
        | KmsError::ImportToken { .. }
        | KmsError::ImportTokenExpired { .. }
        | KmsError::WrappedMaterial { .. }
        | KmsError::OtherMaterial { .. }
        | KmsError::ExpiresInPast { .. }
        | KmsError::Tampered { .. }
        | KmsError::RolledBack { .. }
        | KmsError::NewerRecord { .. }
        | KmsError::StoreKey { .. }
        | KmsError::NoStoreRecord { .. }
        | KmsError::IncorrectKey { .. }
        | KmsError::OtherKey
        | KmsError::TooLarge { .. }
        | KmsError::InvalidMac { .. }
        | KmsError::Verify(_)
        | KmsError::Message(_)
        | KmsError::Backup(_)
        | KmsError::Store(_)
        | KmsError::Provider(_)
        | KmsError::Random(_) => {}
    }
}

//! No operation escapes: each asks whether it is allowed, and each is recorded.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::kms::DAY;
use common::kms_access::{ADMIN, Guarded, allow, policy};
use waxseal::audit::{AuditQuery, Outcome, TrailReader, Verification};
use waxseal::kms::{
    Access, CreateGrant, ErasureProof, GrantId, GrantToken, ImportKeySize, ImportParameters,
    ListAliases, ListGrants, Operation, Policy,
};
use waxseal::{
    Backup, CreateKey, EncryptionContext, Envelope, ImportWrapping, KeyId, KeySpec, KeyVersion,
    KmsError, KmsHandle, ListKeys, MessageInput, RootKey, RotationPolicy, SigningAlgorithm,
    SingleKeyring, SoftwareKeyProvider, WaitingPeriod,
};

/// What operations are tried with.
struct Things {
    /// A key that wraps, with an alias, a version that is not primary, and a ciphertext.
    key: KeyId,
    ciphertext: Vec<u8>,
    signing: KeyId,
    mac: KeyId,
    external: KeyId,
    grant: GrantId,
    token: GrantToken,
    lines: Vec<u8>,
    proof: ErasureProof,
}

const ALIAS: &str = "alias/known";
const SUBJECT: &str = "person-1";
const ERASED: &str = "person-2";

impl Things {
    fn new(guarded: &Guarded) -> Self {
        let admin = guarded.admin();
        let create = |request| admin.create_key(request).unwrap().id;
        let key = create(CreateKey::new());
        admin.create_alias(ALIAS, key).unwrap();
        let grant = admin
            .create_grant(key, &CreateGrant::to("svc:other", [Operation::Decrypt]))
            .unwrap();
        for subject in [SUBJECT, ERASED] {
            admin.create_subject(key, subject).unwrap();
        }
        let sealed = admin.encrypt(key, b"x", &EncryptionContext::empty());
        admin.rotate_now(key).unwrap();
        Self {
            key,
            ciphertext: sealed.unwrap().bytes,
            signing: create(CreateKey::new().with_spec(KeySpec::Ed25519)),
            mac: create(CreateKey::new().with_spec(KeySpec::Hmac256)),
            external: create(CreateKey::new().for_import()),
            grant: grant.id,
            token: grant.token,
            lines: guarded.sink.to_bytes(),
            proof: admin.erase_subject(key, ERASED).unwrap(),
        }
    }
}

type Try = fn(&KmsHandle, &Things) -> Result<(), KmsError>;

/// Every method of a handle that is an operation, and how it is tried.
fn operations() -> BTreeMap<&'static str, (Operation, Try)> {
    use Operation as Op;

    fn empty() -> EncryptionContext {
        EncryptionContext::empty()
    }
    fn everything() -> Policy {
        policy(&allow("*", r#""kms:*""#))
    }
    let mut table: BTreeMap<&'static str, (Operation, Try)> = BTreeMap::new();
    let mut add = |name, operation, attempt: Try| {
        assert!(table.insert(name, (operation, attempt)).is_none(), "{name}");
    };
    add("create_alias", Op::CreateAlias, |kms, on| {
        kms.create_alias("alias/new", on.key)
    });
    add("update_alias", Op::UpdateAlias, |kms, on| {
        kms.update_alias(ALIAS, on.key)
    });
    add("delete_alias", Op::DeleteAlias, |kms, _| {
        kms.delete_alias(ALIAS)
    });
    add("list_aliases", Op::ListAliases, |kms, _| {
        kms.list_aliases(&ListAliases::new()).map(drop)
    });
    add("backup", Op::BackUp, |kms, _| {
        let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate().unwrap()));
        kms.backup(&Backup::under(&envelope), Vec::new()).map(drop)
    });
    add("restore", Op::Restore, |kms, _| {
        let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate().unwrap()));
        kms.restore(&Backup::under(&envelope), &b"none"[..])
            .map(drop)
    });
    add("encrypt", Op::Encrypt, |kms, on| {
        kms.encrypt(on.key, b"x", &empty()).map(drop)
    });
    add("decrypt", Op::Decrypt, |kms, on| {
        kms.decrypt(&on.ciphertext, &empty()).map(drop)
    });
    add("decrypt_under", Op::Decrypt, |kms, on| {
        kms.decrypt_under(on.key, &on.ciphertext, &empty())
            .map(drop)
    });
    add("re_encrypt", Op::ReEncryptFrom, |kms, on| {
        kms.re_encrypt(&on.ciphertext, &empty(), on.key, &empty())
            .map(drop)
    });
    add("generate_random", Op::GenerateRandom, |kms, _| {
        kms.generate_random(16).map(drop)
    });
    add("generate_data_key", Op::GenerateDataKey, |kms, on| {
        kms.generate_data_key(on.key, &empty()).map(drop)
    });
    add("generate_data_key_of", Op::GenerateDataKey, |kms, on| {
        kms.generate_data_key_of(on.key, 16, &empty()).map(drop)
    });
    add(
        "generate_data_key_without_plaintext",
        Op::GenerateDataKeyWithoutPlaintext,
        |kms, on| {
            kms.generate_data_key_without_plaintext(on.key, &empty())
                .map(drop)
        },
    );
    add("schedule_deletion", Op::ScheduleKeyDeletion, |kms, on| {
        kms.schedule_deletion(on.key, WaitingPeriod::default())
            .map(drop)
    });
    add(
        "schedule_deletion_even_if_used",
        Op::ScheduleKeyDeletion,
        |kms, on| {
            kms.schedule_deletion_even_if_used(on.key, WaitingPeriod::default())
                .map(drop)
        },
    );
    add("cancel_deletion", Op::CancelKeyDeletion, |kms, on| {
        kms.cancel_deletion(on.key)
    });
    add("destroy_version", Op::DestroyKeyVersion, |kms, on| {
        kms.destroy_version(on.key, KeyVersion::FIRST)
    });
    add(
        "destroy_version_even_if_used",
        Op::DestroyKeyVersion,
        |kms, on| kms.destroy_version_even_if_used(on.key, KeyVersion::FIRST),
    );
    add("explain", Op::ExplainAccess, |kms, on| {
        kms.explain(&Access::of("svc:other", Op::Decrypt).with_key(on.key))
            .map(drop)
    });
    add("create_grant", Op::CreateGrant, |kms, on| {
        kms.create_grant(on.key, &CreateGrant::to("svc:new", [Op::Decrypt]))
            .map(drop)
    });
    add("list_grants", Op::ListGrants, |kms, on| {
        kms.list_grants(on.key, &ListGrants::new()).map(drop)
    });
    add(
        "list_retirable_grants",
        Op::ListRetirableGrants,
        |kms, _| {
            kms.list_retirable_grants("svc:other", &ListGrants::new())
                .map(drop)
        },
    );
    add("revoke_grant", Op::RevokeGrant, |kms, on| {
        kms.revoke_grant(on.key, on.grant)
    });
    add("retire_grant", Op::RetireGrant, |kms, on| {
        kms.retire_grant(&on.token)
    });
    add("retire_grant_by_id", Op::RetireGrant, |kms, on| {
        kms.retire_grant_by_id(on.key, on.grant)
    });
    add(
        "get_parameters_for_import",
        Op::GetParametersForImport,
        |kms, on| {
            let parameters = ImportParameters::new(ImportWrapping::RsaOaepSha256)
                .with_size(ImportKeySize::Rsa2048);
            kms.get_parameters_for_import(on.external, parameters)
                .map(drop)
        },
    );
    add("import_key_material", Op::ImportKeyMaterial, |kms, on| {
        kms.import_key_material(on.external, b"token", b"wrapped", None)
    });
    add(
        "delete_imported_key_material",
        Op::DeleteImportedKeyMaterial,
        |kms, on| kms.delete_imported_key_material(on.external),
    );
    add("create_key", Op::CreateKey, |kms, _| {
        kms.create_key(CreateKey::new()).map(drop)
    });
    add("describe_key", Op::DescribeKey, |kms, on| {
        kms.describe_key(on.key).map(drop)
    });
    add("update_description", Op::UpdateKeyDescription, |kms, on| {
        kms.update_description(on.key, "text")
    });
    add("tag_key", Op::TagResource, |kms, on| {
        kms.tag_key(on.key, "team", "billing")
    });
    add("untag_key", Op::UntagResource, |kms, on| {
        kms.untag_key(on.key, "team")
    });
    add("enable_key", Op::EnableKey, |kms, on| {
        kms.enable_key(on.key)
    });
    add("disable_key", Op::DisableKey, |kms, on| {
        kms.disable_key(on.key)
    });
    add("list_keys", Op::ListKeys, |kms, _| {
        kms.list_keys(&ListKeys::new()).map(drop)
    });
    add("list_versions", Op::ListKeyRotations, |kms, on| {
        kms.list_versions(on.key).map(drop)
    });
    add("get_key_policy", Op::GetKeyPolicy, |kms, on| {
        kms.get_key_policy(on.key).map(drop)
    });
    add("put_key_policy", Op::PutKeyPolicy, |kms, on| {
        kms.put_key_policy(on.key, &everything())
    });
    add(
        "put_key_policy_even_if_locked_out",
        Op::PutKeyPolicy,
        |kms, on| kms.put_key_policy_even_if_locked_out(on.key, &everything()),
    );
    add("list_key_policies", Op::ListKeyPolicies, |kms, on| {
        kms.list_key_policies(on.key).map(drop)
    });
    add("get_store_policy", Op::GetStorePolicy, |kms, _| {
        kms.get_store_policy().map(drop)
    });
    add("put_store_policy", Op::PutStorePolicy, |kms, _| {
        kms.put_store_policy(&everything())
    });
    add(
        "put_store_policy_even_if_locked_out",
        Op::PutStorePolicy,
        |kms, _| kms.put_store_policy_even_if_locked_out(&everything()),
    );
    add("rekey_root", Op::RekeyRoot, |kms, _| {
        kms.rekey_root(&SoftwareKeyProvider::generate().unwrap())
            .map(drop)
    });
    add("enable_rotation", Op::EnableKeyRotation, |kms, on| {
        kms.enable_rotation(on.key, RotationPolicy::every_days(90))
    });
    add("disable_rotation", Op::DisableKeyRotation, |kms, on| {
        kms.disable_rotation(on.key)
    });
    add("rotation_status", Op::GetKeyRotationStatus, |kms, on| {
        kms.rotation_status(on.key).map(drop)
    });
    add("rotate_now", Op::RotateKeyOnDemand, |kms, on| {
        kms.rotate_now(on.key).map(drop)
    });
    add("create_pending_version", Op::CreateKeyVersion, |kms, on| {
        kms.create_pending_version(on.key).map(drop)
    });
    add("promote_version", Op::PromoteKeyVersion, |kms, on| {
        kms.promote_version(on.key, KeyVersion::new(2).unwrap())
    });
    add("sign", Op::Sign, |kms, on| {
        kms.sign(
            on.signing,
            SigningAlgorithm::Ed25519,
            MessageInput::Raw(b"x"),
        )
        .map(drop)
    });
    add("verify", Op::Verify, |kms, on| {
        kms.verify(
            on.signing,
            SigningAlgorithm::Ed25519,
            MessageInput::Raw(b"x"),
            &[0; 64],
        )
    });
    add("get_public_key", Op::GetPublicKey, |kms, on| {
        kms.get_public_key(on.signing).map(drop)
    });
    add("generate_mac", Op::GenerateMac, |kms, on| {
        kms.generate_mac(on.mac, b"x").map(drop)
    });
    add("verify_mac", Op::VerifyMac, |kms, on| {
        kms.verify_mac(on.mac, b"x", &[0; 32])
    });
    add("create_subject", Op::CreateSubject, |kms, on| {
        kms.create_subject(on.key, "person-3").map(drop)
    });
    add("describe_subject", Op::DescribeSubject, |kms, on| {
        kms.describe_subject(on.key, SUBJECT).map(drop)
    });
    add("erase_subject", Op::EraseSubject, |kms, on| {
        kms.erase_subject(on.key, SUBJECT).map(drop)
    });
    add("verify_erasure", Op::VerifyErasure, |kms, on| {
        kms.verify_erasure(&on.proof, None)
    });
    add("rewrap_subjects", Op::RewrapSubjects, |kms, on| {
        kms.rewrap_subjects(on.key).map(drop)
    });
    add("read_audit_trail", Op::ReadAuditTrail, |kms, on| {
        let lines = TrailReader::bytes(&on.lines);
        kms.read_audit_trail(lines, &AuditQuery::new()).map(drop)
    });
    add("verify_audit_trail", Op::VerifyAuditTrail, |kms, on| {
        let lines = TrailReader::bytes(&on.lines);
        kms.verify_audit_trail(lines, &Verification::new())
            .map(drop)
    });
    table
}

/// Those that are no operation: what they give does its work through others of the table, or only
/// what was decided before.
const NO_OPERATIONS: [&str; 3] = ["keyring", "subject_keyring", "tick"];

/// Operations that no method asks for: `tick` does them when they are due; `re_encrypt` asks for the
/// last one after `ReEncryptFrom`.
const NOT_ASKED_FIRST: [Operation; 4] = [
    Operation::DeleteKey,
    Operation::DeleteExpiredKeyMaterial,
    Operation::RotateKey,
    Operation::ReEncryptTo,
];

#[test]
fn every_method_that_can_fail_is_in_the_table() {
    let methods = methods_of_handles();
    let operations = operations();
    let listed: BTreeSet<String> = operations
        .keys()
        .copied()
        .chain(NO_OPERATIONS)
        .map(str::to_owned)
        .collect();
    assert_eq!(methods, listed, "left: in the source; right: in the table");

    let asked: BTreeSet<&str> = operations
        .values()
        .map(|(operation, _)| operation.name())
        .chain(NOT_ASKED_FIRST.map(Operation::name))
        .collect();
    let all: BTreeSet<&str> = Operation::ALL.iter().map(|it| it.name()).collect();
    assert_eq!(asked, all);
}

#[test]
fn each_is_denied_to_whom_nothing_allows_it_and_leaves_one_record() {
    for (name, (operation, attempt)) in operations() {
        let guarded = Guarded::new();
        let things = Things::new(&guarded);
        let before = guarded.world.store_contents();
        guarded.take_records();
        let stranger = guarded.kms.as_principal("svc:stranger");
        for handle in [&stranger, &stranger.dry_run()] {
            match attempt(handle, &things) {
                Err(KmsError::Denied {
                    operation: denied, ..
                }) => {
                    assert_eq!(denied, operation, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
            let records = guarded.take_records();
            assert_eq!(records.len(), 1, "{name}: {records:?}");
            assert_eq!(records[0].action, format!("kms:{operation}"), "{name}");
            assert_eq!(records[0].outcome, Outcome::Denied, "{name}");
            assert_eq!(records[0].identity.principal, "svc:stranger");
            assert_eq!(records[0].decided_by.as_deref(), Some("none"), "{name}");
        }
        assert_eq!(
            guarded.world.store_contents(),
            before,
            "{name} changed something"
        );
    }
}

#[test]
fn each_leaves_one_record_when_it_is_allowed() {
    for (name, (operation, attempt)) in operations() {
        let guarded = Guarded::new();
        let things = Things::new(&guarded);
        guarded.take_records();
        let done = attempt(&guarded.admin(), &things);
        let records = guarded.take_records();
        // A re-encryption is two operations, as with AWS.
        let (expected, others) = records.split_first().expect(name);
        assert_eq!(
            others.len(),
            usize::from(name == "re_encrypt"),
            "{name}: {records:?}"
        );
        assert_eq!(expected.action, format!("kms:{operation}"), "{name}");
        assert_eq!(expected.identity.principal, ADMIN);
        let outcome = match &done {
            Ok(()) => Outcome::Allowed,
            Err(KmsError::Denied { .. }) => panic!("{name}: {done:?}"),
            Err(_) => Outcome::Failed,
        };
        // What was announced before its first commit may fail afterwards; none of these do.
        assert_eq!(expected.outcome, outcome, "{name}: {done:?}");
        assert_eq!(expected.error.is_some(), done.is_err(), "{name}");
    }
}

#[test]
fn a_dry_run_of_each_changes_nothing() {
    for (name, (operation, attempt)) in operations() {
        let guarded = Guarded::new();
        let things = Things::new(&guarded);
        let before = guarded.world.store_contents();
        guarded.take_records();
        let error = attempt(&guarded.admin().dry_run(), &things).unwrap_err();
        let is_other_half = |ran: Operation| ran == Operation::ReEncryptTo && name == "re_encrypt";
        match error {
            KmsError::DryRun { operation: ran } if ran == operation || is_other_half(ran) => {}
            // Not to be deleted, and without material: the states forbid it.
            KmsError::InvalidState { .. } => assert!(["cancel_deletion"].contains(&name), "{name}"),
            other => panic!("{name}: {other}"),
        }
        assert!(
            guarded.take_records().iter().all(|record| record.dry_run),
            "{name}"
        );
        assert_eq!(
            guarded.world.store_contents(),
            before,
            "{name} changed something"
        );
    }
}

/// What time brings is nobody's to allow, and is recorded.
#[test]
fn what_a_tick_does_is_recorded() {
    let guarded = Guarded::new();
    let admin = guarded.admin();
    let key = admin
        .create_key(CreateKey::new().with_rotation(RotationPolicy::every_days(90)))
        .unwrap()
        .id;
    let doomed = admin.create_key(CreateKey::new()).unwrap().id;
    admin
        .schedule_deletion(doomed, WaitingPeriod::days(7).unwrap())
        .unwrap();
    guarded.take_records();
    guarded.world.clock.advance(91 * DAY);
    let before = guarded.world.store_contents();
    let dry = guarded.admin().dry_run().tick().unwrap();
    assert_eq!(dry.failures.len(), 2);
    for failure in &dry.failures {
        assert!(
            matches!(failure.error, KmsError::DryRun { .. }),
            "{}",
            failure.error
        );
    }
    assert_eq!(guarded.world.store_contents(), before);
    guarded.take_records();
    let report = guarded.kms.as_principal("svc:stranger").tick().unwrap();
    assert_eq!(report.deleted, [doomed]);
    let records = guarded.take_records();
    let done = |action: &str, key: KeyId| {
        let of_key = records.iter().filter(|record| record.key == Some(key));
        of_key.filter(|record| record.action == action).count()
    };
    assert!(done("kms:RotateKey", key) >= 1);
    assert!(done("kms:DeleteKey", doomed) >= 1);
    for record in &records {
        assert_eq!(record.identity.principal, "waxseal:tick");
        assert_eq!(record.source["tickedBy"], "svc:stranger");
        assert_eq!(record.outcome, Outcome::Allowed);
    }
}

/// The names of all public methods of `KmsHandle` whose error is a `KmsError`, by a simple look at
/// the source.
fn methods_of_handles() -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    look_into(&source, &mut methods);
    assert!(methods.contains("describe_key"));
    methods
}

fn look_into(path: &Path, methods: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            look_into(&entry.unwrap().path(), methods);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        methods.extend(methods_in(&std::fs::read_to_string(path).unwrap()));
    }
}

fn methods_in(source: &str) -> Vec<String> {
    let mut methods = Vec::new();
    let mut rest = source;
    while let Some((_, after)) = rest.split_once("\nimpl KmsHandle {\n") {
        let (body, after) = after.split_once("\n}\n").unwrap_or((after, ""));
        for method in body.split("\n    pub fn ").skip(1) {
            let signature = method.split('{').next().unwrap_or_default();
            let name = signature.split(['(', '<']).next().unwrap_or_default();
            if signature.contains("KmsError>") {
                methods.push(name.to_owned());
            }
        }
        rest = after;
    }
    methods
}

#[test]
fn the_look_at_the_source_finds_a_new_method() {
    let source = "
impl KmsHandle {
    /// Does something new.
    pub fn conjure<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<(), KmsError> {
        Ok(())
    }

    pub fn harmless(&self) -> bool {
        true
    }
}
";
    let mut found: BTreeSet<String> = methods_of_handles();
    assert_eq!(methods_in(source), ["conjure"]);
    found.extend(methods_in(source));
    assert!(!operations().contains_key("conjure"));
    assert_ne!(found, methods_of_handles());
}

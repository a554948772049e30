//! Each cell of the table of AWS KMS, against a copy of it that was written down apart from the
//! code: `+` succeeds, `x` fails, `p` succeeds for keys whose provider made their material, `e` for
//! those whose material is imported. Where AWS has no entry or no such operation, the line is marked
//! with `*`.

use std::collections::HashSet;

use super::{Renamed, World};
use crate::format::KeyId;
use crate::kms::record::{StoredBytes, StoredState};
use crate::kms::{
    CreateKey, KeyOrigin, KeyState, KeyUsage, KmsError, KmsHandle, Operation, Rule, VersionState,
    WaitingPeriod,
};
use crate::provider::KeySpec;

const TABLE: &str = "
                                 Enabled Disabled PendingDeletion PendingImport Unavailable
CancelKeyDeletion                   x       x           +              x           x
CreateAlias                         +       +           x              +           +
CreateGrant                         +       x           x              x           +
CreateSubject                       +       x           x              x           x     *
CreateKeyVersion                    p       x           x              x           x     *
Decrypt                             +       x           x              x           x
DeleteAlias                         +       +           +              +           +
DeleteImportedKeyMaterial           e       e           e              +           x     *
DescribeKey                         +       +           +              +           +
DestroyKeyVersion                   p       p           x              x           x     *
DescribeSubject                     +       +           +              +           +     *
DisableKey                          +       +           x              x           +
DisableKeyRotation                  p       x           x              x           x
EnableKey                           +       +           x              x           +
EnableKeyRotation                   p       x           x              x           x
Encrypt                             +       x           x              x           x
EraseSubject                        +       +           +              +           +     *
GenerateDataKey                     +       x           x              x           x
GenerateDataKeyWithoutPlaintext     +       x           x              x           x
GenerateMac                         +       x           x              x           x     *
GetKeyPolicy                        +       +           +              +           +
GetKeyRotationStatus                p       p           p              x           x
GetParametersForImport              e       e           x              +           x
GetPublicKey                        +       x           x              x           x     *
ImportKeyMaterial                   e       e           x              +           x
ListAliases                         +       +           +              +           +
ListGrants                          +       +           +              +           +
ListKeyPolicies                     +       +           +              +           +
ListKeyRotations                    +       +           +              +           +     *
PromoteKeyVersion                   p       x           x              x           x     *
PutKeyPolicy                        +       +           +              +           +
ReEncryptFrom                       +       x           x              x           x
ReEncryptTo                         +       x           x              x           x
RetireGrant                         +       +           +              +           +
RevokeGrant                         +       +           +              +           +
RewrapSubjects                      +       x           x              x           x     *
RotateKeyOnDemand                   p       x           x              x           x     *
ScheduleKeyDeletion                 +       +           x              +           +
Sign                                +       x           x              x           x     *
TagResource                         +       +           x              +           +
UntagResource                       +       +           x              +           +
UpdateAlias                         +       +           x              +           +
UpdateKeyDescription                +       +           x              +           +
Verify                              +       x           x              x           x     *
VerifyMac                           +       x           x              x           x     *
";

/// The cells, as written down.
fn cells() -> Vec<(Operation, KeyState, char)> {
    let mut lines = TABLE.lines().filter(|line| !line.is_empty());
    let states: Vec<KeyState> = lines
        .next()
        .unwrap()
        .split_whitespace()
        .map(|state| state.parse().unwrap())
        .collect();
    let mut cells = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let operation = words.next().unwrap().parse().unwrap();
        for &state in &states {
            let cell = words.next().unwrap().chars().next().unwrap();
            cells.push((operation, state, cell));
        }
    }
    cells
}

#[test]
fn the_table_has_all_operations_on_keys_and_all_states() {
    let listed: HashSet<_> = cells().iter().map(|(operation, ..)| *operation).collect();
    assert_eq!(cells().len(), listed.len() * KeyState::ALL.len());
    for &operation in Operation::ALL {
        let has_rule = operation.rule(KeyState::Enabled).is_some();
        assert_eq!(has_rule, listed.contains(&operation), "{operation}");
    }
}

#[test]
fn the_rules_are_those_of_the_table() {
    for (operation, state, cell) in cells() {
        let rule = operation.rule(state).unwrap();
        let fits = match cell {
            '+' => rule == Rule::Allowed,
            'p' => rule == Rule::IfProvider,
            'e' => rule == Rule::IfExternal,
            // Material that can be imported is external: it fails either way.
            'x' if state == KeyState::PendingImport => {
                matches!(rule, Rule::Refused | Rule::IfProvider)
            }
            _ => rule == Rule::Refused,
        };
        assert!(fits, "{operation} in {state}: {rule:?}");
    }
}

/// Brings a new key into a state, and does nothing with it through the gate.
#[test]
fn the_gate_keeps_to_the_table() {
    let world = World::new();
    let other = Renamed::new();
    let kms = world.builder().provider(other.clone()).open().unwrap();
    let kms = kms.as_principal("test");
    let without = world.handle();
    for (operation, state, cell) in cells() {
        for origin in [KeyOrigin::Provider, KeyOrigin::External] {
            let Some(key) = key_in(&kms, operation, state, origin) else {
                continue;
            };
            let asked = if state == KeyState::Unavailable {
                &without
            } else {
                &kms
            };
            assert_eq!(asked.describe_key(key).unwrap().state, state);
            let gate = asked.gate();
            let outcome = gate.perform(operation, key.into(), None, |_| Ok(()));
            let succeeds = match cell {
                '+' => true,
                'p' => origin == KeyOrigin::Provider,
                'e' => origin == KeyOrigin::External,
                _ => false,
            };
            let what = format!("{operation} of a key of {origin} in {state}: {outcome:?}");
            assert_eq!(outcome.is_ok(), succeeds, "{what}");
            if let Err(error) = outcome {
                let is_kind = matches!(
                    error,
                    KmsError::InvalidState { .. } | KmsError::InvalidOrigin { .. }
                );
                assert!(is_kind, "{what}");
            }
        }
    }
}

/// A new key in a state, fit for the operation but for that. Nothing where there is no such key.
fn key_in(
    kms: &KmsHandle,
    operation: Operation,
    state: KeyState,
    origin: KeyOrigin,
) -> Option<KeyId> {
    let spec = match operation.usage() {
        Some(KeyUsage::SignVerify) => KeySpec::Ed25519,
        Some(KeyUsage::GenerateVerifyMac) => KeySpec::Hmac256,
        _ => KeySpec::Wrapping256,
    };
    let mut request = CreateKey::new().with_spec(spec);
    if origin == KeyOrigin::External {
        request = request.for_import();
    }
    if state == KeyState::Unavailable {
        request = request.with_provider("other");
    }
    if state == KeyState::PendingImport && origin == KeyOrigin::Provider
        || state == KeyState::Unavailable && origin == KeyOrigin::External
    {
        return None;
    }
    let key = kms.create_key(request).unwrap().id;
    if origin == KeyOrigin::External && state != KeyState::PendingImport {
        pretend_import(kms, key);
    }
    match state {
        KeyState::Disabled => kms.disable_key(key).unwrap(),
        KeyState::PendingDeletion => {
            kms.schedule_deletion(key, WaitingPeriod::default())
                .unwrap();
        }
        KeyState::Enabled | KeyState::PendingImport | KeyState::Unavailable => {}
    }
    Some(key)
}

/// Says that the material of a key was imported, which no test here uses.
fn pretend_import(kms: &KmsHandle, key: KeyId) {
    let gate = kms.gate();
    gate.perform(Operation::ImportKeyMaterial, key.into(), None, |key| {
        key.change(|record| {
            record.state = StoredState::Enabled;
            record.versions[0].state = VersionState::Enabled;
            record.versions[0].handle = Some(StoredBytes::new(b"handle"));
            Ok(())
        })
    })
    .unwrap();
}

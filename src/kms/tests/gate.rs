use super::{DAY, World, new_key};
use crate::clock::{Clock, Timestamp};
use crate::format::{KeyId, KeyReference, KeyVersion};
use crate::kms::perform::AuthorisedKey;
use crate::kms::record::{StoredBytes, StoredState};
use crate::kms::{
    CreateKey, KeyState, KmsError, KmsHandle, Operation, VersionState, WaitingPeriod,
};
use crate::provider::{ImportKeyRequest, KeyProvider, ProviderError, UnwrapRequest, WrapRequest};
use crate::secret::{DataKey, SecretBytes};

fn version(number: u32) -> KeyVersion {
    KeyVersion::new(number).unwrap()
}

fn perform<T>(
    kms: &KmsHandle,
    operation: Operation,
    key: KeyId,
    action: impl FnOnce(&AuthorisedKey<'_>) -> Result<T, KmsError>,
) -> Result<T, KmsError> {
    kms.gate().perform(operation, key.into(), None, action)
}

fn wrap(key: &AuthorisedKey<'_>) -> Result<(KeyVersion, Vec<u8>), KmsError> {
    let primary = key.primary()?;
    let data_key = DataKey::from_bytes(&[7; 32]).unwrap();
    let request = WrapRequest::new(primary.handle(), &data_key, b"context");
    let wrapped = primary.provider()?.wrap_key(request)?;
    Ok((primary.number(), wrapped.as_bytes().to_vec()))
}

fn unwrap(
    kms: &KmsHandle,
    key: KeyId,
    (number, wrapped): &(KeyVersion, Vec<u8>),
) -> Result<DataKey, KmsError> {
    perform(kms, Operation::Decrypt, key, |key| {
        let version = key.version(*number)?;
        let request = UnwrapRequest::new(version.handle(), wrapped, b"context");
        Ok(version.provider()?.unwrap_key(request)?)
    })
}

#[test]
fn every_version_unwraps_what_it_wrapped() {
    let world = World::new();
    let (kms, reader) = (world.handle(), world.handle());
    let key = new_key(&kms);
    let mut wrapped = Vec::new();
    for number in 1..=4 {
        wrapped.push(perform(&kms, Operation::GenerateDataKey, key, wrap).unwrap());
        assert_eq!(wrapped.last().unwrap().0, version(number));
        for wrapped in &wrapped {
            // The reader's interval is not over, and yet it learns of versions that it meets.
            unwrap(&reader, key, wrapped).unwrap();
            unwrap(&kms, key, wrapped).unwrap();
        }
        kms.rotate_now(key).unwrap();
    }
    let error = unwrap(&reader, key, &(version(9), Vec::new())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the key {key} has no version 9; its store may have been put back to an older state"
        )
    );
}

#[test]
fn a_version_that_waits_unwraps_and_does_not_wrap() {
    let kms = World::new().handle();
    let key = new_key(&kms);
    let pending = kms.create_pending_version(key).unwrap();
    perform(&kms, Operation::Decrypt, key, |key| key.version(pending)).unwrap();
    let (primary, _) = perform(&kms, Operation::Encrypt, key, wrap).unwrap();
    assert_eq!(primary, version(1));
}

#[test]
fn versions_have_the_names_that_messages_use() {
    let kms = World::new().handle();
    let key = new_key(&kms);
    kms.rotate_now(key).unwrap();
    perform(&kms, Operation::Decrypt, key, |authorised| {
        for number in [1, 2] {
            assert_eq!(
                *authorised.version(version(number))?.reference(),
                KeyReference::kms(key, version(number))
            );
        }
        Ok(())
    })
    .unwrap();
}

/// The material of one key in the record of another, by somebody who can make tags.
#[test]
fn the_provider_refuses_the_handle_of_another_key_or_version() {
    let kms = World::new().handle();
    let (first, second) = (new_key(&kms), new_key(&kms));
    kms.rotate_now(second).unwrap();
    let handle = |key, number: usize| {
        perform(&kms, Operation::Decrypt, key, |key| {
            let versions = &key.record().versions;
            Ok(versions[number].handle.clone())
        })
        .unwrap()
    };
    for (from, number) in [(first, 0), (second, 1)] {
        let foreign = handle(from, number);
        perform(&kms, Operation::UpdateKeyDescription, second, |key| {
            key.change(|record| {
                record.versions[0].handle = foreign.clone();
                record.primary = version(1);
                Ok(())
            })
        })
        .unwrap();
        let error = perform(&kms, Operation::Encrypt, second, wrap).unwrap_err();
        assert!(
            matches!(
                error,
                KmsError::Provider(ProviderError::InvalidHandle { .. })
            ),
            "{error}"
        );
    }
}

/// Imports the material of a key, always the same, to expire on a date.
fn import(world: &World, kms: &KmsHandle, key: KeyId, expires: Timestamp) {
    perform(kms, Operation::ImportKeyMaterial, key, |key| {
        let material = SecretBytes::from(vec![0x42; 32]);
        let binding = key.record().binding(KeyVersion::FIRST);
        let request = ImportKeyRequest::new(key.record().spec, &material).with_binding(&binding);
        let handle = world.provider.import_key(request)?;
        key.change(|record| {
            record.versions[0].state = VersionState::Enabled;
            record.versions[0].handle = Some(StoredBytes::new(handle.as_bytes()));
            record.versions[0].expires = Some(expires);
            record.state = StoredState::Enabled;
            Ok(())
        })
    })
    .unwrap();
}

fn imported(world: &World, kms: &KmsHandle) -> KeyId {
    let key = kms.create_key(CreateKey::new().for_import()).unwrap().id;
    let expires = world.clock.unix_time().saturating_add(DAY);
    import(world, kms, key, expires);
    assert_eq!(
        kms.describe_key(key).unwrap().material_expires,
        Some(expires)
    );
    key
}

#[test]
fn imported_material_expires_and_comes_back() {
    let world = World::new();
    let kms = world.handle();
    let key = imported(&world, &kms);
    let wrapped = perform(&kms, Operation::Encrypt, key, wrap).unwrap();

    world.clock.advance(DAY);
    assert_eq!(kms.tick().unwrap().expired, [(key, version(1))]);
    assert!(kms.tick().unwrap().is_empty());
    assert_eq!(
        kms.describe_key(key).unwrap().state,
        KeyState::PendingImport
    );
    assert_eq!(
        kms.list_versions(key).unwrap()[0].state,
        VersionState::PendingImport
    );
    let stored = super::body(&world.store, key);
    assert_eq!(stored["versions"][0].get("handle"), None);
    assert_eq!(stored["versions"][0].get("erase"), None);
    assert!(matches!(
        unwrap(&kms, key, &wrapped),
        Err(KmsError::InvalidState {
            state: KeyState::PendingImport,
            ..
        })
    ));
    import(&world, &kms, key, Timestamp::MAX);
    unwrap(&kms, key, &wrapped).unwrap();
}

#[test]
fn material_expires_while_a_key_waits_to_be_deleted() {
    let world = World::new();
    let kms = world.handle();
    let key = imported(&world, &kms);
    kms.schedule_deletion(key, WaitingPeriod::default())
        .unwrap();
    world.clock.advance(2 * DAY);
    assert_eq!(kms.tick().unwrap().expired, [(key, version(1))]);
    kms.cancel_deletion(key).unwrap();
    assert_eq!(
        kms.describe_key(key).unwrap().state,
        KeyState::PendingImport
    );
}

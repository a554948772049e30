//! Creating keys, telling of them, listing them, and what their owners write on them.

mod common;

use common::kms::World;
use waxseal::kms::{KeyOrigin, KeyUsage, VersionCause, VersionState};
use waxseal::{
    CreateKey, KeyId, KeySpec, KeyState, Kms, KmsError, ListKeys, MemoryKeyStore, RotationPolicy,
    SoftwareKeyProvider,
};

#[test]
fn a_new_key_is_as_it_was_asked_for() {
    let world = World::new();
    let kms = world.handle();
    let request = CreateKey::new()
        .with_description("card numbers")
        .with_tag("team", "billing")
        .with_rotation(RotationPolicy::every_days(90));
    let key = kms.create_key(request).unwrap();
    assert_eq!(key.state, KeyState::Enabled);
    assert_eq!(key.spec, KeySpec::Wrapping256);
    assert_eq!(key.usage, KeyUsage::EncryptDecrypt);
    assert_eq!(key.origin, KeyOrigin::Provider);
    assert_eq!(key.provider, "software");
    assert_eq!(key.description, "card numbers");
    assert_eq!(key.tags["team"], "billing");
    assert_eq!(key.primary.get(), 1);
    assert_eq!(key.rotation, Some(RotationPolicy::every_days(90)));
    assert_eq!(kms.describe_key(&key).unwrap(), key);
    assert_eq!(kms.describe_key(&key.id.to_string()).unwrap(), key);
    assert_eq!(world.handle().describe_key(key.id).unwrap(), key);

    let versions = kms.list_versions(key.id).unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].state, VersionState::Enabled);
    assert_eq!(versions[0].cause, VersionCause::Created);
    assert!(versions[0].primary);
}

#[test]
fn every_spec_has_its_usage() {
    let kms = World::new().handle();
    for &spec in KeySpec::ALL {
        if spec.name().starts_with("RSA") {
            continue;
        }
        let key = kms.create_key(CreateKey::new().with_spec(spec)).unwrap();
        assert_eq!(key.usage, KeyUsage::of(spec), "{spec}");
    }
}

#[test]
fn a_key_for_import_has_no_material() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new().for_import()).unwrap();
    assert_eq!(key.state, KeyState::PendingImport);
    assert_eq!(key.origin, KeyOrigin::External);
    assert_eq!(world.provider.created(), 1, "the store's own");
}

#[test]
fn what_cannot_be_created_is_refused_and_leaves_nothing() {
    let world = World::new();
    let kms = world.handle();
    let before = world.provider.created();
    let long = "x".repeat(8193);
    let refused = |request| kms.create_key(request).unwrap_err();
    for (request, message) in [
        (
            CreateKey::new().with_usage(KeyUsage::SignVerify),
            "a key of spec SYMMETRIC_DEFAULT is for ENCRYPT_DECRYPT, not for SIGN_VERIFY; leave the usage out, or choose another spec",
        ),
        (
            CreateKey::new().with_provider("hsm"),
            "the provider hsm is needed, and this Kms was opened without it; open it with all providers that its keys live in",
        ),
        (
            CreateKey::new().with_description(long),
            "a description is at most 8192 bytes; what was given is not",
        ),
        (
            CreateKey::new().with_tag("", "x"),
            "a tag is a key of 1 to 128 bytes and a value of at most 256; what was given is not",
        ),
        (
            CreateKey::new().with_rotation(RotationPolicy::every_days(89)),
            "the rotation period must be 90 to 2560 days, and 89 was given",
        ),
        (
            CreateKey::new()
                .with_spec(KeySpec::Ed25519)
                .with_rotation(RotationPolicy::default()),
            "a key that does not wrap data keys, or whose material is imported, is not rotated by itself; create it without a rotation policy",
        ),
    ] {
        assert_eq!(refused(request).to_string(), message);
    }
    assert_eq!(world.provider.created(), before);
    assert_eq!(kms.list_keys(&ListKeys::new()).unwrap().keys, []);
}

#[test]
fn keys_that_are_not_there() {
    let kms = World::new().handle();
    let id = KeyId::from_bytes([7; 16]);
    let of = |key: &str| kms.describe_key(key).unwrap_err().to_string();
    assert_eq!(
        of(&id.to_string()),
        format!(
            "no key {id} is in the memory store; check the id, and that this is the store that the key was created in"
        )
    );
    assert_eq!(
        of("alias/cards"),
        "no alias/cards is in the memory store; create it, or name the key by its id"
    );
    for neither in ["", "cards", "0707", "alias:cards"] {
        assert_eq!(
            of(neither),
            "a key is named by its id, 32 hexadecimal digits, or by an alias that begins with 'alias/'"
        );
    }
    assert!(matches!(
        kms.describe_key("alias/").unwrap_err(),
        KmsError::InvalidName { .. }
    ));
}

#[test]
fn descriptions_and_tags() {
    let world = World::new();
    let kms = world.handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.update_description(key, "new").unwrap();
    kms.tag_key(key, "team", "billing").unwrap();
    kms.tag_key(key, "team", "payments").unwrap();
    kms.tag_key(key, "stage", "").unwrap();
    kms.untag_key(key, "stage").unwrap();
    kms.untag_key(key, "stage").unwrap();
    let revision = world.stored(key).revision;
    kms.untag_key(key, "stage").unwrap();
    assert_eq!(world.stored(key).revision, revision, "nothing was written");

    let told = world.handle().describe_key(key).unwrap();
    assert_eq!(told.description, "new");
    assert_eq!(
        told.tags.into_iter().collect::<Vec<_>>(),
        [("team".to_owned(), "payments".to_owned())]
    );
    for number in 0..49 {
        kms.tag_key(key, &format!("tag {number}"), "").unwrap();
    }
    assert!(matches!(
        kms.tag_key(key, "one more", ""),
        Err(KmsError::Limit { max: 50, .. })
    ));
    kms.tag_key(key, "team", "audit").unwrap();
}

#[test]
fn enabling_and_disabling() {
    let kms = World::new().handle();
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    let state = || kms.describe_key(key).unwrap().state;
    kms.disable_key(key).unwrap();
    kms.disable_key(key).unwrap();
    assert_eq!(state(), KeyState::Disabled);
    kms.enable_key(key).unwrap();
    kms.enable_key(key).unwrap();
    assert_eq!(state(), KeyState::Enabled);
}

#[test]
fn lists_are_paged_and_filtered() {
    let kms = World::new().handle();
    assert_eq!(kms.list_keys(&ListKeys::new()).unwrap().keys, []);
    let mut ids: Vec<_> = (0..301)
        .map(|number| {
            let request = CreateKey::new().with_tag("third", (number % 3).to_string());
            kms.create_key(request).unwrap().id
        })
        .collect();
    let signs = kms
        .create_key(CreateKey::new().with_spec(KeySpec::Ed25519))
        .unwrap()
        .id;
    ids.push(signs);
    kms.disable_key(ids[0]).unwrap();
    let disabled = ids[0];
    ids.sort_unstable();

    for limit in [1, 100, 150, 301, 302, 303] {
        let mut listed = Vec::new();
        let mut request = ListKeys::new().with_limit(limit);
        loop {
            let page = kms.list_keys(&request).unwrap();
            assert!(page.keys.len() <= limit);
            listed.extend(page.keys.iter().map(|key| key.id));
            let Some(next) = page.next else { break };
            request = request.after(next);
        }
        assert_eq!(listed, ids, "{limit} to a page");
    }

    let list = |request| {
        let page = kms.list_keys(&request).unwrap();
        page.keys.iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(list(ListKeys::new().with_spec(KeySpec::Ed25519)), [signs]);
    assert_eq!(
        list(ListKeys::new().with_state(KeyState::Disabled)),
        [disabled]
    );
    let all = ListKeys::new().with_limit(1000);
    assert_eq!(list(all.clone().with_tag("third", "1")).len(), 100);
    assert_eq!(list(all.clone().with_tag_key("third")).len(), 301);
    assert_eq!(list(all.with_tag("third", "3")).len(), 0);
}

#[test]
fn a_store_opens_with_its_own_root_key_alone() {
    let store = MemoryKeyStore::new();
    let provider = SoftwareKeyProvider::generate().unwrap();
    let kms = Kms::open(store.clone(), provider.clone()).unwrap();
    let key = kms.as_principal("a").create_key(CreateKey::new()).unwrap();
    drop(kms);

    let other = SoftwareKeyProvider::generate().unwrap();
    let error = Kms::open(store.clone(), other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key of the memory store could not be unwrapped by the provider software; give the root key or the token that the store was created with, or was moved to since"
    );
    let kms = Kms::open(store, provider).unwrap();
    assert_eq!(kms.as_principal("b").describe_key(key.id).unwrap(), key);
}

#[test]
fn a_kms_needs_providers_of_different_names() {
    let store = MemoryKeyStore::new();
    assert!(matches!(
        Kms::builder(store.clone()).open(),
        Err(KmsError::NoProviders)
    ));
    let provider = SoftwareKeyProvider::generate().unwrap();
    assert!(matches!(
        Kms::builder(store).provider(provider.clone()).provider(provider).open(),
        Err(KmsError::SameProvider { provider }) if provider == "software"
    ));
}

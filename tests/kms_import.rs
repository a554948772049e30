//! Keys whose material their owner makes, wraps with the real `openssl`, and imports.

mod common;

use common::kms::{DAY, World};
use common::kms_stores::{Death, Mortal};
use common::openssl::OpenSsl;
use waxseal::kms::{ImportKeySize, ImportParameters, KeyState, Operation, ParametersForImport};
use waxseal::{
    Clock, CreateKey, EncryptionContext, ImportWrapping, KeyId, KeySpec, Kms, KmsError, KmsHandle,
    MessageInput, ProviderError, PublicKey, RootKey, SigningAlgorithm, SoftwareKeyProvider,
    Timestamp, WaitingPeriod,
};

const OAEP: ImportWrapping = ImportWrapping::RsaOaepSha256;
const AES: ImportWrapping = ImportWrapping::RsaAesKeyWrapSha256;
const MATERIAL: [u8; 32] = [0x42; 32];

/// The owner of a key, who has `openssl` and nothing of this crate.
struct Owner(OpenSsl);

impl Owner {
    fn new() -> Self {
        Self(OpenSsl::new())
    }

    fn wrap(
        &self,
        given: &ParametersForImport,
        wrapping: ImportWrapping,
        material: &[u8],
    ) -> Vec<u8> {
        let openssl = &self.0;
        openssl.write("public.pem", &given.public_key_pem);
        openssl.write("material", material);
        let encrypt = "pkeyutl -encrypt -pubin -inkey public.pem -pkeyopt rsa_padding_mode:oaep \
            -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";
        if wrapping == OAEP {
            openssl.run(&format!("{encrypt} -in material -out wrapped"));
            return openssl.read("wrapped");
        }
        openssl.run("rand -out key 32");
        let key: String = openssl
            .read("key")
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        openssl.run(&format!("{encrypt} -in key -out wrapped-key"));
        openssl.run(&format!(
            "enc -id-aes256-wrap-pad -iv A65959A6 -K {key} -in material -out wrapped"
        ));
        [openssl.read("wrapped-key"), openssl.read("wrapped")].concat()
    }

    /// Makes a private key as PKCS #8 in DER.
    fn make_pair(&self, options: &str) -> Vec<u8> {
        self.0.run(&format!("genpkey {options} -out pair.pem"));
        self.0
            .run("pkcs8 -topk8 -nocrypt -in pair.pem -outform DER -out pair.der");
        self.0.read("pair.der")
    }
}

fn parameters(wrapping: ImportWrapping) -> ImportParameters {
    ImportParameters::new(wrapping).with_size(ImportKeySize::Rsa2048)
}

fn import(
    kms: &KmsHandle,
    key: KeyId,
    material: &[u8],
    expires: Option<Timestamp>,
) -> Result<(), KmsError> {
    let given = kms.get_parameters_for_import(key, parameters(OAEP))?;
    let wrapped = Owner::new().wrap(&given, OAEP, material);
    kms.import_key_material(key, &given.token, &wrapped, expires)
}

fn key_for_import(kms: &KmsHandle, spec: KeySpec) -> KeyId {
    let request = CreateKey::new().with_spec(spec).for_import();
    kms.create_key(request).unwrap().id
}

fn software() -> KmsHandle {
    let provider = SoftwareKeyProvider::new(&RootKey::from_bytes(&[7; 32]));
    let kms = Kms::open(waxseal::MemoryKeyStore::new(), provider).unwrap();
    kms.as_principal("owner")
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn state(kms: &KmsHandle, key: KeyId) -> KeyState {
    kms.describe_key(key).unwrap().state
}

#[test]
fn a_wrapping_key_by_either_wrapping_and_every_size() {
    let kms = software();
    for wrapping in [OAEP, AES] {
        for &size in ImportKeySize::ALL {
            let key = key_for_import(&kms, KeySpec::Wrapping256);
            assert_eq!(state(&kms, key), KeyState::PendingImport);
            let wanted = ImportParameters::new(wrapping).with_size(size);
            let given = kms.get_parameters_for_import(key, wanted).unwrap();
            let wrapped = Owner::new().wrap(&given, wrapping, &MATERIAL);
            kms.import_key_material(key, &given.token, &wrapped, None)
                .unwrap();
            assert_eq!(state(&kms, key), KeyState::Enabled);
            let sealed = kms.encrypt(key, b"payload", &context()).unwrap();
            let opened = kms.decrypt(&sealed.bytes, &context()).unwrap();
            assert_eq!(*opened.plaintext, *b"payload");
        }
    }
}

#[test]
fn a_mac_key_makes_the_macs_of_openssl() {
    let kms = software();
    let owner = Owner::new();
    for (spec, digest, len) in [
        (KeySpec::Hmac256, "SHA256", 32),
        (KeySpec::Hmac384, "SHA384", 48),
        (KeySpec::Hmac512, "SHA512", 128),
    ] {
        let key = key_for_import(&kms, spec);
        let material = vec![0x5a; len];
        import(&kms, key, &material, None).unwrap();
        owner.0.write("message", "a message");
        let made = owner.0.run(&format!(
            "dgst -{digest} -mac HMAC -macopt hexkey:{} -binary message",
            "5a".repeat(len)
        ));
        kms.verify_mac(key, b"a message", &made).unwrap();
    }
}

#[test]
fn key_pairs_of_openssl_sign() {
    let kms = software();
    for (spec, options, algorithm) in [
        (
            KeySpec::Ed25519,
            "-algorithm ED25519",
            SigningAlgorithm::Ed25519,
        ),
        (
            KeySpec::EcdsaP256,
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            SigningAlgorithm::EcdsaSha256,
        ),
        (
            KeySpec::EcdsaP384,
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
            SigningAlgorithm::EcdsaSha384,
        ),
        (
            KeySpec::Rsa2048,
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            SigningAlgorithm::RsaPssSha256,
        ),
    ] {
        let owner = Owner::new();
        let pair = owner.make_pair(options);
        let key = key_for_import(&kms, spec);
        let given = kms.get_parameters_for_import(key, parameters(AES)).unwrap();
        let wrapped = owner.wrap(&given, AES, &pair);
        kms.import_key_material(key, &given.token, &wrapped, None)
            .unwrap();
        let message = MessageInput::Raw(b"a message");
        let signature = kms.sign(key, algorithm, message).unwrap();
        owner
            .0
            .run("pkey -in pair.pem -pubout -outform DER -out public.der");
        let public_key = PublicKey::from_der(&owner.0.read("public.der")).unwrap();
        public_key
            .verify(algorithm, message, signature.as_bytes())
            .unwrap();

        // Another encoding of the same pair is the same material; another pair is not.
        kms.delete_imported_key_material(key).unwrap();
        let same = match spec {
            KeySpec::EcdsaP256 | KeySpec::EcdsaP384 => {
                owner.0.run("ec -in pair.pem -no_public -out short.pem");
                owner
                    .0
                    .run("pkcs8 -topk8 -nocrypt -in short.pem -outform DER -out short.der");
                let short = owner.0.read("short.der");
                assert!(short.len() < pair.len());
                short
            }
            _ => pair,
        };
        let wrapped = owner.wrap(&given, AES, &same);
        kms.import_key_material(key, &given.token, &wrapped, None)
            .unwrap();
        let wrapped = owner.wrap(&given, AES, &owner.make_pair(options));
        let error = kms
            .import_key_material(key, &given.token, &wrapped, None)
            .unwrap_err();
        assert!(matches!(error, KmsError::OtherMaterial { .. }), "{error}");
    }
}

#[test]
fn material_that_is_no_key_of_the_spec() {
    let kms = software();
    for (spec, material) in [
        (KeySpec::Wrapping256, &[1; 31][..]),
        (KeySpec::Wrapping256, &[1; 33]),
        (KeySpec::Hmac512, &[1; 63]),
        (KeySpec::Hmac256, &[1; 129]),
        (KeySpec::Ed25519, &[1; 48]),
    ] {
        let key = key_for_import(&kms, spec);
        let error = import(&kms, key, material, None).unwrap_err();
        assert!(
            matches!(
                error,
                KmsError::Provider(ProviderError::InvalidKeyMaterial { .. })
            ),
            "{error}"
        );
        assert_eq!(state(&kms, key), KeyState::PendingImport);
    }
    // Nothing was remembered of it.
    let key = key_for_import(&kms, KeySpec::Wrapping256);
    import(&kms, key, &[1; 31], None).unwrap_err();
    import(&kms, key, &MATERIAL, None).unwrap();
}

#[test]
fn only_the_same_material_comes_back() {
    let world = World::new();
    let kms = world.handle();
    let key = key_for_import(&kms, KeySpec::Wrapping256);
    import(&kms, key, &MATERIAL, None).unwrap();
    let sealed = kms.encrypt(key, b"payload", &context()).unwrap();
    for round in 0..2 {
        let error = import(&kms, key, &[0x43; 32], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "other material was imported for the key {key} before, and only the same can be \
                 imported again; import that, or create another key for this material"
            )
        );
        if round == 0 {
            kms.delete_imported_key_material(key).unwrap();
            assert_eq!(state(&kms, key), KeyState::PendingImport);
            assert_eq!(world.provider.alive().len(), 1, "the store's own");
            assert!(world.stored_handles().len() == 1);
            kms.decrypt(&sealed.bytes, &context()).unwrap_err();
            kms.delete_imported_key_material(key).unwrap();
        }
    }
    import(&kms, key, &MATERIAL, None).unwrap();
    let opened = kms.decrypt(&sealed.bytes, &context()).unwrap();
    assert_eq!(*opened.plaintext, *b"payload");
    // The digest shows nothing, and is another for another key.
    let other = key_for_import(&kms, KeySpec::Wrapping256);
    import(&kms, other, &MATERIAL, None).unwrap();
    let digest = |key| world.body(key)["versions"][0]["digest"].clone();
    assert!(digest(key).is_string());
    assert_ne!(digest(key), digest(other));
}

#[test]
fn material_expires_when_its_owner_said() {
    let world = World::new();
    let kms = world.handle();
    let key = key_for_import(&kms, KeySpec::Wrapping256);
    let now = world.clock.unix_time();
    let error = import(&kms, key, &MATERIAL, Some(now)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "what is to expire on 2026-01-01T00:00:00.000Z would have expired: it is \
         2026-01-01T00:00:00.000Z; give a later date, or none"
    );
    import(&kms, key, &MATERIAL, Some(now.saturating_add(DAY))).unwrap();
    let sealed = kms.encrypt(key, b"payload", &context()).unwrap();
    // It is there still, and lives longer now.
    let later = Some(now.saturating_add(3 * DAY));
    import(&kms, key, &MATERIAL, later).unwrap();
    assert_eq!(kms.describe_key(key).unwrap().material_expires, later);
    world.clock.advance(2 * DAY);
    assert!(kms.tick().unwrap().is_empty());
    world.clock.advance(DAY);
    assert_eq!(kms.tick().unwrap().expired.len(), 1);
    assert_eq!(state(&kms, key), KeyState::PendingImport);
    import(&kms, key, &[0x43; 32], None).unwrap_err();
    import(&kms, key, &MATERIAL, None).unwrap();
    assert_eq!(kms.describe_key(key).unwrap().material_expires, None);
    kms.decrypt(&sealed.bytes, &context()).unwrap();
}

#[test]
fn material_of_a_key_that_is_to_be_deleted() {
    let kms = software();
    let key = key_for_import(&kms, KeySpec::Wrapping256);
    import(&kms, key, &MATERIAL, None).unwrap();
    kms.schedule_deletion(key, WaitingPeriod::default())
        .unwrap();
    kms.delete_imported_key_material(key).unwrap();
    assert_eq!(state(&kms, key), KeyState::PendingDeletion);
    kms.cancel_deletion(key).unwrap();
    assert_eq!(state(&kms, key), KeyState::PendingImport);
    import(&kms, key, &MATERIAL, None).unwrap();
    // A key that is disabled stays so.
    kms.disable_key(key).unwrap();
    import(&kms, key, &MATERIAL, None).unwrap();
    assert_eq!(state(&kms, key), KeyState::Disabled);
}

#[test]
fn a_token_is_for_one_key_of_one_store_and_a_day() {
    let world = World::new();
    let kms = world.handle();
    let key = key_for_import(&kms, KeySpec::Wrapping256);
    let other = key_for_import(&kms, KeySpec::Wrapping256);
    let given = kms
        .get_parameters_for_import(key, parameters(OAEP))
        .unwrap();
    let wrapped = Owner::new().wrap(&given, OAEP, &MATERIAL);
    let refused = |kms: &KmsHandle, key, token: &[u8], wrapped: &[u8]| {
        let error = kms.import_key_material(key, token, wrapped, None);
        error.unwrap_err()
    };
    let reason = |error| match error {
        KmsError::ImportToken { reason, .. } => reason,
        error => panic!("{error}"),
    };

    let error = refused(&kms, other, &given.token, &wrapped);
    assert_eq!(reason(error), "it is of another key");
    let stranger = World::new().handle();
    let strange = key_for_import(&stranger, KeySpec::Wrapping256);
    let error = refused(&stranger, strange, &given.token, &wrapped);
    assert_eq!(reason(error), "it is of another store");
    assert_eq!(reason(refused(&kms, key, b"", &wrapped)), "it is empty");
    for at in [0, 1, 17, 33, 34, 36, 43, 200, given.token.len() - 1] {
        let mut changed = given.token.clone();
        changed[at] ^= 0x10;
        reason(refused(&kms, key, &changed, &wrapped));
        reason(refused(&kms, key, &given.token[..at], &wrapped));
    }
    // From one wrapping or size to another.
    for (at, code) in [(33, 2), (34, 2)] {
        let mut changed = given.token.clone();
        changed[at] = code;
        let error = refused(&kms, key, &changed, &wrapped);
        assert_eq!(reason(error), "it was changed");
    }

    let again = kms
        .get_parameters_for_import(key, parameters(OAEP))
        .unwrap();
    let error = refused(&kms, key, &again.token, &wrapped);
    assert_eq!(
        error.to_string(),
        format!(
            "the material for the key {key} does not unwrap; wrap it by RSAES_OAEP_SHA_256 with \
             the public key that came with this import token"
        )
    );

    assert_eq!(
        given.valid_until,
        world.clock.unix_time().saturating_add(DAY)
    );
    world
        .clock
        .advance(DAY - std::time::Duration::from_millis(1));
    // Another process takes it.
    let reader = world.handle();
    reader
        .import_key_material(key, &given.token, &wrapped, None)
        .unwrap();
    world.clock.advance(std::time::Duration::from_millis(1));
    let error = refused(&kms, key, &given.token, &wrapped);
    assert!(
        matches!(error, KmsError::ImportTokenExpired { .. }),
        "{error}"
    );
}

#[test]
fn what_is_not_imported() {
    let kms = software();
    let own = kms.create_key(CreateKey::new()).unwrap().id;
    let error = kms
        .get_parameters_for_import(own, parameters(OAEP))
        .unwrap_err();
    assert!(matches!(error, KmsError::InvalidOrigin { .. }), "{error}");
    let error = kms.delete_imported_key_material(own).unwrap_err();
    assert!(matches!(error, KmsError::InvalidOrigin { .. }), "{error}");
    let pair = key_for_import(&kms, KeySpec::Rsa2048);
    let error = kms
        .get_parameters_for_import(pair, parameters(OAEP))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "keys of spec RSA_2048 are too long for RSAES_OAEP_SHA_256; import them with \
         RSA_AES_KEY_WRAP_SHA_256"
    );
    kms.schedule_deletion(pair, WaitingPeriod::default())
        .unwrap();
    let error = kms
        .get_parameters_for_import(pair, parameters(AES))
        .unwrap_err();
    assert!(
        matches!(
            error,
            KmsError::InvalidState {
                operation: Operation::GetParametersForImport,
                ..
            }
        ),
        "{error}"
    );
}

/// Material goes and comes back while the process dies at each of its commits.
#[test]
fn whenever_a_process_dies_the_next_one_goes_on() {
    let mut deaths = 0;
    for commit in 0.. {
        let mut survived = true;
        for committed in [false, true] {
            let world = World::new();
            let kms = world.handle();
            let key = key_for_import(&kms, KeySpec::Wrapping256);
            let given = kms
                .get_parameters_for_import(key, parameters(OAEP))
                .unwrap();
            let wrapped = Owner::new().wrap(&given, OAEP, &MATERIAL);
            let import =
                |kms: &KmsHandle| kms.import_key_material(key, &given.token, &wrapped, None);
            let store = Mortal::new(&world);
            let mortal = world
                .builder_over(store.clone())
                .open()
                .unwrap()
                .as_principal("mortal");
            store.die(Death { commit, committed });
            let _ = import(&mortal)
                .and_then(|()| mortal.delete_imported_key_material(key))
                .and_then(|()| import(&mortal))
                .and_then(|()| mortal.delete_imported_key_material(key));
            if store.is_dead() {
                survived = false;
                deaths += 1;
            }
            world.provider.set_outage(false);
            let next = world.handle();
            import(&next).unwrap();
            let sealed = next.encrypt(key, b"payload", &context()).unwrap();
            next.delete_imported_key_material(key).unwrap();
            assert_eq!(world.stored_handles().len(), 1, "the store's own");
            import(&next).unwrap();
            next.decrypt(&sealed.bytes, &context()).unwrap();
            assert!(next.tick().unwrap().failures.is_empty());
        }
        if survived {
            break;
        }
    }
    assert_eq!(deaths, 2 * (1 + 3 + 1 + 3));
}

//! Only the token that a KMS gave out imports, for its key, and only what was wrapped with its public key;
//! whatever else comes in its place is refused without a panic.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal::kms::KmsError;
use waxseal::{
    CreateKey, ImportParameters, ImportWrapping, KeyId, KeyState, Kms, KmsHandle, ManualClock,
    MemoryKeyStore, RootKey, SoftwareKeyProvider,
};

struct Begun {
    kms: KmsHandle,
    key: KeyId,
    other: KeyId,
    token: Vec<u8>,
}

static BEGUN: LazyLock<Begun> = LazyLock::new(|| {
    let kms = Kms::builder(MemoryKeyStore::new())
        .provider(SoftwareKeyProvider::new(&RootKey::from_bytes(&[1; 32])))
        .clock(ManualClock::default())
        .open()
        .unwrap()
        .as_principal("ops:fuzz");
    let [key, other] = [(); 2].map(|()| kms.create_key(CreateKey::new().for_import()).unwrap().id);
    let parameters = ImportParameters::new(ImportWrapping::RsaAesKeyWrapSha256);
    let token = kms.get_parameters_for_import(key, parameters).unwrap().token;
    Begun { kms, key, other, token }
});

fuzz_target!(|bytes: &[u8]| {
    let Begun { kms, key, other, token } = &*BEGUN;
    let import = |key: KeyId, token: &[u8], wrapped: &[u8]| {
        kms.import_key_material(key, token, wrapped, None).unwrap_err()
    };
    // In the place of the token.
    if *bytes != **token {
        let refused = import(*key, bytes, bytes);
        assert!(matches!(refused, KmsError::ImportToken { .. }), "{refused}");
    }
    // The token, changed.
    let mut changed = token.clone();
    for change in bytes.as_chunks::<3>().0 {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
        changed[at] ^= change[2];
    }
    if changed != *token {
        let refused = import(*key, &changed, bytes);
        assert!(matches!(refused, KmsError::ImportToken { .. }), "{refused}");
    }
    // Of another key.
    let refused = import(*other, token, bytes);
    assert!(matches!(refused, KmsError::ImportToken { .. }), "{refused}");
    // In the place of the material: only where it says so, since RSA takes long.
    if let Some(wrapped) = bytes.strip_prefix(b"material") {
        let refused = import(*key, token, wrapped);
        assert!(matches!(refused, KmsError::WrappedMaterial { .. }), "{refused}");
    }
    assert_eq!(kms.describe_key(*key).unwrap().state, KeyState::PendingImport);
});

//! A store with keys of every sort, and what is under them.
#![allow(dead_code, reason = "each test uses a part")]

use waxseal::kms::Ciphertext;
use waxseal::{
    CreateKey, EncryptionContext, KeyId, KeySpec, KeyStore, Kms, KmsError, KmsHandle, ManualClock,
    MemoryKeyStore, MessageInput, RootKey, Signature, SigningAlgorithm, SoftwareKeyProvider,
    WaitingPeriod,
};

use super::kms::DAY;

pub fn root(byte: u8) -> RootKey {
    RootKey::from_bytes(&[byte; 32])
}

pub fn old() -> SoftwareKeyProvider {
    SoftwareKeyProvider::new(&root(1))
}

pub fn new() -> SoftwareKeyProvider {
    SoftwareKeyProvider::new(&root(2))
}

/// What creates under the new root key and takes both.
pub fn both() -> SoftwareKeyProvider {
    new().with_other_root(&root(1))
}

pub fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

pub fn open(
    store: impl KeyStore + 'static,
    clock: &ManualClock,
    provider: SoftwareKeyProvider,
) -> KmsHandle {
    try_open(store, clock, provider).unwrap()
}

pub fn try_open(
    store: impl KeyStore + 'static,
    clock: &ManualClock,
    provider: SoftwareKeyProvider,
) -> Result<KmsHandle, KmsError> {
    let kms = Kms::builder(store)
        .provider(provider)
        .clock(clock.clone())
        .refresh_interval(std::time::Duration::ZERO)
        .open()?;
    Ok(kms.as_principal("ops:alice"))
}

/// A store with keys of every sort, and what is under them.
pub struct Estate {
    pub store: MemoryKeyStore,
    pub clock: ManualClock,
    pub messages: Vec<Ciphertext>,
    pub signing: KeyId,
    pub signature: Signature,
    pub mac_key: KeyId,
    pub mac: Vec<u8>,
    pub dying: KeyId,
    pub deleted: KeyId,
}

impl Estate {
    pub fn new() -> Self {
        let (store, clock) = (MemoryKeyStore::new(), ManualClock::default());
        let kms = open(store.clone(), &clock, old());
        let mut messages = Vec::new();
        for number in 0..4 {
            let key = kms.create_key(CreateKey::new()).unwrap().id;
            kms.create_alias(&format!("alias/{number}"), key).unwrap();
            for _ in 0..number {
                messages.push(kms.encrypt(key, b"payload", &context()).unwrap());
                kms.rotate_now(key).unwrap();
            }
            messages.push(kms.encrypt(key, b"payload", &context()).unwrap());
            if number == 3 {
                kms.create_pending_version(key).unwrap();
            }
        }
        let create = |spec| kms.create_key(CreateKey::new().with_spec(spec)).unwrap().id;
        let signing = create(KeySpec::EcdsaP256);
        let signature = kms
            .sign(
                signing,
                SigningAlgorithm::EcdsaSha256,
                MessageInput::Raw(b"a message"),
            )
            .unwrap();
        let mac_key = create(KeySpec::Hmac256);
        let mac = kms.generate_mac(mac_key, b"a message").unwrap();
        kms.create_key(CreateKey::new().for_import()).unwrap();
        let (dying, deleted) = (create(KeySpec::Wrapping256), create(KeySpec::Wrapping256));
        let waiting = WaitingPeriod::days(7).unwrap();
        kms.schedule_deletion(deleted, waiting).unwrap();
        clock.advance(8 * DAY);
        kms.tick().unwrap();
        kms.schedule_deletion(dying, waiting).unwrap();
        Self {
            store,
            clock,
            messages,
            signing,
            signature,
            mac_key,
            mac: mac.as_bytes().to_vec(),
            dying,
            deleted,
        }
    }

    pub fn open(&self, provider: SoftwareKeyProvider) -> KmsHandle {
        open(self.store.clone(), &self.clock, provider)
    }

    /// Everything is what it was.
    pub fn check(&self, kms: &KmsHandle) {
        for message in &self.messages {
            let opened = kms.decrypt(&message.bytes, &context()).unwrap();
            assert_eq!(*opened.plaintext, *b"payload");
        }
        let message = MessageInput::Raw(b"a message");
        let algorithm = SigningAlgorithm::EcdsaSha256;
        kms.verify(self.signing, algorithm, message, self.signature.as_bytes())
            .unwrap();
        let again = kms.sign(self.signing, algorithm, message).unwrap();
        assert_eq!(again.as_bytes(), self.signature.as_bytes());
        kms.verify_mac(self.mac_key, b"a message", &self.mac)
            .unwrap();
        assert!(
            kms.describe_key(self.dying)
                .unwrap()
                .deletion_date
                .is_some()
        );
        let error = kms.describe_key(self.deleted).unwrap_err();
        assert!(matches!(error, KmsError::Deleted { .. }), "{error}");
        for number in 0..4 {
            kms.describe_key(format!("alias/{number}").as_str())
                .unwrap();
        }
    }
}

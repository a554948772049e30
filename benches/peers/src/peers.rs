//! Each library as its documentation says to use it: envelope encryption under a key in this
//! process, a fresh data key for every message, AES-256-GCM where there is a choice. Where a
//! library takes associated data, that is what waxseal takes as context.

use std::task::{Context, Poll, Waker};

use envelopers::{Aes256Gcm, EncryptedRecord, EnvelopeCipher, SimpleKeyProvider};
use kms_aead::ring_encryption::RingAeadEncryption;
use kms_aead::{
    AeadEncryption, CipherText, CipherTextWithEncryptedKey, DataEncryptionKey,
    EncryptedDataEncryptionKey, KmsAeadEnvelopeEncryption, KmsAeadResult,
    KmsAeadRingEncryptionProvider, KmsAeadRingEnvelopeEncryption,
};
use rvstruct::ValueStruct;
use secret_vault_value::SecretValue;
use tink_core::Aead;
use waxseal::{EncryptionContext, EnvelopeEncryptor, RootKey, SecretBytes, SingleKeyring};

const TENANT: &str = "tenant=acme";

/// A library that seals and opens. Its types are its own, so that none is charged for a
/// conversion that its users would not make.
pub trait Peer {
    const NAME: &str;
    type Payload: From<Vec<u8>>;
    type Message;
    type Opened;

    fn seal(&self, payload: &Self::Payload) -> Self::Message;
    fn open(&self, message: &Self::Message) -> Self::Opened;
    fn message_len(message: &Self::Message) -> usize;
    fn payload(opened: &Self::Opened) -> &[u8];
}

pub struct Waxseal {
    envelope: waxseal::Envelope,
    context: EncryptionContext,
}

impl Waxseal {
    pub fn new() -> Self {
        let root_key = RootKey::generate().expect("the system has randomness");
        Self {
            envelope: waxseal::Envelope::new(SingleKeyring::software(&root_key)),
            context: EncryptionContext::new([("tenant", "acme")]).expect("one short pair"),
        }
    }
}

impl Peer for Waxseal {
    const NAME: &str = "waxseal";
    type Payload = Vec<u8>;
    type Message = Vec<u8>;
    type Opened = SecretBytes;

    fn seal(&self, payload: &Vec<u8>) -> Vec<u8> {
        let sealed = self.envelope.encrypt(payload, &self.context);
        sealed.expect("it seals")
    }

    fn open(&self, message: &Vec<u8>) -> SecretBytes {
        let opened = self.envelope.decrypt(message, &self.context);
        opened.expect("it opens")
    }

    fn message_len(message: &Vec<u8>) -> usize {
        message.len()
    }

    fn payload(opened: &SecretBytes) -> &[u8] {
        opened
    }
}

pub struct Tink(tink_aead::KmsEnvelopeAead);

impl Tink {
    pub fn new() -> Self {
        tink_aead::init();
        let template = tink_aead::aes256_gcm_key_template();
        let remote = tink_core::keyset::Handle::new(&template).expect("a registered template");
        let remote = tink_aead::new(&remote).expect("an AEAD keyset");
        Self(tink_aead::KmsEnvelopeAead::new(template, remote))
    }
}

impl Peer for Tink {
    const NAME: &str = "tink 0.3";
    type Payload = Vec<u8>;
    type Message = Vec<u8>;
    type Opened = Vec<u8>;

    fn seal(&self, payload: &Vec<u8>) -> Vec<u8> {
        self.0
            .encrypt(payload, TENANT.as_bytes())
            .expect("it seals")
    }

    fn open(&self, message: &Vec<u8>) -> Vec<u8> {
        self.0
            .decrypt(message, TENANT.as_bytes())
            .expect("it opens")
    }

    fn message_len(message: &Vec<u8>) -> usize {
        message.len()
    }

    fn payload(opened: &Vec<u8>) -> &[u8] {
        opened
    }
}

pub struct KmsAead(KmsAeadRingEnvelopeEncryption<LocalKey>);

/// kms-aead comes with providers for clouds alone; this one is its own cipher under one more key.
struct LocalKey {
    cipher: RingAeadEncryption,
    key: DataEncryptionKey,
}

impl KmsAead {
    pub fn new() -> Self {
        let algorithm = &ring::aead::AES_256_GCM;
        let cipher = RingAeadEncryption::with_algorithm(algorithm, ring::rand::SystemRandom::new())
            .expect("a known algorithm");
        let key = cipher
            .generate_data_encryption_key()
            .expect("the system has randomness");
        let provider = LocalKey { cipher, key };
        let encryption = now(KmsAeadRingEnvelopeEncryption::with_algorithm(
            provider, algorithm,
        ));
        Self(encryption.expect("a known algorithm"))
    }
}

#[async_trait::async_trait]
impl KmsAeadRingEncryptionProvider for LocalKey {
    async fn encrypt_data_encryption_key(
        &self,
        encryption_key: &DataEncryptionKey,
    ) -> KmsAeadResult<EncryptedDataEncryptionKey> {
        let CipherText(wrapped) = self
            .cipher
            .encrypt_value(&TENANT, encryption_key.value(), &self.key)
            .await?;
        Ok(EncryptedDataEncryptionKey::new(wrapped, None))
    }

    async fn decrypt_data_encryption_key(
        &self,
        encrypted_key: &EncryptedDataEncryptionKey,
    ) -> KmsAeadResult<DataEncryptionKey> {
        let wrapped = CipherText(encrypted_key.wrapped().to_vec());
        self.cipher
            .decrypt_value(&TENANT, &wrapped, &self.key)
            .await
            .map(DataEncryptionKey::from)
    }

    async fn generate_encryption_key(
        &self,
        aead_encryption: &RingAeadEncryption,
    ) -> KmsAeadResult<DataEncryptionKey> {
        aead_encryption.generate_data_encryption_key()
    }
}

impl Peer for KmsAead {
    const NAME: &str = "kms-aead 0.29";
    type Payload = SecretValue;
    type Message = CipherTextWithEncryptedKey;
    type Opened = SecretValue;

    fn seal(&self, payload: &SecretValue) -> CipherTextWithEncryptedKey {
        now(self.0.encrypt_value(&TENANT, payload)).expect("it seals")
    }

    fn open(&self, message: &CipherTextWithEncryptedKey) -> SecretValue {
        now(self.0.decrypt_value(&TENANT, message)).expect("it opens")
    }

    fn message_len(message: &CipherTextWithEncryptedKey) -> usize {
        message.value().len()
    }

    fn payload(opened: &SecretValue) -> &[u8] {
        opened.as_sensitive_bytes()
    }
}

pub struct Envelopers(EnvelopeCipher<SimpleKeyProvider<Aes256Gcm>>);

impl Envelopers {
    pub fn new() -> Self {
        let mut key = [0; 16];
        let random = ring::rand::SystemRandom::new();
        ring::rand::SecureRandom::fill(&random, &mut key).expect("the system has randomness");
        Self(EnvelopeCipher::init(SimpleKeyProvider::init(key)))
    }
}

impl Peer for Envelopers {
    const NAME: &str = "envelopers 0.8.4";
    type Payload = Vec<u8>;
    type Message = Vec<u8>;
    type Opened = Vec<u8>;

    fn seal(&self, payload: &Vec<u8>) -> Vec<u8> {
        let sealed = now(self.0.encrypt_with(payload).aad(TENANT).encrypt());
        sealed.expect("it seals").to_vec().expect("it serialises")
    }

    fn open(&self, message: &Vec<u8>) -> Vec<u8> {
        let record = EncryptedRecord::try_from(message.as_slice()).expect("it parses");
        now(self.0.decrypt_with(&record).aad(TENANT).decrypt()).expect("it opens")
    }

    fn message_len(message: &Vec<u8>) -> usize {
        message.len()
    }

    fn payload(opened: &Vec<u8>) -> &[u8] {
        opened
    }
}

pub struct Age {
    identity: age::x25519::Identity,
    recipient: age::x25519::Recipient,
}

impl Age {
    pub fn new() -> Self {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        Self {
            identity,
            recipient,
        }
    }
}

impl Peer for Age {
    const NAME: &str = "age 0.12, X25519";
    type Payload = Vec<u8>;
    type Message = Vec<u8>;
    type Opened = Vec<u8>;

    fn seal(&self, payload: &Vec<u8>) -> Vec<u8> {
        age::encrypt(&self.recipient, payload).expect("it seals")
    }

    fn open(&self, message: &Vec<u8>) -> Vec<u8> {
        age::decrypt(&self.identity, message).expect("it opens")
    }

    fn message_len(message: &Vec<u8>) -> usize {
        message.len()
    }

    fn payload(opened: &Vec<u8>) -> &[u8] {
        opened
    }
}

/// The outcome of a future that waits for nothing, since every key is in this process: a runtime
/// would be charged to the peer.
fn now<T>(future: impl Future<Output = T>) -> T {
    let future = std::pin::pin!(future);
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a key in this process is never waited for"),
    }
}

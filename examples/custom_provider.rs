//! A key provider of your own: here a stand-in for a key service of your company, which holds its
//! keys itself, names them, and wraps data keys when it is asked over some protocol.
//!
//!     cargo run --example custom_provider

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use waxseal::{
    Capabilities, CreateKeyRequest, DataKey, EncryptionContext, Envelope, EnvelopeEncryptor,
    FreshDataKey, GenerateDataKeyRequest, GeneratedDataKey, KeyDescription, KeyHandle, KeyMaterial,
    KeyProvider, KeyReference, KeySpec, ProviderError, RandomSource, SingleKeyring, SystemRandom,
    UnwrapRequest, WrapRequest, WrappedKey, inspect,
};

fn main() -> Result<(), Box<dyn Error>> {
    let service = KeyService::default();
    let handle = service.create_key(CreateKeyRequest::default())?;
    let envelope = Envelope::new(SingleKeyring::new(service, handle)?);

    let context = EncryptionContext::new([("tenant", "acme")])?;
    let message = envelope.encrypt(b"sealed under a key of the service", &context)?;
    println!("{}\n", inspect(&message)?);
    let opened = envelope.decrypt(&message, &context)?;
    println!("opened: {}", String::from_utf8_lossy(&opened));
    Ok(())
}

/// The service. Its keys are in here and nowhere else; a handle is just a key's name.
#[derive(Default)]
pub struct KeyService {
    keys: Mutex<HashMap<String, Aes256Gcm>>,
}

const NAME: &str = "key-service";
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

impl KeyProvider for KeyService {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(KeyMaterial::InProvider).with_data_key_generation()
    }

    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        if request.spec != KeySpec::Wrapping256 {
            return Err(unsupported("create a key of that kind"));
        }
        let mut key = [0; 32];
        SystemRandom.fill(&mut key)?;
        let mut id = [0; 8];
        SystemRandom.fill(&mut id)?;
        let name = format!("key-{:016x}", u64::from_be_bytes(id));
        self.keys()
            .insert(name.clone(), Aes256Gcm::new(&key.into()));
        Ok(KeyHandle::from_bytes(name.into_bytes()).with_binding(request.binding))
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        let name = key_name(handle)?;
        self.keys().remove(name).map(drop).ok_or_else(unknown_key)
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        self.key(handle)?;
        let reference = KeyReference::named(NAME, handle.as_bytes()).map_err(|_| {
            ProviderError::InvalidHandle {
                reason: "it is not a key's name",
            }
        })?;
        Ok(KeyDescription::new(
            reference,
            NONCE_LEN + DataKey::LEN + TAG_LEN,
        ))
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom.fill(&mut nonce)?;
        let payload = Payload {
            msg: request.data_key.expose(),
            // Without the binding a wrapped key could be moved to another context.
            aad: request.binding,
        };
        let sealed = self
            .key(request.handle)?
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| ProviderError::Rejected)?;
        Ok(WrappedKey::from([&nonce[..], &sealed].concat()))
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        let (nonce, sealed) = request
            .wrapped
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(ProviderError::Rejected)?;
        let payload = Payload {
            msg: sealed,
            aad: request.binding,
        };
        let key = self
            .key(request.handle)?
            .decrypt(&Nonce::from(*nonce), payload)
            .map(zeroize::Zeroizing::new)
            .map_err(|_| ProviderError::Rejected)?;
        Ok(DataKey::from_bytes(&key)?)
    }

    fn generate_data_key(
        &self,
        request: GenerateDataKeyRequest<'_>,
    ) -> Result<GeneratedDataKey, ProviderError> {
        let data_key = FreshDataKey::generate(&SystemRandom)?;
        let wrapped = self.wrap_key(WrapRequest::new(
            request.handle,
            data_key.as_data_key(),
            request.binding,
        ))?;
        Ok(GeneratedDataKey::new(data_key, wrapped))
    }
}

impl KeyService {
    fn keys(&self) -> MutexGuard<'_, HashMap<String, Aes256Gcm>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, handle: &KeyHandle) -> Result<Aes256Gcm, ProviderError> {
        let name = key_name(handle)?;
        self.keys().get(name).cloned().ok_or_else(unknown_key)
    }
}

impl fmt::Debug for KeyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

fn key_name(handle: &KeyHandle) -> Result<&str, ProviderError> {
    std::str::from_utf8(handle.as_bytes()).map_err(|_| ProviderError::InvalidHandle {
        reason: "it is not a key's name",
    })
}

fn unknown_key() -> ProviderError {
    ProviderError::UnknownKey {
        provider: NAME.to_owned(),
    }
}

fn unsupported(operation: &'static str) -> ProviderError {
    ProviderError::Unsupported {
        provider: NAME.to_owned(),
        operation,
    }
}

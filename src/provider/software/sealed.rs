//! A root key that another provider keeps wrapped: an HSM, for a KMS whose keys are held by software.

use std::fmt;

use super::{Root, RootKey};
use crate::format::codec::Reader;
use crate::format::{KeyId, label};
use crate::provider::{
    CreateKeyRequest, KeyHandle, KeyProvider, ProviderError, UnwrapRequest, WrapRequest,
};
use crate::rng::SystemRandom;
use crate::secret::{DataKey, FreshDataKey};

/// A [`RootKey`] wrapped under a key of a provider, such as an HSM, to be stored where the program
/// starts from. Not secret; without the provider's key it is worth nothing.
///
/// The provider is asked once, when the root key is opened: from then on it is in this process, and
/// everything under it is as fast as software is. Where keys must never leave the HSM, give the HSM's
/// provider to the [`Kms`](crate::Kms) itself.
///
/// ```
/// use waxseal::{Kms, MemoryKeyStore, SealedRootKey, SoftwareKeyProvider};
///
/// # let hsm = SoftwareKeyProvider::generate()?;
/// let (root_key, sealed) = SealedRootKey::create(&hsm)?;
/// let to_store = sealed.to_bytes();
///
/// let sealed = SealedRootKey::from_bytes(&to_store)?;
/// let root_key = sealed.open(&hsm)?;
/// let kms = Kms::builder(MemoryKeyStore::new())
///     .provider(SoftwareKeyProvider::new(&root_key))
///     .open()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SealedRootKey {
    key_id: KeyId,
    handle: KeyHandle,
    wrapped: Box<[u8]>,
}

/// The bytes are no sealed root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no sealed root key; give the bytes that to_bytes returned")]
pub struct InvalidSealedRootKey;

const VERSION: u8 = 1;

impl SealedRootKey {
    /// Generates a root key, and wraps it under a key that it creates in `provider` for that alone.
    ///
    /// # Errors
    ///
    /// What the provider says, and [`ProviderError::Random`].
    pub fn create(provider: &dyn KeyProvider) -> Result<(RootKey, Self), ProviderError> {
        let request = CreateKeyRequest::default().with_binding(PURPOSE);
        let handle = provider.create_key(request)?;
        let sealed = Self::generate(provider, &handle);
        if sealed.is_err() {
            // It protects nothing, and failing here must not hide why.
            let _ = provider.destroy_key(&handle);
        }
        sealed
    }

    /// Wraps a root key that is there already, under a key of `provider`: it moves into the HSM's
    /// keeping, and all that is under it stays. Whoever had it before still has it.
    ///
    /// # Errors
    ///
    /// What the provider says.
    pub fn seal(
        root_key: &RootKey,
        provider: &dyn KeyProvider,
        handle: &KeyHandle,
    ) -> Result<Self, ProviderError> {
        let key_id = Root::new(root_key).key_id;
        let data_key = DataKey::from_bytes(root_key.expose())?;
        let binding = binding(key_id);
        let wrapped = provider.wrap_key(WrapRequest::new(handle, &data_key, &binding))?;
        Ok(Self {
            key_id,
            handle: handle.clone(),
            wrapped: wrapped.as_bytes().into(),
        })
    }

    fn generate(
        provider: &dyn KeyProvider,
        handle: &KeyHandle,
    ) -> Result<(RootKey, Self), ProviderError> {
        let fresh = FreshDataKey::generate(&SystemRandom)?;
        let root_key = RootKey::from_bytes(fresh.as_data_key().expose());
        let sealed = Self::seal(&root_key, provider, handle)?;
        Ok((root_key, sealed))
    }

    /// Has the provider unwrap the root key.
    ///
    /// # Errors
    ///
    /// What the provider says; [`ProviderError::Rejected`] when the bytes were changed, or another
    /// provider has a key of that handle.
    pub fn open(&self, provider: &dyn KeyProvider) -> Result<RootKey, ProviderError> {
        let binding = binding(self.key_id);
        let request = UnwrapRequest::new(&self.handle, &self.wrapped, &binding);
        let root_key = RootKey::from_bytes(provider.unwrap_key(request)?.expose());
        if Root::new(&root_key).key_id != self.key_id {
            return Err(ProviderError::Rejected);
        }
        Ok(root_key)
    }

    /// The handle of the provider's key.
    #[must_use]
    pub fn handle(&self) -> &KeyHandle {
        &self.handle
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.key_id.as_bytes());
        for part in [self.handle.as_bytes(), self.handle.binding(), &self.wrapped] {
            // Parts that are longer than that are no provider's, and are refused when they are read.
            let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// [`InvalidSealedRootKey`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSealedRootKey> {
        Self::read(bytes).ok_or(InvalidSealedRootKey)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8("").ok()? != VERSION {
            return None;
        }
        let key_id = KeyId::from_bytes(*reader.take_array("").ok()?);
        let mut part = || {
            let len = u16::from_be_bytes(*reader.take_array("").ok()?);
            reader.take(usize::from(len), "").ok()
        };
        let (handle, binding, wrapped) = (part()?, part()?, part()?);
        let is_whole = reader.is_empty() && !handle.is_empty() && !wrapped.is_empty();
        is_whole.then(|| Self {
            key_id,
            handle: KeyHandle::from_bytes(handle).with_binding(binding),
            wrapped: wrapped.into(),
        })
    }
}

impl fmt::Debug for SealedRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedRootKey({})", self.key_id)
    }
}

/// What the provider's key is for.
const PURPOSE: &[u8] = label!("sealed-root");

/// What the wrapped root key is bound to.
fn binding(key_id: KeyId) -> Vec<u8> {
    [label!("sealed-root-key"), key_id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::SoftwareKeyProvider;

    #[test]
    fn it_opens_with_its_provider_alone_and_unchanged() {
        let hsm = SoftwareKeyProvider::generate().unwrap();
        let (root_key, sealed) = SealedRootKey::create(&hsm).unwrap();
        let bytes = sealed.to_bytes();
        let read = SealedRootKey::from_bytes(&bytes).unwrap();
        assert_eq!(read, sealed);
        assert_eq!(read.open(&hsm).unwrap().expose(), root_key.expose());

        let other = SoftwareKeyProvider::generate().unwrap();
        assert!(read.open(&other).is_err());
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            let opened = SealedRootKey::from_bytes(&changed);
            assert!(
                opened.is_err() || opened.unwrap().open(&hsm).is_err(),
                "{place}"
            );
        }
        for len in 0..bytes.len() {
            assert!(SealedRootKey::from_bytes(&bytes[..len]).is_err(), "{len}");
        }
        assert!(SealedRootKey::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_root_key_that_is_there_moves_in() {
        let hsm = SoftwareKeyProvider::generate().unwrap();
        let handle = hsm.create_key(CreateKeyRequest::default()).unwrap();
        let root_key = RootKey::from_bytes(&[0x91; 32]);
        let sealed = SealedRootKey::seal(&root_key, &hsm, &handle).unwrap();
        assert_eq!(sealed.open(&hsm).unwrap().expose(), root_key.expose());
    }
}

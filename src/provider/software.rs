//! Keys in this process, under a root key.

mod key_text;
mod passphrase;
mod root_key;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

pub use key_text::KeyTextError;
pub use passphrase::{InvalidPassphraseRecord, PassphraseCosts, PassphraseRecord};
pub use root_key::{RootKey, RootKeyError};
use smallvec::SmallVec;
use zeroize::Zeroizing;

use super::{
    Capabilities, CreateKeyRequest, GenerateDataKeyRequest, GeneratedDataKey, KeyDescription,
    KeyHandle, KeyMaterial, KeyProvider, KeySpec, ProviderError, UnwrapRequest, WrapRequest,
    WrappedKey,
};
use crate::crypto::{Expand, KEY_LEN, KeyWrap, WRAPPED_LEN};
use crate::format::codec::Reader;
use crate::format::{KeyId, KeyReference, KeyVersion, label};
use crate::rng::{RandomSource, SystemRandom};
use crate::secret::DataKey;

/// Keys held by this process under a 32-byte [`RootKey`].
///
/// The root key itself wraps data keys, by the handle [`root_handle`](Self::root_handle). Further
/// keys, made with `create_key`, are random and live in their handles, wrapped under the root key:
/// the provider keeps no state, so every instance with the same root key can use them.
///
/// A key that was destroyed is refused by this instance and its clones. It is gone when the last
/// stored copy of its handle is erased.
///
/// ```
/// use waxseal::{CreateKeyRequest, KeyProvider, RootKey, SingleKeyring, SoftwareKeyProvider};
///
/// let provider = SoftwareKeyProvider::new(&RootKey::generate()?);
/// let handle = provider.create_key(CreateKeyRequest::default())?;
/// let keyring = SingleKeyring::new(provider, handle)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SoftwareKeyProvider {
    root: Arc<Root>,
    random: Arc<dyn RandomSource>,
    destroyed: Arc<RwLock<HashSet<KeyId>>>,
}

/// What is derived from the root key, once.
struct Root {
    key_id: KeyId,
    data_keys: KeyWrap,
    handles: KeyWrap,
}

impl SoftwareKeyProvider {
    const NAME: &str = "software";

    /// Takes a root key.
    #[must_use]
    pub fn new(root_key: &RootKey) -> Self {
        let expand = Expand::new(root_key.expose());
        Self {
            root: Arc::new(Root {
                key_id: KeyId::from_bytes(*expand.derive(&[label!("key-id")])),
                data_keys: KeyWrap::new(&expand.derive(&[label!("kek-wrap")])),
                handles: KeyWrap::new(&expand.derive(&[label!("kek-handle")])),
            }),
            random: Arc::new(SystemRandom),
            destroyed: Arc::default(),
        }
    }

    /// Generates a root key that nobody stores: what is sealed under it is lost with the process.
    ///
    /// For tests and for data that must not outlive the process; otherwise see [`RootKey`].
    ///
    /// # Errors
    ///
    /// [`RootKeyError::Random`] when the operating system gives no randomness.
    pub fn generate() -> Result<Self, RootKeyError> {
        Ok(Self::new(&RootKey::generate()?))
    }

    /// Takes the keys that `create_key` makes from `random` in place of [`SystemRandom`].
    #[must_use]
    pub fn with_random_source(mut self, random: impl RandomSource + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// The handle of the root key itself.
    #[must_use]
    pub fn root_handle(&self) -> KeyHandle {
        let mut bytes = vec![HANDLE_ROOT];
        bytes.extend_from_slice(self.root.key_id.as_bytes());
        KeyHandle::from_bytes(bytes)
    }

    /// What `describe_key` says of the root key.
    pub(crate) fn describe_root(&self) -> KeyDescription {
        describe(self.root.key_id)
    }

    /// Finds the key of a handle and calls `action` with it.
    fn with_key<T>(
        &self,
        handle: &KeyHandle,
        action: impl FnOnce(&KeyWrap) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        match self.parse(handle)? {
            ParsedHandle::Root => action(&self.root.data_keys),
            ParsedHandle::Created { key_id, wrapped } => {
                let key = self
                    .root
                    .handles
                    .unwrap(&handle_aad(self.root.key_id, key_id), wrapped)
                    .map_err(|_| CHANGED_HANDLE)?;
                action(&KeyWrap::new(
                    &Expand::new(&key).derive(&[label!("kek-wrap")]),
                ))
            }
        }
    }

    /// Reads a handle of this root key whose key was not destroyed; does not unwrap it.
    fn parse<'h>(&self, handle: &'h KeyHandle) -> Result<ParsedHandle<'h>, ProviderError> {
        let (root_id, parsed) = ParsedHandle::read(handle).ok_or(ProviderError::InvalidHandle {
            reason: "its length or first byte is not that of a software key's handle",
        })?;
        if root_id != self.root.key_id {
            return Err(ProviderError::OtherRootKey);
        }
        if let ParsedHandle::Created { key_id, .. } = parsed {
            let destroyed = self
                .destroyed
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if destroyed.contains(&key_id) {
                return Err(ProviderError::KeyDestroyed);
            }
        }
        Ok(parsed)
    }
}

impl KeyProvider for SoftwareKeyProvider {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(KeyMaterial::InHandle).with_immediate_answers()
    }

    fn create_key(&self, request: CreateKeyRequest) -> Result<KeyHandle, ProviderError> {
        let KeySpec::Wrapping256 = request.spec;
        let mut key_id = [0; 16];
        self.random.fill(&mut key_id)?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        self.random.fill(key.as_mut_slice())?;
        let aad = handle_aad(self.root.key_id, KeyId::from_bytes(key_id));
        let wrapped = self.root.handles.wrap(&aad, &key);
        let mut bytes = vec![HANDLE_CREATED];
        bytes.extend_from_slice(self.root.key_id.as_bytes());
        bytes.extend_from_slice(&key_id);
        bytes.extend_from_slice(&wrapped);
        Ok(KeyHandle::from_bytes(bytes))
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        self.with_key(handle, |_| Ok(()))?;
        match self.parse(handle)? {
            ParsedHandle::Root => Err(ProviderError::Unsupported {
                provider: Self::NAME.to_owned(),
                operation: "destroy its root key: erase the root key where it is stored",
            }),
            ParsedHandle::Created { key_id, .. } => {
                self.destroyed
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key_id);
                Ok(())
            }
        }
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        self.with_key(handle, |_| Ok(()))?;
        Ok(describe(match self.parse(handle)? {
            ParsedHandle::Root => self.root.key_id,
            ParsedHandle::Created { key_id, .. } => key_id,
        }))
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        self.with_key(request.handle, |key| {
            let wrapped = key.wrap(request.binding, request.data_key.expose());
            Ok(WrappedKey::from(wrapped.as_slice()))
        })
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        let wrapped: &[u8; WRAPPED_LEN] = request
            .wrapped
            .try_into()
            .map_err(|_| ProviderError::Rejected)?;
        self.with_key(request.handle, |key| {
            key.unwrap(request.binding, wrapped)
                .map(DataKey::from)
                .map_err(|_| ProviderError::Rejected)
        })
    }

    fn generate_data_key(
        &self,
        _request: GenerateDataKeyRequest<'_>,
    ) -> Result<GeneratedDataKey, ProviderError> {
        Err(ProviderError::Unsupported {
            provider: Self::NAME.to_owned(),
            operation: "generate data keys: this process does",
        })
    }
}

impl fmt::Debug for SoftwareKeyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareKeyProvider(root key {})", self.root.key_id)
    }
}

/// The handle of the root key: this byte, root key id.
const HANDLE_ROOT: u8 = 0;
/// The handle of a created key: this byte, root key id, key id, wrapped key.
const HANDLE_CREATED: u8 = 1;

const CHANGED_HANDLE: ProviderError = ProviderError::InvalidHandle {
    reason: "its bytes were changed",
};

enum ParsedHandle<'h> {
    Root,
    Created {
        key_id: KeyId,
        wrapped: &'h [u8; WRAPPED_LEN],
    },
}

impl<'h> ParsedHandle<'h> {
    fn read(handle: &'h KeyHandle) -> Option<(KeyId, Self)> {
        let mut reader = Reader::new(handle.as_bytes());
        let kind = reader.u8("").ok()?;
        let root_id = KeyId::from_bytes(*reader.take_array("").ok()?);
        let parsed = match kind {
            HANDLE_ROOT => Self::Root,
            HANDLE_CREATED => Self::Created {
                key_id: KeyId::from_bytes(*reader.take_array("").ok()?),
                wrapped: reader.take_array("").ok()?,
            },
            _ => return None,
        };
        reader.is_empty().then_some((root_id, parsed))
    }
}

fn handle_aad(root_id: KeyId, key_id: KeyId) -> SmallVec<[u8; 64]> {
    let mut aad = SmallVec::from_slice(label!("handle"));
    aad.push(HANDLE_CREATED);
    aad.extend_from_slice(root_id.as_bytes());
    aad.extend_from_slice(key_id.as_bytes());
    aad
}

fn describe(key_id: KeyId) -> KeyDescription {
    KeyDescription::new(
        KeyReference::software(key_id, KeyVersion::FIRST),
        WRAPPED_LEN,
    )
}

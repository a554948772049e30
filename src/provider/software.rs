//! Keys in this process, under a root key.

mod kept;
mod key_cache;
mod key_text;
mod layout;
mod material;
mod passphrase;
mod root_key;
mod sealed;

use std::fmt;
use std::sync::Arc;

pub use key_cache::KeyCacheStats;
pub use key_text::KeyTextError;
pub use passphrase::{InvalidPassphraseRecord, PassphraseCosts, PassphraseRecord};
pub use root_key::{RootKey, RootKeyError};
pub use sealed::{InvalidSealedRootKey, SealedRootKey};

use self::kept::Kept;
use self::layout::{CreatedKey, ParsedHandle, ParsedKey};
use self::material::Material;
use super::{
    Capabilities, CreateKeyRequest, ImportKeyRequest, KeyDescription, KeyHandle, KeyMaterial,
    KeyProvider, KeySpec, KeySpecs, Mac, MacRequest, ProviderError, PublicKey, SignRequest,
    Signature, UnwrapRequest, WrapRequest, WrappedKey, unsupported,
};
use crate::crypto::{
    Expand, KEY_LEN, KeyPairFailure, KeyWrap, MacAlgorithm, MaterialWrap, SigningKey, WRAPPED_LEN,
    mac,
};
use crate::fork::PerProcess;
use crate::format::{KeyId, KeyReference, KeyVersion, label};
use crate::rng::{RandomSource, SystemRandom};
use crate::secret::DataKey;

/// Keys held by this process under a 32-byte [`RootKey`].
///
/// The root key itself wraps data keys, by the handle [`root_handle`](Self::root_handle). Further
/// keys, of every [`KeySpec`](super::KeySpec), are created at random or imported, and live in their
/// handles, wrapped under the root key: every instance with the same root key can use them.
///
/// A key that was destroyed is refused by this instance and its clones. It is gone when the last
/// stored copy of its handle is erased.
///
/// # Kept keys
///
/// Unwrapped wrapping keys are kept, 1,024 of them unless
/// [`with_key_cache`](Self::with_key_cache) says otherwise, so that using one again costs less than
/// unwrapping it. A kept key answers for exactly the handle and binding that it was unwrapped from.
/// It takes 470 bytes, of memory that is locked where the operating system allows, so that it is
/// not swapped out ([`key_cache_stats`](Self::key_cache_stats) tells); its handle, binding and place
/// in the index take some 300 more. Memory is taken as keys come, in pieces of 16 KiB. A key is
/// erased when it makes room for another, when it is destroyed, and when the last clone is dropped.
/// A forked child erases the keys that it inherits, of which the locks are not, and begins with
/// none.
///
/// Private keys and keys for MACs are not kept: they are unwrapped for each use.
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
    /// Other roots, whose handles are taken too.
    others: Arc<[Root]>,
    random: Arc<dyn RandomSource>,
    kept: Arc<PerProcess<Kept>>,
}

/// What is derived from a root key, once.
#[derive(Clone)]
struct Root {
    key_id: KeyId,
    data_keys: Arc<KeyWrap>,
    handles: Arc<MaterialWrap>,
}

impl SoftwareKeyProvider {
    const NAME: &str = "software";
    const KEPT_KEYS: usize = 1024;

    /// Takes a root key.
    #[must_use]
    pub fn new(root_key: &RootKey) -> Self {
        Self {
            root: Arc::new(Root::new(root_key)),
            others: Arc::from([]),
            random: Arc::new(SystemRandom),
            kept: Arc::new(PerProcess::new(Kept::new(Self::KEPT_KEYS))),
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

    /// Takes handles under another root key too; what it creates stays under its own. This is how a
    /// root key is replaced: see [`KmsHandle::rekey_root`](crate::KmsHandle::rekey_root).
    #[must_use]
    pub fn with_other_root(mut self, root_key: &RootKey) -> Self {
        let others = self.others.iter().cloned();
        self.others = others.chain([Root::new(root_key)]).collect();
        self
    }

    /// Takes the keys that `create_key` makes from `random` in place of [`SystemRandom`].
    #[must_use]
    pub fn with_random_source(mut self, random: impl RandomSource + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Keeps at most `keys` unwrapped keys, in this instance and its clones; 0 keeps none. Those
    /// kept so far are dropped.
    #[must_use]
    pub fn with_key_cache(self, keys: usize) -> Self {
        self.kept.get().cache.set_capacity(keys);
        self
    }

    /// What is kept of unwrapped keys.
    #[must_use]
    pub fn key_cache_stats(&self) -> KeyCacheStats {
        self.kept.get().cache.stats()
    }

    /// The handle of the root key itself.
    #[must_use]
    pub fn root_handle(&self) -> KeyHandle {
        layout::root_handle(self.root.key_id)
    }

    /// Puts a key under another root key: gives the handle by which `to` has the same key, with
    /// the same [reference](KeyDescription::reference) and the same binding. The old handle stays
    /// valid here.
    ///
    /// # Errors
    ///
    /// As [`wrap_key`](KeyProvider::wrap_key), and [`ProviderError::Unsupported`] for the root key
    /// itself.
    pub fn move_key(&self, handle: &KeyHandle, to: &Self) -> Result<KeyHandle, ProviderError> {
        match self.parse(handle)? {
            (_, ParsedKey::Root) => Err(unsupported(self, "move its root key")),
            (root, ParsedKey::Created(key)) => {
                let material = self.unwrap_material(root, key)?;
                Ok(to.issue(key.key_id, key.spec, &material, handle.binding()))
            }
        }
    }

    /// The id of the key of a handle, if it has the shape of a software handle: the same under every
    /// root key.
    pub(crate) fn key_id_of(handle: &KeyHandle) -> Option<KeyId> {
        match ParsedHandle::read(handle).ok()?.key {
            ParsedKey::Root => None,
            ParsedKey::Created(key) => Some(key.key_id),
        }
    }

    /// Whether a handle is under the root key that new keys are under.
    pub(crate) fn is_under_own_root(&self, handle: &KeyHandle) -> Result<bool, ProviderError> {
        let (root, _) = self.parse(handle)?;
        Ok(root.key_id == self.root.key_id)
    }

    /// What `describe_key` says of the root key.
    pub(crate) fn describe_root(&self) -> KeyDescription {
        self.root.describe()
    }

    /// Finds the wrapping key of a handle and calls `action` with it.
    fn with_wrapping_key<T>(
        &self,
        handle: &KeyHandle,
        action: impl Fn(&KeyWrap) -> T,
    ) -> Result<T, ProviderError> {
        let (root, key) = match self.parse(handle)? {
            (root, ParsedKey::Root) => return Ok(action(&root.data_keys)),
            (root, ParsedKey::Created(key)) => (root, key),
        };
        let kept = self.kept.get();
        if let Some(result) = kept.cache.with_key(key.key_id, handle, &action) {
            return Ok(result);
        }
        let material = self.unwrap_material(root, key)?;
        let material: &[u8; KEY_LEN] = match material.as_slice().try_into() {
            Ok(material) if key.spec.wraps() => material,
            _ => return Err(wrong_spec(key.spec, "wrap data keys")),
        };
        let wrap = KeyWrap::new(&Expand::new(material).derive(&[label!("kek-wrap")]));
        let result = action(&wrap);
        kept.cache.insert(key.key_id, handle, wrap, || {
            kept.destroyed.contains(key.key_id)
        });
        Ok(result)
    }

    /// Finds the private key of a handle.
    fn signing_key(
        &self,
        handle: &KeyHandle,
        operation: &'static str,
    ) -> Result<(KeySpec, SigningKey), ProviderError> {
        let (spec, material) = self.open(handle)?;
        let kind = spec.key_pair().ok_or(wrong_spec(spec, operation))?;
        let key = SigningKey::from_pkcs8(kind, &material).map_err(|_| CHANGED_HANDLE)?;
        Ok((spec, key))
    }

    /// Finds the key for MACs of a handle.
    fn mac_key(&self, handle: &KeyHandle) -> Result<(MacAlgorithm, Material), ProviderError> {
        let (spec, material) = self.open(handle)?;
        let algorithm = spec.mac_algorithm();
        Ok((algorithm.ok_or(wrong_spec(spec, "make MACs"))?, material))
    }

    /// Unwraps the key of a handle that is used for anything but wrapping.
    fn open(&self, handle: &KeyHandle) -> Result<(KeySpec, Material), ProviderError> {
        match self.parse(handle)? {
            (_, ParsedKey::Root) => Ok((KeySpec::Wrapping256, Material::default())),
            (root, ParsedKey::Created(key)) => Ok((key.spec, self.unwrap_material(root, key)?)),
        }
    }

    /// Reads a handle of one of the root keys; does not unwrap it.
    fn parse<'h>(&self, handle: &'h KeyHandle) -> Result<(&Root, ParsedKey<'h>), ProviderError> {
        let parsed = ParsedHandle::read(handle)?;
        if parsed.root_id == self.root.key_id {
            return Ok((&self.root, parsed.key));
        }
        let mut others = self.others.iter();
        let root = others
            .find(|root| root.key_id == parsed.root_id)
            .ok_or(ProviderError::OtherRootKey)?;
        Ok((root, parsed.key))
    }

    fn unwrap_material(&self, root: &Root, key: CreatedKey<'_>) -> Result<Material, ProviderError> {
        if self.kept.get().destroyed.contains(key.key_id) {
            return Err(ProviderError::KeyDestroyed);
        }
        root.handles
            .unwrap(&key.aad(), key.wrapped)
            .map_err(|_| CHANGED_HANDLE)
    }

    fn issue(&self, key_id: KeyId, spec: KeySpec, material: &[u8], binding: &[u8]) -> KeyHandle {
        let mut bytes = layout::named(self.root.key_id, key_id, spec);
        let aad = layout::aad(&bytes, binding);
        bytes.extend(self.root.handles.wrap(&aad, material));
        KeyHandle::from_bytes(bytes).with_binding(binding)
    }

    fn new_key_id(&self) -> Result<KeyId, ProviderError> {
        let mut key_id = [0; 16];
        self.random.fill(&mut key_id)?;
        Ok(KeyId::from_bytes(key_id))
    }
}

impl Root {
    fn new(root_key: &RootKey) -> Self {
        let expand = Expand::new(root_key.expose());
        Self {
            key_id: KeyId::from_bytes(*expand.derive(&[label!("key-id")])),
            data_keys: Arc::new(KeyWrap::new(&expand.derive(&[label!("kek-wrap")]))),
            handles: Arc::new(MaterialWrap::new(&expand.derive(&[label!("kek-handle")]))),
        }
    }

    fn describe(&self) -> KeyDescription {
        KeyDescription::new(reference(self.key_id), WRAPPED_LEN)
    }
}

impl KeyProvider for SoftwareKeyProvider {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            creates: KeySpecs::ALL,
            imports: KeySpecs::ALL,
            max_wrapped_len: WRAPPED_LEN,
            ..Capabilities::new(KeyMaterial::InHandle).with_immediate_answers()
        }
    }

    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        let key_id = self.new_key_id()?;
        let material = material::generate(request.spec, &*self.random).map_err(failed)?;
        Ok(self.issue(key_id, request.spec, &material, request.binding))
    }

    fn import_key(&self, request: ImportKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        let material = material::import(request.spec, request.material, &*self.random)?;
        let key_id = self.new_key_id()?;
        Ok(self.issue(key_id, request.spec, &material, request.binding))
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        match self.parse(handle)? {
            (_, ParsedKey::Root) => Err(unsupported(
                self,
                "destroy its root key: erase the root key where it is stored",
            )),
            (root, ParsedKey::Created(key)) => {
                self.unwrap_material(root, key)?;
                self.kept.get().destroy(key.key_id);
                Ok(())
            }
        }
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        match self.parse(handle)? {
            (root, ParsedKey::Root) => Ok(root.describe()),
            (root, ParsedKey::Created(key)) => {
                self.unwrap_material(root, key)?;
                let reference = reference(key.key_id);
                Ok(if key.spec.wraps() {
                    KeyDescription::new(reference, WRAPPED_LEN)
                } else {
                    KeyDescription::of_spec(reference, key.spec)
                })
            }
        }
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        self.with_wrapping_key(request.handle, |key| {
            let wrapped = key.wrap(request.binding, request.data_key.expose());
            WrappedKey::from(wrapped.as_slice())
        })
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        let wrapped: &[u8; WRAPPED_LEN] = request
            .wrapped
            .try_into()
            .map_err(|_| ProviderError::Rejected)?;
        self.with_wrapping_key(request.handle, |key| key.unwrap(request.binding, wrapped))?
            .map(DataKey::from)
            .map_err(|_| ProviderError::Rejected)
    }

    fn sign(&self, request: SignRequest<'_>) -> Result<Signature, ProviderError> {
        let (spec, key) = self.signing_key(request.handle, "sign")?;
        spec.check_signs(request.algorithm, request.message)?;
        key.sign(request.algorithm, request.message, &*self.random)
            .map(Signature::from_bytes)
            .map_err(failed)
    }

    fn public_key(&self, handle: &KeyHandle) -> Result<PublicKey, ProviderError> {
        let (_, key) = self.signing_key(handle, "have a public key")?;
        PublicKey::from_verifying_key(key.verifying_key()).map_err(|_| CHANGED_HANDLE)
    }

    fn generate_mac(&self, request: MacRequest<'_>) -> Result<Mac, ProviderError> {
        let (algorithm, key) = self.mac_key(request.handle)?;
        Ok(Mac::from_bytes(&mac(algorithm, &key, request.message)))
    }
}

impl fmt::Debug for SoftwareKeyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareKeyProvider(root key {})", self.root.key_id)
    }
}

const CHANGED_HANDLE: ProviderError = ProviderError::InvalidHandle {
    reason: "its bytes were changed, or its key was created for another purpose than stated",
};

/// A private key that was checked when it came in fails by a fault of the machine alone.
fn failed(failure: KeyPairFailure) -> ProviderError {
    match failure {
        KeyPairFailure::Random(error) => error.into(),
        KeyPairFailure::Rejected => ProviderError::Unavailable {
            provider: SoftwareKeyProvider::NAME.to_owned(),
            source: "a computation with a private key gave a wrong result".into(),
        },
    }
}

fn wrong_spec(spec: KeySpec, operation: &'static str) -> ProviderError {
    ProviderError::WrongSpec { spec, operation }
}

fn reference(key_id: KeyId) -> KeyReference {
    KeyReference::software(key_id, KeyVersion::FIRST)
}

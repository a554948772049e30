//! Where keys live: [`KeyProvider`] and the requests it answers.

mod error;
mod handle;
mod software;

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

pub use error::ProviderError;
pub use handle::KeyHandle;
pub use software::{
    InvalidPassphraseRecord, KeyTextError, PassphraseCosts, PassphraseRecord, RootKey,
    RootKeyError, SoftwareKeyProvider,
};

use crate::format::KeyReference;
use crate::secret::{DataKey, FreshDataKey};

/// Keys that never leave where they live, used through handles.
///
/// # Contract
///
/// - **Handles.** [`create_key`](Self::create_key) issues a [`KeyHandle`], opaque bytes that the
///   caller stores and gives back with every call. They are not secret: for a software key the
///   handle is the key wrapped under the root key, for an HSM the object's id, for a service the
///   key's name. A handle that this provider did not issue is an error, never another key.
/// - **Reference.** [`describe_key`](Self::describe_key) says how messages name the key. It is
///   stable for the life of the key, and no two keys share one. A provider outside this crate
///   uses [`KeyReference::named`].
/// - **Binding.** `wrap_key` and `unwrap_key` are given `binding`: bytes made by this crate from
///   the key's reference and the encryption context. The provider **must** bind them, as the
///   associated data of an AEAD or in a way as strong: a key that was wrapped with one binding
///   must not unwrap with another.
/// - **Round trip.** What `wrap_key` returned unwraps to the same data key with the same handle
///   and binding, now and for as long as the key exists, on any instance with the same keys.
/// - **Refusal.** A wrapped key that does not unwrap is [`ProviderError::Rejected`], whatever the
///   reason. An outage is [`ProviderError::Unavailable`] and never `Rejected`: callers give up on
///   the one and retry the other.
/// - **Durability.** When `create_key` has returned, no crash loses the key; when `destroy_key`
///   has returned, no crash brings it back.
/// - **Secrecy.** No error, log line or `Debug` output holds key bytes.
/// - **Blocking.** Calls may block on hardware or a network, and may come from many threads.
pub trait KeyProvider: fmt::Debug + Send + Sync {
    /// The provider's name, as errors and inspections show it: `software`, for instance.
    fn name(&self) -> &str;

    /// What the provider can do, known before it is asked to.
    fn capabilities(&self) -> Capabilities;

    /// Creates a key and returns the handle to store.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Unsupported`] for a kind of key that the provider does not make, and the
    /// provider's own failures.
    fn create_key(&self, request: CreateKeyRequest) -> Result<KeyHandle, ProviderError>;

    /// Destroys a key for good: after this no call with `handle` succeeds.
    ///
    /// Where [`Capabilities::key_material`] is [`KeyMaterial::InHandle`], the handle is the key:
    /// the provider refuses it from now on, and the key is gone when every stored copy of the
    /// handle is erased.
    ///
    /// # Errors
    ///
    /// [`ProviderError::InvalidHandle`], [`ProviderError::UnknownKey`], or the provider's own
    /// failures, after which the key still exists.
    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError>;

    /// How messages name the key, and how long what it wraps is.
    ///
    /// # Errors
    ///
    /// As [`wrap_key`](Self::wrap_key).
    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError>;

    /// Wraps a data key under the key of the handle.
    ///
    /// # Errors
    ///
    /// [`ProviderError::InvalidHandle`], [`ProviderError::UnknownKey`],
    /// [`ProviderError::KeyDestroyed`], [`ProviderError::Denied`] or
    /// [`ProviderError::Unavailable`].
    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError>;

    /// Unwraps what [`wrap_key`](Self::wrap_key) returned.
    ///
    /// # Errors
    ///
    /// As `wrap_key`, and [`ProviderError::Rejected`] when it does not unwrap, for whatever
    /// cryptographic reason.
    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError>;

    /// Generates a data key and wraps it, in one step. Called only where
    /// [`Capabilities::generates_data_keys`]; otherwise data keys are generated in this process.
    ///
    /// # Errors
    ///
    /// As `wrap_key`, and [`ProviderError::Unsupported`] where the capability is missing.
    fn generate_data_key(
        &self,
        request: GenerateDataKeyRequest<'_>,
    ) -> Result<GeneratedDataKey, ProviderError>;
}

/// What a provider can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether the provider generates data keys with a random generator of its own.
    pub generates_data_keys: bool,
    /// Whether wrapping, unwrapping and generating never block: they only compute.
    pub answers_at_once: bool,
    /// Where the keys themselves are.
    pub key_material: KeyMaterial,
}

impl Capabilities {
    /// The capabilities of a provider that creates keys, wraps and unwraps, and no more.
    #[must_use]
    pub fn new(key_material: KeyMaterial) -> Self {
        Self {
            generates_data_keys: false,
            answers_at_once: false,
            key_material,
        }
    }

    /// Says that the provider generates data keys.
    #[must_use]
    pub fn with_data_key_generation(mut self) -> Self {
        self.generates_data_keys = true;
        self
    }

    /// Says that wrapping, unwrapping and generating never block.
    #[must_use]
    pub fn with_immediate_answers(mut self) -> Self {
        self.answers_at_once = true;
        self
    }
}

/// Where a provider's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyMaterial {
    /// In the provider: losing the handle loses the way to the key, not the key.
    InProvider,
    /// In the handle, wrapped: losing the handle loses the key.
    InHandle,
}

/// Asks for a new key.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CreateKeyRequest {
    /// The kind of key.
    pub spec: KeySpec,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeySpec {
    /// A symmetric key of 256 bits that wraps data keys.
    #[default]
    Wrapping256,
}

/// What a provider says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyDescription {
    /// How messages name the key.
    pub reference: KeyReference,
    /// The length of a wrapped data key, in bytes; where it varies, the largest.
    pub wrapped_len: usize,
}

impl KeyDescription {
    /// Describes a key; `wrapped_len` is the length of what it wraps, in bytes, at the most.
    #[must_use]
    pub fn new(reference: KeyReference, wrapped_len: usize) -> Self {
        Self {
            reference,
            wrapped_len,
        }
    }
}

/// Asks to wrap a data key.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WrapRequest<'a> {
    /// The key to wrap under.
    pub handle: &'a KeyHandle,
    /// The data key to wrap.
    pub data_key: &'a DataKey,
    /// What the wrapped key must be bound to: 64 to 600 bytes, not secret.
    pub binding: &'a [u8],
}

impl<'a> WrapRequest<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(handle: &'a KeyHandle, data_key: &'a DataKey, binding: &'a [u8]) -> Self {
        Self {
            handle,
            data_key,
            binding,
        }
    }
}

/// Asks to unwrap a data key.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct UnwrapRequest<'a> {
    /// The key that it was wrapped under.
    pub handle: &'a KeyHandle,
    /// The wrapped data key: untrusted bytes of any length.
    pub wrapped: &'a [u8],
    /// What it must be bound to.
    pub binding: &'a [u8],
}

impl<'a> UnwrapRequest<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(handle: &'a KeyHandle, wrapped: &'a [u8], binding: &'a [u8]) -> Self {
        Self {
            handle,
            wrapped,
            binding,
        }
    }
}

/// Asks for a new data key and its wrapped form.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct GenerateDataKeyRequest<'a> {
    /// The key to wrap under.
    pub handle: &'a KeyHandle,
    /// What the wrapped key must be bound to.
    pub binding: &'a [u8],
}

impl<'a> GenerateDataKeyRequest<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(handle: &'a KeyHandle, binding: &'a [u8]) -> Self {
        Self { handle, binding }
    }
}

/// A new data key and its wrapped form.
#[derive(Debug)]
#[non_exhaustive]
pub struct GeneratedDataKey {
    /// The data key, used for nothing yet.
    pub data_key: FreshDataKey,
    /// The same, wrapped.
    pub wrapped: WrappedKey,
}

impl GeneratedDataKey {
    /// Puts the two forms together.
    #[must_use]
    pub fn new(data_key: FreshDataKey, wrapped: WrappedKey) -> Self {
        Self { data_key, wrapped }
    }
}

/// A data key as a provider wrapped it. Not secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey(SmallVec<[u8; 96]>);

impl WrappedKey {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for WrappedKey {
    fn from(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }
}

impl From<Vec<u8>> for WrappedKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self(SmallVec::from_vec(bytes))
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({} bytes)", self.0.len())
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: KeyProvider + ?Sized> KeyProvider for $pointer<T> {
            fn name(&self) -> &str {
                (**self).name()
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            fn create_key(&self, request: CreateKeyRequest) -> Result<KeyHandle, ProviderError> {
                (**self).create_key(request)
            }

            fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
                (**self).destroy_key(handle)
            }

            fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
                (**self).describe_key(handle)
            }

            fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
                (**self).wrap_key(request)
            }

            fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
                (**self).unwrap_key(request)
            }

            fn generate_data_key(
                &self,
                request: GenerateDataKeyRequest<'_>,
            ) -> Result<GeneratedDataKey, ProviderError> {
                (**self).generate_data_key(request)
            }
        }
    )*};
}

forward_to_pointee!(Arc, Box);

//! Where keys live: [`KeyProvider`] and the requests it answers.

mod answer;
mod capabilities;
mod error;
mod handle;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod public_key;
mod request;
mod software;
mod spec;

use std::fmt;
use std::sync::Arc;

pub use answer::{GeneratedDataKey, KeyDescription, Mac, Signature, WrappedKey};
pub use capabilities::{Capabilities, KeyMaterial};
pub use error::{ProviderError, SigningMismatch};
pub use handle::KeyHandle;
pub use public_key::{InvalidPublicKey, PublicKey, VerifyError};
pub use request::{
    CreateKeyRequest, GenerateDataKeyRequest, ImportKeyRequest, MacRequest, SignRequest,
    UnwrapRequest, WrapRequest,
};
pub use software::{
    InvalidPassphraseRecord, InvalidSealedRootKey, KeyCacheStats, KeyTextError, PassphraseCosts,
    PassphraseRecord, RootKey, RootKeyError, SealedRootKey, SoftwareKeyProvider,
};
pub use spec::{KeySpec, KeySpecs};

use crate::secret::DataKey;

/// Keys that never leave where they live, used through handles.
///
/// # Contract
///
/// - **Handles.** [`create_key`](Self::create_key) issues a [`KeyHandle`], opaque bytes that the
///   caller stores and gives back with every call. They are not secret: for a software key the
///   handle is the key wrapped under the root key, for an HSM the object's id, for a service the
///   key's name. A handle that this provider did not issue is an error, never another key.
/// - **Purpose.** A key is created or imported with a binding, which may be empty. A provider whose
///   keys are in their handles **must** refuse a handle that [states](KeyHandle::binding) another;
///   where keys are in the provider it should, if it can keep the binding with the key.
/// - **Reference.** [`describe_key`](Self::describe_key) says how messages name the key. It is
///   stable for the life of the key, and no two keys share one. A provider outside this crate
///   uses [`KeyReference::named`](crate::KeyReference::named).
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
/// - **Capabilities.** What [`capabilities`](Self::capabilities) claims works; anything else is
///   [`ProviderError::Unsupported`]. The methods from `generate_data_key` on answer so by default:
///   a provider implements those whose capability it has. A wrapper forwards all of them, which
///   `#[deny(clippy::missing_trait_methods)]` on its `impl` checks.
pub trait KeyProvider: fmt::Debug + Send + Sync {
    /// The provider's name, as errors and inspections show it: `software`, for instance.
    fn name(&self) -> &str;

    /// What the provider can do, known before it is asked to.
    fn capabilities(&self) -> Capabilities;

    /// Whether the provider can be reached, as far as it knows without waiting for long. It is asked
    /// where that is told ([`KeyState::Unavailable`](crate::KeyState::Unavailable)), and not before
    /// each use: the use itself says so.
    fn is_available(&self) -> bool {
        true
    }

    /// Creates a key of one of the [kinds](Capabilities::creates) that the provider creates, and
    /// returns the handle to store, with its binding stated.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Unsupported`] for another kind of key, and the provider's own failures.
    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError>;

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

    /// How messages name the key, of what kind it is, and how long what it wraps is.
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
    /// [`ProviderError::KeyDestroyed`], [`ProviderError::WrongSpec`] for a key that does not wrap,
    /// [`ProviderError::Denied`] or [`ProviderError::Unavailable`].
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
    ) -> Result<GeneratedDataKey, ProviderError> {
        let _ = request;
        Err(unsupported(self, "generate data keys"))
    }

    /// Takes in a key of one of the [kinds](Capabilities::imports) that the provider imports, and
    /// returns the handle to store, with its binding stated. Two imports of the same key are two
    /// keys to the provider.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Unsupported`] for another kind of key,
    /// [`ProviderError::InvalidKeyMaterial`], and the provider's own failures.
    fn import_key(&self, request: ImportKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        let _ = request;
        Err(unsupported(self, "import keys"))
    }

    /// Signs a message, or its digest.
    ///
    /// # Errors
    ///
    /// As `wrap_key`, [`ProviderError::WrongSpec`] for a key that does not sign,
    /// [`ProviderError::Signing`] for an algorithm or a digest that does not fit the key, and
    /// [`ProviderError::Unsupported`].
    fn sign(&self, request: SignRequest<'_>) -> Result<Signature, ProviderError> {
        let _ = request;
        Err(unsupported(self, "sign"))
    }

    /// The public half of a key that signs.
    ///
    /// # Errors
    ///
    /// As `wrap_key`, [`ProviderError::WrongSpec`] for a key that has no public half, and
    /// [`ProviderError::Unsupported`].
    fn public_key(&self, handle: &KeyHandle) -> Result<PublicKey, ProviderError> {
        let _ = handle;
        Err(unsupported(self, "give out public keys"))
    }

    /// Makes the MAC of a message, as long as the key's [algorithm](KeySpec::mac_algorithm) says. Who
    /// has a MAC to verify makes it again and compares the two.
    ///
    /// # Errors
    ///
    /// As `wrap_key`, [`ProviderError::WrongSpec`] for a key that makes no MACs, and
    /// [`ProviderError::Unsupported`].
    fn generate_mac(&self, request: MacRequest<'_>) -> Result<Mac, ProviderError> {
        let _ = request;
        Err(unsupported(self, "make MACs"))
    }
}

/// What `provider` says where it lacks a capability.
fn unsupported(provider: &(impl KeyProvider + ?Sized), operation: &'static str) -> ProviderError {
    ProviderError::Unsupported {
        provider: provider.name().to_owned(),
        operation,
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

            fn is_available(&self) -> bool {
                (**self).is_available()
            }

            fn create_key(
                &self,
                request: CreateKeyRequest<'_>,
            ) -> Result<KeyHandle, ProviderError> {
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

            fn import_key(
                &self,
                request: ImportKeyRequest<'_>,
            ) -> Result<KeyHandle, ProviderError> {
                (**self).import_key(request)
            }

            fn sign(&self, request: SignRequest<'_>) -> Result<Signature, ProviderError> {
                (**self).sign(request)
            }

            fn public_key(&self, handle: &KeyHandle) -> Result<PublicKey, ProviderError> {
                (**self).public_key(handle)
            }

            fn generate_mac(&self, request: MacRequest<'_>) -> Result<Mac, ProviderError> {
                (**self).generate_mac(request)
            }
        }
    )*};
}

forward_to_pointee!(Arc, Box);

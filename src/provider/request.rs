//! What a [`KeyProvider`](super::KeyProvider) is asked.

use std::fmt;

use super::{KeyHandle, KeySpec};
use crate::crypto::{MessageInput, SigningAlgorithm};
use crate::secret::{DataKey, SecretBytes};

/// Asks for a new key.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CreateKeyRequest<'a> {
    /// The kind of key.
    pub spec: KeySpec,
    /// What the key is for, as bytes: using it takes a handle that states the same. Not secret.
    pub binding: &'a [u8],
}

impl<'a> CreateKeyRequest<'a> {
    /// Makes a request for a key that is bound to nothing.
    #[must_use]
    pub fn new(spec: KeySpec) -> Self {
        Self { spec, binding: &[] }
    }

    /// Binds the key to what it is for.
    #[must_use]
    pub fn with_binding(mut self, binding: &'a [u8]) -> Self {
        self.binding = binding;
        self
    }
}

/// Asks to take in a key that was made elsewhere.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ImportKeyRequest<'a> {
    /// The kind of key.
    pub spec: KeySpec,
    /// The key: 32 bytes for [`KeySpec::Wrapping256`]; for HMAC keys at least as many bytes as a
    /// MAC has (32, 48 or 64) and at most 128; for key pairs the private key in PKCS #8 DER, not
    /// encrypted.
    pub material: &'a SecretBytes,
    /// What the key is for, as in [`CreateKeyRequest`].
    pub binding: &'a [u8],
}

impl<'a> ImportKeyRequest<'a> {
    /// Makes a request to import a key that is bound to nothing.
    #[must_use]
    pub fn new(spec: KeySpec, material: &'a SecretBytes) -> Self {
        Self {
            spec,
            material,
            binding: &[],
        }
    }

    /// Binds the key to what it is for.
    #[must_use]
    pub fn with_binding(mut self, binding: &'a [u8]) -> Self {
        self.binding = binding;
        self
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

/// Asks to sign a message.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SignRequest<'a> {
    /// The key to sign with.
    pub handle: &'a KeyHandle,
    /// How to sign: one of the [`signing_algorithms`](KeySpec::signing_algorithms) of the key.
    pub algorithm: SigningAlgorithm,
    /// What to sign.
    pub message: MessageInput<'a>,
}

impl<'a> SignRequest<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(
        handle: &'a KeyHandle,
        algorithm: SigningAlgorithm,
        message: MessageInput<'a>,
    ) -> Self {
        Self {
            handle,
            algorithm,
            message,
        }
    }
}

/// Asks for the MAC of a message, by the [`mac_algorithm`](KeySpec::mac_algorithm) of the key.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct MacRequest<'a> {
    /// The key.
    pub handle: &'a KeyHandle,
    /// The message, of any length.
    pub message: &'a [u8],
}

impl<'a> MacRequest<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(handle: &'a KeyHandle, message: &'a [u8]) -> Self {
        Self { handle, message }
    }
}

impl fmt::Debug for MacRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacRequest")
            .field("handle", self.handle)
            .field("message_len", &self.message.len())
            .finish()
    }
}

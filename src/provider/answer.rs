//! What a [`KeyProvider`](super::KeyProvider) answers.

use std::fmt;

use smallvec::SmallVec;

use super::KeySpec;
use crate::crypto::constant_time_eq;
use crate::format::{KeyReference, Mechanism};
use crate::secret::FreshDataKey;

/// What a provider says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyDescription {
    /// How messages name the key.
    pub reference: KeyReference,
    /// The kind of the key.
    pub spec: KeySpec,
    /// The length of a wrapped data key, in bytes; where it varies, the largest. 0 for a key that
    /// wraps none.
    pub wrapped_len: usize,
    /// How it wraps; `None` for a key that wraps as software keys do (section 7.1 of `FORMAT.md`),
    /// and for one that wraps none.
    pub mechanism: Option<Mechanism>,
}

impl KeyDescription {
    /// Describes a wrapping key; `wrapped_len` is the length of what it wraps, in bytes, at the
    /// most. A key that is not of a software provider wraps
    /// [in its provider's way](Mechanism::PROVIDER_DEFINED), unless
    /// [another](Self::with_mechanism) is named.
    #[must_use]
    pub fn new(reference: KeyReference, wrapped_len: usize) -> Self {
        let is_software = reference.is_software();
        Self {
            reference,
            spec: KeySpec::Wrapping256,
            wrapped_len,
            mechanism: (!is_software).then_some(Mechanism::PROVIDER_DEFINED),
        }
    }

    /// Says how the key wraps.
    #[must_use]
    pub fn with_mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = Some(mechanism);
        self
    }

    /// Describes a key that does not wrap.
    #[must_use]
    pub fn of_spec(reference: KeyReference, spec: KeySpec) -> Self {
        Self {
            reference,
            spec,
            wrapped_len: 0,
            mechanism: None,
        }
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

/// A signature. Not secret.
///
/// ECDSA: `Ecdsa-Sig-Value` in DER (RFC 3279), 8 to 72 bytes for P-256 and to 104 for P-384.
/// Ed25519: 64 bytes. RSA: as many bytes as the key's modulus has.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(Box<[u8]>);

impl Signature {
    /// Takes the bytes of a signature.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} bytes)", self.0.len())
    }
}

/// The MAC of a message: 32, 48 or 64 bytes. Compared in constant time.
#[derive(Clone)]
pub struct Mac(SmallVec<[u8; 64]>);

impl Mac {
    /// Takes the bytes of a MAC.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.as_bytes(), other.as_bytes())
    }
}

impl Eq for Mac {}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({} bytes)", self.0.len())
    }
}

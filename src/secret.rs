//! Values that must not be seen: zeroized on drop, redacted in `Debug`, compared in constant time.

use std::fmt;
use std::ops::Deref;

use crate::crypto::{KEY_LEN, SecretArray, SecretVec, constant_time_eq};
use crate::rng::{RandomError, RandomSource};

/// A data key (DEK): exactly 32 uniformly random bytes that encrypt payloads.
///
/// It has no `Clone` and no serialisation; its bytes are zeroized when it is dropped.
pub struct DataKey(SecretArray<KEY_LEN>);

/// The bytes given for a [`DataKey`] are not 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a data key is 32 bytes, and {0} were given")]
pub struct DataKeyLength(pub usize);

impl DataKey {
    /// The length of every data key, in bytes.
    pub const LEN: usize = KEY_LEN;

    /// Takes the 32 bytes of a data key, as a provider does that has just unwrapped one.
    ///
    /// The caller's copy of the bytes stays the caller's to erase.
    ///
    /// # Errors
    ///
    /// [`DataKeyLength`] when `bytes` has any other length than 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DataKeyLength> {
        if bytes.len() != KEY_LEN {
            return Err(DataKeyLength(bytes.len()));
        }
        let mut key = SecretArray::zeroed();
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// The key itself, for a provider that wraps it.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl From<SecretArray<KEY_LEN>> for DataKey {
    fn from(key: SecretArray<KEY_LEN>) -> Self {
        Self(key)
    }
}

impl PartialEq for DataKey {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.expose(), other.expose())
    }
}

impl Eq for DataKey {}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

/// A data key that was generated for one message and has not encrypted anything yet.
///
/// Only such a key may seal without a salt, and sealing consumes it. An unwrapped key is a
/// [`DataKey`], and no conversion leads from there to here but [`assume_fresh`](Self::assume_fresh).
#[derive(Debug, PartialEq, Eq)]
pub struct FreshDataKey(DataKey);

impl FreshDataKey {
    /// Generates a data key.
    ///
    /// # Errors
    ///
    /// [`RandomError`] when `random` fails.
    pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut key = SecretArray::zeroed();
        random.fill(key.as_mut_slice())?;
        Ok(Self(DataKey(key)))
    }

    /// Declares that `key` was generated just now, by a provider's own random generator, and that
    /// nobody else will encrypt with it.
    ///
    /// If that is not so, two messages may share a key and a nonce, and both lose their secrecy.
    /// Anything that was stored, cached or unwrapped is not fresh.
    #[must_use]
    pub fn assume_fresh(key: DataKey) -> Self {
        Self(key)
    }

    /// The key, to be wrapped.
    #[must_use]
    pub fn as_data_key(&self) -> &DataKey {
        &self.0
    }

    /// The key, no longer fresh.
    #[must_use]
    pub fn into_data_key(self) -> DataKey {
        self.0
    }
}

/// A buffer of secret bytes, such as a decrypted payload.
///
/// It derefs to `[u8]`. Its bytes are zeroized when it is dropped; a copy that you make of them,
/// with `to_vec` for instance, is not.
pub struct SecretBytes(SecretVec);

impl SecretBytes {
    pub(crate) fn zeroed(len: usize) -> Self {
        Self(SecretVec::zeroed(len))
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self, other)
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes([redacted; {} bytes])", self.len())
    }
}

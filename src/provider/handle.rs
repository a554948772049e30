use std::fmt;

/// Names a key to the provider that issued it. Opaque bytes to store; not secret.
///
/// Where the provider's key material is in its handles, a lost handle is a lost key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyHandle(Box<[u8]>);

impl KeyHandle {
    /// Takes the bytes that [`as_bytes`](Self::as_bytes) gave. The provider checks them on use.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHandle({} bytes)", self.0.len())
    }
}

use std::fmt;

/// Names a key to the provider that issued it. Opaque bytes to store; not secret.
///
/// Where the provider's key material is in its handles, a lost handle is a lost key.
///
/// A key may have been created for a purpose, its [binding](Self::binding). That is not stored with
/// the handle: whoever uses the key states it again, and a handle that was put in the place of
/// another is refused.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyHandle {
    bytes: Box<[u8]>,
    binding: Box<[u8]>,
}

impl KeyHandle {
    /// Takes the bytes that [`as_bytes`](Self::as_bytes) gave. The provider checks them on use.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self {
            bytes: bytes.into(),
            binding: Box::default(),
        }
    }

    /// States what the key was created for: the bytes that the request to create or import it
    /// had. Not secret; empty unless stated.
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<Box<[u8]>>) -> Self {
        self.binding = binding.into();
        self
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the key was created for.
    #[must_use]
    pub fn binding(&self) -> &[u8] {
        &self.binding
    }
}

impl fmt::Debug for KeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyHandle({} bytes, bound to {} bytes)",
            self.bytes.len(),
            self.binding.len()
        )
    }
}

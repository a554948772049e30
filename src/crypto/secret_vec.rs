use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

/// Secret bytes of any number, erased on drop.
///
/// `zeroize::Zeroizing` erases them byte by byte, which takes longer than decrypting them did.
pub(crate) struct SecretVec(Vec<u8>);

impl SecretVec {
    pub(crate) fn zeroed(len: usize) -> Self {
        Self(vec![0; len])
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Erases all bytes; none are left.
    pub(crate) fn erase(&mut self) {
        // Of an empty vector the whole capacity is erased at once.
        self.0.clear();
        self.0.zeroize();
    }
}

impl From<Vec<u8>> for SecretVec {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for SecretVec {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for SecretVec {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for SecretVec {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for SecretVec {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for SecretVec {
    fn drop(&mut self) {
        self.erase();
    }
}

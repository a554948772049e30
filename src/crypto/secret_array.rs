use std::ops::{Deref, DerefMut};

use zeroize::zeroize_bytes;

/// Secret bytes of a fixed number, erased on drop.
///
/// `zeroize::Zeroizing` erases byte by byte, which for the many keys of a small message takes
/// longer than some of them take to derive.
pub(crate) struct SecretArray<const N: usize>([u8; N]);

impl<const N: usize> SecretArray<N> {
    pub(crate) fn zeroed() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> From<[u8; N]> for SecretArray<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> Deref for SecretArray<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> DerefMut for SecretArray<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for SecretArray<N> {
    fn drop(&mut self) {
        zeroize_bytes(&mut self.0);
    }
}

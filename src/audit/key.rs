use std::fmt;

use crate::crypto::{Expand, KEY_LEN, MacAlgorithm, SecretArray, mac, sha256};
use crate::format::label;
use crate::rng::{RandomError, RandomSource};

/// The secret of a trail, 32 bytes: it hashes values of contexts, and makes the MACs of checkpoints
/// where no key pair signs them. Zeroized on drop.
///
/// A [`Kms`](crate::Kms) derives it from the key of its store.
pub struct AuditKey(Expand);

/// The length of a hashed value, in bytes.
const VALUE_HASH_LEN: usize = 16;

impl AuditKey {
    /// Takes the 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        Self(Expand::new(bytes))
    }

    /// A new one.
    ///
    /// # Errors
    ///
    /// [`RandomError`] when `random` fails.
    pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut bytes = SecretArray::<KEY_LEN>::zeroed();
        random.fill(bytes.as_mut_slice())?;
        Ok(Self::from_bytes(&bytes))
    }

    /// What stands for a value of an encryption context: who has the key can look whether it is
    /// that of a value he knows.
    #[must_use]
    pub fn hash_value(&self, key: &str, value: &str) -> String {
        let mut text = String::with_capacity(HASH_PREFIX.len() + 2 * VALUE_HASH_LEN);
        text.push_str(HASH_PREFIX);
        let mut digits = [0; 2 * VALUE_HASH_LEN];
        text.push_str(self.hash_digits(key, value, &mut digits));
        text
    }

    pub(super) fn hash_digits<'d>(
        &self,
        key: &str,
        value: &str,
        digits: &'d mut [u8; 2 * VALUE_HASH_LEN],
    ) -> &'d str {
        // A key of a context has less than 2^16 bytes.
        let key_len = u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes();
        let hash = sha256(&[&key_len, key.as_bytes(), value.as_bytes()]);
        let hash: SecretArray<VALUE_HASH_LEN> = self.0.derive(&[label!("audit-context"), &hash]);
        base16ct::lower::encode_str(hash.as_slice(), digits).unwrap_or_default()
    }

    /// The MAC of a checkpoint.
    pub(super) fn mac(&self, message: &[u8]) -> [u8; 32] {
        let key: SecretArray<KEY_LEN> = self.0.derive(&[label!("audit-mac")]);
        let made = mac(MacAlgorithm::HmacSha256, key.as_slice(), message);
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(made) {
            *to = from;
        }
        bytes
    }
}

/// What a hashed value begins with.
pub(super) const HASH_PREFIX: &str = "hmac:";

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey([redacted])")
    }
}

//! How a token wraps a data key.

use std::fmt;
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

/// The number of an entry's mechanism: the algorithm by which a token wraps, its hashes, and who
/// makes the IV. The table is in section 7.2 of `FORMAT.md`.
///
/// It is part of how a message names its key: a key is used by one mechanism, and what was wrapped
/// by another names another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mechanism(NonZeroU8);

impl Mechanism {
    /// AES-256-GCM with an IV of 12 bytes from the caller.
    pub const GCM_CALLER_IV: Self = Self::assigned(1);
    /// AES-256-GCM with an IV of 12 bytes that the token writes into its parameters.
    pub const GCM_RETURNED_IV: Self = Self::assigned(2);
    /// AES-256-GCM with an IV of 12 bytes that the token puts before the ciphertext.
    pub const GCM_PREPENDED_IV: Self = Self::assigned(3);
    /// AES-256-GCM with an IV of 12 bytes that the token puts after the ciphertext.
    pub const GCM_APPENDED_IV: Self = Self::assigned(4);
    /// AES-256-GCM with an IV of 16 bytes that the token puts after the ciphertext.
    pub const GCM_APPENDED_LONG_IV: Self = Self::assigned(5);
    /// AES key wrap (RFC 3394) with 256 bits.
    pub const AES_KEY_WRAP: Self = Self::assigned(16);
    /// RSA-OAEP with SHA-1, also in MGF1.
    pub const RSA_OAEP_SHA1: Self = Self::assigned(32);
    /// RSA-OAEP with SHA-256, also in MGF1.
    pub const RSA_OAEP_SHA256: Self = Self::assigned(33);
    /// RSA-OAEP with SHA-384, also in MGF1.
    pub const RSA_OAEP_SHA384: Self = Self::assigned(34);
    /// RSA-OAEP with SHA-512, also in MGF1.
    pub const RSA_OAEP_SHA512: Self = Self::assigned(35);
    /// AES-256-CBC, then HMAC-SHA-256.
    pub const CBC_HMAC_SHA256: Self = Self::assigned(48);
    /// As the provider wraps, which the format says nothing about: for providers outside of this
    /// crate.
    pub const PROVIDER_DEFINED: Self = Self::assigned(255);

    /// Takes a number; there is no mechanism 0.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// What the number stands for; `None` for one that is not assigned.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::GCM_CALLER_IV => "aes-256-gcm, iv from the caller",
            Self::GCM_RETURNED_IV => "aes-256-gcm, iv returned",
            Self::GCM_PREPENDED_IV => "aes-256-gcm, iv prepended",
            Self::GCM_APPENDED_IV => "aes-256-gcm, iv appended",
            Self::GCM_APPENDED_LONG_IV => "aes-256-gcm, iv of 16 bytes appended",
            Self::AES_KEY_WRAP => "aes-256-kw",
            Self::RSA_OAEP_SHA1 => "rsa-oaep-sha1",
            Self::RSA_OAEP_SHA256 => "rsa-oaep-sha256",
            Self::RSA_OAEP_SHA384 => "rsa-oaep-sha384",
            Self::RSA_OAEP_SHA512 => "rsa-oaep-sha512",
            Self::CBC_HMAC_SHA256 => "aes-256-cbc, hmac-sha256",
            Self::PROVIDER_DEFINED => "as the provider wraps",
            _ => return None,
        })
    }

    /// Whether it is RSA-OAEP, by whatever hash.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn is_oaep(self) -> bool {
        (Self::RSA_OAEP_SHA1..=Self::RSA_OAEP_SHA512).contains(&self)
    }

    const fn assigned(number: u8) -> Self {
        match NonZeroU8::new(number) {
            Some(number) => Self(number),
            None => Self(NonZeroU8::MAX),
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

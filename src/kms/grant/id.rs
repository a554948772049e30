use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::format::KeyId;
use crate::kms::error::KmsError;

/// Names a grant: 16 random bytes, as text 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GrantId(KeyId);

impl GrantId {
    /// Takes the bytes of an id.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(KeyId::from_bytes(bytes))
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({self})")
    }
}

impl FromStr for GrantId {
    type Err = KmsError;

    fn from_str(text: &str) -> Result<Self, KmsError> {
        text.parse().map(Self).map_err(|_| KmsError::InvalidName {
            what: "the id of a grant",
            rule: "32 hexadecimal digits",
        })
    }
}

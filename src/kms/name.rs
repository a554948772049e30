//! What keys are called, and what is written on them.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::KmsError;
use super::key::KeyMetadata;
use crate::format::KeyId;

/// A name of a key: `alias/` and 1 to 249 of `a` to `z`, `A` to `Z`, `0` to `9`, `/`, `_`, `-` and
/// `:`. It can be given to another key later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(Arc<str>);

const ALIAS_PREFIX: &str = "alias/";
const MAX_ALIAS_LEN: usize = 255;

impl AliasName {
    /// Takes a name, its `alias/` included.
    ///
    /// # Errors
    ///
    /// [`KmsError::InvalidName`] when it is no such name.
    pub fn new(name: &str) -> Result<Self, KmsError> {
        let rest = name.strip_prefix(ALIAS_PREFIX).unwrap_or_default();
        if rest.is_empty() || name.len() > MAX_ALIAS_LEN || !rest.bytes().all(is_alias_byte) {
            return Err(KmsError::InvalidName {
                what: "an alias",
                rule: "'alias/' and then 1 to 249 of a to z, A to Z, 0 to 9, '/', '_', '-' and ':'",
            });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it may stand in an alias, after its `alias/`.
pub(super) fn is_alias_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b':')
}

impl Borrow<str> for AliasName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AliasName {
    type Err = KmsError;

    fn from_str(name: &str) -> Result<Self, KmsError> {
        Self::new(name)
    }
}

impl Serialize for AliasName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AliasName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

/// Names a key to an operation, by its id or by an alias: made from a [`KeyId`], a
/// [`KeyMetadata`], an [`AliasName`], or a `&str` that holds 32 hexadecimal digits or an alias.
///
/// Text that is neither is refused by the operation, with [`KmsError::InvalidName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySelector<'a>(Selected<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selected<'a> {
    Id(KeyId),
    Alias(&'a str),
    /// Neither an id nor an alias.
    Invalid,
}

impl<'a> KeySelector<'a> {
    pub(super) fn selected(self) -> Selected<'a> {
        self.0
    }
}

impl fmt::Display for KeySelector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Selected::Id(id) => id.fmt(f),
            Selected::Alias(name) => match AliasName::new(name) {
                Ok(name) => name.fmt(f),
                Err(_) => f.write_str("of an alias that is none"),
            },
            Selected::Invalid => f.write_str("of no valid name"),
        }
    }
}

impl From<KeyId> for KeySelector<'_> {
    fn from(id: KeyId) -> Self {
        Self(Selected::Id(id))
    }
}

impl From<&KeyId> for KeySelector<'_> {
    fn from(id: &KeyId) -> Self {
        Self(Selected::Id(*id))
    }
}

impl From<&KeyMetadata> for KeySelector<'_> {
    fn from(key: &KeyMetadata) -> Self {
        Self(Selected::Id(key.id))
    }
}

impl<'a> From<&'a AliasName> for KeySelector<'a> {
    fn from(name: &'a AliasName) -> Self {
        Self(Selected::Alias(name.as_str()))
    }
}

impl<'a> From<&'a str> for KeySelector<'a> {
    fn from(text: &'a str) -> Self {
        Self(if text.starts_with(ALIAS_PREFIX) {
            Selected::Alias(text)
        } else {
            text.parse().map_or(Selected::Invalid, Selected::Id)
        })
    }
}

impl<'a> From<&'a String> for KeySelector<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

/// Who acts, as the application says: any text that is not empty, such as `svc:billing`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Takes the name of who acts.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses an empty name, which would be nobody in the audit trail.
    pub(super) fn check(&self) -> Result<(), KmsError> {
        if self.0.is_empty() {
            return Err(KmsError::InvalidName {
                what: "a principal",
                rule: "the name of who acts, not empty, such as svc:billing",
            });
        }
        Ok(())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Principal {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Principal {
    fn from(name: String) -> Self {
        Self(Arc::from(name))
    }
}

impl From<&Principal> for Principal {
    fn from(principal: &Principal) -> Self {
        principal.clone()
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::new(&name))
    }
}

/// The longest description of a key, in bytes.
pub(super) const MAX_DESCRIPTION_LEN: usize = 8192;
/// The most tags of a key.
pub(super) const MAX_TAGS: usize = 50;
const MAX_TAG_KEY_LEN: usize = 128;
const MAX_TAG_VALUE_LEN: usize = 256;

pub(super) fn check_description(text: &str) -> Result<(), KmsError> {
    if text.len() > MAX_DESCRIPTION_LEN {
        return Err(KmsError::InvalidName {
            what: "a description",
            rule: "at most 8192 bytes",
        });
    }
    Ok(())
}

pub(super) fn check_tag(key: &str, value: &str) -> Result<(), KmsError> {
    let fits = (1..=MAX_TAG_KEY_LEN).contains(&key.len()) && value.len() <= MAX_TAG_VALUE_LEN;
    fits.then_some(()).ok_or(KmsError::InvalidName {
        what: "a tag",
        rule: "a key of 1 to 128 bytes and a value of at most 256",
    })
}

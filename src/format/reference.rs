//! How a message names the key that a data key is wrapped under.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use super::codec::{Reader, varint};
use super::share::Share;
use super::{FormatError, Mechanism};

const TAG_SOFTWARE: u8 = 1;
const TAG_KMS: u8 = 2;
const TAG_PKCS11: u8 = 3;
const TAG_KMS_TOKEN: u8 = 4;
const TAG_X25519: u8 = 5;
const TAG_X_WING: u8 = 6;
const TAG_SHARE: u8 = 7;
const TAG_SUBJECT: u8 = 8;
const TAG_NAMED: u8 = 127;
const FIRST_CRITICAL_TAG: u8 = 128;

/// Names a key: the tag and the prefix of an entry, which are its canonical form.
///
/// Two references are equal exactly when they name the same key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyReference {
    tag: u8,
    prefix: SmallVec<[u8; 24]>,
}

/// A [`KeyReference::named`] with a part that the format does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidReference {
    /// The provider's name is empty, too long, or not printable ASCII.
    #[error("a provider name is 1 to 255 printable ASCII characters without spaces")]
    ProviderName,
    /// What was to become a share is one already.
    #[error(
        "a share of a data key cannot be shared again; give the threshold keyring keyrings that are none themselves"
    )]
    NestedShare,
    /// The reference is empty or too long.
    #[error("a key reference is 1 to 255 bytes, and {len} were given")]
    Reference {
        /// The bytes given.
        len: usize,
    },
    /// The id of a key in a token is empty or too long.
    #[error(
        "the CKA_ID of a key is 1 to 255 bytes, and {len} were given; give the key an id that messages can hold"
    )]
    CkaId {
        /// The bytes given.
        len: usize,
    },
}

impl KeyReference {
    /// A key of a software provider (tag 1).
    #[must_use]
    pub fn software(key_id: KeyId, version: KeyVersion) -> Self {
        let mut prefix = SmallVec::from_slice(&key_id.0);
        prefix.extend(varint(version.get()));
        Self {
            tag: TAG_SOFTWARE,
            prefix,
        }
    }

    /// A version of a KMS key whose wrapped keys are 48 bytes, as a software provider makes them
    /// (tag 2).
    #[must_use]
    pub fn kms(key_id: KeyId, version: KeyVersion) -> Self {
        Self {
            tag: TAG_KMS,
            ..Self::software(key_id, version)
        }
    }

    /// A key of a PKCS#11 token, by its `CKA_ID` and the mechanism that it wraps by (tag 3).
    ///
    /// # Errors
    ///
    /// [`InvalidReference::CkaId`] unless `cka_id` is 1 to 255 bytes.
    pub fn pkcs11(cka_id: &[u8], mechanism: Mechanism) -> Result<Self, InvalidReference> {
        let len = match u8::try_from(cka_id.len()) {
            Ok(len) if len > 0 => len,
            _ => return Err(InvalidReference::CkaId { len: cka_id.len() }),
        };
        let mut prefix = SmallVec::new();
        prefix.push(len);
        prefix.extend_from_slice(cka_id);
        prefix.push(mechanism.get());
        Ok(Self {
            tag: TAG_PKCS11,
            prefix,
        })
    }

    /// The public key of a recipient, for X25519 (tag 5).
    #[cfg(feature = "recipients")]
    pub(crate) fn x25519(key_id: KeyId) -> Self {
        Self::from_parts(TAG_X25519, &key_id.0)
    }

    /// The public key of a recipient, for X-Wing (tag 6).
    #[cfg(feature = "recipients")]
    pub(crate) fn x_wing(key_id: KeyId) -> Self {
        Self::from_parts(TAG_X_WING, &key_id.0)
    }

    /// A share of a data key, under `key` (tag 7).
    ///
    /// # Errors
    ///
    /// [`InvalidReference::NestedShare`] where `key` is one of a share itself.
    pub(crate) fn of_share(share: Share, key: &Self) -> Result<Self, InvalidReference> {
        if key.tag == TAG_SHARE {
            return Err(InvalidReference::NestedShare);
        }
        let mut prefix: SmallVec<_> = share.to_bytes().into_iter().collect();
        prefix.push(key.tag);
        prefix.extend_from_slice(&key.prefix);
        Ok(Self {
            tag: TAG_SHARE,
            prefix,
        })
    }

    /// A version of a KMS key whose data keys are wrapped otherwise than by software (tag 4).
    #[must_use]
    pub fn kms_token(key_id: KeyId, version: KeyVersion, mechanism: Mechanism) -> Self {
        let mut reference = Self::kms(key_id, version);
        reference.tag = TAG_KMS_TOKEN;
        reference.prefix.push(mechanism.get());
        reference
    }

    /// What stands before the tag and prefix of a key where a share is under it.
    pub(crate) fn share_start(share: Share) -> impl ExactSizeIterator<Item = u8> {
        let mut start = [TAG_SHARE; 1 + Share::LEN];
        if let Some((_tag, rest)) = start.split_first_mut() {
            rest.copy_from_slice(&share.to_bytes());
        }
        start.into_iter()
    }

    /// The share of a data key, and the key that it is wrapped under, where this names such a one.
    #[must_use]
    pub fn share(&self) -> Option<(Share, Self)> {
        match self.parts() {
            ReferenceParts::Share { share, tag, prefix } => {
                Some((share, Self::from_parts(tag, prefix)))
            }
            _ => None,
        }
    }

    /// The key that wraps: this one or, where this names a share, the one that the share is under.
    #[must_use]
    pub fn wrapping_key(&self) -> Self {
        self.share().map_or_else(|| self.clone(), |(_, key)| key)
    }

    /// Whether it names the public key of a recipient: whoever has that can have written the entry.
    #[must_use]
    pub fn is_public_key(&self) -> bool {
        matches!(self.wrapping_key().tag, TAG_X25519 | TAG_X_WING)
    }

    /// A key of a provider that this crate does not know, by the provider's name and a reference
    /// of the provider's choice (tag 127).
    ///
    /// # Errors
    ///
    /// [`InvalidReference`] unless `provider` is 1 to 255 bytes of printable ASCII (0x21 to 0x7e)
    /// and `reference` 1 to 255 bytes.
    pub fn named(provider: &str, reference: &[u8]) -> Result<Self, InvalidReference> {
        let name = provider.as_bytes();
        let name_len = match u8::try_from(name.len()) {
            Ok(len) if len > 0 && is_printable(name) => len,
            _ => return Err(InvalidReference::ProviderName),
        };
        let reference_len = match u8::try_from(reference.len()) {
            Ok(len) if len > 0 => len,
            _ => {
                return Err(InvalidReference::Reference {
                    len: reference.len(),
                });
            }
        };
        let mut prefix = SmallVec::new();
        prefix.push(name_len);
        prefix.extend_from_slice(name);
        prefix.push(reference_len);
        prefix.extend_from_slice(reference);
        Ok(Self {
            tag: TAG_NAMED,
            prefix,
        })
    }

    /// Whether it names a key of a software provider.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.tag == TAG_SOFTWARE
    }

    /// The tag of entries under this key.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// The bytes that entries under this key begin with.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    pub(super) fn from_parts(tag: u8, prefix: &[u8]) -> Self {
        Self {
            tag,
            prefix: SmallVec::from_slice(prefix),
        }
    }

    /// The key of a KMS and the version of it that this names, if it names such a one.
    #[must_use]
    pub fn kms_version(&self) -> Option<(KeyId, KeyVersion)> {
        match self.parts() {
            ReferenceParts::Kms {
                key_id, version, ..
            } => Some((key_id, version)),
            _ => None,
        }
    }

    /// The key of a subject under a key of a KMS (tag 8).
    #[must_use]
    pub fn subject(key_id: KeyId, subject: KeyId) -> Self {
        let mut prefix = SmallVec::from_slice(&key_id.0);
        prefix.extend_from_slice(&subject.0);
        Self {
            tag: TAG_SUBJECT,
            prefix,
        }
    }

    /// The key of a KMS, and the id of a subject's key under it, if it names such a one.
    #[must_use]
    pub fn kms_subject(&self) -> Option<(KeyId, KeyId)> {
        match self.parts() {
            ReferenceParts::Subject { key_id, subject } => Some((key_id, subject)),
            _ => None,
        }
    }

    /// The key of a KMS that this names, by a version of it or by a subject under it.
    #[must_use]
    pub fn kms_key(&self) -> Option<KeyId> {
        match self.parts() {
            ReferenceParts::Kms { key_id, .. } | ReferenceParts::Subject { key_id, .. } => {
                Some(key_id)
            }
            _ => None,
        }
    }

    pub(super) fn parts(&self) -> ReferenceParts<'_> {
        match ReferenceParts::read(self.tag, &mut Reader::new(&self.prefix)) {
            Ok(parts) => parts,
            Err(_) => ReferenceParts::Unknown,
        }
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            ReferenceParts::Software { key_id, version } => {
                write!(f, "software key {key_id} version {version}")
            }
            ReferenceParts::Kms {
                key_id, version, ..
            } => write!(f, "kms key {key_id} version {version}"),
            ReferenceParts::Pkcs11 { cka_id, .. } => {
                write!(f, "pkcs11 key {}", base16ct::lower::encode_string(cka_id))
            }
            ReferenceParts::Named {
                provider,
                reference,
            } => write!(f, "{provider} key {}", Printable(reference)),
            ReferenceParts::Recipient {
                algorithm, key_id, ..
            } => write!(f, "{algorithm} recipient {key_id}"),
            ReferenceParts::Share { share, tag, prefix } => {
                write!(f, "{share} under {}", Self::from_parts(tag, prefix))
            }
            ReferenceParts::Subject { key_id, subject } => {
                write!(f, "subject {subject} of kms key {key_id}")
            }
            ReferenceParts::Unknown => write!(f, "a key of unknown kind {}", self.tag),
        }
    }
}

impl fmt::Debug for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyReference({self})")
    }
}

/// What a prefix says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReferenceParts<'a> {
    Software {
        key_id: KeyId,
        version: KeyVersion,
    },
    Kms {
        key_id: KeyId,
        version: KeyVersion,
        mechanism: Option<Mechanism>,
    },
    Pkcs11 {
        cka_id: &'a [u8],
        mechanism: Mechanism,
    },
    Named {
        provider: &'a str,
        reference: &'a [u8],
    },
    Recipient {
        algorithm: &'static str,
        key_id: KeyId,
        wrapped_len: usize,
    },
    Subject {
        key_id: KeyId,
        subject: KeyId,
    },
    /// A share, and the tag and prefix that it has under its key.
    Share {
        share: Share,
        tag: u8,
        prefix: &'a [u8],
    },
    /// A tag that a newer version of the format may define: skipped, kept, and not looked into.
    Unknown,
}

impl<'a> ReferenceParts<'a> {
    /// Reads the prefix of an entry and leaves the reader at its wrapped key.
    pub(super) fn read(tag: u8, reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        match tag {
            TAG_SOFTWARE => Ok(Self::Software {
                key_id: KeyId(*reader.take_array(KEY)?),
                version: KeyVersion::read(reader)?,
            }),
            TAG_KMS => Ok(Self::Kms {
                key_id: KeyId(*reader.take_array(KEY)?),
                version: KeyVersion::read(reader)?,
                mechanism: None,
            }),
            TAG_PKCS11 => Ok(Self::Pkcs11 {
                cka_id: read_short(reader)?,
                mechanism: read_mechanism(reader)?,
            }),
            TAG_KMS_TOKEN => Ok(Self::Kms {
                key_id: KeyId(*reader.take_array(KEY)?),
                version: KeyVersion::read(reader)?,
                mechanism: Some(read_mechanism(reader)?),
            }),
            TAG_X25519 => Ok(Self::Recipient {
                algorithm: "x25519",
                key_id: KeyId(*reader.take_array(KEY)?),
                wrapped_len: X25519_WRAPPED_LEN,
            }),
            TAG_X_WING => Ok(Self::Recipient {
                algorithm: "x-wing",
                key_id: KeyId(*reader.take_array(KEY)?),
                wrapped_len: X_WING_WRAPPED_LEN,
            }),
            TAG_SUBJECT => Ok(Self::Subject {
                key_id: KeyId(*reader.take_array(KEY)?),
                subject: KeyId(*reader.take_array(KEY)?),
            }),
            TAG_SHARE => {
                let share = Share::read(reader)?;
                let tag = match reader.u8(KEY)? {
                    0 | FIRST_CRITICAL_TAG.. => {
                        return Err(malformed(
                            "a share is under a kind of key that must be refused",
                        ));
                    }
                    TAG_SHARE => return Err(malformed("a share of a share")),
                    tag => tag,
                };
                let inner = reader.clone();
                Self::read(tag, reader)?;
                let len = inner.rest().len() - reader.rest().len();
                let prefix = inner.clone().take(len, KEY)?;
                Ok(Self::Share { share, tag, prefix })
            }
            TAG_NAMED => {
                let name = read_short(reader)?;
                match std::str::from_utf8(name) {
                    Ok(provider) if is_printable(name) => Ok(Self::Named {
                        provider,
                        reference: read_short(reader)?,
                    }),
                    _ => Err(malformed("a provider name is not printable ASCII")),
                }
            }
            _ => Ok(Self::Unknown),
        }
    }

    /// The length of the wrapped key that must follow, where the tag fixes it.
    pub(super) fn wrapped_len(&self) -> Option<usize> {
        match self {
            Self::Software { .. }
            | Self::Subject { .. }
            | Self::Kms {
                mechanism: None, ..
            } => Some(crate::crypto::WRAPPED_LEN),
            Self::Recipient { wrapped_len, .. } => Some(*wrapped_len),
            Self::Share { tag, prefix, .. } => {
                KeyReference::from_parts(*tag, prefix).parts().wrapped_len()
            }
            _ => None,
        }
    }
}

/// What HPKE adds to a data key with X25519: the encapsulated key and a tag.
pub(crate) const X25519_WRAPPED_LEN: usize = 32 + 48;
/// The same with X-Wing.
pub(crate) const X_WING_WRAPPED_LEN: usize = 1120 + 48;

/// Passes on a tag that a reader of version 1 may read or skip.
pub(super) fn check_tag(tag: u8) -> Result<u8, FormatError> {
    match tag {
        0 | FIRST_CRITICAL_TAG.. => Err(FormatError::Malformed {
            field: "wrapped key tag",
            reason: "a reader of version 1 must refuse this tag",
        }),
        _ => Ok(tag),
    }
}

/// The id of a key: 16 bytes, written as hexadecimal.
///
/// ```
/// use waxseal::KeyId;
///
/// let id: KeyId = "000102030405060708090a0b0c0d0e0f".parse()?;
/// assert_eq!(id.as_bytes()[15], 15);
/// # Ok::<(), waxseal::format::InvalidKeyId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Takes the bytes of an id.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        f.write_str(base16ct::lower::encode_str(&self.0, &mut digits).unwrap_or_default())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The text is no id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a key is 32 hexadecimal digits")]
pub struct InvalidKeyId;

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let mut id = [0; 16];
        match base16ct::mixed::decode(text, &mut id) {
            Ok(bytes) if bytes.len() == 16 => Ok(Self(id)),
            _ => Err(InvalidKeyId),
        }
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The version of a key, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyVersion(NonZeroU32);

impl KeyVersion {
    /// The first version of any key.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// Takes a version number; there is no version 0.
    #[must_use]
    pub fn new(version: u32) -> Option<Self> {
        NonZeroU32::new(version).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Self::new(reader.varint(KEY)?).ok_or(malformed("a key version is zero"))
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A reference as text where it is printable ASCII, else as hexadecimal.
pub(super) struct Printable<'a>(pub(super) &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if is_printable(self.0) => f.write_str(text),
            _ => f.write_str(&base16ct::lower::encode_string(self.0)),
        }
    }
}

const KEY: &str = "wrapped key";

fn malformed(reason: &'static str) -> FormatError {
    FormatError::Malformed { field: KEY, reason }
}

fn is_printable(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_graphic)
}

/// One length byte, not zero, and that many bytes.
fn read_short<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], FormatError> {
    match reader.u8(KEY)? {
        0 => Err(malformed("a reference is empty")),
        len => reader.take(usize::from(len), KEY),
    }
}

fn read_mechanism(reader: &mut Reader<'_>) -> Result<Mechanism, FormatError> {
    Mechanism::new(reader.u8(KEY)?).ok_or(malformed("a mechanism is zero"))
}

//! The encryption context: key-value pairs that a message is bound to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::crypto::{HASH_LEN, sha256};

/// Ordered key-value pairs that say what a message is about, such as `tenant` and `purpose`.
///
/// A message opens only under the context that it was sealed under: the context is bound to the
/// wrapping of the data key and to the header, and is not stored in the message. It is **not
/// secret**: policies and audit trails see it. Put what only this one message may be bound to,
/// such as a row's primary key, into the associated data instead.
///
/// Keys are distinct and not empty; keys and values are UTF-8 and are taken as they are, without
/// Unicode normalisation. At most [`MAX_PAIRS`](Self::MAX_PAIRS) pairs and
/// [`MAX_LEN`](Self::MAX_LEN) bytes of canonical encoding.
///
/// Cloning is cheap. `Debug` shows the keys and not the values.
///
/// ```
/// use waxseal::EncryptionContext;
///
/// let context = EncryptionContext::new([("tenant", "acme"), ("purpose", "backup")])?;
/// assert_eq!(context.get("tenant"), Some("acme"));
/// # Ok::<(), waxseal::ContextError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionContext(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    pairs: BTreeMap<String, String>,
    canonical: Vec<u8>,
    digest: [u8; HASH_LEN],
}

/// Why pairs are no encryption context. Names keys, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// A key was the empty string.
    #[error("an encryption context key is empty; give every pair a key")]
    EmptyKey,
    /// One key was given twice.
    #[error("the encryption context key {key:?} is given twice; give each key once")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// There were more pairs than [`EncryptionContext::MAX_PAIRS`].
    #[error(
        "the encryption context has {count} pairs and may have {max}; put what differs from message to message into the associated data",
        max = EncryptionContext::MAX_PAIRS
    )]
    TooManyPairs {
        /// How many pairs there were.
        count: usize,
    },
    /// The canonical encoding was longer than [`EncryptionContext::MAX_LEN`].
    #[error(
        "the encryption context takes {len} bytes and may take {max}, counting 2 for the number of pairs, 4 for each pair, and its keys and values; shorten them, or put a hash of the long value",
        max = EncryptionContext::MAX_LEN
    )]
    TooLong {
        /// The length of the encoding, in bytes.
        len: usize,
    },
}

impl EncryptionContext {
    /// The most pairs of a context.
    pub const MAX_PAIRS: usize = 64;
    /// The most bytes of a context's canonical encoding, length prefixes included.
    pub const MAX_LEN: usize = 8192;

    /// Makes a context of pairs, in any order.
    ///
    /// # Errors
    ///
    /// [`ContextError`] for an empty or repeated key, and over a limit.
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ContextError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let mut sorted = BTreeMap::new();
        for (key, value) in pairs {
            let key = key.into();
            if key.is_empty() {
                return Err(ContextError::EmptyKey);
            }
            if sorted.contains_key(&key) {
                return Err(ContextError::DuplicateKey { key });
            }
            sorted.insert(key, value.into());
        }
        let canonical = encode(&sorted)?;
        let digest = sha256(&[&canonical]);
        Ok(Self(Arc::new(Inner {
            pairs: sorted,
            canonical,
            digest,
        })))
    }

    /// The context without pairs.
    #[must_use]
    pub fn empty() -> Self {
        let canonical = vec![0, 0];
        let digest = sha256(&[&canonical]);
        Self(Arc::new(Inner {
            pairs: BTreeMap::new(),
            canonical,
            digest,
        }))
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.pairs.get(key).map(String::as_str)
    }

    /// The pairs, sorted by the bytes of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.pairs.len()
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.pairs.is_empty()
    }

    /// The canonical encoding that everything is bound to (`FORMAT.md`, "Encryption context").
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.0.canonical
    }

    /// `C` of the format: SHA-256 of the canonical encoding.
    pub(crate) fn digest(&self) -> &[u8; HASH_LEN] {
        &self.0.digest
    }
}

impl fmt::Debug for EncryptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(key, _)| (key, format_args!("[redacted]"))),
            )
            .finish()
    }
}

impl Default for EncryptionContext {
    fn default() -> Self {
        Self::empty()
    }
}

/// Rust orders strings by their UTF-8 bytes, which is the order that the format asks for.
fn encode(pairs: &BTreeMap<String, String>) -> Result<Vec<u8>, ContextError> {
    let count = pairs.len();
    if count > EncryptionContext::MAX_PAIRS {
        return Err(ContextError::TooManyPairs { count });
    }
    let len = 2 + pairs
        .iter()
        .map(|(key, value)| 4 + key.len() + value.len())
        .sum::<usize>();
    if len > EncryptionContext::MAX_LEN {
        return Err(ContextError::TooLong { len });
    }
    let mut canonical = Vec::with_capacity(len);
    let put_len = |canonical: &mut Vec<u8>, len: usize| match u16::try_from(len) {
        Ok(short) => {
            canonical.extend(short.to_be_bytes());
            Ok(())
        }
        Err(_) => Err(ContextError::TooLong { len }),
    };
    put_len(&mut canonical, count)?;
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        put_len(&mut canonical, text.len())?;
        canonical.extend_from_slice(text.as_bytes());
    }
    Ok(canonical)
}

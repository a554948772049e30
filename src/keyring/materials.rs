//! Data keys on their way from a keyring to a message.

use std::fmt;
use std::sync::Arc;

use crate::crypto::{Expand, ExpandKey};
use crate::format::{KeyEntries, KeyEntriesBuf};
use crate::secret::{DataKey, FreshDataKey};

/// A data key to seal with, and its wrapped copies.
#[derive(Debug)]
pub struct EncryptionMaterials(Materials);

#[derive(Debug)]
enum Materials {
    Fresh {
        data_key: DataKey,
        entries: KeyEntriesBuf,
    },
    Shared {
        data_key: Arc<DataKey>,
        entries: KeyEntriesBuf,
    },
    Kept(Arc<KeptMaterials>),
}

/// Whether a data key seals one message, or each of many under a salt of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    Fresh,
    Shared,
}

/// A data key that seals many messages, made ready for that.
pub(crate) struct KeptMaterials {
    data_key: Arc<DataKey>,
    expand: Expand,
    entries: KeyEntriesBuf,
}

impl EncryptionMaterials {
    /// A data key that was generated for this message, which consumes it.
    #[must_use]
    pub fn fresh(data_key: FreshDataKey, entries: KeyEntriesBuf) -> Self {
        Self(Materials::Fresh {
            data_key: data_key.into_data_key(),
            entries,
        })
    }

    /// A data key that seals other messages too: each gets a random salt of 24 bytes. At most 2^32
    /// messages under one data key, all of one context; counting them is the keyring's part.
    #[must_use]
    pub fn shared(data_key: Arc<DataKey>, entries: KeyEntriesBuf) -> Self {
        Self(Materials::Shared { data_key, entries })
    }

    /// As [`shared`](Self::shared).
    pub(crate) fn kept(materials: Arc<KeptMaterials>) -> Self {
        Self(Materials::Kept(materials))
    }

    /// The wrapped copies of the data key.
    #[must_use]
    pub fn entries(&self) -> KeyEntries<'_> {
        match &self.0 {
            Materials::Fresh { entries, .. } | Materials::Shared { entries, .. } => {
                entries.as_entries()
            }
            Materials::Kept(kept) => kept.entries(),
        }
    }

    pub(crate) fn data_key(&self) -> &DataKey {
        match &self.0 {
            Materials::Fresh { data_key, .. } => data_key,
            Materials::Shared { data_key, .. } => data_key,
            Materials::Kept(kept) => &kept.data_key,
        }
    }

    pub(crate) fn expand_key(&self) -> ExpandKey<'_> {
        match &self.0 {
            Materials::Kept(kept) => ExpandKey::Kept(&kept.expand),
            _ => ExpandKey::New(self.data_key().expose()),
        }
    }

    pub(crate) fn reuse(&self) -> Reuse {
        match self.0 {
            Materials::Fresh { .. } => Reuse::Fresh,
            Materials::Shared { .. } | Materials::Kept(_) => Reuse::Shared,
        }
    }

    /// The same data key with these wrapped copies of it.
    pub(crate) fn with_entries(self, entries: KeyEntriesBuf) -> Self {
        Self(match self.0 {
            Materials::Fresh { data_key, .. } => Materials::Fresh { data_key, entries },
            Materials::Shared { data_key, .. } => Materials::Shared { data_key, entries },
            Materials::Kept(kept) => Materials::Shared {
                data_key: Arc::clone(&kept.data_key),
                entries,
            },
        })
    }

    /// What [`shared`](Self::shared) takes: the data key is no longer fresh.
    pub(crate) fn into_shared_parts(self) -> (Arc<DataKey>, KeyEntriesBuf) {
        match self.0 {
            Materials::Fresh { data_key, entries } => (Arc::new(data_key), entries),
            Materials::Shared { data_key, entries } => (data_key, entries),
            Materials::Kept(kept) => (Arc::clone(&kept.data_key), kept.entries.clone()),
        }
    }

    /// The same data key, made ready to seal many messages.
    pub(crate) fn into_kept(self) -> Arc<KeptMaterials> {
        if let Materials::Kept(kept) = self.0 {
            return kept;
        }
        let (data_key, entries) = self.into_shared_parts();
        Arc::new(KeptMaterials {
            expand: Expand::new(data_key.expose()),
            data_key,
            entries,
        })
    }
}

impl KeptMaterials {
    pub(crate) fn entries(&self) -> KeyEntries<'_> {
        self.entries.as_entries()
    }
}

impl fmt::Debug for KeptMaterials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptMaterials")
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// The data key of a message to be opened.
#[derive(Debug)]
pub struct DecryptionMaterials {
    data_key: HeldKey,
    entry: usize,
}

impl DecryptionMaterials {
    /// A data key that was unwrapped from the message's wrapped key number `entry`, from 0.
    #[must_use]
    pub fn new(data_key: DataKey, entry: usize) -> Self {
        Self {
            data_key: HeldKey::Owned(data_key),
            entry,
        }
    }

    /// A data key that is kept for other messages too.
    #[must_use]
    pub fn shared(data_key: Arc<DataKey>, entry: usize) -> Self {
        Self {
            data_key: HeldKey::Shared(data_key),
            entry,
        }
    }

    /// The number, from 0, of the wrapped key that gave the data key.
    #[must_use]
    pub fn entry(&self) -> usize {
        self.entry
    }

    pub(crate) fn data_key(&self) -> &DataKey {
        self.data_key.as_data_key()
    }

    pub(crate) fn expand_key(&self) -> ExpandKey<'_> {
        ExpandKey::New(self.data_key().expose())
    }

    /// What [`shared`](Self::shared) takes.
    pub(crate) fn into_shared_parts(self) -> (Arc<DataKey>, usize) {
        (self.data_key.into_shared(), self.entry)
    }
}

#[derive(Debug)]
enum HeldKey {
    Owned(DataKey),
    Shared(Arc<DataKey>),
}

impl HeldKey {
    fn as_data_key(&self) -> &DataKey {
        match self {
            Self::Owned(key) => key,
            Self::Shared(key) => key,
        }
    }

    fn into_shared(self) -> Arc<DataKey> {
        match self {
            Self::Owned(key) => Arc::new(key),
            Self::Shared(key) => key,
        }
    }
}

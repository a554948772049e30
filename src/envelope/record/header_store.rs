use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::format::HeaderId;

/// Keeps the headers of records: a table, a bucket, a directory beside the records.
///
/// A header is some 125 bytes, at most [`MAX_HEADER_LEN`](crate::format::MAX_HEADER_LEN). It is not
/// secret, and what a store gives is trusted for nothing, since an [`Opener`](super::Opener)
/// verifies it. But **who loses a header loses all records under it**: keep it as long as them, and
/// in every backup of them. [`HeaderId::of_record`] tells which header a record needs.
///
/// # Contract
///
/// - **Put** makes a header durable before it returns, as a committed transaction or a synced file
///   is: records under it are released next. From then on, everyone who opens records finds it.
/// - **The id is no key of its own.** Ids are 31 random bits, so two headers of a large system may
///   have the same one. A header never replaces another; unique is the pair of id and header. To
///   put the same header again changes nothing.
/// - **Get** gives all headers of an id, in any order, and none if there are none. That is no error.
/// - A store may hold the headers of one sealer or of all; those of another tenant with the same id
///   do no harm.
/// - It may be called from many threads, and may block; while it puts, threads that would seal wait.
/// - Errors hold nothing secret.
///
/// In SQL: `CREATE TABLE record_headers (id BYTEA, header BYTEA, PRIMARY KEY (id, header))`.
pub trait HeaderStore: fmt::Debug + Send + Sync {
    /// Keeps `header`, durably, beside others of the same id.
    ///
    /// # Errors
    ///
    /// [`HeaderStoreError`] when it may not be durable. The sealer then forgets the header; whether
    /// the store has it does not matter.
    fn put(&self, id: HeaderId, header: &[u8]) -> Result<(), HeaderStoreError>;

    /// Gives the headers that were put under `id`: normally one.
    ///
    /// # Errors
    ///
    /// [`HeaderStoreError`] when the store cannot tell.
    fn get(&self, id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError>;
}

/// A [`HeaderStore`] did not do its part, so nothing was sealed or opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store of record headers failed, so nothing was sealed or opened: {source}; see to the store, then try again"
)]
pub struct HeaderStoreError {
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl HeaderStoreError {
    /// Wraps the error of a store.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

/// Headers in memory, for tests and examples: **they are lost with the process**, and so are all
/// records under them. Clones share their headers.
#[derive(Clone, Default)]
pub struct MemoryHeaderStore(Arc<RwLock<BTreeMap<HeaderId, Vec<Vec<u8>>>>>);

impl MemoryHeaderStore {
    /// Holds no header yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of headers.
    #[must_use]
    pub fn len(&self) -> usize {
        let headers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        headers.values().map(Vec::len).sum()
    }

    /// Whether there is no header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl HeaderStore for MemoryHeaderStore {
    fn put(&self, id: HeaderId, header: &[u8]) -> Result<(), HeaderStoreError> {
        let mut headers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let of_id = headers.entry(id).or_default();
        if of_id.iter().all(|held| held != header) {
            of_id.push(header.to_vec());
        }
        Ok(())
    }

    fn get(&self, id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
        let headers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(headers.get(&id).cloned().unwrap_or_default())
    }
}

impl fmt::Debug for MemoryHeaderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryHeaderStore({} headers)", self.len())
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: HeaderStore + ?Sized> HeaderStore for $pointer {
            fn put(&self, id: HeaderId, header: &[u8]) -> Result<(), HeaderStoreError> {
                (**self).put(id, header)
            }

            fn get(&self, id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
                (**self).get(id)
            }
        }
    )*};
}

forward_to_pointee!(&T, Arc<T>, Box<T>);

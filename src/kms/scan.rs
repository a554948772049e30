//! All records of a collection, in the order of their ids.

use std::vec;

use crate::store::{Collection, KeyStore, Record, RecordId, RecordKey, ScanRequest, StoreError};

/// Records that are read from the store at a time.
const PAGE: usize = 256;

/// Reads the records of a collection page by page. Ends after the first error.
pub(super) struct Scan<'s> {
    store: &'s dyn KeyStore,
    collection: Collection,
    /// The last id of the pages that were read.
    after: Option<RecordId>,
    page: vec::IntoIter<(RecordId, Record)>,
    is_last: bool,
}

impl<'s> Scan<'s> {
    pub(super) fn all(store: &'s dyn KeyStore, collection: Collection) -> Self {
        Self::after(store, collection, None)
    }

    /// Only records with ids after this one.
    pub(super) fn after(
        store: &'s dyn KeyStore,
        collection: Collection,
        after: Option<RecordId>,
    ) -> Self {
        Self {
            store,
            collection,
            after,
            page: Vec::new().into_iter(),
            is_last: false,
        }
    }

    fn read_page(&mut self) -> Result<(), StoreError> {
        let mut request = ScanRequest::new(self.collection, PAGE);
        request.after = self.after.as_ref();
        let page = self.store.scan(request)?;
        self.is_last = page.len() < PAGE;
        if let Some((id, _)) = page.last() {
            self.after = Some(id.clone());
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(RecordKey, Record), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && !self.is_last
            && let Err(error) = self.read_page()
        {
            self.is_last = true;
            return Some(Err(error));
        }
        let (id, record) = self.page.next()?;
        Some(Ok((RecordKey::new(self.collection, id), record)))
    }
}

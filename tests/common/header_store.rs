//! Header stores that count, and that do not do what they should.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use waxseal::{HeaderId, HeaderStore, HeaderStoreError};

/// Gives the same headers for every id, and counts how often it was asked.
#[derive(Debug, Default)]
pub struct Giving {
    headers: Mutex<Vec<Vec<u8>>>,
    gets: AtomicUsize,
}

impl Giving {
    pub fn new(headers: impl Into<Vec<Vec<u8>>>) -> Self {
        Self {
            headers: Mutex::new(headers.into()),
            gets: AtomicUsize::new(0),
        }
    }

    pub fn headers(&self) -> Vec<Vec<u8>> {
        self.headers.lock().unwrap().clone()
    }

    pub fn set(&self, headers: impl Into<Vec<Vec<u8>>>) {
        *self.headers.lock().unwrap() = headers.into();
    }

    /// How often it was asked since the last time.
    pub fn take_gets(&self) -> usize {
        self.gets.swap(0, Ordering::Relaxed)
    }
}

impl HeaderStore for Giving {
    fn put(&self, _id: HeaderId, header: &[u8]) -> Result<(), HeaderStoreError> {
        self.headers.lock().unwrap().push(header.to_vec());
        Ok(())
    }

    fn get(&self, _id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        Ok(self.headers())
    }
}

/// Fails at everything.
#[derive(Debug)]
pub struct Failing;

impl HeaderStore for Failing {
    fn put(&self, _id: HeaderId, _header: &[u8]) -> Result<(), HeaderStoreError> {
        Err(HeaderStoreError::new("the disk is full"))
    }

    fn get(&self, _id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
        Err(HeaderStoreError::new("the disk is gone"))
    }
}

/// Keeps each header in a file, without locks.
#[derive(Debug, Clone)]
pub struct Directory(pub PathBuf);

impl HeaderStore for Directory {
    fn put(&self, id: HeaderId, header: &[u8]) -> Result<(), HeaderStoreError> {
        std::fs::write(self.0.join(id.to_string()), header).map_err(HeaderStoreError::new)
    }

    fn get(&self, id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
        let header = std::fs::read(self.0.join(id.to_string()));
        header
            .map(|header| vec![header])
            .map_err(HeaderStoreError::new)
    }
}

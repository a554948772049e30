use rusqlite::types::ValueRef;

use super::failure::Failure;
use crate::crypto::sha256;
use crate::store::{Change, Collection, Record, RecordId, RecordKey, Revision};

pub(super) const CHECKSUM_LEN: usize = 16;

/// The columns that [`Row::read`] reads, in its order.
macro_rules! columns {
    () => {
        "slot, collection, id, revision, checksum, bytes"
    };
}
pub(super) use columns;

/// A record, or what is left of a deleted one, as it is in the file.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) slot: i64,
    pub(super) key: RecordKey,
    revision: i64,
    bytes: Option<Vec<u8>>,
}

impl Row {
    /// Reads a row and verifies its checksum.
    pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Self, Failure> {
        let read = Self {
            slot: row.get(0)?,
            key: RecordKey::new(collection(row.get_ref(1)?)?, id(row.get_ref(2)?)?),
            revision: row.get(3)?,
            bytes: row.get(5)?,
        };
        let checksum = checksum(&read.key, read.revision, read.bytes.as_deref());
        if row.get_ref(4)? != ValueRef::Blob(&checksum) || read.revision < 1 {
            return Err(Failure::damage(format!(
                "the record {} does not have the checksum that it was written with",
                read.key
            )));
        }
        Ok(read)
    }

    /// The revision, unless the record was deleted.
    pub(super) fn present_revision(&self) -> Option<Revision> {
        self.bytes.is_some().then_some(self.revision())
    }

    /// The record, unless it was deleted.
    pub(super) fn into_record(self) -> Option<Record> {
        let revision = self.revision();
        Some(Record::new(revision, self.bytes?))
    }

    pub(super) fn into_change(self) -> Change {
        let sequence = self.revision().into();
        Change::new(self.key, sequence)
    }

    fn revision(&self) -> Revision {
        Revision::new(self.revision.unsigned_abs())
    }
}

fn collection(column: ValueRef<'_>) -> Result<Collection, Failure> {
    let name = column.as_str().ok();
    name.and_then(|name| Collection::new(name).ok())
        .ok_or_else(|| Failure::damage("a record is in a collection without a valid name"))
}

fn id(column: ValueRef<'_>) -> Result<RecordId, Failure> {
    let bytes = column.as_blob().ok();
    bytes
        .and_then(|bytes| RecordId::new(bytes).ok())
        .ok_or_else(|| Failure::damage("a record has no valid id"))
}

/// Detects damage, of whatever kind. It keeps nobody from changing a row: it has no key.
pub(super) fn checksum(key: &RecordKey, revision: i64, bytes: Option<&[u8]>) -> [u8; CHECKSUM_LEN] {
    let presence: &[u8] = if bytes.is_some() { &[1] } else { &[0] };
    let id = key.id.as_bytes();
    let id_len = u8::try_from(id.len()).unwrap_or(u8::MAX);
    front(&sha256(&[
        key.collection.as_str().as_bytes(),
        &[0, id_len],
        id,
        &revision.to_be_bytes(),
        presence,
        bytes.unwrap_or_default(),
    ]))
}

/// Where a record is looked for first.
pub(super) fn home_slot(key: &RecordKey) -> i64 {
    let collection = key.collection.as_str().as_bytes();
    let hash = sha256(&[collection, &[0], key.id.as_bytes()]);
    i64::from_be_bytes(front(&hash)) & i64::MAX
}

pub(super) fn front<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    let mut front = [0; N];
    for (to, from) in front.iter_mut().zip(hash) {
        *to = *from;
    }
    front
}

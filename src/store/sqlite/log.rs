use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::failure::Failure;
use super::row::{CHECKSUM_LEN, front};
use crate::crypto::sha256;
use crate::store::{LogAppend, LogPage};

/// The rows of the table `log`.
pub(super) struct Log<'c>(&'c Connection);

pub(super) const FROM: &str =
    "SELECT position, checksum, bytes FROM log WHERE position >= ?1 ORDER BY position";
pub(super) const LAST: &str = "SELECT max(position) FROM log";
const APPEND: &str = "INSERT INTO log (position, checksum, bytes) VALUES (?1, ?2, ?3)";

impl<'c> Log<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self(connection)
    }

    /// Within a transaction.
    pub(super) fn read(&self, from: u64, limit: usize) -> Result<LogPage, Failure> {
        let end = self.end()?;
        let mut entries = Vec::new();
        if let Ok(from) = i64::try_from(from) {
            let limit = limit.min(usize::try_from(end).unwrap_or(usize::MAX));
            self.each(from, |bytes| {
                if entries.len() < limit {
                    entries.push(bytes.to_vec());
                }
                entries.len() < limit
            })?;
        }
        Ok(LogPage::new(entries, end))
    }

    /// How many entries there are.
    pub(super) fn end(&self) -> Result<u64, Failure> {
        let mut statement = self.0.prepare_cached(LAST)?;
        let last: Option<i64> = statement.query_row([], |row| row.get(0))?;
        match last {
            None => Ok(0),
            Some(last @ 0..) => Ok(last.unsigned_abs() + 1),
            Some(_) => Err(damaged()),
        }
    }

    pub(super) fn append(&self, log: &LogAppend) -> Result<(), Failure> {
        let mut statement = self.0.prepare_cached(APPEND)?;
        for (position, bytes) in (log.position..).zip(&log.entries) {
            let position = i64::try_from(position)
                .map_err(|_| Failure::damage("its log is full to the last position"))?;
            statement.execute(params![position, checksum(position, bytes), bytes])?;
        }
        Ok(())
    }

    pub(super) fn verify_all(&self) -> Result<(), Failure> {
        self.each(0, |_| true)
    }

    /// Reads entries until `take` has enough.
    fn each(&self, from: i64, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), Failure> {
        let mut statement = self.0.prepare_cached(FROM)?;
        let mut found = statement.query([from])?;
        let mut expected = from;
        while let Some(row) = found.next()? {
            let position: i64 = row.get(0)?;
            let bytes = row.get_ref(2)?.as_blob().map_err(|_| damaged())?;
            let checksum = checksum(position, bytes);
            if position != expected || row.get_ref(1)? != ValueRef::Blob(&checksum) {
                return Err(damaged());
            }
            expected = expected.saturating_add(1);
            if !take(bytes) {
                break;
            }
        }
        Ok(())
    }
}

/// Detects damage, as that of a record does.
fn checksum(position: i64, bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    front(&sha256(&[b"log\0", &position.to_be_bytes(), bytes]))
}

fn damaged() -> Failure {
    Failure::damage("an entry of its log is missing, or is not the one that was written")
}

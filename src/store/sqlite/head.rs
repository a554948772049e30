use rusqlite::Connection;

use super::failure::Failure;
use crate::store::Sequence;

/// The number of the last commit, as found in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head(i64);

impl Head {
    /// Reads it in both of its places.
    pub(super) fn read(connection: &Connection) -> Result<Self, Failure> {
        let mut statement = connection.prepare_cached(
            "SELECT count(*), max(sequence), (SELECT max(revision) FROM records) FROM head",
        )?;
        let (rows, sequence, revision): (i64, Option<i64>, Option<i64>) =
            statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        match sequence {
            Some(sequence) if rows == 1 && sequence == revision.unwrap_or(0) && sequence >= 0 => {
                Ok(Self(sequence))
            }
            _ => Err(Failure::damage(
                "the number of the last commit is not that of its newest record",
            )),
        }
    }

    pub(super) fn sequence(self) -> Sequence {
        Sequence::new(self.0.unsigned_abs())
    }

    /// Begins the next commit. Some record must be written with the sequence returned.
    pub(super) fn advance(self, connection: &Connection) -> Result<Sequence, Failure> {
        let next = self
            .0
            .checked_add(1)
            .ok_or_else(|| Failure::damage("its commits are numbered to the end"))?;
        connection
            .prepare_cached("UPDATE head SET sequence = ?1")?
            .execute([next])?;
        Ok(Self(next).sequence())
    }
}

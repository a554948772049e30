use rusqlite::{Connection, Params, params};

use super::failure::Failure;
pub(super) use super::row::Row;
use super::row::{checksum, columns, home_slot};
use crate::store::{
    Change, Changes, Record, RecordId, RecordKey, ScanRequest, Sequence, Transaction,
    TransactionStep, Write,
};

/// The rows of the table `records`.
///
/// A row is at its home slot, or, when that was taken by another record, at a free one after it.
/// No row ever goes away. So there are two ways to a record, over two trees of pages, by slot and by
/// name, and damage to a page of one of them does not make a record seem absent.
pub(super) struct Rows<'c>(&'c Connection);

pub(super) const AT: &str = concat!("SELECT ", columns!(), " FROM records WHERE slot = ?1");
pub(super) const BY_NAME: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM records WHERE collection = ?1 AND id = ?2"
);
pub(super) const SCAN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM records WHERE collection = ?1 AND id > ?2 AND bytes IS NOT NULL ORDER BY id"
);
pub(super) const CHANGES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM records WHERE revision > ?1 ORDER BY revision"
);
pub(super) const ALL: &str = concat!("SELECT ", columns!(), " FROM records ORDER BY slot");
const INSERT: &str = concat!(
    "INSERT INTO records (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
);
const UPDATE: &str = "UPDATE records SET revision = ?2, checksum = ?3, bytes = ?4 WHERE slot = ?1";

/// What became of the checks of a transaction.
pub(super) enum Checked {
    /// All records are as expected. Their slots, where they have one.
    AsExpected(Vec<Option<i64>>),
    /// This one is not.
    Conflict(RecordKey),
}

impl<'c> Rows<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self(connection)
    }

    /// The record at its home slot. It may also be elsewhere, but seldom is.
    pub(super) fn find_at_home(&self, key: &RecordKey) -> Result<Option<Row>, Failure> {
        Ok(self.at(home_slot(key))?.filter(|row| row.key == *key))
    }

    /// The record, wherever it is. Within a transaction.
    pub(super) fn find(&self, key: &RecordKey) -> Result<Option<Row>, Failure> {
        self.find_from(home_slot(key), key)
    }

    pub(super) fn find_from(&self, home: i64, key: &RecordKey) -> Result<Option<Row>, Failure> {
        let at_home = self.at(home)?;
        if at_home.as_ref().is_some_and(|row| row.key == *key) {
            return Ok(at_home);
        }
        let name = params![key.collection.as_str(), key.id.as_bytes()];
        let by_name = self.first(BY_NAME, name)?;
        match &by_name {
            Some(row) if at_home.is_none() || row.key != *key => Err(Failure::damage(format!(
                "the record {key} is not in the place where it was written"
            ))),
            _ => Ok(by_name),
        }
    }

    pub(super) fn scan(
        &self,
        request: ScanRequest<'_>,
    ) -> Result<Vec<(RecordId, Record)>, Failure> {
        let after = request.after.map_or(&[][..], RecordId::as_bytes);
        let mut statement = self.0.prepare_cached(SCAN)?;
        let mut found = statement.query(params![request.collection.as_str(), after])?;
        let mut records: Vec<(RecordId, Record)> = Vec::new();
        while records.len() < request.limit
            && let Some(row) = found.next()?
        {
            let row = Row::read(row)?;
            let id = row.key.id.clone();
            let last = records.last().map_or(after, |(last, _)| last.as_bytes());
            if row.key.collection != request.collection || id.as_bytes() <= last {
                return Err(Failure::damage("its records are not in order"));
            }
            if let Some(record) = row.into_record() {
                records.push((id, record));
            }
        }
        Ok(records)
    }

    pub(super) fn changes(
        &self,
        since: Sequence,
        latest: Sequence,
        limit: usize,
    ) -> Result<Changes, Failure> {
        let mut statement = self.0.prepare_cached(CHANGES)?;
        let mut found = statement.query([signed(since)?])?;
        let mut changed: Vec<Change> = Vec::new();
        let mut through = since;
        while let Some(row) = found.next()? {
            let change = Row::read(row)?.into_change();
            if change.sequence < through || change.sequence > latest {
                return Err(Failure::damage("its changes are not in order"));
            }
            if change.sequence > through && changed.len() >= limit.max(1) {
                return Ok(Changes::new(changed, through, latest));
            }
            through = change.sequence;
            changed.push(change);
        }
        Ok(Changes::new(changed, latest, latest))
    }

    pub(super) fn check(&self, transaction: &Transaction) -> Result<Checked, Failure> {
        let mut slots = Vec::with_capacity(transaction.steps().len());
        for step in transaction.steps() {
            let row = self.find(&step.key)?;
            let revision = row.as_ref().and_then(Row::present_revision);
            if !step.expected.matches(revision) {
                return Ok(Checked::Conflict(step.key.clone()));
            }
            slots.push(row.map(|row| row.slot));
        }
        Ok(Checked::AsExpected(slots))
    }

    /// Does a step whose record has this slot, if it has one already.
    pub(super) fn apply(
        &self,
        step: &TransactionStep,
        slot: Option<i64>,
        sequence: Sequence,
    ) -> Result<(), Failure> {
        let bytes = match &step.write {
            Write::Put(bytes) => Some(bytes.as_slice()),
            Write::Delete => None,
            Write::Check => return Ok(()),
        };
        match slot {
            Some(slot) => self.update(slot, &step.key, sequence, bytes),
            None => self.insert(home_slot(&step.key), &step.key, sequence, bytes),
        }
    }

    pub(super) fn insert(
        &self,
        home: i64,
        key: &RecordKey,
        sequence: Sequence,
        bytes: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let mut slot = home;
        while self.at(slot)?.is_some() {
            slot = slot.wrapping_add(1) & i64::MAX;
        }
        let revision = signed(sequence)?;
        self.0.prepare_cached(INSERT)?.execute(params![
            slot,
            key.collection.as_str(),
            key.id.as_bytes(),
            revision,
            checksum(key, revision, bytes),
            bytes,
        ])?;
        Ok(())
    }

    fn update(
        &self,
        slot: i64,
        key: &RecordKey,
        sequence: Sequence,
        bytes: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let revision = signed(sequence)?;
        let checksum = checksum(key, revision, bytes);
        let updated = self
            .0
            .prepare_cached(UPDATE)?
            .execute(params![slot, revision, checksum, bytes])?;
        if updated == 1 {
            Ok(())
        } else {
            Err(Failure::damage(format!(
                "the record {key} cannot be found again"
            )))
        }
    }

    /// Reads every row, and looks whether it is where it should be.
    pub(super) fn verify_all(&self) -> Result<(), Failure> {
        let mut statement = self.0.prepare(ALL)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let row = Row::read(row)?;
            let home = home_slot(&row.key);
            if row.slot != home && self.at(home)?.is_none() {
                return Err(Failure::damage(format!(
                    "the record {} is not in the place where it was written",
                    row.key
                )));
            }
        }
        Ok(())
    }

    fn at(&self, slot: i64) -> Result<Option<Row>, Failure> {
        self.first(AT, [slot])
    }

    fn first(&self, sql: &str, params: impl Params) -> Result<Option<Row>, Failure> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut found = statement.query(params)?;
        found.next()?.map(Row::read).transpose()
    }
}

fn signed(sequence: Sequence) -> Result<i64, Failure> {
    i64::try_from(sequence.get())
        .map_err(|_| Failure::damage("a commit has a number that no commit can have"))
}

//! What is in the file.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::Failure;

/// `wxks`, in the file's header.
pub(super) const APPLICATION_ID: i32 = 0x7778_6b73;

/// The newest version of the schema, in the file's header too.
pub(super) const VERSION: u64 = MIGRATIONS.len() as u64;

/// The statements that make version 1 of an empty file, version 2 of version 1, and so on. Those
/// of a released version are never edited.
pub(super) const MIGRATIONS: [&[&str]; 2] = [
    &[RECORDS, BY_REVISION, HEAD, "INSERT INTO head VALUES (0)"],
    &[LOG],
];

/// `slot` is where a record is looked for first; it follows from collection and id. A deleted
/// record keeps its row, without bytes.
const RECORDS: &str = "CREATE TABLE records (
    slot INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    id BLOB NOT NULL,
    revision INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    bytes BLOB,
    UNIQUE (collection, id)
) STRICT";

const BY_REVISION: &str = "CREATE INDEX records_by_revision ON records (revision)";

/// One row: the highest revision there is, kept twice because so much depends on it.
const HEAD: &str = "CREATE TABLE head (sequence INTEGER NOT NULL) STRICT";

/// Entries at the positions 0, 1, 2 and so on.
const LOG: &str = "CREATE TABLE log (
    position INTEGER PRIMARY KEY,
    checksum BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT";

/// What there is in a file of the newest version, by name.
const OBJECTS: [(&str, Option<&str>); 5] = [
    ("head", Some(HEAD)),
    ("log", Some(LOG)),
    ("records", Some(RECORDS)),
    ("records_by_revision", Some(BY_REVISION)),
    ("sqlite_autoindex_records_1", None),
];

/// Brings the file to the newest of `versions`, in one transaction.
pub(super) fn migrate(connection: &mut Connection, versions: &[&[&str]]) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it meanwhile.
    let from = usize::try_from(version(&transaction)?).unwrap_or(usize::MAX);
    for (statements, to) in versions.iter().zip(1_i64..).skip(from) {
        for statement in *statements {
            transaction.execute_batch(statement)?;
        }
        transaction.pragma_update(None, "user_version", to)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Whether the file has the newest version. An error if it has one that is not known.
pub(super) fn is_newest(connection: &Connection) -> Result<bool, Failure> {
    let found = version(connection)?;
    match u64::try_from(found) {
        Ok(0) | Err(_) => Err(Failure::damage(format!("its schema version is {found}"))),
        Ok(version) if version > VERSION => Err(Failure::NewerSchema(version)),
        Ok(version) => Ok(version == VERSION),
    }
}

fn version(connection: &Connection) -> Result<i64, Failure> {
    let mut statement = connection.prepare_cached("PRAGMA user_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Looks whether the file has the tables and indexes of the newest version and, apart from
/// statistics for SQLite, nothing else.
pub(super) fn check(connection: &Connection) -> Result<(), Failure> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'
         ORDER BY name",
    )?;
    let found = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, Option<String>)>, _>>()?;
    let found = found
        .iter()
        .map(|(name, sql)| (name.as_str(), sql.as_deref()));
    if found.eq(OBJECTS) {
        Ok(())
    } else {
        Err(Failure::damage("its tables are not those of a key store"))
    }
}

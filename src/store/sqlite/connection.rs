use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::failure::Failure;
use super::{schema, verify};

pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const MAX_BUSY_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Opens a file that was found to be a key store for the first time in this process.
pub(super) fn open_first(path: &Path, verification: Verification) -> Result<Connection, Failure> {
    let mut connection = open(path)?;
    if !schema::is_newest(&connection)? {
        schema::migrate(&mut connection, &schema::MIGRATIONS)?;
    }
    {
        let snapshot = connection.transaction()?;
        schema::check(&snapshot)?;
        match verification {
            Verification::Quick => verify::quick(&snapshot)?,
            Verification::Whole => verify::whole(&snapshot)?,
        }
    }
    if connection.is_readonly("main")? {
        return Err(Failure::damage(
            "its header forbids this version of SQLite to write",
        ));
    }
    // A copy that SQLite made of a store has another journal.
    if journal_mode(&connection)? != "wal" {
        use_write_ahead_log(&connection)?;
    }
    Ok(connection)
}

/// How much of a store to look at before it is used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verification {
    Quick,
    Whole,
}

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    if connection.is_readonly("main")? {
        return Err(Failure::ReadOnly);
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // What is in the file is data, never code.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA secure_delete = ON;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

/// Makes a store of an empty file.
pub(super) fn create(path: &Path) -> Result<(), Failure> {
    let mut connection = open(path)?;
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    schema::migrate(&mut connection, &schema::MIGRATIONS)?;
    use_write_ahead_log(&connection)?;
    connection.close().map_err(|(_, error)| error.into())
}

/// Looks whether the file is still where it was and of the version that this crate knows.
pub(super) fn ensure_current(connection: &Connection) -> Result<(), Failure> {
    if has_moved(connection)? {
        return Err(Failure::Replaced);
    }
    schema::is_newest(connection).map(drop)
}

#[cfg(unix)]
fn has_moved(connection: &Connection) -> Result<bool, Failure> {
    let mut moved = 0;
    connection.file_control(Some("main"), rusqlite::FileControl::HasMoved(&mut moved))?;
    Ok(moved != 0)
}

#[cfg(not(unix))]
fn has_moved(_connection: &Connection) -> Result<bool, Failure> {
    Ok(false)
}

/// Brings everything in the write-ahead log into the file, and cuts the log to nothing.
pub(super) fn empty_log(connection: &Connection) -> Result<(), Failure> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 {
        Ok(())
    } else {
        Err(Failure::Busy)
    }
}

fn journal_mode(connection: &Connection) -> Result<String, Failure> {
    Ok(connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?)
}

fn use_write_ahead_log(connection: &Connection) -> Result<(), Failure> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode == "wal" {
        Ok(())
    } else {
        Err(Failure::damage(format!(
            "its journal cannot be changed from {mode} to wal"
        )))
    }
}

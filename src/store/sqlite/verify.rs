use rusqlite::Connection;

use super::failure::Failure;
use super::head::Head;
use super::log::Log;
use super::rows::Rows;

/// Looks at the ends of the trees of pages, in no time.
pub(super) fn quick(snapshot: &Connection) -> Result<(), Failure> {
    Head::read(snapshot).map(drop)
}

/// Looks at every page and every record.
pub(super) fn whole(snapshot: &Connection) -> Result<(), Failure> {
    let found: String = snapshot.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Failure::damage(found));
    }
    Rows::new(snapshot).verify_all()?;
    Log::new(snapshot).verify_all()?;
    quick(snapshot)
}

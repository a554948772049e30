//! What only the inside can see.

use std::fs;

use rusqlite::Connection;
use tempfile::TempDir;

use super::failure::Failure;
use super::log::{FROM, LAST};
use super::row::Row;
use super::rows::{ALL, AT, BY_NAME, CHANGES, Rows, SCAN};
use super::{SqliteKeyStore, file, schema};
use crate::store::{
    Collection, CommitError, Expected, KeyStore, RecordId, RecordKey, Sequence, StoreError,
    Transaction,
};

fn store() -> (TempDir, SqliteKeyStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteKeyStore::create(directory.path().join("keys.db")).unwrap();
    (directory, store)
}

fn key(id: &str) -> RecordKey {
    RecordKey::new(Collection::KEYS, RecordId::new(id).unwrap())
}

/// What SQLite would do for a statement.
fn plan(store: &SqliteKeyStore, sql: &str) -> Vec<String> {
    let steps = store.read(|connection| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let parameters = vec![0; statement.parameter_count()];
        let steps = statement
            .query_map(rusqlite::params_from_iter(parameters), |row| {
                row.get("detail")
            })?
            .collect::<Result<_, _>>()?;
        Ok(steps)
    });
    steps.unwrap()
}

#[test]
fn no_query_reads_more_than_it_gives() {
    let (_directory, store) = store();
    for (sql, expected) in [
        (AT, "SEARCH records USING INTEGER PRIMARY KEY (rowid=?)"),
        (
            BY_NAME,
            "SEARCH records USING INDEX sqlite_autoindex_records_1 (collection=? AND id=?)",
        ),
        (
            SCAN,
            "SEARCH records USING INDEX sqlite_autoindex_records_1 (collection=? AND id>?)",
        ),
        (
            CHANGES,
            "SEARCH records USING INDEX records_by_revision (revision>?)",
        ),
        (ALL, "SCAN records"),
        (FROM, "SEARCH log USING INTEGER PRIMARY KEY (rowid>?)"),
        (LAST, "SEARCH log"),
        (
            "SELECT max(revision) FROM records",
            "SEARCH records USING COVERING INDEX records_by_revision",
        ),
    ] {
        assert_eq!(plan(&store, sql), [expected]);
    }
}

#[test]
fn records_with_the_same_home_are_told_apart() {
    let (_directory, store) = store();
    let [first, second, third, absent] = ["first", "second", "third", "absent"].map(key);
    let sequence = Sequence::new(1);
    let found = store.write(|connection| {
        let rows = Rows::new(connection);
        for (home, key) in [(i64::MAX, &first), (i64::MAX, &second), (0, &third)] {
            rows.insert(home, key, sequence, Some(key.id.as_bytes()))?;
        }
        let find = |home, key| {
            let row = rows.find_from(home, key)?;
            Ok::<_, Failure>(row.and_then(Row::into_record).map(|record| record.bytes))
        };
        Ok([
            find(i64::MAX, &first)?,
            find(i64::MAX, &second)?,
            find(0, &third)?,
            find(i64::MAX, &absent)?,
            find(1, &absent)?,
        ])
    });
    let bytes = |key: &RecordKey| Some(key.id.as_bytes().to_vec());
    assert_eq!(
        found.unwrap(),
        [bytes(&first), bytes(&second), bytes(&third), None, None]
    );
}

#[test]
fn a_record_that_is_not_at_home_is_no_absent_record() {
    let (_directory, store) = store();
    let lost = key("lost");
    let inserted = store.write(|connection| {
        Rows::new(connection).insert(17, &lost, Sequence::new(1), Some(b"bytes"))
    });
    inserted.unwrap();
    assert!(matches!(store.get(&lost), Err(StoreError::Corrupt { .. })));
    let put = Transaction::new().put(lost, Expected::Absent, "again");
    assert!(matches!(
        store.commit(&put),
        Err(CommitError::Store(StoreError::Corrupt { .. }))
    ));
}

#[test]
fn a_migration_is_done_whole_or_not_at_all() {
    let mut connection = Connection::open_in_memory().unwrap();
    let version = |connection: &Connection| -> i64 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    };
    let first: &[&str] = &["CREATE TABLE one (n)"];
    let second: &[&str] = &["CREATE TABLE two (n)", "INSERT INTO one VALUES (2)"];
    let broken: &[&str] = &["CREATE TABLE three (n)", "INSERT INTO nowhere VALUES (3)"];
    schema::migrate(&mut connection, &[first]).unwrap();
    assert_eq!(version(&connection), 1);
    schema::migrate(&mut connection, &[first, second, broken]).unwrap_err();
    assert_eq!(version(&connection), 1);
    assert!(!connection.table_exists(None, "two").unwrap());
    schema::migrate(&mut connection, &[first, second]).unwrap();
    schema::migrate(&mut connection, &[first, second]).unwrap();
    assert_eq!(version(&connection), 2);
    let rows: i64 = connection
        .query_row("SELECT count(*) FROM one", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn a_full_disk_loses_nothing_and_is_over_when_there_is_room() {
    let (_directory, store) = store();
    let put = |id: &str| Transaction::new().put(key(id), Expected::Absent, vec![7; 20_000]);
    let first = store.commit(&put("first")).unwrap();
    let limited = store.write(|connection| {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let limit: i64 =
            connection
                .pragma_update_and_check(None, "max_page_count", pages + 2, |row| row.get(0))?;
        assert_eq!(limit, pages + 2);
        Ok(())
    });
    limited.unwrap();
    let error = store.commit(&put("second")).unwrap_err();
    assert!(matches!(
        &error,
        CommitError::Store(StoreError::Full { store, .. }) if store.contains("keys.db")
    ));
    assert_eq!(store.latest().unwrap(), first);
    assert!(store.get(&key("first")).unwrap().is_some());
    assert!(store.get(&key("second")).unwrap().is_none());
    store.verify().unwrap();
    // That connection, and its limit, are gone.
    store.commit(&put("second")).unwrap();
}

#[test]
fn a_store_without_hard_links_is_copied_and_never_over_another_file() {
    let (directory, store) = store();
    drop(store);
    let [from, to] = ["keys.db", "copy.db"].map(|name| directory.path().join(name));
    file::copy(&from, &to).unwrap();
    assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
    fs::write(&to, "something else").unwrap();
    file::copy(&from, &to).unwrap_err();
    assert_eq!(fs::read(&to).unwrap(), b"something else");
}

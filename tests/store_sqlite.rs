//! `SqliteKeyStore`: its file, and files that are none of its own.
#![cfg(feature = "sqlite")]

#[path = "common/stores.rs"]
mod stores;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stores::{Contents, alias, key, put_new};
use tempfile::TempDir;
use waxseal::store::{Expected, Transaction};
use waxseal::{CommitError, KeyStore, SqliteKeyStore, StoreError};

fn place(name: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    (directory, path)
}

/// All files of a directory, and what is in them.
fn snapshot(directory: &TempDir) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut files: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).ok()))
        .collect();
    files.sort();
    files
}

/// What opening the file says, which names the file, and after which every file is as before.
fn refusal(directory: &TempDir, path: &Path) -> StoreError {
    let before = snapshot(directory);
    let error = SqliteKeyStore::open(path).unwrap_err();
    let again = SqliteKeyStore::open_or_create(path).unwrap_err();
    assert_eq!(error.to_string(), again.to_string());
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    assert!(!error.is_retryable());
    assert!(matches!(
        SqliteKeyStore::create(path),
        Err(StoreError::Exists { .. })
    ));
    assert_eq!(snapshot(directory), before);
    error
}

#[test]
fn a_store_is_created_once_and_opened_from_then_on() {
    let (_directory, path) = place("keys.db");
    assert!(matches!(
        SqliteKeyStore::open(&path),
        Err(StoreError::Missing { .. })
    ));
    assert!(!path.exists());
    put_new(&SqliteKeyStore::create(&path).unwrap(), &key("one"), b"1");
    assert!(matches!(
        SqliteKeyStore::create(&path),
        Err(StoreError::Exists { .. })
    ));
    for open in [SqliteKeyStore::open, SqliteKeyStore::open_or_create] {
        assert!(open(&path).unwrap().get(&key("one")).unwrap().is_some());
    }
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let (_directory, path) = place("nowhere/keys.db");
    let error = SqliteKeyStore::open_or_create(&path).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn nothing_is_left_beside_a_closed_store() {
    let (directory, path) = place("keys.db");
    put_new(&SqliteKeyStore::create(&path).unwrap(), &key("one"), b"1");
    let files: Vec<_> = snapshot(&directory)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(files, [path]);
}

#[test]
fn a_path_is_a_path_whatever_its_name() {
    for name in [
        "file:keys.db",
        ":memory:",
        "a b?c#d%20&\u{e9}.db",
        "-x'\".db",
    ] {
        let (directory, path) = place(name);
        put_new(&SqliteKeyStore::create(&path).unwrap(), &key("one"), b"1");
        let store = SqliteKeyStore::open(&path).unwrap();
        assert!(store.get(&key("one")).unwrap().is_some(), "{name}");
        drop(store);
        let files: Vec<_> = snapshot(&directory)
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(files, [path]);
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_and_write() {
    use std::os::unix::fs::PermissionsExt;

    let (directory, path) = place("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    put_new(&store, &key("one"), b"1");
    let files = snapshot(&directory);
    assert_eq!(files.len(), 3, "the file, -wal and -shm");
    for (path, _) in files {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let (directory, path) = place("keys.db");
    put_new(&SqliteKeyStore::create(&path).unwrap(), &key("one"), b"1");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        // The superuser may write anything.
        return;
    }
    let error = refusal(&directory, &path);
    assert!(matches!(error, StoreError::Permissions { .. }), "{error}");
}

#[test]
fn what_is_no_store_is_left_as_it_is() {
    let (directory, path) = place("keys.db");
    for contents in [
        b"".as_slice(),
        b"x",
        b"a text file\n",
        &[b'x'; 10_000],
        &[0; 4096],
        b"SQLite format 3\0",
        b"SQLite format 3\0 and then something else",
    ] {
        fs::write(&path, contents).unwrap();
        let error = refusal(&directory, &path);
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = refusal(&directory, &path);
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
}

#[test]
fn a_database_of_another_application_is_left_as_it_is() {
    for (journal_mode, is_open) in [("delete", false), ("wal", false), ("wal", true)] {
        let (directory, path) = place("other.db");
        let other = Connection::open(&path).unwrap();
        other
            .pragma_update(None, "journal_mode", journal_mode)
            .unwrap();
        other
            .execute_batch("CREATE TABLE records (id); INSERT INTO records VALUES (1)")
            .unwrap();
        if !is_open {
            drop(other);
        }
        let error = refusal(&directory, &path);
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
        assert!(error.to_string().contains("another application"), "{error}");
    }
}

/// Its journal is the other application's to finish.
#[test]
fn a_database_that_another_application_left_in_the_middle_is_left_as_it_is() {
    let (directory, path) = place("other.db");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE TABLE t (id, bytes);
             INSERT INTO t VALUES (1, zeroblob(100000));
             PRAGMA cache_size = 1;
             BEGIN;
             UPDATE t SET bytes = randomblob(100000);
             INSERT INTO t VALUES (2, zeroblob(100000));",
        )
        .unwrap();
    let crashed = tempfile::tempdir().unwrap();
    for (path, contents) in snapshot(&directory) {
        fs::write(
            crashed.path().join(path.file_name().unwrap()),
            contents.unwrap(),
        )
        .unwrap();
    }
    drop(other);
    assert_eq!(snapshot(&crashed).len(), 2, "the file and its journal");
    let error = refusal(&crashed, &crashed.path().join("other.db"));
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
}

#[test]
fn a_newer_schema_is_left_as_it_is() {
    let (directory, path) = place("keys.db");
    drop(SqliteKeyStore::create(&path).unwrap());
    for (version, is_newer) in [(3, true), (i32::MAX, true), (0, false), (-1, false)] {
        let tool = Connection::open(&path).unwrap();
        tool.pragma_update(None, "user_version", version).unwrap();
        drop(tool);
        let error = refusal(&directory, &path);
        match error {
            StoreError::NewerSchema { found, known, .. } if is_newer => {
                assert_eq!((found, known), (u64::try_from(version).unwrap(), 2));
            }
            StoreError::Corrupt { .. } if !is_newer => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A newer version of this crate may migrate a store that an older one has open.
#[test]
fn a_schema_that_becomes_newer_is_noticed() {
    let (_directory, path) = place("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    let before = put_new(&store, &key("one"), b"1");
    let tool = Connection::open(&path).unwrap();
    tool.pragma_update(None, "user_version", 3).unwrap();
    let put = Transaction::new().put(key("two"), Expected::Absent, "2");
    assert!(matches!(
        store.commit(&put),
        Err(CommitError::Store(StoreError::NewerSchema { .. }))
    ));
    assert!(matches!(
        store.changes(before, 1),
        Err(StoreError::NewerSchema { .. })
    ));
}

#[test]
fn other_tables_and_triggers_are_refused() {
    for sql in [
        "CREATE TABLE other (id)",
        "DROP INDEX records_by_revision",
        "ALTER TABLE records ADD COLUMN more INTEGER",
        "CREATE TRIGGER t AFTER UPDATE ON records BEGIN DELETE FROM records; END",
        "CREATE VIEW v AS SELECT 1",
        "DELETE FROM head",
        "INSERT INTO head VALUES (7)",
        "UPDATE head SET sequence = sequence + 1",
        "UPDATE records SET bytes = x'00'",
        "UPDATE records SET id = x'00'",
        "UPDATE records SET slot = slot + 1",
        "UPDATE records SET collection = 'No Name'",
        "UPDATE records SET bytes = NULL",
        "DELETE FROM records",
    ] {
        let (directory, path) = place("keys.db");
        put_new(&SqliteKeyStore::create(&path).unwrap(), &key("one"), b"1");
        let tool = Connection::open(&path).unwrap();
        tool.execute_batch(sql).unwrap();
        drop(tool);
        let error = refusal(&directory, &path);
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{sql}: {error:?}"
        );
    }
}

#[test]
fn statistics_and_copies_of_sqlite_are_welcome() {
    let (directory, path) = place("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    let keys = [key("one"), key("two"), alias("three")];
    for key in &keys {
        put_new(&store, key, b"bytes");
    }
    let contents = Contents::read(&store, &keys).unwrap();
    let copy = directory.path().join("copy.db");
    let tool = Connection::open(&path).unwrap();
    tool.execute_batch("ANALYZE").unwrap();
    tool.execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    drop(tool);
    let copy = SqliteKeyStore::open(&copy).unwrap();
    assert_eq!(Contents::read(&copy, &keys).unwrap(), contents);
    put_new(&copy, &key("only in the copy"), b"");
    SqliteKeyStore::open(&path).unwrap().verify().unwrap();
}

/// The first page has arrived in the file, the others are in the log still.
#[test]
fn a_crash_while_the_log_is_brought_into_the_file_loses_nothing() {
    let (_directory, path) = place("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let keys: Vec<_> = (0..30).map(|n| key(&n.to_string())).collect();
    for key in &keys {
        put_new(&store, key, &[7; 1000]);
    }
    let contents = Contents::read(&store, &keys).unwrap();
    let log = fs::read(path.with_file_name("keys.db-wal")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(store);
    let after = fs::read(&path).unwrap();
    assert!(after.len() > before.len());

    let (_crashed, path) = place("keys.db");
    let first_page = after.get(..4096).unwrap();
    fs::write(&path, [first_page, &before[4096..]].concat()).unwrap();
    fs::write(path.with_file_name("keys.db-wal"), log).unwrap();
    let store = SqliteKeyStore::open(&path).unwrap();
    assert_eq!(Contents::read(&store, &keys).unwrap(), contents);
    drop(store);
    assert_eq!(fs::read(&path).unwrap().len(), after.len());
}

#[cfg(unix)]
#[test]
fn a_file_that_was_moved_or_replaced_is_noticed() {
    let (directory, path) = place("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    let before = put_new(&store, &key("one"), b"1");
    let put = Transaction::new().put(key("two"), Expected::Absent, "2");
    let is_refused = || {
        assert!(matches!(
            store.commit(&put),
            Err(CommitError::Store(StoreError::Replaced { .. }))
        ));
        assert!(matches!(
            store.changes(before, 1),
            Err(StoreError::Replaced { .. })
        ));
        assert!(matches!(store.latest(), Err(StoreError::Replaced { .. })));
    };
    let [away, other] = ["away.db", "other.db"].map(|name| directory.path().join(name));
    drop(SqliteKeyStore::create(&other).unwrap());

    fs::rename(&path, &away).unwrap();
    is_refused();
    is_refused();
    fs::rename(&other, &path).unwrap();
    is_refused();
    fs::rename(&path, &other).unwrap();
    fs::rename(&away, &path).unwrap();
    store.commit(&put).unwrap();
}

/// The files hold nothing any more of what was replaced or deleted.
#[test]
fn what_was_replaced_is_erased() {
    const OLD: &[u8] = b"the old key material";
    const GONE: &[u8] = b"the deleted material";
    let (directory, path) = place("keys.db");
    let other_handle = SqliteKeyStore::create(&path).unwrap();
    let store = SqliteKeyStore::open(&path).unwrap();
    let first = put_new(&store, &key("replaced"), &OLD.repeat(1000));
    for n in 0..10 {
        put_new(&store, &key(&n.to_string()), GONE);
    }
    // Now it is in the file, and no more in the log alone.
    store.erase_replaced().unwrap();
    let put = Transaction::new().put(key("replaced"), Expected::Revision(first.into()), "new");
    let replace = (0..10).fold(put, |transaction, n| {
        let key = key(&n.to_string());
        let revision = store.get(&key).unwrap().unwrap().revision;
        transaction.delete(key, revision)
    });
    store.commit(&replace).unwrap();
    let is_in_a_file = |text: &[u8]| {
        snapshot(&directory).iter().any(|(_, bytes)| {
            let bytes = bytes.as_deref().unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text)
        })
    };
    assert!(is_in_a_file(OLD) && is_in_a_file(GONE));
    assert!(other_handle.get(&key("1")).unwrap().is_none());
    store.erase_replaced().unwrap();
    assert!(!is_in_a_file(OLD) && !is_in_a_file(GONE));
    store.verify().unwrap();
}

#[test]
fn a_commit_waits_for_others_and_not_for_ever() {
    let (_directory, path) = place("keys.db");
    let timeout = Duration::from_millis(100);
    let store = SqliteKeyStore::create(&path)
        .unwrap()
        .with_busy_timeout(Duration::MAX);
    let first = put_new(&store, &key("one"), b"1");
    let store = store.with_busy_timeout(timeout);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let put = Transaction::new().put(key("two"), Expected::Absent, "2");
    let start = Instant::now();
    let error = store.commit(&put).unwrap_err();
    assert!(start.elapsed() >= timeout);
    assert!(matches!(error, CommitError::Store(StoreError::Busy { .. })));
    assert!(error.is_retryable());
    assert!(
        store.get(&key("one")).unwrap().is_some(),
        "reads do not wait"
    );
    assert_eq!(store.latest().unwrap(), first);
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(&put).unwrap();
}

#[test]
fn old_bytes_in_use_by_a_reader_are_not_said_to_be_erased() {
    let (_directory, path) = place("keys.db");
    let timeout = Duration::from_millis(50);
    let store = SqliteKeyStore::create(&path)
        .unwrap()
        .with_busy_timeout(timeout);
    let first = put_new(&store, &key("one"), b"1");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("BEGIN; SELECT count(*) FROM records")
        .unwrap();
    let put = Transaction::new().put(key("one"), Expected::Revision(first.into()), "2");
    store.commit(&put).unwrap();
    assert!(matches!(
        store.erase_replaced(),
        Err(StoreError::Busy { .. })
    ));
    other.execute_batch("COMMIT").unwrap();
    store.erase_replaced().unwrap();
}

#[test]
fn threads_share_a_store() {
    let (_directory, path) = place("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    let keys: Vec<_> = (0..20).map(|n| key(&n.to_string())).collect();
    std::thread::scope(|scope| {
        for mine in keys.chunks(5) {
            let store = store.clone();
            scope.spawn(move || {
                for key in mine {
                    put_new(&store, key, b"bytes");
                    assert!(store.get(key).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(Contents::read(&store, &keys).unwrap().scanned.len(), 20);
    assert_eq!(store.latest().unwrap().get(), 20);
}

/// Version 1 of the schema had no log.
#[test]
fn a_store_of_an_older_schema_is_brought_to_the_newest() {
    let (_directory, path) = place("keys.db");
    let store = SqliteKeyStore::create(&path).unwrap();
    let first = put_new(&store, &key("one"), b"1");
    drop(store);
    let tool = Connection::open(&path).unwrap();
    tool.execute_batch("DROP TABLE log; PRAGMA user_version = 1")
        .unwrap();
    drop(tool);

    let store = SqliteKeyStore::open(&path).unwrap();
    store.verify().unwrap();
    assert_eq!(store.latest().unwrap(), first);
    assert!(store.get(&key("one")).unwrap().is_some());
    let logged = Transaction::new().append_log(0, vec![b"a".to_vec()]);
    assert_eq!(store.commit(&logged).unwrap(), first);
    assert_eq!(store.read_log(0, 10).unwrap().entries, [b"a"]);
}

#[test]
fn a_damaged_log_is_noticed() {
    for (damage, position_is_read) in [
        ("UPDATE log SET bytes = X'63' WHERE position = 1", true),
        ("UPDATE log SET checksum = X'00' WHERE position = 1", true),
        ("UPDATE log SET position = 7 WHERE position = 2", true),
        ("DELETE FROM log WHERE position = 0", false),
    ] {
        let (_directory, path) = place("keys.db");
        let store = SqliteKeyStore::create(&path).unwrap();
        let entries = vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()];
        store
            .commit(&Transaction::new().append_log(0, entries))
            .unwrap();
        let tool = Connection::open(&path).unwrap();
        tool.execute_batch(damage).unwrap();
        let found = store.read_log(1, 10);
        assert_eq!(found.is_err(), position_is_read, "{damage}");
        assert!(matches!(store.verify(), Err(StoreError::Corrupt { .. })));
        let found = store.read_log(0, 10);
        assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{damage}");
    }
}

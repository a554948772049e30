//! An SQLite table with a sealed column: 32 bytes more for each value, and one header for all.
//!
//!     cargo run --example column_records

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use waxseal::{
    EncryptionContext, Envelope, HeaderStore, HeaderStoreError, Opener, RootKey, Sealer,
    SingleKeyring, format::HeaderId,
};

fn main() -> Result<(), Box<dyn Error>> {
    let database = Database::create()?;
    let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
    let context = EncryptionContext::new([("tenant", "acme"), ("column", "users.email")])?;
    let sealer = Sealer::new(envelope.clone(), context.clone(), database.clone());
    let opener = Opener::new(envelope, context, database.clone());

    for (id, email) in [(1, "ada@example.com"), (2, "grace@example.com"), (3, "")] {
        database.insert(id, &sealer.seal(email.as_bytes(), &row(id))?)?;
    }

    println!("what the table holds:");
    for (id, record) in database.rows()? {
        println!(
            "  user {id}: {} bytes, {}",
            record.len(),
            hex_front(&record)
        );
    }
    println!("what it says, with the key:");
    for (id, record) in database.rows()? {
        let email = opener.open(&record, &row(id))?;
        println!("  user {id}: {:?}", String::from_utf8_lossy(&email));
    }

    println!("a value that was moved to another row:");
    let (_, record_of_ada) = database.rows()?.remove(0);
    let Err(error) = opener.open(&record_of_ada, &row(2)) else {
        return Err("it was accepted".into());
    };
    println!("  {error}");
    Ok(())
}

/// What binds a value to its place.
fn row(id: i64) -> Vec<u8> {
    format!("users/{id}/email").into_bytes()
}

fn hex_front(record: &[u8]) -> String {
    let hex: String = record
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{hex}...")
}

/// The database: the table, and beside it the headers that its records need.
#[derive(Clone)]
struct Database(Arc<Mutex<Connection>>);

impl Database {
    fn create() -> Result<Self, rusqlite::Error> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "CREATE TABLE record_headers (
                 id BLOB NOT NULL, header BLOB NOT NULL, PRIMARY KEY (id, header)
             );
             CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB NOT NULL);",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn insert(&self, id: i64, email: &[u8]) -> Result<usize, rusqlite::Error> {
        self.lock()
            .execute("INSERT INTO users VALUES (?1, ?2)", params![id, email])
    }

    fn rows(&self) -> Result<Vec<(i64, Vec<u8>)>, rusqlite::Error> {
        self.lock()
            .prepare("SELECT id, email FROM users ORDER BY id")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With a database on a disk, the insert is durable when it returns: SQLite sees to that.
impl HeaderStore for Database {
    fn put(&self, id: HeaderId, header: &[u8]) -> Result<(), HeaderStoreError> {
        self.lock()
            .execute(
                "INSERT OR IGNORE INTO record_headers VALUES (?1, ?2)",
                params![id.as_bytes(), header],
            )
            .map(drop)
            .map_err(HeaderStoreError::new)
    }

    fn get(&self, id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
        let headers = || {
            self.lock()
                .prepare("SELECT header FROM record_headers WHERE id = ?1")?
                .query_map(params![id.as_bytes()], |row| row.get(0))?
                .collect::<Result<_, rusqlite::Error>>()
        };
        headers().map_err(HeaderStoreError::new)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

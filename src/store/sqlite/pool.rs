use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{self, Verification};
use super::failure::Failure;
use super::file::{FileIdentity, StoreFile};
use super::process::{InheritedStore, OpenInProcess};
use crate::store::StoreError;

/// A store up to this size is verified whole when it is opened.
const VERIFIED_WHOLE: u64 = 4 << 20;

/// Idle readers that are kept.
const MAX_IDLE_READERS: usize = 8;

/// The connections to one file: one that writes, and as many as are reading at a time.
pub(super) struct Pool {
    file: StoreFile,
    identity: FileIdentity,
    connections: Arc<Connections>,
    in_process: OpenInProcess,
}

#[derive(Default)]
struct Connections {
    writer: Mutex<Option<Connection>>,
    idle_readers: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn open(file: StoreFile) -> Result<Self, StoreError> {
        let in_process = enter(&file)?;
        let pool = Self {
            identity: file.identity()?,
            connections: Arc::default(),
            in_process,
            file,
        };
        pool.open_first()?;
        Ok(pool)
    }

    pub(super) fn create(file: StoreFile) -> Result<Self, StoreError> {
        let _in_process = enter(&file)?;
        file.create()?;
        Self::open(file)
    }

    pub(super) fn file(&self) -> &StoreFile {
        &self.file
    }

    pub(super) fn read<T>(
        &self,
        busy_timeout: Duration,
        action: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.refuse_forks()?;
        let idle = lock(&self.connections.idle_readers).pop();
        let mut connection = self.or_open(idle)?;
        let result = run(&mut connection, busy_timeout, action);
        if is_usable_after(&result) {
            let mut idle = lock(&self.connections.idle_readers);
            if idle.len() < MAX_IDLE_READERS {
                idle.push(connection);
            }
        }
        self.named(result)
    }

    pub(super) fn write<T>(
        &self,
        busy_timeout: Duration,
        action: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.refuse_forks()?;
        let mut writer = lock(&self.connections.writer);
        let mut connection = self.or_open(writer.take())?;
        let result = run(&mut connection, busy_timeout, action);
        if is_usable_after(&result) {
            *writer = Some(connection);
        }
        self.named(result)
    }

    fn open_first(&self) -> Result<(), StoreError> {
        self.file.inspect()?;
        let verification = if self.file.size()? <= VERIFIED_WHOLE {
            Verification::Whole
        } else {
            Verification::Quick
        };
        let opened = connection::open_first(self.file.path(), verification);
        let connection = self.named(opened)?;
        self.ensure_same_file()?;
        lock(&self.connections.idle_readers).push(connection);
        Ok(())
    }

    fn or_open(&self, connection: Option<Connection>) -> Result<Connection, StoreError> {
        if let Some(connection) = connection {
            return Ok(connection);
        }
        self.ensure_same_file()?;
        let opened = connection::open(self.file.path());
        let connection = self.named(opened)?;
        self.ensure_same_file()?;
        Ok(connection)
    }

    /// The path leads to the file that it led to in the beginning.
    fn ensure_same_file(&self) -> Result<(), StoreError> {
        match self.file.identity() {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) | Err(StoreError::Missing { .. }) => self.named(Err(Failure::Replaced)),
            Err(error) => Err(error),
        }
    }

    fn refuse_forks(&self) -> Result<(), StoreError> {
        if self.in_process.is_forked() {
            return Err(StoreError::Forked {
                store: self.file.name(),
            });
        }
        Ok(())
    }

    fn named<T>(&self, result: Result<T, Failure>) -> Result<T, StoreError> {
        result.map_err(|failure| failure.of(self.file.name()))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.in_process.is_forked() {
            // SQLite must not even close them.
            mem::forget(Arc::clone(&self.connections));
        }
    }
}

fn enter(file: &StoreFile) -> Result<OpenInProcess, StoreError> {
    OpenInProcess::new().map_err(|InheritedStore| StoreError::Forked { store: file.name() })
}

fn run<T>(
    connection: &mut Connection,
    busy_timeout: Duration,
    action: impl FnOnce(&mut Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.busy_timeout(busy_timeout)?;
    action(connection)
}

fn is_usable_after<T>(result: &Result<T, Failure>) -> bool {
    result
        .as_ref()
        .err()
        .is_none_or(Failure::leaves_connection_usable)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

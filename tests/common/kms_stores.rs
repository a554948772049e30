//! Stores that die, and stores to which others write at the worst moment.
#![allow(dead_code, reason = "each test uses a part")]

use std::fmt;
use std::sync::{Arc, Mutex};

use waxseal::store::{
    Changes, LogPage, Record, RecordId, RecordKey, ScanRequest, Sequence, Transaction,
};
use waxseal::{CommitError, KeyStore, MemoryKeyStore, StoreError};

use super::kms::{Ledger, World};

/// Passes on to a store, counts what it is asked, and dies when told to.
#[derive(Debug, Clone)]
pub struct Mortal {
    inner: MemoryKeyStore,
    state: Arc<Mutex<Life>>,
    /// Set to out of reach when the process dies.
    provider: Option<Ledger>,
}

#[derive(Debug, Default)]
struct Life {
    reads: usize,
    commits: usize,
    erasures: usize,
    dies: Option<Death>,
    dead: bool,
}

/// When the process dies: at which commit from now, counted from 0, and whether that still happens.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    pub commit: usize,
    pub committed: bool,
}

impl Mortal {
    pub fn new(world: &World) -> Self {
        Self {
            provider: Some(world.provider.clone()),
            ..Self::over(&world.store)
        }
    }

    pub fn over(store: &MemoryKeyStore) -> Self {
        Self {
            inner: store.clone(),
            state: Arc::default(),
            provider: None,
        }
    }

    pub fn die(&self, death: Death) {
        let mut life = self.state.lock().unwrap();
        life.commits = 0;
        life.dies = Some(death);
    }

    pub fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    /// How often it was read from since this was last asked.
    pub fn take_reads(&self) -> usize {
        std::mem::take(&mut self.state.lock().unwrap().reads)
    }

    /// How often it was told to erase what was replaced since this was last asked.
    pub fn take_erasures(&self) -> usize {
        std::mem::take(&mut self.state.lock().unwrap().erasures)
    }

    fn read(&self) -> Result<&MemoryKeyStore, StoreError> {
        let mut life = self.state.lock().unwrap();
        life.reads += 1;
        if life.dead {
            return Err(dead());
        }
        Ok(&self.inner)
    }
}

fn dead() -> StoreError {
    StoreError::Unavailable {
        store: "the store of a dead process".to_owned(),
        source: "the process is dead".into(),
    }
}

impl KeyStore for Mortal {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.read()?.get(key)
    }

    fn scan(&self, request: ScanRequest<'_>) -> Result<Vec<(RecordId, Record)>, StoreError> {
        self.read()?.scan(request)
    }

    fn commit(&self, transaction: &Transaction) -> Result<Sequence, CommitError> {
        let mut life = self.state.lock().unwrap();
        if life.dead {
            return Err(dead().into());
        }
        let number = life.commits;
        life.commits += 1;
        match life.dies {
            Some(death) if death.commit == number => {
                life.dead = true;
                if let Some(provider) = &self.provider {
                    provider.set_outage(true);
                }
                if death.committed {
                    self.inner.commit(transaction)?;
                }
                Err(dead().into())
            }
            _ => self.inner.commit(transaction),
        }
    }

    fn latest(&self) -> Result<Sequence, StoreError> {
        self.read()?.latest()
    }

    fn changes(&self, since: Sequence, limit: usize) -> Result<Changes, StoreError> {
        self.read()?.changes(since, limit)
    }

    fn erase_replaced(&self) -> Result<(), StoreError> {
        self.read()?.erase_replaced()?;
        self.state.lock().unwrap().erasures += 1;
        Ok(())
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
        self.read()?.read_log(from, limit)
    }
}

/// Passes on to a store, and lets others act just before a commit, or just after a record was read.
#[derive(Clone)]
pub struct Interrupted {
    inner: MemoryKeyStore,
    interruption: Arc<Mutex<Option<Interruption>>>,
    after_read: Arc<Mutex<Option<Interruption>>>,
}

type Interruption = Box<dyn FnMut() -> Again + Send>;

/// Whether the next commit is interrupted too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    Yes,
    No,
}

impl Interrupted {
    pub fn new(world: &World) -> Self {
        Self {
            inner: world.store.clone(),
            interruption: Arc::default(),
            after_read: Arc::default(),
        }
    }

    /// Does this before the next commit.
    pub fn once(&self, action: impl FnOnce() + Send + 'static) {
        *self.interruption.lock().unwrap() = Some(only_once(action));
    }

    /// Does this when the next record was read, before it is given out.
    pub fn after_read(&self, action: impl FnOnce() + Send + 'static) {
        *self.after_read.lock().unwrap() = Some(only_once(action));
    }

    /// Does this before the next commits.
    pub fn each_time(&self, action: impl FnMut() -> Again + Send + 'static) {
        *self.interruption.lock().unwrap() = Some(Box::new(action));
    }
}

fn only_once(action: impl FnOnce() + Send + 'static) -> Interruption {
    let mut action = Some(action);
    Box::new(move || {
        if let Some(action) = action.take() {
            action();
        }
        Again::No
    })
}

fn interrupt(interruption: &Mutex<Option<Interruption>>) {
    let taken = interruption.lock().unwrap().take();
    if let Some(mut action) = taken
        && action() == Again::Yes
    {
        *interruption.lock().unwrap() = Some(action);
    }
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupted")
    }
}

impl KeyStore for Interrupted {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let record = self.inner.get(key);
        interrupt(&self.after_read);
        record
    }

    fn scan(&self, request: ScanRequest<'_>) -> Result<Vec<(RecordId, Record)>, StoreError> {
        self.inner.scan(request)
    }

    fn commit(&self, transaction: &Transaction) -> Result<Sequence, CommitError> {
        interrupt(&self.interruption);
        self.inner.commit(transaction)
    }

    fn latest(&self) -> Result<Sequence, StoreError> {
        self.inner.latest()
    }

    fn changes(&self, since: Sequence, limit: usize) -> Result<Changes, StoreError> {
        self.inner.changes(since, limit)
    }

    fn erase_replaced(&self) -> Result<(), StoreError> {
        self.inner.erase_replaced()
    }

    fn read_log(&self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
        self.inner.read_log(from, limit)
    }
}

//! SQLite and forks.
//!
//! SQLite keeps, for the whole process, which files it has locked. A forked child inherits this
//! memory and not the locks: what it opens seems to be locked and is not, and other processes may
//! then delete the write-ahead log under it. So a child has no store if its parent had one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use crate::fork::{ForkGuard, ForkableState, PerProcess};

/// While it lives, this process has a store open.
#[derive(Debug)]
pub(super) struct OpenInProcess {
    guard: ForkGuard,
    open: Arc<AtomicUsize>,
}

/// This process was forked from one that had a store open.
#[derive(Debug)]
pub(super) struct InheritedStore;

impl OpenInProcess {
    pub(super) fn new() -> Result<Self, InheritedStore> {
        let process = PROCESS.get();
        if process.inherited {
            return Err(InheritedStore);
        }
        process.open.fetch_add(1, Ordering::SeqCst);
        Ok(Self {
            guard: ForkGuard::new(),
            open: Arc::clone(&process.open),
        })
    }

    /// Whether this is a fork of the process that opened the store.
    pub(super) fn is_forked(&self) -> bool {
        self.guard.is_known_forked()
    }
}

impl Drop for OpenInProcess {
    fn drop(&mut self) {
        if !self.is_forked() {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

static PROCESS: LazyLock<PerProcess<Process>> = LazyLock::new(|| {
    PerProcess::new(Process {
        open: Arc::default(),
        inherited: false,
    })
});

struct Process {
    open: Arc<AtomicUsize>,
    inherited: bool,
}

impl ForkableState for Process {
    fn for_child(&self) -> Self {
        Self {
            open: Arc::default(),
            inherited: self.inherited || self.open.load(Ordering::SeqCst) > 0,
        }
    }

    fn try_clear(&self) -> bool {
        true
    }
}

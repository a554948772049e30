//! Noticing that this process is a fork of the one that a value was made in.

use std::sync::{Arc, OnceLock};

#[cfg(unix)]
use forkguard::atfork::Guard;
#[cfg(not(unix))]
use forkguard::noop::Guard;

/// Remembers the process that it was made in.
#[derive(Debug)]
pub(crate) struct ForkGuard(Option<Guard>);

impl ForkGuard {
    pub(crate) fn new() -> Self {
        #[cfg(unix)]
        let guard = Guard::try_new().ok();
        #[cfg(not(unix))]
        let guard = Some(Guard::default());
        Self(guard)
    }

    /// Whether the process was forked since then, and this is the child. Without a guard there is
    /// no telling, and the answer is yes.
    pub(crate) fn is_forked(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|guard| guard.clone().detected_fork())
    }

    /// As [`is_forked`](Self::is_forked), but where there is no telling, the answer is no.
    pub(crate) fn is_known_forked(&self) -> bool {
        self.0.is_some() && self.is_forked()
    }
}

impl Default for ForkGuard {
    fn default() -> Self {
        Self::new()
    }
}

/// State behind locks: a forked child has its own, because in its parent's a lock may be held by a
/// thread that the child does not have.
pub(crate) struct PerProcess<T: ForkableState> {
    guard: ForkGuard,
    state: Arc<T>,
    child: OnceLock<Box<Self>>,
}

pub(crate) trait ForkableState {
    /// What a child begins with.
    fn for_child(&self) -> Self;

    /// Erases the copy that a child has of its parent's state, without waiting for a lock. `false`
    /// if one is held: what it guards may be in disorder, and must not even be dropped.
    fn try_clear(&self) -> bool;
}

impl<T: ForkableState> PerProcess<T> {
    pub(crate) fn new(state: T) -> Self {
        Self {
            guard: ForkGuard::new(),
            state: Arc::new(state),
            child: OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> &T {
        let mut this = self;
        while this.guard.is_known_forked() {
            this = this.child.get_or_init(|| {
                this.abandon();
                Box::new(Self::new(this.state.for_child()))
            });
        }
        &this.state
    }

    fn abandon(&self) {
        if !self.state.try_clear() {
            std::mem::forget(Arc::clone(&self.state));
        }
    }
}

impl<T: ForkableState> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.guard.is_known_forked() {
            self.abandon();
        }
    }
}

//! Noticing that this process is a fork of the one that a value was made in.

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
}

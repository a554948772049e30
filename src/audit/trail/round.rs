//! One write, shared by those whose records are in it.

use std::any::Any;
use std::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::audit::batch::Appended;
use crate::audit::error::AuditError;
use crate::fork::ForkGuard;

/// What came of it, for those who wait.
#[derive(Default)]
pub(super) struct Round {
    done: OnceLock<Done>,
    waiting: Mutex<Waiting>,
    /// Wakes the threads that wait.
    changed: Condvar,
    guard: ForkGuard,
}

#[derive(Default)]
struct Waiting {
    /// Whether one of the threads is to lead.
    is_leaderless: bool,
    tasks: Vec<Waker>,
}

type Done = Result<Appended, AuditError>;

impl Round {
    /// Waits until the write is done; nothing if the caller is to do it.
    pub(super) fn wait(&self) -> Option<Done> {
        let mut waiting = self.lock();
        loop {
            if let Some(done) = self.done.get() {
                return Some(done.clone());
            }
            if mem::take(&mut waiting.is_leaderless) {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets one of the threads that wait do it.
    pub(super) fn let_lead(&self) {
        self.lock().is_leaderless = true;
        self.changed.notify_one();
    }

    /// As [`wait`](Self::wait), for a task. `place` is where its waker is kept.
    pub(super) fn poll(&self, cx: &Context<'_>, place: &mut Option<usize>) -> Poll<Done> {
        // Nobody in a child will ever tell.
        if self.guard.is_known_forked() {
            return Poll::Ready(Err(AuditError::Setting {
                what: "this process was forked while the audit trail was written; whether the record was written, its parent knows",
            }));
        }
        if let Some(done) = self.done.get() {
            return Poll::Ready(done.clone());
        }
        let tasks = &mut self.lock().tasks;
        // Tasks are looked for when it is done, and not before.
        if let Some(done) = self.done.get() {
            return Poll::Ready(done.clone());
        }
        match place.and_then(|place| tasks.get_mut(place)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                *place = Some(tasks.len());
                tasks.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }

    fn tell(&self, done: Done) {
        self.done.get_or_init(|| done);
        let tasks = mem::take(&mut self.lock().tasks);
        self.changed.notify_all();
        tasks.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is done, well or not. Dropped, it tells those who wait.
pub(super) struct Written {
    round: Option<Arc<Round>>,
    done: Done,
    /// What the sink panicked with.
    panic: Option<Box<dyn Any + Send>>,
    pub(super) took: Option<Duration>,
}

impl Written {
    pub(super) fn new(
        round: Option<Arc<Round>>,
        done: thread::Result<Done>,
        took: Option<Duration>,
    ) -> Self {
        let (done, panic) = match done {
            Ok(done) => (done, None),
            Err(panic) => {
                let what =
                    "a sink of the audit trail panicked; what cannot be recorded is not done";
                (Err(AuditError::Setting { what }), Some(panic))
            }
        };
        Self {
            round,
            done,
            panic,
            took,
        }
    }

    /// Tells those who wait, and then the caller, in whom the sink panics if it did.
    pub(super) fn tell(mut self) -> Done {
        let (done, panic) = (self.done.clone(), self.panic.take());
        drop(self);
        match panic {
            Some(panic) => resume_unwind(panic),
            None => done,
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(round) = &self.round {
            round.tell(self.done.clone());
        }
    }
}

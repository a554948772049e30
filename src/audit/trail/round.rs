//! One write, shared by those whose records are in it.

use std::any::Any;
use std::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::Duration;

use crate::audit::batch::Appended;
use crate::audit::error::AuditError;
use crate::fork::ForkGuard;

/// What came of it, for those who wait.
pub(super) struct Round {
    done: OnceLock<Done>,
    /// The thread, of those that wait, that is to lead.
    leader: OnceLock<ThreadId>,
    /// The tasks that wait.
    tasks: Mutex<Vec<Waker>>,
    /// None where forks cannot be noticed.
    guard: Option<ForkGuard>,
}

type Done = Result<Appended, AuditError>;

impl Default for Round {
    fn default() -> Self {
        Self {
            done: OnceLock::new(),
            leader: OnceLock::new(),
            tasks: Mutex::default(),
            guard: Some(ForkGuard::new()).filter(|guard| !guard.is_forked()),
        }
    }
}

impl Round {
    /// Waits until the write is done; nothing if the caller is to do it.
    pub(super) fn wait(&self) -> Option<Done> {
        loop {
            if let Some(done) = self.done.get() {
                return Some(done.clone());
            }
            if self.leader.get() == Some(&thread::current().id()) {
                return None;
            }
            thread::park();
        }
    }

    /// Lets one of the threads that wait do it.
    pub(super) fn let_lead(&self, thread: &Thread) {
        self.leader.get_or_init(|| thread.id());
        thread.unpark();
    }

    /// As [`wait`](Self::wait), for a task. `place` is where its waker is kept.
    pub(super) fn poll(&self, cx: &Context<'_>, place: &mut Option<usize>) -> Poll<Done> {
        if self.is_of_parent() {
            return Poll::Ready(Err(AuditError::Setting {
                what: "this process was forked while the audit trail was written; whether the record was written, its parent knows",
            }));
        }
        if let Some(done) = self.done.get() {
            return Poll::Ready(done.clone());
        }
        let mut tasks = self.tasks();
        // Who is told looks for tasks when it is done, and not before.
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

    /// Whether nobody in this process will ever tell.
    fn is_of_parent(&self) -> bool {
        self.guard.as_ref().is_some_and(ForkGuard::is_forked)
    }

    fn tell(&self, done: Done) {
        self.done.get_or_init(|| done);
        let tasks = mem::take(&mut *self.tasks());
        tasks.into_iter().for_each(Waker::wake);
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is done, well or not. Dropped, it tells those who wait.
pub(super) struct Written {
    round: Arc<Round>,
    threads: Vec<Thread>,
    done: Done,
    /// What the sink panicked with.
    panic: Option<Box<dyn Any + Send>>,
    pub(super) took: Duration,
}

impl Written {
    pub(super) fn new(
        round: Arc<Round>,
        threads: Vec<Thread>,
        done: thread::Result<Done>,
        took: Duration,
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
            threads,
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
        self.round.tell(self.done.clone());
        self.threads.iter().for_each(Thread::unpark);
    }
}

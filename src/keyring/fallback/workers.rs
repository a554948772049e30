//! Threads for calls that may hang, as many as are allowed and no more.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// How long a thread with nothing to do waits before it ends.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Workers(Arc<Shared>);

struct Shared {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Ticket, Job)>,
    last_ticket: u64,
    threads: usize,
    idle: usize,
}

/// What a job that was handed in is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Workers {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Runs a job as soon as there is a thread for it.
    pub(super) fn run(&self, job: Job) -> Ticket {
        let mut state = self.0.lock();
        state.last_ticket += 1;
        let ticket = Ticket(state.last_ticket);
        state.waiting.push_back((ticket, job));
        if state.idle >= state.waiting.len() {
            self.0.changed.notify_one();
        } else if state.threads < self.0.most && self.spawn() {
            state.threads += 1;
        }
        ticket
    }

    /// Drops a job that has not begun, and says whether there was such a one.
    pub(super) fn withdraw(&self, ticket: Ticket) -> bool {
        let mut state = self.0.lock();
        let place = state
            .waiting
            .iter()
            .position(|(waiting, _)| *waiting == ticket);
        place.is_some_and(|place| state.waiting.remove(place).is_some())
    }

    /// Without another thread, the job waits for one that is there, or for its time to be over.
    fn spawn(&self) -> bool {
        let shared = Arc::clone(&self.0);
        thread::Builder::new()
            .name("waxseal-fallback".to_owned())
            .spawn(move || shared.work())
            .is_ok()
    }

    /// Drops the jobs that wait, if that takes no waiting.
    pub(super) fn try_clear(&self) -> bool {
        match self.0.state.try_lock() {
            Ok(mut state) => {
                state.waiting.clear();
                true
            }
            Err(_) => false,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs catch their panics.
    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    /// The next job, or nothing when the thread has waited long enough and is to end.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, IDLE, |state| state.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let job = state.waiting.pop_front().map(|(_, job)| job);
        if job.is_none() {
            state.threads -= 1;
        }
        job
    }
}

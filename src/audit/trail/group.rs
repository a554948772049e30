//! Threads that record at the same time share one write.
//!
//! The first to come leads: it writes what it finds, and meanwhile others gather. When it is done,
//! one of them leads next. Nobody returns before its own record is written.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::batch::Appended;
use crate::audit::error::AuditError;
use crate::audit::line::Entry;
use crate::fork::ForkableState;

pub(super) struct Group {
    gathered: Mutex<Gathered>,
    /// Tells the leader that as many have come as came the last time.
    complete: Condvar,
    /// How long the leader waits for that.
    patience: Duration,
}

/// What waits to be written.
struct Gathered {
    entries: Vec<Entry>,
    round: Arc<Round>,
    /// Whether somebody writes, or is about to.
    is_led: bool,
    /// How many came the last time: so many are likely to come again.
    expected: usize,
    /// How long the last write took. It is not worth waiting longer than that.
    last_write: Duration,
}

/// One write, shared by those whose records are in it.
#[derive(Default)]
struct Round {
    state: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
enum Progress {
    #[default]
    Waiting,
    /// Somebody who waits is to lead.
    Leaderless,
    Done(Result<Appended, AuditError>),
}

impl Group {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            gathered: Mutex::new(Gathered {
                entries: Vec::new(),
                round: Arc::default(),
                is_led: false,
                expected: 1,
                last_write: Duration::ZERO,
            }),
            complete: Condvar::new(),
            patience,
        }
    }

    /// Has an entry written by `write`, alone or with those of others, and tells its place in what
    /// was written together.
    pub(super) fn submit(
        &self,
        entry: Entry,
        write: impl FnOnce(&[Entry]) -> Result<Appended, AuditError>,
    ) -> Result<(u64, Appended), AuditError> {
        let mut gathered = lock(&self.gathered);
        let index = gathered.entries.len() as u64;
        gathered.entries.push(entry);
        let appended = if mem::replace(&mut gathered.is_led, true) {
            let round = Arc::clone(&gathered.round);
            if gathered.entries.len() == gathered.expected {
                self.complete.notify_one();
            }
            drop(gathered);
            match round.wait() {
                Some(done) => done,
                None => self.lead(lock(&self.gathered), write),
            }
        } else {
            self.lead(gathered, write)
        };
        Ok((index, appended?))
    }

    fn lead(
        &self,
        gathered: MutexGuard<'_, Gathered>,
        write: impl FnOnce(&[Entry]) -> Result<Appended, AuditError>,
    ) -> Result<Appended, AuditError> {
        let mut gathered = self.await_others(gathered);
        let entries = mem::take(&mut gathered.entries);
        gathered.expected = entries.len();
        let round = mem::take(&mut gathered.round);
        drop(gathered);

        let lead = Lead {
            group: self,
            round: &round,
            is_shared: entries.len() > 1,
            begun: Instant::now(),
        };
        let done = write(&entries);
        lead.pass_on(done.clone());
        done
    }

    /// Those who shared the last write have just been told, and are likely to be back at once.
    fn await_others<'g>(
        &'g self,
        mut gathered: MutexGuard<'g, Gathered>,
    ) -> MutexGuard<'g, Gathered> {
        if gathered.expected <= 1 {
            return gathered;
        }
        let deadline = Instant::now() + self.patience.min(gathered.last_write / 2);
        while gathered.entries.len() < gathered.expected {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (gathered, _) = self
                .complete
                .wait_timeout(gathered, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        gathered
    }
}

/// The duty to tell the others, also when a sink panics.
struct Lead<'g> {
    group: &'g Group,
    round: &'g Round,
    is_shared: bool,
    begun: Instant,
}

impl Lead<'_> {
    fn pass_on(self, done: Result<Appended, AuditError>) {
        if self.is_shared {
            *lock(&self.round.state) = Progress::Done(done);
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        {
            let mut gathered = lock(&self.group.gathered);
            gathered.last_write = self.begun.elapsed();
            if gathered.entries.is_empty() {
                gathered.is_led = false;
            } else {
                *lock(&gathered.round.state) = Progress::Leaderless;
                gathered.round.changed.notify_one();
            }
        }
        if self.is_shared {
            let mut state = lock(&self.round.state);
            if !matches!(*state, Progress::Done(_)) {
                *state = Progress::Done(Err(AuditError::Setting {
                    what: "a sink of the audit trail panicked; what cannot be recorded is not done",
                }));
            }
            drop(state);
            self.round.changed.notify_all();
        }
    }
}

impl Round {
    /// Waits until the write is done; nothing if the caller is to do it.
    fn wait(&self) -> Option<Result<Appended, AuditError>> {
        let mut state = lock(&self.state);
        loop {
            match &*state {
                Progress::Done(done) => return Some(done.clone()),
                Progress::Leaderless => {
                    *state = Progress::Waiting;
                    return None;
                }
                Progress::Waiting => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// A child waits for nobody of its parent's threads.
impl ForkableState for Group {
    fn for_child(&self) -> Self {
        Self::new(self.patience)
    }

    fn try_clear(&self) -> bool {
        self.gathered.try_lock().is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

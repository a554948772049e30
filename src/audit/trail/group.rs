//! Callers who record at the same time share one write.
//!
//! A thread that comes when nobody writes leads: it writes what it finds, and meanwhile others
//! gather. When it is done, a thread that waits leads next; where only tasks wait, the
//! [writer](super::writer) does. Nobody is told of a record before it is written.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Inner;
use super::pending::PendingRecord;
use super::round::{Round, Written};
use super::writer::Writer;
use crate::audit::batch::Appended;
use crate::audit::error::AuditError;
use crate::audit::event::EventId;
use crate::audit::line::Entry;
use crate::fork::ForkableState;

pub(super) struct Group {
    gathered: Mutex<Gathered>,
    /// Tells the leader that as many have come as came the last time.
    complete: Condvar,
    /// How long the leader waits for that.
    patience: Duration,
    writer: Writer,
}

/// What waits to be written.
struct Gathered {
    entries: Vec<Entry>,
    /// Where others than the leader wait for it.
    round: Option<Arc<Round>>,
    /// How many threads wait for the round, each of which can lead.
    threads: usize,
    /// Whether somebody writes, or is about to.
    is_led: bool,
    /// How many came the last time: so many are likely to come again.
    expected: usize,
    /// How long the last write took. It is not worth waiting longer than that.
    last_write: Duration,
}

/// What is taken out to be written.
struct Taken {
    entries: Vec<Entry>,
    round: Option<Arc<Round>>,
}

impl Group {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            gathered: Mutex::new(Gathered {
                entries: Vec::new(),
                round: None,
                threads: 0,
                is_led: false,
                expected: 1,
                last_write: Duration::ZERO,
            }),
            complete: Condvar::new(),
            patience,
            writer: Writer::default(),
        }
    }

    /// Has an entry written, alone or with those of others, and tells its place in what was written
    /// together.
    pub(super) fn record(
        &self,
        entry: Entry,
        trail: &Arc<Inner>,
    ) -> Result<(u64, Appended), AuditError> {
        let mut gathered = lock(&self.gathered);
        let index = self.add(&mut gathered, entry);
        let appended = if mem::replace(&mut gathered.is_led, true) {
            gathered.threads += 1;
            let round = gathered.join();
            drop(gathered);
            match round.wait() {
                Some(done) => done,
                None => self.lead_once(lock(&self.gathered), trail),
            }
        } else {
            self.lead_once(gathered, trail)
        };
        Ok((index, appended?))
    }

    /// Has an entry written, and does not wait.
    pub(super) fn submit(&self, id: EventId, entry: Entry, trail: &Arc<Inner>) -> PendingRecord {
        let mut gathered = lock(&self.gathered);
        let index = self.add(&mut gathered, entry);
        let round = gathered.join();
        let is_led = mem::replace(&mut gathered.is_led, true);
        drop(gathered);
        if !is_led {
            self.have_led(trail);
        }
        PendingRecord::new(id, index, round)
    }

    fn add(&self, gathered: &mut Gathered, entry: Entry) -> u64 {
        let index = gathered.entries.len();
        gathered.entries.push(entry);
        if gathered.is_led && gathered.entries.len() == gathered.expected {
            self.complete.notify_one();
        }
        index as u64
    }

    /// Lets the writer lead; without a thread for it, the caller does.
    fn have_led(&self, trail: &Arc<Inner>) {
        if let Err(trail) = self.writer.lead(Arc::clone(trail)) {
            Self::lead(trail);
        }
    }

    /// Writes until nothing is left.
    pub(super) fn lead(trail: Arc<Inner>) {
        loop {
            let group = trail.group.get();
            let written = group.take(lock(&group.gathered)).write(&trail);
            if group.after(&written).is_none() {
                // Who is told next may drop the trail, and is then the last that has it.
                drop(trail);
                drop(written);
                return;
            }
        }
    }

    /// Writes what is gathered, and lets another lead.
    fn lead_once(
        &self,
        gathered: MutexGuard<'_, Gathered>,
        trail: &Arc<Inner>,
    ) -> Result<Appended, AuditError> {
        let written = self.take(gathered).write(trail);
        if let Some(gathered) = self.after(&written) {
            match &gathered.round {
                Some(round) if gathered.threads > 0 => round.let_lead(),
                _ => {
                    drop(gathered);
                    self.have_led(trail);
                }
            }
        }
        written.tell()
    }

    fn take(&self, gathered: MutexGuard<'_, Gathered>) -> Taken {
        let mut gathered = self.await_others(gathered);
        gathered.expected = gathered.entries.len();
        gathered.threads = 0;
        Taken {
            entries: mem::take(&mut gathered.entries),
            round: gathered.round.take(),
        }
    }

    /// What was gathered during a write, and is to be written next. Where nothing was, nobody leads
    /// from now on.
    fn after(&self, written: &Written) -> Option<MutexGuard<'_, Gathered>> {
        let mut gathered = lock(&self.gathered);
        gathered.last_write = written.took.unwrap_or_default();
        gathered.is_led = !gathered.entries.is_empty();
        gathered.is_led.then_some(gathered)
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

impl Gathered {
    fn join(&mut self) -> Arc<Round> {
        Arc::clone(self.round.get_or_insert_default())
    }
}

impl Taken {
    fn write(self, trail: &Inner) -> Written {
        // How long it takes is of use only where others wait.
        let begun = self.round.is_some().then(Instant::now);
        let done = catch_unwind(AssertUnwindSafe(|| trail.append(&self.entries)));
        Written::new(self.round, done, begun.map(|begun| begun.elapsed()))
    }
}

/// A child waits for nobody of its parent's threads.
impl ForkableState for Group {
    fn for_child(&self) -> Self {
        Self::new(self.patience)
    }

    fn try_clear(&self) -> bool {
        self.gathered.try_lock().is_ok() && self.writer.try_clear()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! One question to several keyrings, in their order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::FallbackLimits;
use super::lane::Lane;
use super::workers::Ticket;
use crate::clock::Clock;
use crate::error::Error;
use crate::keyring::Keyring;
use crate::rng::{RandomSource, SystemRandom};

/// A keyring of a [`FallbackKeyring`](super::FallbackKeyring) gave no answer. Retrying may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keyring {keyring} of the fallback keyring gave no answer: {why}")]
#[non_exhaustive]
pub struct NotAnswered {
    /// The number of the keyring among those that were to be asked, from 1.
    pub keyring: usize,
    /// Why.
    pub why: WhyNotAnswered,
}

/// Why a keyring gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyNotAnswered {
    /// It took too long.
    #[error("it took longer than {after:?}; check that its provider can be reached")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// It did not answer before, and is asked again later.
    #[error("it did not answer before, and is asked again in {left:?}")]
    PutAside {
        /// In how long, at the most.
        left: Duration,
    },
    /// All threads that may call it were in other calls, which may hang, for all of its time.
    #[error("all {threads} threads that may call it were in other calls all the time; allow more")]
    Busy {
        /// The threads that it may have.
        threads: usize,
    },
    /// It panicked.
    #[error("it panicked; that is a mistake in its provider")]
    Panicked,
}

/// The keyrings to ask, and how.
pub(super) struct Race<'a> {
    limits: FallbackLimits,
    clock: &'a dyn Clock,
    lanes: &'a [Arc<Lane>],
}

/// What is asked on the caller's thread: nothing where that may block.
pub(super) type AtOnce<'a, T> = dyn Fn(&dyn Keyring) -> Option<Result<T, Error>> + 'a;

/// What runs on other threads.
type Ask<T> = dyn Fn(&dyn Keyring) -> Result<T, Error> + Send + Sync;

/// What comes back from them: the number of the keyring, and what it said.
type Said<T> = (usize, Result<T, Error>);

/// A call under way.
struct Call {
    keyring: usize,
    number: u64,
    ticket: Ticket,
    began: Instant,
}

impl<'a> Race<'a> {
    pub(super) fn new(
        limits: FallbackLimits,
        clock: &'a dyn Clock,
        lanes: &'a [Arc<Lane>],
    ) -> Self {
        Self {
            limits,
            clock,
            lanes,
        }
    }

    /// Asks one keyring after the other, until `decide` takes an answer. Nothing if it takes none.
    pub(super) fn run<T: Send + 'static, D>(
        &self,
        at_once: &AtOnce<'_, T>,
        ask: Arc<Ask<T>>,
        mut decide: impl FnMut(&Lane, Result<T, Error>) -> Option<D>,
    ) -> Option<D> {
        let (sender, receiver) = channel();
        let mut lanes = self.lanes.iter().enumerate();
        let mut calls: Vec<Call> = Vec::new();
        loop {
            if self.is_next_due(&calls) {
                match lanes.next() {
                    Some((keyring, lane)) => {
                        let said = match at_once(lane.keyring()) {
                            Some(said) => Err(said),
                            None => self
                                .begin(keyring, lane, &ask, &sender)
                                .map_err(|why| Err(not_answered(keyring, why))),
                        };
                        match said {
                            Ok(call) => calls.push(call),
                            Err(said) => {
                                if let Some(decided) = decide(lane, said) {
                                    return Some(decided);
                                }
                            }
                        }
                        continue;
                    }
                    None if calls.is_empty() => return None,
                    None => {}
                }
            }
            let may_hedge = lanes.len() > 0;
            if let Some((keyring, said)) = self.wait(&receiver, &mut calls, may_hedge)
                && let Some(lane) = self.lanes.get(keyring)
                && let Some(decided) = decide(lane, said)
            {
                return Some(decided);
            }
        }
    }

    /// Whether nobody is asked, or the last who was takes long.
    fn is_next_due(&self, calls: &[Call]) -> bool {
        match (calls.last(), self.limits.hedge_after) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(last), Some(after)) => last.began.elapsed() >= after,
        }
    }

    fn begin<T: Send + 'static>(
        &self,
        keyring: usize,
        lane: &Arc<Lane>,
        ask: &Arc<Ask<T>>,
        sender: &Sender<Said<T>>,
    ) -> Result<Call, WhyNotAnswered> {
        let now = self.clock.now();
        let begun = lane.breaker().begin(lane.limits(), now);
        let number = begun.map_err(|left| WhyNotAnswered::PutAside { left })?;
        let began = Instant::now();
        let job = {
            let (lane, ask, sender) = (Arc::clone(lane), Arc::clone(ask), sender.clone());
            // The clock stays with the caller: what is late by the system is late.
            Box::new(move || {
                let deadline = began + lane.limits().timeout;
                let said = ask_again(&lane, ask.as_ref(), deadline)
                    .unwrap_or_else(|| Err(not_answered(keyring, WhyNotAnswered::Panicked)));
                if said.as_ref().is_err_and(Error::is_retryable) {
                    lane.breaker().had_outage(number, lane.limits(), now);
                } else {
                    lane.breaker().answered(number);
                }
                let _nobody_waits = sender.send((keyring, said));
            })
        };
        Ok(Call {
            keyring,
            number,
            ticket: lane.workers().run(job),
            began,
        })
    }

    /// Waits for an answer, for a call to time out, or until the next keyring is due: then nothing.
    fn wait<T>(
        &self,
        receiver: &Receiver<Said<T>>,
        calls: &mut Vec<Call>,
        may_hedge: bool,
    ) -> Option<Said<T>> {
        let timeout = self.limits.timeout;
        let ends = calls.iter().map(|call| call.began + timeout);
        let hedge = self.limits.hedge_after.filter(|_| may_hedge);
        let hedge = hedge.and_then(|after| calls.last().map(|last| last.began + after));
        let until = ends.chain(hedge).min().unwrap_or_else(Instant::now);
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((keyring, said)) => {
                // What was given up comes too late.
                let place = calls.iter().position(|call| call.keyring == keyring)?;
                calls.remove(place);
                Some((keyring, said))
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let is_late = |call: &Call| call.began.elapsed() >= timeout;
                let call = calls.remove(calls.iter().position(is_late)?);
                let why = self.give_up(&call, timeout)?;
                Some((call.keyring, Err(not_answered(call.keyring, why))))
            }
        }
    }
}

impl Race<'_> {
    /// A call was not answered in its time, or never began.
    fn give_up(&self, call: &Call, after: Duration) -> Option<WhyNotAnswered> {
        let lane = self.lanes.get(call.keyring)?;
        let threads = lane.limits().threads;
        if lane.workers().withdraw(call.ticket) {
            lane.breaker().withdraw(call.number);
            return Some(WhyNotAnswered::Busy { threads });
        }
        let now = self.clock.now();
        lane.breaker().timed_out(call.number, lane.limits(), now);
        Some(WhyNotAnswered::TimedOut { after })
    }
}

/// Asks until there is an answer that is no outage, or no time for another. Nothing on a panic.
fn ask_again<T>(lane: &Lane, ask: &Ask<T>, deadline: Instant) -> Option<Result<T, Error>> {
    let limits = lane.limits();
    let mut pause = limits.backoff;
    let mut left = limits.retries;
    loop {
        let said = catch_unwind(AssertUnwindSafe(|| ask(lane.keyring().as_ref()))).ok()?;
        let shortened = shorten(pause);
        let is_time = Instant::now() + shortened < deadline;
        if left == 0 || !is_time || !said.as_ref().is_err_and(Error::is_retryable) {
            return Some(said);
        }
        thread::sleep(shortened);
        pause = pause.saturating_mul(2);
        left -= 1;
    }
}

/// A random part of up to a half less.
fn shorten(pause: Duration) -> Duration {
    let mut byte = [0];
    let _as_it_is = SystemRandom.fill(&mut byte);
    let [part] = byte;
    pause - pause * u32::from(part) / 512
}

fn not_answered(keyring: usize, why: WhyNotAnswered) -> Error {
    Error::NotAnswered(NotAnswered {
        keyring: keyring + 1,
        why,
    })
}

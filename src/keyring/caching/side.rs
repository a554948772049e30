//! What sealing and opening have in common: a cache, the calls under way, and their counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::cache::{Cache, Entry, Id};
use super::flight::{Flight, Flights, Landing, retold};
use super::limits::Budget;
use super::stats::CacheCounters;
use super::store::Store;
use crate::error::Error;
use crate::format::KeyReference;

/// Keeps values `V`, from calls that give answers `A`.
pub(super) struct Side<V, A>(Mutex<State<V, A>>);

struct State<V, A> {
    cache: Cache<V>,
    flights: Flights<A>,
    hits: u64,
    misses: u64,
}

/// A data key that is kept.
pub(super) trait Kept {
    /// Whether it is wrapped under `key`.
    fn names(&self, key: &KeyReference) -> bool;
}

/// What there is for one who needs a data key.
pub(super) enum Look<'a, V: Kept, A> {
    Found(A),
    /// Somebody else has asked for it.
    Wait(Arc<Flight<A>>),
    /// It must be asked for.
    Ask(Asking<'a, V, A>),
}

impl<V: Kept, A> Side<V, A> {
    pub(super) fn new(max_entries: usize) -> Self {
        Self(Mutex::new(State {
            cache: Cache::new(max_entries),
            flights: Flights::new(),
            hits: 0,
            misses: 0,
        }))
    }

    /// Looks for a data key with `find`; where there is none, for a call under way by the id of the
    /// call, for a message of `bytes` bytes; where there is none, begins one, whose data key has
    /// `left` left for others.
    pub(super) fn look<'a>(
        &'a self,
        store: &'a Arc<Store>,
        call: impl FnOnce() -> Id,
        (bytes, left): (u64, Budget),
        find: impl FnOnce(&mut Cache<V>, Duration) -> Option<A>,
    ) -> Look<'a, V, A> {
        let now = store.clock.now();
        let mut state = self.lock();
        if let Some(found) = find(&mut state.cache, now) {
            state.hits += 1;
            return Look::Found(found);
        }
        let call = call();
        if let Some(flight) = state.flights.join(&call, bytes) {
            return Look::Wait(flight);
        }
        Look::Ask(Asking {
            store,
            side: self,
            flight: state.flights.begin(call, left),
            began: now,
        })
    }

    /// Waits for somebody else's call. Nothing if the caller must look again.
    pub(super) fn wait(&self, flight: &Flight<A>) -> Option<Result<A, Error>>
    where
        A: Clone,
    {
        let result = flight.wait()?;
        if result.is_ok() {
            self.lock().hits += 1;
        }
        Some(result)
    }

    pub(super) fn count_miss(&self) {
        self.lock().misses += 1;
    }

    pub(super) fn drop_expired(&self, now: Duration) -> Option<Duration> {
        self.lock().cache.drop_expired(now)
    }

    pub(super) fn invalidate(&self, key: &KeyReference) {
        self.lock().drop_where(|kept| kept.names(key));
    }

    pub(super) fn clear(&self) {
        self.lock().drop_where(|_| true);
    }

    /// Clears, unless somebody holds the lock, who may not even exist in this process.
    pub(super) fn try_clear(&self) -> bool {
        match self.0.try_lock() {
            Ok(mut state) => state.drop_where(|_| true),
            Err(TryLockError::Poisoned(state)) => state.into_inner().drop_where(|_| true),
            Err(TryLockError::WouldBlock) => return false,
        }
        true
    }

    pub(super) fn counters(&self) -> CacheCounters {
        let state = self.lock();
        CacheCounters {
            hits: state.hits,
            misses: state.misses,
            evictions: state.cache.evictions(),
            entries: state.cache.len(),
        }
    }

    #[cfg(test)]
    pub(super) fn while_locked<T>(&self, action: impl FnOnce() -> T) -> T {
        let _state = self.lock();
        action()
    }

    fn lock(&self) -> MutexGuard<'_, State<V, A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V, A> State<V, A> {
    /// What is under way may be what is to be dropped.
    fn drop_where(&mut self, condition: impl FnMut(&V) -> bool) {
        self.flights.forget_all();
        self.cache.drop_where(condition);
    }
}

/// A caller who asks the keyring inside, for all who need the same.
///
/// Dropped, also in a panic, it lets those who wait look again.
pub(super) struct Asking<'a, V: Kept, A> {
    store: &'a Arc<Store>,
    side: &'a Side<V, A>,
    flight: Arc<Flight<A>>,
    began: Duration,
}

impl<V: Kept, A> Asking<'_, V, A> {
    /// What the call is for.
    pub(super) fn call(&self) -> &Id {
        self.flight.id()
    }

    /// Gives the answer to those who wait, and keeps what is `kept` for those who come later.
    pub(super) fn answered(self, answer: A, kept: Option<(Id, V)>) {
        let kept = kept.filter(|_| self.store.start_expiry());
        let expires = self.began.saturating_add(self.store.limits.max_age);
        let now = self.store.clock.now();
        let mut state = self.side.lock();
        state.misses += 1;
        let is_next_to_expire = match (state.flights.end(&self.flight), kept) {
            (Some(left), Some((id, value))) if !left.is_spent() && expires > now => {
                state.cache.insert(
                    id,
                    Entry {
                        value,
                        left,
                        expires,
                    },
                )
            }
            _ => false,
        };
        drop(state);
        if is_next_to_expire {
            self.store.wake_expiry();
        }
        self.flight.land(Landing::Answer(answer));
    }

    /// Tells those who wait of a failure.
    pub(super) fn failed(self, error: &Error) {
        self.side.count_miss();
        self.end(retold(error).map_or(Landing::Aborted, Landing::Failed));
    }

    /// Lets those who wait ask for themselves.
    pub(super) fn answered_to_one(self) {
        self.side.count_miss();
    }

    fn end(&self, landing: Landing<A>) {
        self.side.lock().flights.end(&self.flight);
        self.flight.land(landing);
    }
}

impl<V: Kept, A> Drop for Asking<'_, V, A> {
    fn drop(&mut self) {
        self.end(Landing::Aborted);
    }
}

//! Sessions that wait to be used again.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Use the keys that are there.
    ReadOnly,
    /// Create and destroy keys too.
    ReadWrite,
}

/// At most `max` sessions: each idle here, or out with somebody.
///
/// A session belongs to a generation. One of an earlier generation is forgotten and not closed, since
/// its number may have become another session's.
#[derive(Debug)]
pub(super) struct Pool<S> {
    state: Mutex<State<S>>,
    freed: Condvar,
    max: usize,
    wait: Duration,
}

#[derive(Debug)]
struct State<S> {
    idle: Vec<Idle<S>>,
    out: usize,
    /// A lower bound than ours that the token has shown, and until when it is believed.
    shown: Option<(usize, Instant)>,
}

/// How long a token is believed that has no more sessions. Others may have closed theirs by then.
const BELIEVED: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Idle<S> {
    session: S,
    access: Access,
    generation: u64,
}

/// Whether an idle session will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// An idle one, or a new one.
    Any,
    /// A new one: idle ones are under suspicion.
    New,
}

/// Somebody's turn to have a session. It is over with [`Pool::give_back`] or [`Pool::end`].
#[derive(Debug)]
pub(super) enum Turn<S> {
    /// This one.
    Use(S, Access),
    /// One that is yet to be opened.
    Open,
}

/// All sessions were in use, for as long as anybody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) sessions: usize,
    pub(super) waited: Duration,
}

impl<S> Pool<S> {
    pub(super) fn new(max: usize, wait: Duration) -> Self {
        let state = State {
            idle: Vec::new(),
            out: 0,
            shown: None,
        };
        Self {
            state: Mutex::new(state),
            freed: Condvar::new(),
            max,
            wait,
        }
    }

    /// Waits for a turn. Sessions that make room are closed by `close`.
    pub(super) fn take(
        &self,
        access: Access,
        want: Want,
        generation: u64,
        close: impl Fn(S),
    ) -> Result<Turn<S>, Busy> {
        let deadline = Instant::now() + self.wait;
        let mut state = self.lock();
        loop {
            state.forget_others_than(generation);
            if want == Want::Any
                && let Some(idle) = state.take_suitable(access)
            {
                state.out += 1;
                return Ok(Turn::Use(idle.session, idle.access));
            }
            let room = state.out + state.idle.len() < state.bound(self.max);
            let replaced = if room { None } else { state.idle.pop() };
            if room || replaced.is_some() {
                state.out += 1;
                drop(state);
                if let Some(idle) = replaced {
                    close(idle.session);
                }
                return Ok(Turn::Open);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Busy {
                    sessions: self.max,
                    waited: self.wait,
                });
            }
            (state, _) = self
                .freed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends a turn with a session that can be used again.
    pub(super) fn give_back(&self, session: S, access: Access, generation: u64) {
        let mut state = self.lock();
        state.out = state.out.saturating_sub(1);
        state.idle.push(Idle {
            session,
            access,
            generation,
        });
        drop(state);
        self.freed.notify_one();
    }

    /// Ends a turn without a session.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.out = state.out.saturating_sub(1);
        drop(state);
        self.freed.notify_one();
    }

    /// Ends the turn of one who was to open a session, for whom the token had none left. Gives whether
    /// there are others to wait for.
    pub(super) fn end_without_room(&self) -> bool {
        let mut state = self.lock();
        state.out = state.out.saturating_sub(1);
        let sessions = state.out + state.idle.len();
        state.shown = (sessions > 0).then(|| (sessions, Instant::now() + BELIEVED));
        sessions > 0
    }

    /// Takes out the idle sessions of a generation, and forgets the others.
    pub(super) fn drain(&self, generation: u64) -> Vec<S> {
        let mut state = self.lock();
        state.forget_others_than(generation);
        let idle = mem::take(&mut state.idle);
        idle.into_iter().map(|idle| idle.session).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> State<S> {
    fn bound(&self, max: usize) -> usize {
        match self.shown {
            Some((shown, until)) if Instant::now() < until => shown.min(max),
            _ => max,
        }
    }

    fn forget_others_than(&mut self, generation: u64) {
        if self.idle.iter().all(|idle| idle.generation == generation) {
            return;
        }
        for idle in mem::take(&mut self.idle) {
            if idle.generation == generation {
                self.idle.push(idle);
            } else {
                mem::forget(idle.session);
            }
        }
    }

    /// The session used last that may do what is to be done; rather a lesser one.
    fn take_suitable(&mut self, access: Access) -> Option<Idle<S>> {
        let of = |wanted| move |idle: &Idle<S>| idle.access == wanted;
        let mut place = self.idle.iter().rposition(of(access));
        if place.is_none() && access == Access::ReadOnly {
            place = self.idle.iter().rposition(of(Access::ReadWrite));
        }
        place.map(|place| self.idle.remove(place))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn pool(max: usize) -> Pool<u32> {
        Pool::new(max, Duration::from_millis(20))
    }

    fn no_close(session: u32) {
        panic!("{session} was closed");
    }

    fn take(pool: &Pool<u32>, access: Access) -> Turn<u32> {
        pool.take(access, Want::Any, 1, no_close).unwrap()
    }

    #[test]
    fn an_idle_session_is_used_again_the_last_one_first() {
        let pool = pool(3);
        for _ in 0..2 {
            assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
        }
        pool.give_back(7, Access::ReadOnly, 1);
        pool.give_back(8, Access::ReadOnly, 1);
        let turn = take(&pool, Access::ReadOnly);
        assert!(matches!(turn, Turn::Use(8, Access::ReadOnly)));
    }

    #[test]
    fn a_session_that_may_write_serves_readers_but_not_the_other_way_round() {
        let pool = pool(2);
        assert!(matches!(take(&pool, Access::ReadWrite), Turn::Open));
        pool.give_back(7, Access::ReadWrite, 1);
        let turn = take(&pool, Access::ReadOnly);
        assert!(matches!(turn, Turn::Use(7, Access::ReadWrite)));
        pool.end();
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
        pool.give_back(8, Access::ReadOnly, 1);
        assert!(matches!(take(&pool, Access::ReadWrite), Turn::Open));
    }

    #[test]
    fn idle_sessions_make_room() {
        let pool = pool(1);
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
        pool.give_back(7, Access::ReadOnly, 1);
        let closed = AtomicUsize::new(0);
        let close = |session| {
            assert_eq!(session, 7);
            closed.fetch_add(1, Ordering::Relaxed);
        };
        let turn = pool.take(Access::ReadWrite, Want::Any, 1, close).unwrap();
        assert!(matches!(turn, Turn::Open));
        assert_eq!(closed.load(Ordering::Relaxed), 1);
        pool.give_back(7, Access::ReadWrite, 1);
        let turn = pool.take(Access::ReadOnly, Want::New, 1, close).unwrap();
        assert!(matches!(turn, Turn::Open));
        assert_eq!(closed.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn sessions_of_another_generation_are_neither_used_nor_closed() {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let pool = Pool::new(2, Duration::ZERO);
        let close = |_: Loud| panic!("closed");
        let turn = pool.take(Access::ReadOnly, Want::Any, 1, close).unwrap();
        assert!(matches!(turn, Turn::Open));
        pool.give_back(Loud, Access::ReadOnly, 1);
        let turn = pool.take(Access::ReadOnly, Want::Any, 2, close).unwrap();
        assert!(matches!(turn, Turn::Open));
        pool.give_back(Loud, Access::ReadOnly, 1);
        assert!(pool.drain(2).is_empty());
    }

    #[test]
    fn never_more_than_the_bound_and_nobody_waits_for_ever() {
        let pool = pool(4);
        let out = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..16 {
                let (pool, out) = (&pool, &out);
                scope.spawn(move || {
                    for round in 0..200 {
                        let (want, access) = match (thread + round) % 4 {
                            0 => (Want::New, Access::ReadOnly),
                            1 => (Want::Any, Access::ReadWrite),
                            _ => (Want::Any, Access::ReadOnly),
                        };
                        let turn = loop {
                            if let Ok(turn) = pool.take(access, want, 1, drop) {
                                break turn;
                            }
                        };
                        assert!(out.fetch_add(1, Ordering::SeqCst) < 4);
                        let (session, access) = match turn {
                            Turn::Use(session, access) => (session, access),
                            Turn::Open => (thread, access),
                        };
                        out.fetch_sub(1, Ordering::SeqCst);
                        if round % 7 == 0 {
                            pool.end();
                        } else {
                            pool.give_back(session, access, 1);
                        }
                    }
                });
            }
        });
        let state = pool.lock();
        assert_eq!(state.out, 0);
        assert!(state.idle.len() <= 4);
    }

    #[test]
    fn a_token_with_fewer_sessions_sets_the_bound() {
        let pool = pool(3);
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
        assert!(pool.end_without_room());
        let busy = pool.take(Access::ReadOnly, Want::Any, 1, no_close);
        assert!(busy.is_err());
        pool.give_back(7, Access::ReadOnly, 1);
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Use(7, _)));
        pool.end();
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
        assert!(!pool.end_without_room());
    }

    #[test]
    fn who_finds_all_in_use_is_told_so() {
        let pool = pool(1);
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
        let busy = pool.take(Access::ReadOnly, Want::Any, 1, no_close);
        let expected = Busy {
            sessions: 1,
            waited: Duration::from_millis(20),
        };
        assert_eq!(busy.unwrap_err(), expected);
        pool.end();
        assert!(matches!(take(&pool, Access::ReadOnly), Turn::Open));
    }
}

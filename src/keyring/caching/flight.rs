//! Calls under way, which others who need the same wait for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::cache::Id;
use super::limits::Budget;
use crate::error::Error;
use crate::provider::ProviderError;

/// The calls under way that one may still join.
pub(super) struct Flights<A>(HashMap<Id, UnderWay<A>>);

struct UnderWay<A> {
    flight: Arc<Flight<A>>,
    /// What is left of the data key to come, when all who wait for it have used it.
    left: Budget,
}

/// One call, and what came of it.
pub(super) struct Flight<A> {
    id: Id,
    landing: OnceLock<Landing<A>>,
}

pub(super) enum Landing<A> {
    Answer(A),
    Failed(Error),
    /// Nothing that could be told to those who wait.
    Aborted,
}

impl<A> Flights<A> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// The call to wait for, with a use of its data key promised, if there is one that has a use
    /// left for a message of this many bytes.
    pub(super) fn join(&mut self, id: &[u8], bytes: u64) -> Option<Arc<Flight<A>>> {
        let under_way = self.0.get_mut(id)?;
        under_way.left = under_way.left.after_message(bytes)?;
        Some(Arc::clone(&under_way.flight))
    }

    /// Begins a call whose data key has `left` left for others.
    pub(super) fn begin(&mut self, id: Id, left: Budget) -> Arc<Flight<A>> {
        let flight = Arc::new(Flight {
            id: Arc::clone(&id),
            landing: OnceLock::new(),
        });
        let under_way = UnderWay {
            flight: Arc::clone(&flight),
            left,
        };
        self.0.insert(id, under_way);
        flight
    }

    /// Ends a call, and says what is left of its data key: nothing where a later call has taken its
    /// place, or it is forgotten.
    pub(super) fn end(&mut self, flight: &Arc<Flight<A>>) -> Option<Budget> {
        let under_way = self.0.get(&flight.id)?;
        if !Arc::ptr_eq(&under_way.flight, flight) {
            return None;
        }
        self.0.remove(&flight.id).map(|ended| ended.left)
    }

    /// Lets nobody else join, and nothing be kept of, the calls that are under way.
    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }
}

impl<A> Flight<A> {
    pub(super) fn id(&self) -> &Id {
        &self.id
    }

    /// Tells those who wait. Only the first landing counts.
    pub(super) fn land(&self, landing: Landing<A>) {
        let _ = self.landing.set(landing);
    }
}

impl<A: Clone> Flight<A> {
    /// Waits for the call. Nothing if the caller must look again.
    pub(super) fn wait(&self) -> Option<Result<A, Error>> {
        match self.landing.wait() {
            Landing::Answer(answer) => Some(Ok(answer.clone())),
            Landing::Failed(error) => retold(error).map(Err),
            Landing::Aborted => None,
        }
    }
}

/// The same error for one more caller, if it is what a provider answered or an outage. The cause
/// of an outage is told as text.
pub(super) fn retold(error: &Error) -> Option<Error> {
    let error = match error {
        Error::Decrypt => return Some(Error::Decrypt),
        Error::Provider(error) => error,
        Error::NotOpened { report, source } => {
            return Some(Error::NotOpened {
                report: report.clone(),
                source: Box::new(retold(source)?),
            });
        }
        Error::NotAnswered(error) => return Some(Error::NotAnswered(*error)),
        Error::TooFewShares { needed, held } => {
            return Some(Error::TooFewShares {
                needed: *needed,
                held: *held,
            });
        }
        _ => return None,
    };
    Some(Error::Provider(match error {
        ProviderError::KeyDestroyed => ProviderError::KeyDestroyed,
        ProviderError::OtherRootKey => ProviderError::OtherRootKey,
        ProviderError::UnknownKey { provider } => ProviderError::UnknownKey {
            provider: provider.clone(),
        },
        ProviderError::Denied { provider, reason } => ProviderError::Denied {
            provider: provider.clone(),
            reason: reason.clone(),
        },
        ProviderError::Refused { provider, source } => ProviderError::Refused {
            provider: provider.clone(),
            source: source.to_string().into(),
        },
        ProviderError::Unavailable { provider, source } => ProviderError::Unavailable {
            provider: provider.clone(),
            source: source.to_string().into(),
        },
        _ => return None,
    }))
}

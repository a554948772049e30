use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::AuditError;
use super::event::random_id;
use super::line::LineHash;
use crate::clock::Timestamp;
use crate::rng::{RandomError, RandomSource};

random_id! {
    /// Names a trail: its first line has it, and the first line of each of its files.
    TrailId
}

/// The end of a trail, or what was its end at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tail {
    /// The trail.
    pub trail: TrailId,
    /// The sequence of the last line.
    pub sequence: u64,
    /// The hash of the last line.
    pub hash: LineHash,
}

impl Tail {
    /// Puts one together, for those who implement a sink.
    #[must_use]
    pub fn new(trail: TrailId, sequence: u64, hash: LineHash) -> Self {
        Self {
            trail,
            sequence,
            hash,
        }
    }

    /// Refuses a trail that ends at `end`, where it ended here before, unless it can have gone on from
    /// here. A line that cannot be looked at, because its file is in an archive, is not.
    pub(super) fn check_followed_by(
        &self,
        end: Option<&Self>,
        sink: impl Fn() -> String,
        hash_of_line: impl FnOnce(u64) -> Result<Option<LineHash>, AuditError>,
    ) -> Result<(), AuditError> {
        let follows = match end {
            Some(end) if end.trail != self.trail => {
                return Err(AuditError::OtherTrail {
                    sink: sink(),
                    found: end.trail,
                    expected: self.trail,
                });
            }
            Some(end) if end.sequence > self.sequence => {
                hash_of_line(self.sequence)?.is_none_or(|hash| hash == self.hash)
            }
            end => end == Some(self),
        };
        if follows {
            Ok(())
        } else {
            Err(AuditError::Replaced { sink: sink() })
        }
    }
}

/// What was the end of a trail at some time, to be kept where whoever writes the trail cannot
/// change it: it shows whether lines were cut off since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrailHead {
    /// The trail.
    pub trail: TrailId,
    /// The sequence of the line that was the last.
    pub sequence: u64,
    /// The hash of that line.
    pub hash: LineHash,
    /// When it was.
    pub time: Timestamp,
}

impl TrailHead {
    /// Puts one together.
    #[must_use]
    pub fn new(tail: Tail, time: Timestamp) -> Self {
        Self {
            trail: tail.trail,
            sequence: tail.sequence,
            hash: tail.hash,
            time,
        }
    }
}

/// Where heads of trails are kept. A [`Kms`](crate::Kms) keeps them in its key store, sealed.
///
/// # Contract
///
/// [`save`](Self::save) is durable when it returns, and never replaces a head by one of the same trail with
/// a lower sequence: several processes may save heads of one trail, in any order.
/// [`load`](Self::load) returns what was saved, or an error; never nothing where there was a head.
pub trait HeadStore: fmt::Debug + Send + Sync {
    /// The head of a trail, if one was saved.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when it cannot tell.
    fn load(&self, trail: TrailId) -> Result<Option<TrailHead>, AuditError>;

    /// Saves a head.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when it was not saved.
    fn save(&self, head: &TrailHead) -> Result<(), AuditError>;
}

#[deny(clippy::missing_trait_methods)]
impl<T: HeadStore + ?Sized> HeadStore for Arc<T> {
    fn load(&self, trail: TrailId) -> Result<Option<TrailHead>, AuditError> {
        (**self).load(trail)
    }

    fn save(&self, head: &TrailHead) -> Result<(), AuditError> {
        (**self).save(head)
    }
}

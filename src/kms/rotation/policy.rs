//! When keys get new versions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::kms::error::KmsError;

/// When a key gets a new version by itself.
///
/// A new version becomes primary: from then on it wraps. Every older one goes on to unwrap. Keys
/// are rotated by [`tick`](crate::KmsHandle::tick), which the application calls, or
/// [`spawn_ticker`](crate::Kms::spawn_ticker).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    period_days: Option<u32>,
    budget: u64,
    guard_millis: u64,
}

/// A key is rotated when a year is over, or its primary version has wrapped 2^40 times.
impl Default for RotationPolicy {
    fn default() -> Self {
        Self::every_days(Self::DEFAULT_PERIOD_DAYS)
    }
}

impl RotationPolicy {
    /// The shortest period, in days.
    pub const MIN_PERIOD_DAYS: u32 = 90;
    /// The longest period, in days.
    pub const MAX_PERIOD_DAYS: u32 = 2560;
    /// The period where none is given, in days.
    pub const DEFAULT_PERIOD_DAYS: u32 = 365;
    /// The wraps of a version where no budget is given: what `FORMAT.md` recommends.
    pub const DEFAULT_BUDGET: u64 = 1 << 40;
    /// The largest budget: at this many wraps an attacker's advantage is 2^-29.
    pub const MAX_BUDGET: u64 = 1 << 48;
    /// The longest guard.
    pub const MAX_GUARD: Duration = Duration::from_secs(30 * 86_400);

    /// Rotates whenever so many days are over, 90 to 2560, or the default budget is used up.
    #[must_use]
    pub fn every_days(days: u32) -> Self {
        Self {
            period_days: Some(days),
            budget: Self::DEFAULT_BUDGET,
            guard_millis: 0,
        }
    }

    /// Rotates when the primary version has wrapped so often, and at no fixed time.
    #[must_use]
    pub fn by_budget(wraps: u64) -> Self {
        Self {
            period_days: None,
            budget: wraps,
            guard_millis: 0,
        }
    }

    /// Rotates earlier if the primary version has wrapped so often.
    ///
    /// Wraps are counted approximately: what a process has counted and not added to the store yet
    /// is at most a 64th of the budget, and at most 2^20. It is lost if the process ends before it
    /// [ticks](crate::KmsHandle::tick).
    #[must_use]
    pub fn with_budget(mut self, wraps: u64) -> Self {
        self.budget = wraps;
        self
    }

    /// Lets a new version wait so long before it becomes primary. Whoever reads the same store, or
    /// a replica that is at most so much behind, then knows the version before anything is wrapped
    /// under it.
    #[must_use]
    pub fn with_guard(mut self, guard: Duration) -> Self {
        self.guard_millis = u64::try_from(guard.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// The days between two rotations, if there is a period.
    #[must_use]
    pub fn period_days(&self) -> Option<u32> {
        self.period_days
    }

    /// The wraps of a version after which it is replaced.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// How long a new version waits before it becomes primary.
    #[must_use]
    pub fn guard(&self) -> Duration {
        Duration::from_millis(self.guard_millis)
    }

    pub(in crate::kms) fn check(&self) -> Result<(), KmsError> {
        if let Some(days) = self.period_days {
            in_range(
                "the rotation period",
                "days",
                Self::MIN_PERIOD_DAYS.into()..=Self::MAX_PERIOD_DAYS.into(),
                days.into(),
            )?;
        }
        in_range(
            "the budget of a version",
            "wraps",
            1..=Self::MAX_BUDGET,
            self.budget,
        )?;
        in_range(
            "the guard of a new version",
            "seconds",
            0..=Self::MAX_GUARD.as_secs(),
            self.guard_millis.div_ceil(1000),
        )
    }

    fn period(&self) -> Option<Duration> {
        self.period_days.map(days)
    }

    /// When the first rotation is due of a key whose rotation begins now.
    pub(in crate::kms) fn first(&self, now: Timestamp) -> Option<Timestamp> {
        self.period().map(|period| now.saturating_add(period))
    }

    /// The rotation after the one that was due on `due` and is done now. Where several were missed,
    /// one is done, and the rhythm is kept.
    pub(in crate::kms) fn after(&self, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let period = self.period()?.as_millis();
        let late = now.saturating_since(due).as_millis();
        let periods = late.checked_div(period)?.saturating_add(1);
        let millis = u64::try_from(periods.saturating_mul(period)).unwrap_or(u64::MAX);
        Some(due.saturating_add(Duration::from_millis(millis)))
    }
}

pub(in crate::kms) const fn days(days: u32) -> Duration {
    Duration::from_secs(days as u64 * 86_400)
}

pub(in crate::kms) fn in_range(
    what: &'static str,
    unit: &'static str,
    range: std::ops::RangeInclusive<u64>,
    given: u64,
) -> Result<(), KmsError> {
    if range.contains(&given) {
        return Ok(());
    }
    Err(KmsError::OutOfRange {
        what,
        min: *range.start(),
        max: *range.end(),
        unit,
        given,
    })
}

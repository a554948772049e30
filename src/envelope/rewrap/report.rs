use std::fmt;

use serde::Serialize;

/// What a [`RewrapJob`](super::RewrapJob) has done, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RewrapReport {
    /// Whether nothing was written, and `rewrapped` counts what would be.
    pub dry_run: bool,
    /// What was looked at: messages, headers for records, and anything else.
    pub looked_at: u64,
    /// Those with other wrapped keys now.
    pub rewrapped: u64,
    /// Of those, the ones whose header was overwritten in place.
    pub in_place: u64,
    /// Those that were already as they should be.
    pub current: u64,
    /// What is neither a message nor a header for records.
    pub other: u64,
    /// Those for which no context was given.
    pub skipped: u64,
    /// Those that an interrupted rewrap had left half overwritten, and that were made whole first.
    pub recovered: u64,
    /// Those that failed, messages of a newer waxseal among them. They open as they did before.
    pub failed: u64,
    /// Why, for the first [`MAX_FAILURES`](Self::MAX_FAILURES).
    pub failures: Vec<RewrapFailure>,
    /// The bytes that were written: headers, journals, and whole copies where a header had to become
    /// longer or shorter.
    pub bytes_written: u64,
    /// Whether it was stopped by the callback of its progress; the next run goes on.
    pub stopped: bool,
}

/// Something that could not be rewrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RewrapFailure {
    /// What: a path, or what the caller named it by.
    pub item: String,
    /// Why.
    pub error: String,
}

impl RewrapReport {
    /// How many failures are told of one by one.
    pub const MAX_FAILURES: usize = 100;

    /// Whether everything that was looked at is now as it should be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.skipped == 0 && !self.dry_run && !self.stopped
    }

    pub(super) fn fail(&mut self, item: impl fmt::Display, error: &dyn std::error::Error) {
        self.failed += 1;
        if self.failures.len() < Self::MAX_FAILURES {
            self.failures.push(RewrapFailure {
                item: item.to_string(),
                error: with_causes(error),
            });
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for RewrapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = if self.dry_run {
            "to be rewrapped"
        } else {
            "rewrapped"
        };
        write!(
            f,
            "{} looked at: {} {did}, {} current, {} others, {} skipped, {} failed",
            self.looked_at, self.rewrapped, self.current, self.other, self.skipped, self.failed
        )
    }
}

use std::time::Duration;

use serde::Serialize;

/// How old what was counted is, since it was last written; for a file, and after a rewrap too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct AgeCounts {
    /// Under 30 days.
    pub under_30_days: u64,
    /// 30 days and more, under 90.
    pub under_90_days: u64,
    /// 90 days and more, under 365.
    pub under_365_days: u64,
    /// 365 days and more.
    pub older: u64,
    /// It is not known when it was written.
    pub unknown: u64,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl AgeCounts {
    pub(super) fn add(&mut self, age: Option<Duration>) {
        let count = match age {
            None => &mut self.unknown,
            Some(age) if age < 30 * DAY => &mut self.under_30_days,
            Some(age) if age < 90 * DAY => &mut self.under_90_days,
            Some(age) if age < 365 * DAY => &mut self.under_365_days,
            Some(_) => &mut self.older,
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_at_their_edges() {
        let mut ages = AgeCounts::default();
        ages.add(None);
        for days in [0, 29, 30, 89, 90, 364, 365, 10_000] {
            ages.add(Some(days * DAY));
        }
        ages.add(Some(30 * DAY - Duration::from_millis(1)));
        let expected = AgeCounts {
            under_30_days: 3,
            under_90_days: 2,
            under_365_days: 2,
            older: 2,
            unknown: 1,
        };
        assert_eq!(ages, expected);
    }
}

//! Compares two pieces of work on a machine that others share.
//!
//! Two figures taken minutes apart differ by whatever else the machine did meanwhile. Here the two
//! alternate, a fraction of a millisecond each; every pair gives a ratio, and what disturbs one
//! pair is an outlier that the median leaves aside.

use std::time::{Duration, Instant};

/// Long against the clock's resolution, short against the scheduler's time slices.
const BATCH: Duration = Duration::from_micros(500);

/// What came of one comparison. Times are of a single operation, in nanoseconds.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The times of the first work.
    pub first: Vec<f64>,
    /// The times of the second work.
    pub second: Vec<f64>,
    /// For each pair, the first time as a multiple of the second.
    pub ratios: Vec<f64>,
}

/// Alternates `first` and `second`, `rounds` times each.
pub fn compare(rounds: usize, mut first: impl FnMut(), mut second: impl FnMut()) -> Comparison {
    let first_count = batch_count(&mut first);
    let second_count = batch_count(&mut second);
    let mut times = Comparison {
        first: Vec::with_capacity(rounds),
        second: Vec::with_capacity(rounds),
        ratios: Vec::with_capacity(rounds),
    };
    for round in 0..rounds {
        // Each goes first in half of the pairs, so that neither always finds the other's caches.
        let (a, b) = if round % 2 == 0 {
            let a = time(first_count, &mut first);
            (a, time(second_count, &mut second))
        } else {
            let b = time(second_count, &mut second);
            (time(first_count, &mut first), b)
        };
        times.first.push(a);
        times.second.push(b);
        times.ratios.push(a / b);
    }
    times
}

/// The lower quartile, the median and the upper quartile.
pub fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[(sorted.len() - 1) * quarter / 4])
}

/// How many runs make a batch.
fn batch_count(work: &mut impl FnMut()) -> u32 {
    work();
    // The first run pays for page faults and cold caches; the second estimate is of a warm batch.
    (0..2).fold(1, |count, _| {
        let start = Instant::now();
        (0..count).for_each(|_| work());
        let each = start.elapsed().as_nanos() / u128::from(count);
        u32::try_from(BATCH.as_nanos() / each.max(1)).map_or(u32::MAX, |count| count.max(1))
    })
}

/// The time of one run among `count`, in nanoseconds.
fn time(count: u32, work: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..count).for_each(|_| work());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}

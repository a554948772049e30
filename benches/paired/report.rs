use crate::pairs::{Comparison, quartiles};

/// Prints the speed of the first work over `len` bytes as a share of that of the second, the raw engine.
pub fn report(name: &str, len: usize, comparison: &Comparison) {
    if !is_bench() {
        return println!("{name}/{len} runs");
    }
    let speeds: Vec<f64> = comparison.ratios.iter().map(|ratio| 1.0 / ratio).collect();
    let [low, median, high] = quartiles(&speeds);
    let gigabytes_per_second = |times| {
        let [_, nanoseconds, _] = quartiles(times);
        len as f64 / nanoseconds
    };
    println!(
        "{name}/{len} runs at {median:.3} of the raw engine (median of {} pairs, \
         quartiles {low:.3}-{high:.3}; {:.2} and {:.2} GB/s)",
        speeds.len(),
        gigabytes_per_second(&comparison.first),
        gigabytes_per_second(&comparison.second),
    );
}

/// Prints how many times as fast the second work is as the first, of one thread.
#[cfg(feature = "rayon")]
pub fn report_speed_up(name: &str, comparison: &Comparison) {
    let [low, median, high] = quartiles(&comparison.ratios);
    println!("{name} with rayon runs at {median:.2} times one thread ({low:.2}-{high:.2})");
}

/// So many; one under `cargo test`, which only asks whether this runs.
pub fn rounds(wanted: usize) -> usize {
    if is_bench() { wanted } else { 1 }
}

/// Whether this is a measurement.
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

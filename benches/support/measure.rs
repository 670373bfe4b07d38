//! The clock: wall time, processor time of the whole process, peak memory, and how fast the machine is this moment.
//!
//! Processor time and memory come from `/proc`: on other systems they are 0 and count as not measured.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;

/// Ticks in a second of `/proc/self/stat`, on every Linux there is.
const TICKS: f64 = 100.0;

/// What a piece of work took, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// By the clock on the wall.
    pub(crate) wall: f64,
    /// Of all cores together, in steps of 10 ms.
    pub(crate) cpu: f64,
}

/// Does a piece of work and tells what it took.
pub(crate) fn measure<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let (cpu, start) = (cpu(), Instant::now());
    let result = work();
    let wall = start.elapsed().as_secs_f64();
    (
        result,
        Spent {
            wall,
            cpu: self::cpu() - cpu,
        },
    )
}

/// Gives the processor time of this process so far, in seconds.
pub(crate) fn cpu() -> f64 {
    cpu_times()[0]
}

/// Gives the processor time of all processes that this one started and that have ended, in seconds.
pub(crate) fn cpu_of_children() -> f64 {
    cpu_times()[1]
}

fn cpu_times() -> [f64; 2] {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold anything; the fields after it do not.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || {
        fields
            .next()
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or_default()
    };
    let (own, children) = (ticks() + ticks(), ticks() + ticks());
    [own / TICKS, children / TICKS]
}

/// Gives the most memory that this process ever held, in MB.
pub(crate) fn peak_memory() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0 / 1e6
}

/// Tells how long one core takes to SHA-1 8 MB in pieces as large as objects: this moment's speed of the machine.
pub(crate) fn calibrate() -> f64 {
    let piece = [0x5a_u8; 1400];
    let run = || {
        let start = Instant::now();
        for _ in 0..6000 {
            black_box(digest::digest(
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                black_box(&piece),
            ));
        }
        start.elapsed()
    };
    median((0..3).map(|_| run().as_secs_f64()).collect())
}

/// Gives the value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// Measures a short piece of work so many times, and gives the median of the wall times in seconds.
pub(crate) fn repeat(rounds: usize, mut work: impl FnMut(usize)) -> f64 {
    let times = (0..rounds).map(|round| {
        let start = Instant::now();
        work(round);
        start.elapsed().as_secs_f64()
    });
    median(times.collect())
}

/// Gives a duration in seconds with the digits that matter.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        _ if value.is_nan() => "-".to_owned(),
        _ if value >= 1.0 => format!("{value:.2} s"),
        _ if value >= 0.1 => format!("{:.0} ms", value * 1e3),
        _ if value >= 0.001 => format!("{:.1} ms", value * 1e3),
        _ => format!("{:.0} µs", value * 1e6),
    }
}

/// Gives a duration as `Duration` gives it, in seconds.
pub(crate) fn in_seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Gives a count as a number to divide by.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a bench are far below 2^52"
)]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

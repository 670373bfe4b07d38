//! When a pipeline looks at its source by itself: its interval with jitter, or back-off after failures. Pure but for the jitter's seed.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use jiff::Timestamp;

/// The longest wait after failures.
const LONGEST: Duration = Duration::from_secs(300);
/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait for a WEC that has not applied its works yet.
const PATIENT: Duration = Duration::from_secs(30);

/// Gives the wait before the next look, after so many failures in a row.
///
/// `random` is from 0 to 1: an interval is stretched or shortened by up to a tenth, a back-off by up to a quarter, so that many
/// pipelines do not ask one forge at once.
pub(super) fn wait(interval: Duration, failures: u32, random: f64) -> Duration {
    if failures == 0 {
        return interval.mul_f64(0.9 + 0.2 * random);
    }
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(0.75 + 0.5 * random)
}

/// Gives the wait before works are looked at again that wait for a WEC, after so many looks in vain.
pub(super) fn soon(looks: u32) -> Duration {
    FIRST.saturating_mul(1 << looks.min(16)).min(PATIENT)
}

/// Gives the wait until a moment; a little longer, so that it has come then.
pub(super) fn until(moment: Timestamp, now: Timestamp) -> Duration {
    let wait = Duration::try_from(moment.duration_since(now)).unwrap_or_default();
    wait + Duration::from_millis(1)
}

/// Gives a number from 0 to 1.
pub(super) fn random() -> f64 {
    let seed = RandomState::new().hash_one(0);
    f64::from(u32::try_from(seed >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

/// Writes a duration as people do: `90s`, `10m`, `2h`.
pub(super) fn words(duration: Duration) -> String {
    crate::model::api::pipeline::Interval(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_double_the_wait_up_to_five_minutes() {
        let minute = Duration::from_secs(60);
        let waits: Vec<u64> = [0, 1, 2, 3, 9, 40]
            .map(|failures| wait(minute, failures, 0.5).as_secs())
            .into();
        assert_eq!(waits, [60, 1, 2, 4, 256, 300]);
    }

    #[test]
    fn a_wec_that_takes_its_time_is_asked_less_and_less_often() {
        let waits: Vec<u64> = [0, 1, 4, 5, 40].map(|looks| soon(looks).as_secs()).into();
        assert_eq!(waits, [1, 2, 16, 30, 30]);
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        let minute = Duration::from_secs(60);
        assert_eq!(wait(minute, 0, 0.0).as_secs(), 54);
        assert_eq!(wait(minute, 0, 1.0).as_secs(), 66);
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&random()));
        }
    }
}

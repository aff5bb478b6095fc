//! When the remote is looked at next. Pure: chance is given.

use std::time::Duration;

/// How long it is to the next look. `chance` is between 0 and 1: nodes that were started together spread over a fifth of
/// the interval, and do not all ask at once.
#[must_use]
pub fn wait(interval: Duration, max_backoff: Duration, failures: u32, chance: f64) -> Duration {
    let doubled = interval.saturating_mul(2_u32.saturating_pow(failures.min(20)));
    let wait = doubled.min(max_backoff.max(interval));
    wait.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_while_the_remote_does_not_answer() {
        let minute = Duration::from_secs(60);
        let wait = |failures, chance| wait(minute, 10 * minute, failures, chance).as_secs();
        let rows = [
            (0, 0.5, 60),
            (0, 0.0, 54),
            (0, 1.0, 66),
            (1, 0.5, 120),
            (3, 0.5, 480),
            (4, 0.5, 600),
            (99, 0.5, 600),
        ];
        for (failures, chance, expected) in rows {
            assert_eq!(wait(failures, chance), expected, "{failures} {chance}");
        }
        assert_eq!(super::wait(minute, Duration::ZERO, 5, 0.5), minute, "never shorter than the interval");
    }
}

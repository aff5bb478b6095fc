//! The shell: what time it is. Histories have the time of day; what must not depend on who sets that clock goes by the
//! time since boot.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads the clock")]

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chainmail_contract::Date;
use serde::{Deserialize, Serialize, Serializer};

/// Where moments come from.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The time of day.
    pub now: fn() -> Moment,
    /// The time since boot.
    pub uptime: fn() -> Uptime,
}

impl Clock {
    /// That of this host.
    pub const HOST: Self = Self { now: Moment::now, uptime: Uptime::now };
}

/// A moment in seconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment. A clock before 1970 counts as 1970.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl Moment {
    /// Reads a moment that was written by [`fmt::Display`] or [`stamp`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers =
            text.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (year, month, day) = (next()?, next()?, next()?);
        let (hour, minute, second) = (next()?, next()?, next()?);
        let date = Date::new(year, month, day)
            .filter(|_| year >= 1970 && hour < 24 && minute < 60 && second <= 60)?;
        // Days are counted from a guess that is at most a few too low: leap days beyond the first of each four years.
        let guess = (year - 1970) * 365 + (month - 1) * 28;
        let days = (guess..).find(|&days| Date::from_days(days) >= date)?;
        Some(Self(days * 86_400 + hour * 3600 + minute * 60 + second))
    }
}

/// This moment as RFC 3339 writes it, with as many digits as tell one event of a service from the next.
#[must_use]
pub fn stamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = Moment(since.as_secs()).to_string();
    format!("{}.{:06}Z", seconds.trim_end_matches('Z'), since.subsec_micros())
}

impl fmt::Display for Moment {
    /// As RFC 3339 writes it: `1970-01-01T00:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        let date = Date::from_days(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A moment by a clock that nobody sets, and that goes on while this host sleeps and services restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime {
    /// The boot that it counts from: random(4), `boot_id`.
    pub boot: String,
    /// Seconds since then: proc_uptime(5).
    pub seconds: u64,
}

impl Uptime {
    /// This moment. On a host that does not say which boot it is, all boots count as one.
    #[must_use]
    pub fn now() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let time = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = time.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Self { boot: boot.trim_end().to_owned(), seconds }
    }

    /// How long it is since an earlier moment; `None` where that was in another boot.
    #[must_use]
    pub fn since(&self, earlier: &Uptime) -> Option<Duration> {
        (self.boot == earlier.boot).then(|| Duration::from_secs(self.seconds.saturating_sub(earlier.seconds)))
    }

    /// How long it is until a later moment; `None` where that was in another boot.
    #[must_use]
    pub fn until(&self, later: &Uptime) -> Option<Duration> {
        later.since(self)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_moments_are_read_as_such() {
        assert_eq!(Moment::parse(&stamp()).map(|read| Moment::now().0 - read.0 <= 1), Some(true));
        for text in
            ["", "2026", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "2026-01-01T24:00:00Z", "never"]
        {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_dates() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_774_355_696, "2026-03-24T12:34:56Z"),
        ];
        for (seconds, written) in rows {
            assert_eq!(Moment(seconds).to_string(), written, "{seconds}");
            assert_eq!(Moment::parse(written), Some(Moment(seconds)), "{written}");
        }
    }
}

//! Days of the calendar, in UTC.

use std::fmt;
use std::str::FromStr;

/// A day; prints as `2026-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// The day of a number, counted from 1970-01-01. Years begin in March here, so that the leap day is the last day of
    /// one, and the 400 years after which the calendar repeats have 146,097 days.
    #[must_use]
    pub fn from_days(days: u64) -> Self {
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self { year: era * 400 + year_of_era + u64::from(month <= 2), month, day }
    }

    /// A day by its numbers, if the calendar has it.
    #[must_use]
    pub fn new(year: u64, month: u64, day: u64) -> Option<Self> {
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        ((1..=days).contains(&day) && year <= 9999).then_some(Self { year, month, day })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str, digits: usize| {
            let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        };
        let mut parts = text.split('-');
        let date = (|| {
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() {
                return None;
            }
            Date::new(number(year, 4)?, number(month, 2)?, number(day, 2)?)
        })();
        date.ok_or_else(|| format!("{text:?} is no day, like 2026-12-31"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let rows = [
            (0, "1970-01-01"),
            (11_015, "2000-02-28"),
            (11_016, "2000-02-29"),
            (47_541, "2100-03-01"),
            (20_536, "2026-03-24"),
        ];
        for (days, written) in rows {
            assert_eq!(Date::from_days(days).to_string(), written, "{days}");
            assert_eq!(written.parse(), Ok(Date::from_days(days)), "{written}");
        }
        for wrong in ["2026-02-29", "2026-13-01", "2026-1-01", "2026-01-00", "2026-01-01-", "26-01-01", ""] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }
}

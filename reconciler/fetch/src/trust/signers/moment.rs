//! Times in UTC, as the options `valid-after` and `valid-before` have them.

/// Reads `YYYYMMDDZ` or `YYYYMMDDHHMM[SS]Z` as seconds since 1970. OpenSSH reads a time without the Z in the time zone of
/// the host, so that one file would mean something else on each node; it is refused here.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no time; write YYYYMMDDZ or YYYYMMDDHHMMSSZ, the Z for UTC");
    let digits = text.strip_suffix('Z').ok_or_else(wrong)?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let part = |range: std::ops::Range<usize>| {
        digits.get(range).map_or(0, |part| part.parse::<i64>().expect("they are digits"))
    };
    let (year, month, day) = (part(0..4), part(4..6), part(6..8));
    let (hour, minute, second) = (part(8..10), part(10..12), part(12..14));
    let fits = (1..=12).contains(&month)
        && (1..=length(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    // OpenSSH takes 1970-01-01 for "not set".
    if fits && seconds > 0 { Ok(seconds) } else { Err(wrong()) }
}

/// The days of a month.
fn length(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from 1970-01-01. Years begin in March here, so that the leap day is the last day of one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_utc_alone() {
        let rows = [
            ("19700102Z", 86_400),
            ("197001010001Z", 60),
            ("20240229Z", 1_709_164_800),
            ("20260101120001Z", 1_767_268_801),
            ("20991231235959Z", 4_102_444_799),
        ];
        for (text, expected) in rows {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        let wrong = [
            "20260101",
            "20260101z",
            "2026010Z",
            "202601011Z",
            "20261301Z",
            "20260001Z",
            "20260100Z",
            "20260231Z",
            "20230229Z",
            "21000229Z",
            "202601012400Z",
            "202601010060Z",
            "20260101000060Z",
            "19700101Z",
            "19691231Z",
            "00000101Z",
            "20260101UTC",
            "2026-01-01Z",
            "+2026101Z",
            " 20260101Z",
            "",
            "Z",
        ];
        for text in wrong {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}

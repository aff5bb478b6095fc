//! The shell: which day it is. Only waivers ask.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads the clock")]

use std::time::{SystemTime, UNIX_EPOCH};

use chainmail_snapshot::Date;

/// Today, in UTC. A clock before 1970 counts as 1970.
pub(super) fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Date::from_days(since.map_or(0, |since| since.as_secs() / 86_400))
}

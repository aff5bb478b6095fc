//! The shell: which day it is. Only waivers ask.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads the clock")]

use std::time::{SystemTime, UNIX_EPOCH};

use chainmail_contract::Date;

/// The day on which waivers are judged.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct TodayArgs {
    /// The day on which waivers are judged, like 2026-12-31 [default: today, in UTC].
    #[arg(long, value_name = "DATE")]
    today: Option<Date>,
}

impl TodayArgs {
    pub(super) fn day(self) -> Date {
        self.today.unwrap_or_else(today)
    }
}

/// Today, in UTC. A clock before 1970 counts as 1970.
fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Date::from_days(since.map_or(0, |since| since.as_secs() / 86_400))
}

//! Has what waits to be confirmed judged, and answers who asks for metrics, until a signal ends it.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use chainmail_reconciler::unit::{stop_on_signals, tell};
use sd_notify::NotifyState;

use super::{Event, beat, stopped};
use crate::config::Config;
use crate::confirm::answer;
use crate::metrics::serve;
use crate::paths::Paths;

/// How often it wakes where no watchdog is to be fed.
const ROUND: Duration = Duration::from_secs(60);

/// Runs until a signal ends it.
///
/// # Errors
/// When the signals cannot be had.
pub fn run(paths: &Paths, config: &Config) -> std::io::Result<()> {
    let (sender, events) = channel();
    stop_on_signals(sender, Event::Stop)?;
    answer::start(paths);
    if let Some(address) = config.metrics {
        serve::start(address, paths);
    }
    let beat = beat().unwrap_or(ROUND);
    tell(&[NotifyState::Ready]);
    loop {
        match events.recv_timeout(beat) {
            Ok(Event::News) => {}
            Err(RecvTimeoutError::Timeout) => tell(&[NotifyState::Watchdog]),
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return stopped(),
        }
    }
}

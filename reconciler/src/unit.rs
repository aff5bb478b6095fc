//! What a service of systemd tells, and how it is told to end: alike for the one that applies and the one that pulls.

use std::sync::mpsc::Sender;

use sd_notify::NotifyState;
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Tells systemd; without it there is nobody to tell.
pub fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd is not told");
    }
}

/// Sends an event at each signal that asks the service to end.
///
/// # Errors
/// When the signals cannot be had.
pub fn stop_on_signals<Event: Clone + Send + 'static>(
    sender: Sender<Event>,
    stop: Event,
) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(stop.clone()).is_err() {
                return;
            }
        }
    });
    Ok(())
}

//! The shell: the three parts as services, each a clock around processes that do the work, and what they share.

pub mod download;
pub mod probe;
pub mod together;
pub mod verify;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use chainmail_reconciler::unit::tell;
use notify::{RecursiveMode, Watcher as _};
use sd_notify::NotifyState;

/// How long the events of one push are gathered: Git writes several files.
const GATHER: Duration = Duration::from_millis(50);
/// How often a watchdog of systemd must be fed, as a part of the time it gives: sd_watchdog_enabled(3) says half.
const WATCHDOG_PART: u32 = 3;

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Something happened that is to be looked at.
    News,
    /// The service is to end.
    Stop,
}

fn stopped() -> std::io::Result<()> {
    tell(&[NotifyState::Stopping]);
    tracing::info!("stopping; what was handed over stays");
    Ok(())
}

/// How often the watchdog is fed, if there is one.
fn beat() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / WATCHDOG_PART)
}

/// Waits until the next look is due, and feeds the watchdog meanwhile. The events of one change are gathered for a while.
fn wait_for(events: &Receiver<Event>, until: Instant, beat: Option<Duration>, gather: Duration) -> Event {
    let mut due = until;
    loop {
        let left = due.saturating_duration_since(Instant::now());
        match events.recv_timeout(beat.map_or(left, |beat| beat.min(left))) {
            Ok(Event::News) => due = due.min(Instant::now() + gather),
            // The senders live as long as the process.
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Event::Stop,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= due => return Event::News,
            Err(RecvTimeoutError::Timeout) => tell(&[NotifyState::Watchdog]),
        }
    }
}

/// Watches one file of a folder.
fn watch_file(folder: &Path, file: PathBuf, sender: &Sender<Event>) -> Option<notify::RecommendedWatcher> {
    watch(folder, RecursiveMode::NonRecursive, sender, move |event| event.paths.contains(&file))
}

/// Watches a folder for changes that are news. The watcher lives as long as it is held; where there is none, time finds
/// news too.
fn watch(
    folder: &Path,
    mode: RecursiveMode,
    sender: &Sender<Event>,
    is_news: impl Fn(&notify::Event) -> bool + Send + 'static,
) -> Option<notify::RecommendedWatcher> {
    let sender = sender.clone();
    let told = move |event: notify::Result<notify::Event>| {
        let news = event.is_ok_and(|event| !event.kind.is_access() && is_news(&event));
        if news && sender.send(Event::News).is_err() {
            tracing::debug!("the service has ended");
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(folder, mode)?;
        Ok(watcher)
    });
    let folder = folder.display();
    watcher.inspect_err(|error| tracing::warn!(%error, "{folder} is looked at by time alone")).ok()
}

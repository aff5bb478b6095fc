//! The shell: says when the remote is looked at, and speaks to systemd.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::unit::{stop_on_signals, tell};
use chainmail_snapshot::Sha256Hex;
use notify::{RecursiveMode, Watcher as _};
use sd_notify::NotifyState;

use crate::child::{Cycle, GLANCE, Progress};
use crate::config::{Config, Transport};
use crate::confirm::{Reach, answer, remember_reach};
use crate::cycle::{unknown, write_status};
use crate::inputs;
use crate::inventory::keep::tend;
use crate::metrics::serve::{self, Looks};
use crate::mirror::git_folder;
use crate::paths::Paths;
use crate::schedule;
use crate::state::read_json;
use crate::status::{State, Status};
use crate::trust::First;

/// How long the events of one push are gathered: Git writes several files.
const GATHER: Duration = Duration::from_millis(50);
/// How often a watchdog of systemd must be fed, as a part of the time it gives: sd_watchdog_enabled(3) says half.
const WATCHDOG_PART: u32 = 3;

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Something happened in a repository on this host, or a revision was released.
    News,
    /// The service is to end.
    Stop,
}

/// Runs one cycle to its end, however it ends.
///
/// # Errors
/// When no process can be started.
pub fn once(paths: &Paths, config: &Config, first: First) -> std::io::Result<Status> {
    let mut cycle = Cycle::start(paths, config, first)?;
    loop {
        match cycle.progress()? {
            Progress::Running => std::thread::sleep(GLANCE),
            end => return Ok(status_after(paths, config, end)),
        }
    }
}

/// How things stand after a cycle: as it wrote, unless it could not.
fn status_after(paths: &Paths, config: &Config, end: Progress) -> Status {
    let written = read_json::<Status>(&paths.status()).ok().flatten();
    let before = || Status {
        remote: config.remote.to_string(),
        branch: config.branch.as_str().to_owned(),
        ..written.clone().unwrap_or_else(unknown)
    };
    let (state, reason) = match end {
        Progress::Ended(status) if status.code().is_some() => {
            return written.unwrap_or_else(|| Status {
                reason: Some("how things stand could not be written; see the log".to_owned()),
                ..unknown()
            });
        }
        Progress::TooLong => {
            remember_reach(paths, Reach::Silent);
            let time = config.timeout.as_secs();
            (State::Unreachable, format!("nothing came of it within timeout = {time} s"))
        }
        Progress::Ended(status) => (State::Broken, format!("the cycle was ended: {status}; out of memory?")),
        Progress::Running => (State::Unreachable, "the cycle is not at its end".to_owned()),
    };
    let before = before();
    let failures = before.failures + 1;
    let asked = Some(Moment::now().to_string());
    tracing::error!(state = state.as_str(), "{reason}");
    let status = Status { state, reason: Some(reason), failures, asked, ..before };
    if let Err(error) = write_status(paths, &status) {
        tracing::error!(%error, "the status is an old one");
    }
    status
}

/// Looks again and again until a signal ends it.
///
/// # Errors
/// When the signals cannot be had, or no process can be started.
pub fn run(paths: &Paths, mut config: Config, first: First) -> std::io::Result<()> {
    let (sender, events) = channel();
    stop_on_signals(sender.clone(), Event::Stop)?;
    let _watchers = [watch_remote(&config, sender.clone()), watch_releases(paths, sender.clone())];
    // Whether the remote answers once a snapshot is taken back says what that one did to it.
    answer::start(paths, move || {
        if sender.send(Event::News).is_err() {
            tracing::debug!("the service has ended");
        }
    });
    let looks = Looks::default();
    if let Some(address) = config.metrics {
        serve::start(address, paths, &looks);
    }
    let of_inventory = paths.clone();
    std::thread::spawn(move || tend(&of_inventory));
    let beat = sd_notify::watchdog_enabled().map(|time| time / WATCHDOG_PART);
    let mut first = first;
    tell(&[NotifyState::Ready]);
    loop {
        let mut cycle = Cycle::start(paths, &config, first)?;
        let end = loop {
            tell(&[NotifyState::Watchdog]);
            if events.recv_timeout(GLANCE) == Ok(Event::Stop) {
                cycle.end();
                return stopped();
            }
            match cycle.progress()? {
                Progress::Running => {}
                end => break end,
            }
        };
        first = First::Refuse;
        let status = status_after(paths, &config, end);
        looks.count(status.state);
        tell(&[NotifyState::Status(status.state.as_str())]);
        // What is written there holds from the next look on; what it was before holds until it can be read.
        match inputs::config(paths) {
            Ok((_, new)) => config = new,
            Err(error) => tracing::error!(%error, "the configuration is kept as it was"),
        }
        let wait = schedule::wait(config.interval, config.max_backoff, status.failures, chance(&status));
        if wait_for(&events, Instant::now() + wait, beat) == Event::Stop {
            return stopped();
        }
    }
}

fn stopped() -> std::io::Result<()> {
    tell(&[NotifyState::Stopping]);
    tracing::info!("stopping; what was handed over stays");
    Ok(())
}

/// Something between 0 and 1 that differs from node to node and from look to look.
fn chance(status: &Status) -> f64 {
    let digest = Sha256Hex::of(format!("{} {:?} {}", status.node, status.asked, std::process::id()));
    let number = u32::from_str_radix(digest.short(8), 16).expect("they are hex digits");
    f64::from(number) / f64::from(u32::MAX)
}

/// Waits until the next look is due, and feeds the watchdog meanwhile.
fn wait_for(events: &Receiver<Event>, until: Instant, beat: Option<Duration>) -> Event {
    let mut due = until;
    loop {
        let left = due.saturating_duration_since(Instant::now());
        match events.recv_timeout(beat.map_or(left, |beat| beat.min(left))) {
            Ok(Event::News) => due = due.min(Instant::now() + GATHER),
            // The senders live as long as the process.
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Event::Stop,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= due => return Event::News,
            Err(RecvTimeoutError::Timeout) => tell(&[NotifyState::Watchdog]),
        }
    }
}

/// Watches a repository on this host. The watcher lives as long as it is held; where there is none, time finds news too.
fn watch_remote(config: &Config, sender: Sender<Event>) -> Option<notify::RecommendedWatcher> {
    let Transport::Local(path) = &config.remote.transport else { return None };
    let folder = git_folder(path);
    let told = move |event: notify::Result<notify::Event>| {
        let changes = event.is_ok_and(|event| !event.kind.is_access());
        if changes && sender.send(Event::News).is_err() {
            tracing::debug!("the service has ended");
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        // Branches are files below refs, or lines of packed-refs.
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        watcher.watch(&folder.join("refs"), RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| tracing::warn!(%error, "the remote is looked at by time alone")).ok()
}

fn watch_releases(paths: &Paths, sender: Sender<Event>) -> Option<notify::RecommendedWatcher> {
    let released = paths.released();
    let folder = paths.state();
    let told = move |event: notify::Result<notify::Event>| {
        let news = event.is_ok_and(|event| !event.kind.is_access() && event.paths.contains(&released));
        if news && sender.send(Event::News).is_err() {
            tracing::debug!("the service has ended");
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| tracing::warn!(%error, "releases are found by time alone")).ok()
}

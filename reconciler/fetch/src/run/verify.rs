//! Says when what came over is looked at: once the half that downloads has looked, when a revision was let go, and by time.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use chainmail_reconciler::files;
use chainmail_reconciler::unit::{stop_on_signals, tell};
use sd_notify::NotifyState;

use super::{Event, beat, stopped, wait_for, watch_file};
use crate::child::{Cycle, GLANCE, Progress, Work};
use crate::config::Config;
use crate::confirm::word;
use crate::cycle::{unknown, write_status};
use crate::inputs;
use crate::inventory::keep::tend;
use crate::paths::Paths;
use crate::state::{json, read_json};
use crate::status::{State, Status};
use crate::trust::First;

/// How long events are gathered: what is handed over is one file, replaced by rename.
const GATHER: Duration = Duration::from_millis(5);
/// The rest between two looks, however often the other user writes.
const REST: Duration = Duration::from_millis(100);

/// How often the quarantine is looked at where it cannot be watched.
const UNWATCHED: Duration = Duration::from_secs(5);

/// Runs one cycle to its end, however it ends.
///
/// # Errors
/// When no process can be started.
pub fn once(paths: &Paths, config: &Config, first: First) -> std::io::Result<Status> {
    let end = Cycle::start(paths, config, Work::Cycle(first))?.wait()?;
    Ok(status_after(paths, config, end))
}

/// How things stand after a cycle: as it wrote, unless it could not.
fn status_after(paths: &Paths, config: &Config, end: Progress) -> Status {
    let written = read_json::<Status>(&paths.status()).ok().flatten();
    let reason = match end {
        Progress::Ended(status) if status.code().is_some() => {
            return written.unwrap_or_else(|| Status {
                reason: Some("how things stand could not be written; see the log".to_owned()),
                ..unknown()
            });
        }
        Progress::TooLong => {
            format!("the newest revision was not verified within timeout = {} s", config.timeout.as_secs())
        }
        Progress::Ended(status) => format!("the cycle was ended: {status}; out of memory?"),
        Progress::Running => "the cycle is not at its end".to_owned(),
    };
    let before = Status {
        remote: config.remote.to_string(),
        branch: config.branch.as_str().to_owned(),
        ..written.unwrap_or_else(unknown)
    };
    tracing::error!(state = State::Broken.as_str(), "{reason}");
    let status = Status { state: State::Broken, reason: Some(reason), ..before };
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
    let _released = watch_file(&paths.state(), paths.released(), &sender);
    let mut handed_over = None;
    word::start(paths);
    let of_inventory = paths.clone();
    std::thread::spawn(move || tend(&of_inventory));
    let beat = beat();
    let mut looks = BTreeMap::<State, u64>::new();
    let mut first = first;
    tell(&[NotifyState::Ready]);
    loop {
        let begun = Instant::now();
        // The folder is not there before the half that downloads is set up.
        handed_over = handed_over.or_else(|| watch_file(&paths.quarantine(), paths.look(), &sender));
        // What is written from here on is for the next one.
        while let Ok(event) = events.try_recv() {
            if event == Event::Stop {
                return stopped();
            }
        }
        let mut cycle = Cycle::start(paths, &config, Work::Cycle(first))?;
        let mut news = false;
        let end = loop {
            tell(&[NotifyState::Watchdog]);
            match events.recv_timeout(GLANCE) {
                Ok(Event::Stop) => {
                    cycle.end();
                    return stopped();
                }
                Ok(Event::News) => news = true,
                Err(_) => {}
            }
            match cycle.progress()? {
                Progress::Running => {}
                end => break end,
            }
        };
        let status = status_after(paths, &config, end);
        if status.asked.is_some() {
            first = First::Refuse;
        }
        *looks.entry(status.state).or_default() += 1;
        if let Err(error) = files::replace_volatile(&paths.looks(), &json(&looks)) {
            tracing::warn!(%error, "looks are not counted");
        }
        tell(&[NotifyState::Status(status.state.as_str())]);
        // What is written there holds from the next look on; what it was before holds until it can be read.
        match inputs::config(paths) {
            Ok((_, new)) => config = new,
            Err(error) => tracing::error!(%error, "the configuration is kept as it was"),
        }
        let rest = begun + REST;
        let longest = if handed_over.is_some() { config.interval } else { config.interval.min(UNWATCHED) };
        if wait_for(&events, if news { rest } else { begun + longest }, beat, GATHER) == Event::Stop {
            return stopped();
        }
        std::thread::sleep(rest.saturating_duration_since(Instant::now()));
    }
}

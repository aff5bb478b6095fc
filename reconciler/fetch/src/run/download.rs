//! Says when the remote is looked at.

use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use chainmail_contract::Sha256Hex;
use chainmail_reconciler::unit::{stop_on_signals, tell};
use notify::RecursiveMode;
use sd_notify::NotifyState;

use super::{Event, GATHER, beat, stopped, wait_for, watch};
use crate::child::{Cycle, GLANCE, Progress, Work};
use crate::config::{Config, Transport};
use crate::confirm::{answer, is_on_trial};
use crate::download::{self, gave_up};
use crate::inputs;
use crate::paths::Paths;
use crate::quarantine::{Look, Wanted};
use crate::remote::git_folder;
use crate::schedule;
use crate::state::read_json;
use crate::status::State;

/// Looks once.
///
/// # Errors
/// When no process can be started.
pub fn once(paths: &Paths, config: &Config) -> std::io::Result<()> {
    let beside_trial = is_on_trial(paths);
    let end = Cycle::start(paths, config, Work::Look)?.wait()?;
    ended(paths, config, end, beside_trial);
    Ok(())
}

/// Says so where a look came to nothing.
fn ended(paths: &Paths, config: &Config, end: Progress, beside_trial: bool) {
    let (state, reason) = match end {
        Progress::Ended(status) if status.code().is_some() => return,
        Progress::TooLong => {
            let time = config.timeout.as_secs();
            (State::Unreachable, format!("nothing came of it within timeout = {time} s"))
        }
        Progress::Ended(status) => (State::Broken, format!("the look was ended: {status}; out of memory?")),
        Progress::Running => return,
    };
    tracing::error!(state = state.as_str(), "{reason}");
    if let Err(error) = gave_up(paths, beside_trial, state, reason) {
        tracing::error!(%error, "what was found is an old finding");
    }
}

/// Looks again and again until a signal ends it.
///
/// # Errors
/// When the signals cannot be had, or no process can be started.
pub fn run(paths: &Paths, mut config: Config) -> std::io::Result<()> {
    let (sender, events) = channel();
    stop_on_signals(sender.clone(), Event::Stop)?;
    let _watchers = watched(paths, &config, &sender);
    // Whether the remote answers once a snapshot is taken back says what that one did to it.
    answer::watch_setbacks(paths, move || {
        if sender.send(Event::News).is_err() {
            tracing::debug!("the service has ended");
        }
    });
    let beat = beat();
    tell(&[NotifyState::Ready]);
    loop {
        let beside_trial = is_on_trial(paths);
        let mut look = Cycle::start(paths, &config, Work::Look)?;
        let end = loop {
            tell(&[NotifyState::Watchdog]);
            if events.recv_timeout(GLANCE) == Ok(Event::Stop) {
                look.end();
                return stopped();
            }
            match look.progress()? {
                Progress::Running => {}
                end => break end,
            }
        };
        ended(paths, &config, end, beside_trial);
        // What is written there holds from the next look on; what it was before holds until it can be read.
        match inputs::config(paths) {
            Ok((_, new)) => config = new,
            Err(error) => tracing::error!(%error, "the configuration is kept as it was"),
        }
        let look = read_json::<Look>(&paths.look()).ok().flatten();
        let failures = look.as_ref().map_or(1, |look| look.failures);
        let wait = schedule::wait(config.interval, config.max_backoff, failures, chance(look.as_ref()));
        if is_asked(paths, look.as_ref()) {
            continue;
        }
        if wait_for(&events, Instant::now() + wait, beat, GATHER) == Event::Stop {
            return stopped();
        }
    }
}

/// Whether the verifier lacks something that the last look did not bring.
fn is_asked(paths: &Paths, look: Option<&Look>) -> bool {
    let needs = download::needs(paths);
    let answered = look.filter(|look| look.failed.is_none()).map(|look| look.answers);
    needs.wanted != Wanted::Nothing && answered.is_some_and(|answered| answered != needs)
}

/// Watches a repository on this host, and what the verifier asks for.
fn watched(paths: &Paths, config: &Config, sender: &Sender<Event>) -> Vec<notify::RecommendedWatcher> {
    let (of, needs) = (paths.clone(), paths.needs());
    let asked = move |event: &notify::Event| {
        event.paths.contains(&needs) && is_asked(&of, read_json(&of.look()).ok().flatten().as_ref())
    };
    let mut watchers = vec![watch(&paths.run(), RecursiveMode::NonRecursive, sender, asked)];
    if let Transport::Local(path) = &config.remote.transport {
        // Branches are files below refs, or lines of packed-refs.
        let folder = git_folder(path);
        watchers.push(watch(&folder.join("refs"), RecursiveMode::Recursive, sender, |_| true));
        watchers.push(watch(&folder, RecursiveMode::NonRecursive, sender, |_| true));
    }
    watchers.into_iter().flatten().collect()
}

/// Something between 0 and 1 that differs from node to node and from look to look.
fn chance(look: Option<&Look>) -> f64 {
    let name = rustix::system::uname();
    let asked = look.map(|look| look.asked.as_str());
    let digest = Sha256Hex::of(format!("{:?} {asked:?} {}", name.nodename(), std::process::id()));
    let number = u32::from_str_radix(digest.short(8), 16).expect("they are hex digits");
    f64::from(number) / f64::from(u32::MAX)
}

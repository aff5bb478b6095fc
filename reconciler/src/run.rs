//! The shell: waits for what may need a cycle, and speaks to systemd.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher as _};
use sd_notify::NotifyState;

use crate::files;
use crate::kernel::Kernel;
use crate::monitor::lookout::Lookout;
use crate::monitor::{legacy, nft};
use crate::paths::Paths;
use crate::service::{Reach, Seen, Service};
use crate::status::Enforce;
use crate::unit::{stop_on_signals, tell};

/// How long the events of one change are gathered: fetch writes several files, and a tool several rules.
const GATHER: Duration = Duration::from_millis(100);
/// The shortest time between two looks at the kernel that others' changes ask for. A host on which others change rules
/// all the time is looked at this often, and no more.
const CALM: Duration = Duration::from_secs(1);
/// How often a watchdog of systemd must be fed, as a part of the time it gives: sd_watchdog_enabled(3) says half.
const WATCHDOG_PART: u32 = 3;

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Something happened in the spool, or a person ordered something.
    Wish,
    /// Somebody changed rules.
    Rules,
    /// Somebody may have changed legacy tables.
    LegacyLock,
    /// The service is to end.
    Stop,
}

/// Runs cycles until a signal ends it. Nothing in the kernel changes then.
///
/// # Errors
/// When the signals cannot be had.
pub fn run<K: Kernel>(service: &mut Service<K>, paths: &Paths, mut lookout: Lookout) -> std::io::Result<()> {
    let (sender, events) = channel();
    stop_on_signals(sender.clone(), Event::Stop)?;
    let _watcher = watch_wishes(paths, sender.clone());
    watch_rules(sender, &lookout);
    let beat = sd_notify::watchdog_enabled().map(|time| time / WATCHDOG_PART);
    let mut ready = false;
    loop {
        lookout.begin(service.seen());
        let began = Instant::now();
        let wait = service.cycle(Reach::Spool, began);
        let status = service.status();
        let settled = matches!(
            status.enforce,
            Enforce::Enforcing
                | Enforce::Observing
                | Enforce::RolledBack
                | Enforce::Closed
                | Enforce::Nothing
        );
        if !ready && settled {
            ready = true;
            tell(&[NotifyState::Ready]);
        }
        tell(&[NotifyState::Status(&status.words()), NotifyState::Watchdog]);
        if wait_for(&events, &mut lookout, service.seen(), began, began + wait, beat).is_break() {
            tell(&[NotifyState::Stopping]);
            tracing::info!("stopping; the rules stay in force");
            return Ok(());
        }
    }
}

/// Waits until the next cycle is due, looks out for changes by others and feeds the watchdog meanwhile. Breaks when there
/// is to be none.
fn wait_for(
    events: &Receiver<Event>,
    lookout: &mut Lookout,
    seen: &Seen,
    began: Instant,
    until: Instant,
    beat: Option<Duration>,
) -> ControlFlow<()> {
    let mut due = until;
    let mut fed = Instant::now();
    loop {
        let now = Instant::now();
        if now >= due {
            return ControlFlow::Continue(());
        }
        let soon = (now + GATHER).max(began + CALM);
        if due > soon && now >= lookout.next() && lookout.is_changed(now, seen) {
            due = soon;
        }
        if beat.is_some_and(|beat| now >= fed + beat) {
            alive();
            fed = now;
        }
        let wake = if due > soon { due.min(lookout.next()) } else { due };
        let wake = beat.map_or(wake, |beat| wake.min(fed + beat));
        match events.recv_timeout(wake.saturating_duration_since(Instant::now())) {
            Ok(Event::Wish) => due = due.min(Instant::now() + GATHER),
            Ok(Event::Rules) => due = due.min((Instant::now() + GATHER).max(began + CALM)),
            Ok(Event::LegacyLock) => lookout.expect_change((Instant::now() + GATHER).max(began + CALM)),
            // The senders live as long as the process.
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Feeds the watchdog.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Watches the spool and the folder of orders. The watcher lives as long as it is held. Where there is none, the interval
/// finds what is new too.
fn watch_wishes(paths: &Paths, sender: Sender<Event>) -> Option<notify::RecommendedWatcher> {
    let folders = [paths.spool(), paths.orders_folder()];
    let unwatched = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "the spool is looked at by time alone");
    };
    if let Err(error) = folders.iter().try_for_each(|folder| files::make_dir(folder)) {
        unwatched(&error);
        return None;
    }
    let told = move |event: notify::Result<notify::Event>| {
        let reading = event.is_ok_and(|event| event.kind.is_access());
        if !reading && sender.send(Event::Wish).is_err() {
            tracing::debug!("the service has ended");
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| unwatched(error)).ok()
}

/// Has the news of a backend's tables told as events.
fn watch_rules(sender: Sender<Event>, lookout: &Lookout) {
    let looks_at_tables = lookout.looks_at_tables();
    std::thread::spawn(move || {
        let told = if looks_at_tables {
            legacy::watch(|| sender.send(Event::LegacyLock).is_ok())
        } else {
            nft::watch(|| sender.send(Event::Rules).is_ok())
        };
        if let Err(error) = told {
            tracing::info!(%error, "changes by others are seen by time alone");
        }
    });
}

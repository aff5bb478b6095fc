//! The shell: looks at the inventory whenever it changes, in a process of its own that keeps what it has read in memory.
//! It speaks to nobody, so nothing keeps it waiting, and a remote that does not answer does not hold up a pod.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecursiveMode, Watcher as _};

use super::folder::Place;
use super::refresh::{Keeper, RefreshError};
use crate::child;
use crate::inputs;
use crate::paths::Paths;

/// How long the events of one change are gathered at least: whoever adds a pod may write in several steps.
const GATHER: Duration = Duration::from_millis(50);
/// How long they are gathered at most: a look may have taken long because it was the first, or waited for another one, and
/// a pod is to be in force within a second.
const GATHER_LONGEST: Duration = Duration::from_millis(500);
/// How often the folder is looked at where no event comes, and its age told.
const ROUND: Duration = Duration::from_secs(10);
/// How long it is from the end of the process to the next one.
const PAUSE: Duration = Duration::from_secs(5);

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The folder changed, or a revision was accepted.
    News,
    /// Whoever started this process has ended.
    Stop,
}

/// Sees to it that the process is there while the configuration names an inventory; never ends.
pub fn tend(paths: &Paths) {
    loop {
        if inputs::config(paths).is_ok_and(|(_, config)| config.inventory.is_some()) {
            match child::inventory(paths, child::Rounds::Many) {
                Ok(status) if status.success() => {}
                Ok(status) => {
                    tracing::error!("who looks after the inventory was ended: {status}; out of memory?");
                }
                Err(error) => tracing::error!(%error, "nobody looks after the inventory"),
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks until whoever started this process ends, or the configuration names no inventory any more.
pub fn keep(paths: &Paths) {
    let (sender, events) = channel();
    stop_with_the_parent(sender.clone());
    let _accepted = watch(&paths.state(), &[paths.accepted()], sender.clone());
    let mut keeper = Keeper::default();
    let mut watched = None;
    loop {
        let wanted = inputs::config(paths).ok().and_then(|(_, config)| config.inventory);
        if let Some(wanted) = wanted {
            follow(&wanted.folder.unwrap_or_else(|| paths.inventory()), &mut watched, &sender);
        }
        let began = Instant::now();
        match keeper.refresh(paths) {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => tell(&error),
        }
        // However fast pods are born, looks take turns with rests as long: the applying half needs a processor too.
        if wait_for(&events, began.elapsed().clamp(GATHER, GATHER_LONGEST)) == Event::Stop {
            return;
        }
    }
}

fn tell(error: &RefreshError) {
    tracing::error!(%error, "the inventory is not looked at");
}

/// Waits for news, and then as long as the events of one change are gathered.
fn wait_for(events: &Receiver<Event>, gather: Duration) -> Event {
    let mut due = Instant::now() + ROUND;
    let mut gathering = false;
    loop {
        match events.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(Event::News) if !gathering => {
                gathering = true;
                due = Instant::now() + gather;
            }
            Ok(Event::News) => {}
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Event::Stop,
            Err(RecvTimeoutError::Timeout) => return Event::News,
        }
    }
}

/// The kernel closes the other end of standard input when the parent ends, in whatever way.
fn stop_with_the_parent(sender: Sender<Event>) {
    std::thread::spawn(move || {
        let end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        if let Err(error) = end {
            tracing::debug!(%error, "standard input ended");
        }
        sender.send(Event::Stop).ok();
    });
}

/// Watches the folder, and where it is not there the place where it would be made.
fn follow(folder: &Path, watched: &mut Option<(Place, notify::RecommendedWatcher)>, sender: &Sender<Event>) {
    // What is made after the look and before the watch is seen by the next look.
    while let Some(place) = Place::of(folder)
        && watched.as_ref().is_none_or(|(of, _)| *of != place)
    {
        let watcher = watch(&place.path, &place.only, sender.clone());
        let failed = watcher.is_none();
        *watched = watcher.map(|watcher| (place, watcher));
        if failed {
            return;
        }
    }
}

/// Watches a folder, or some files of it. A file that was written where it stands is news once it is closed too.
fn watch(folder: &Path, only: &[PathBuf], sender: Sender<Event>) -> Option<notify::RecommendedWatcher> {
    let only = only.to_vec();
    let told = move |event: notify::Result<notify::Event>| {
        let news = event.is_ok_and(|event| {
            let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
            let change = !event.kind.is_access() || event.kind == written;
            change && (only.is_empty() || event.paths.iter().any(|path| only.contains(path)))
        });
        if news {
            sender.send(Event::News).ok();
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| tracing::warn!(%error, "it is looked at by time alone")).ok()
}

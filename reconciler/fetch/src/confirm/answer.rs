//! The shell: sees in a thread of its own what the applying half waits for, and has it judged. A look at the remote may hang
//! meanwhile: that is one of the things that a snapshot can do to a node.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use chainmail_reconciler::exit::Exit;
use chainmail_reconciler::spool::confirms;
use notify::{RecursiveMode, Watcher as _};

use super::Attempt;
use crate::child::{Cycle, GLANCE, Progress};
use crate::inputs;
use crate::paths::Paths;

/// How often the applying half is looked at where its news are not seen.
const INTERVAL: Duration = Duration::from_secs(5);
/// The wait before an attempt is judged again of which nothing could be said.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers until the process ends. `taken_back` is called after each attempt that was not confirmed.
pub fn start(paths: &Paths, mut taken_back: impl FnMut() + Send + 'static) {
    let paths = paths.clone();
    std::thread::spawn(move || {
        let (sender, news) = channel();
        let _watcher = watch(&paths, sender);
        loop {
            let Some(attempt) = Attempt::current(&paths) else {
                wait(&news, INTERVAL);
                continue;
            };
            if !answer(&paths, &attempt) {
                taken_back();
            }
            while attempt.lasts(&paths) {
                wait(&news, INTERVAL);
            }
        }
    });
}

/// Has an attempt judged until something is said about it or it is over; whether it was confirmed.
fn answer(paths: &Paths, attempt: &Attempt) -> bool {
    while attempt.lasts(paths) {
        match judged(paths, attempt) {
            Ok(Some(exit)) if [Exit::Done, Exit::Differences].map(said).contains(&exit) => break,
            Ok(Some(_) | None) => std::thread::sleep(PAUSE),
            Err(error) => {
                tracing::error!(%error, "what was applied cannot be judged");
                std::thread::sleep(PAUSE);
            }
        }
    }
    confirms(&paths.node, &attempt.digest)
}

fn said(exit: Exit) -> i32 {
    i32::from(exit.code())
}

/// Runs one judgement; its exit code, or `None` where the attempt was over before.
fn judged(paths: &Paths, attempt: &Attempt) -> std::io::Result<Option<i32>> {
    let (_, config) = inputs::config(paths).map_err(std::io::Error::other)?;
    let mut judge = Cycle::judging(paths, &config)?;
    while attempt.lasts(paths) {
        match judge.progress()? {
            Progress::Running => std::thread::sleep(GLANCE),
            Progress::Ended(status) => return Ok(status.code()),
            Progress::TooLong => return Ok(None),
        }
    }
    Ok(None)
}

/// Waits for news, however many.
fn wait(news: &Receiver<()>, time: Duration) {
    match news.recv_timeout(time) {
        Ok(()) => while news.try_recv().is_ok() {},
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => std::thread::sleep(time.min(PAUSE)),
    }
}

fn watch(paths: &Paths, sender: Sender<()>) -> Option<notify::RecommendedWatcher> {
    let status = paths.node.status();
    let told = move |event: notify::Result<notify::Event>| {
        let news = event.is_ok_and(|event| !event.kind.is_access() && event.paths.contains(&status));
        if news && sender.send(()).is_err() {
            tracing::debug!("the service has ended");
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(&paths.node.run(), RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| tracing::warn!(%error, "what was applied is found by time alone")).ok()
}

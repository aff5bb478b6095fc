//! The shell: sees in a thread of its own what the applying half waits for, and has it judged. A look at the remote may hang
//! meanwhile: that is one of the things that a snapshot can do to a node.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use chainmail_reconciler::exit::Exit;
use chainmail_reconciler::spool::confirms;
use notify::{RecursiveMode, Watcher as _};

use super::Attempt;
use crate::child::{Cycle, GLANCE, Progress, Work};
use crate::inputs;
use crate::paths::Paths;

/// How often the applying half is looked at where its news are not seen.
const INTERVAL: Duration = Duration::from_secs(5);
/// The wait before an attempt is judged again of which nothing could be said.
const PAUSE: Duration = Duration::from_secs(1);

/// Has each attempt judged until the process ends, in a thread of its own.
pub fn start(paths: &Paths) {
    follow(paths, answer);
}

/// Calls back after each attempt that was not confirmed, until the process ends.
pub fn watch_setbacks(paths: &Paths, mut taken_back: impl FnMut() + Send + 'static) {
    follow(paths, move |paths, attempt| {
        while attempt.lasts(paths) {
            std::thread::sleep(PAUSE);
        }
        if !confirms(&paths.node, &attempt.digest) {
            taken_back();
        }
    });
}

/// Calls back for each attempt, in a thread of its own.
fn follow(paths: &Paths, mut begun: impl FnMut(&Paths, &Attempt) + Send + 'static) {
    let paths = paths.clone();
    std::thread::spawn(move || {
        let (sender, news) = channel();
        let _watcher = watch(&paths, sender);
        loop {
            let Some(attempt) = Attempt::current(&paths) else {
                wait(&news, INTERVAL);
                continue;
            };
            begun(&paths, &attempt);
            while attempt.lasts(&paths) {
                wait(&news, INTERVAL);
            }
        }
    });
}

/// Has an attempt judged until something is found about it or it is over.
fn answer(paths: &Paths, attempt: &Attempt) {
    while attempt.lasts(paths) {
        match judged(paths, attempt) {
            Ok(Some(exit)) if [Exit::Done, Exit::Differences].map(said).contains(&exit) => return,
            Ok(Some(_) | None) => std::thread::sleep(PAUSE),
            Err(error) => {
                tracing::error!(%error, "what was applied cannot be judged");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn said(exit: Exit) -> i32 {
    i32::from(exit.code())
}

/// Runs one judgement; its exit code, or `None` where the attempt was over before.
fn judged(paths: &Paths, attempt: &Attempt) -> std::io::Result<Option<i32>> {
    let (_, config) = inputs::config(paths).map_err(std::io::Error::other)?;
    let mut judge = Cycle::start(paths, &config, Work::Judge)?;
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
pub(super) fn wait(news: &Receiver<()>, time: Duration) {
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

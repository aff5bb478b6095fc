//! Passes on what was found about an attempt, as the user who may write the spool. The answer is another user's: it holds
//! for the attempt that it names, and only while that lasts.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use chainmail_contract::Sha256Hex;
use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::spool::Refusal;
use notify::{RecursiveMode, Watcher as _};
use serde::{Deserialize, Serialize};

use super::answer::wait;
use super::{Attempt, Finding, Judged};
use crate::paths::Paths;
use crate::state::{json, write_json};

/// The most bytes of an answer.
const MOST_ANSWER: u64 = 16_384;
/// The most characters that are passed on of a reason.
const MOST_REASON: usize = 1500;
/// How often the answer is looked at where no event comes.
const INTERVAL: Duration = Duration::from_secs(5);

/// What was found about an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The snapshot.
    pub digest: Sha256Hex,
    /// Since when it waits, which tells one attempt from the next.
    pub since: String,
    /// What was found.
    pub finding: Finding,
    /// Why.
    pub reason: String,
    /// When.
    pub time: String,
}

/// Passes answers on until the process ends, in a thread of its own.
pub fn start(paths: &Paths) {
    let paths = paths.clone();
    std::thread::spawn(move || {
        let (sender, news) = channel();
        let (mut last, mut watcher) = (None, None);
        loop {
            // The folder is not there before the half that probes is set up.
            watcher = watcher.or_else(|| watch(&paths, sender.clone()));
            let answer = read(&paths);
            if answer.is_some() && answer != last {
                match pass_on(&paths) {
                    // An answer that came before the attempt was seen is looked at again.
                    Ok(Some(_)) => last = answer,
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "what was found about a snapshot cannot be told"),
                }
            }
            wait(&news, INTERVAL);
        }
    });
}

/// Passes on what was found about the attempt that lasts; `None` where nothing was.
///
/// # Errors
/// When it cannot be written.
pub fn pass_on(paths: &Paths) -> Result<Option<Judged>, FileError> {
    let Some(Answer { digest, since, finding, reason, .. }) = read(paths) else { return Ok(None) };
    let attempt = Attempt { digest, since };
    if !attempt.lasts(paths) {
        return Ok(None);
    }
    let Attempt { digest, since } = attempt;
    let reason = one_line(&reason);
    match finding {
        Finding::Confirmed => {
            tracing::info!(%digest, "confirmed: {reason}");
            files::publish(&paths.node.confirmed(), &format!("{digest}\n"))?;
        }
        Finding::Refused => {
            tracing::error!(%digest, "refused: {reason}");
            let refusal = Refusal { digest: digest.clone(), since, reason: reason.clone() };
            files::publish(&paths.node.refused(), &json(&refusal))?;
        }
        Finding::Unknown => tracing::error!(%digest, "not confirmed: {reason}"),
    }
    let judged = Judged { digest, finding, reason, time: Moment::now().to_string() };
    write_json(&paths.judged(), &judged)?;
    Ok(Some(judged))
}

/// The answer, if it is one. What else the other user writes there is told without its content.
fn read(paths: &Paths) -> Option<Answer> {
    let text = files::read_short(&paths.answer(), MOST_ANSWER);
    let text = text.inspect_err(|error| tracing::warn!(%error, "no answer of the probes")).ok()??;
    let answer = serde_json::from_str::<Answer>(&text);
    let place = |error: serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    answer.map_err(|error| tracing::warn!("no answer of the probes: {}", place(error))).ok()
}

/// A text of another user, on one line and not long.
fn one_line(text: &str) -> String {
    let words = text.split(|letter: char| letter.is_control()).filter(|part| !part.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MOST_REASON).collect()
}

fn watch(paths: &Paths, sender: Sender<()>) -> Option<notify::RecommendedWatcher> {
    let answer = paths.answer();
    let told = move |event: notify::Result<notify::Event>| {
        let news = event.is_ok_and(|event| !event.kind.is_access() && event.paths.contains(&answer));
        if news && sender.send(()).is_err() {
            tracing::debug!("the service has ended");
        }
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(&paths.probe(), RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| tracing::debug!(%error, "answers of the probes are found by time alone")).ok()
}

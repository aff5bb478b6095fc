//! Judges one attempt, and writes down what was found.

use std::sync::mpsc::channel;
use std::time::Duration;

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::kernel::KernelError;
use chainmail_reconciler::kernel::process::Call;
use chainmail_reconciler::unit::stop_on_signals;
use thiserror::Error;

use super::word::Answer;
use super::{Attempt, Finding, Reach, reached_before};
use crate::config::{Config, Confirm};
use crate::paths::Paths;
use crate::remote;
use crate::state::json;

/// How much of what a probe prints is kept.
const PRINTED: usize = 1000;
/// The wait before a remote that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why an attempt was not judged.
#[derive(Debug, Error)]
pub enum JudgeError {
    /// What was found cannot be written down.
    #[error(transparent)]
    File(#[from] FileError),
    /// It could not be told to end.
    #[error("signals cannot be had: {0}")]
    Signals(std::io::Error),
    /// It was told to end.
    #[error("ended before anything was found")]
    Ended,
}

/// Judges what waits to be confirmed, as long as it waits; `None` where nothing does, or does no more.
///
/// # Errors
/// When a signal ends it, or what was found cannot be written down.
pub fn judge(paths: &Paths, config: &Config) -> Result<Option<Answer>, JudgeError> {
    let Some(attempt) = Attempt::current(paths) else { return Ok(None) };
    let (sender, signals) = channel();
    stop_on_signals(sender, ()).map_err(JudgeError::Signals)?;
    let mut is_told_to_end = false;
    let found = find(paths, config, &mut || {
        is_told_to_end |= signals.try_recv().is_ok();
        !is_told_to_end && attempt.lasts(paths)
    });
    if is_told_to_end {
        return Err(JudgeError::Ended);
    }
    let Some((finding, reason)) = found.filter(|_| attempt.lasts(paths)) else { return Ok(None) };
    let Attempt { digest, since } = attempt;
    let answer = Answer { digest, since, finding, reason, time: Moment::now().to_string() };
    files::replace_volatile(&paths.answer(), &json(&answer))?;
    Ok(Some(answer))
}

/// What is found about an attempt, and why.
type Found = (Finding, String);

/// What is found while anybody wants to know.
fn find(paths: &Paths, config: &Config, wanted: &mut dyn FnMut() -> bool) -> Option<Found> {
    match probe(&config.confirm, wanted) {
        Ok(()) => ask_remote(paths, config, wanted).map(|reason| (Finding::Confirmed, reason)),
        Err(found) => Some(found),
    }
}

/// Runs the probes, one after the other. One that cannot be run says nothing about the snapshot.
fn probe(confirm: &Confirm, wanted: &mut dyn FnMut() -> bool) -> Result<(), Found> {
    for probe in &confirm.probes {
        let Some((program, args)) = probe.split_first() else { continue };
        let call = Call::new(program.clone()).deadline(confirm.probe_timeout).most(PRINTED);
        let call = args.iter().fold(call, |call, arg| call.arg(arg.as_str()));
        match call.run_while("", wanted) {
            Ok(printed) => tracing::info!(probe = %call, "passed: {}", printed.trim_end().escape_debug()),
            Err(error @ KernelError::Run { .. }) => {
                return Err((Finding::Unknown, format!("a probe: {error}")));
            }
            Err(error) => return Err((Finding::Refused, format!("a probe: {error}"))),
        }
    }
    Ok(())
}

/// Asks the remote until it answers, if it answered before; why the snapshot works, or `None` where its time was over.
fn ask_remote(paths: &Paths, config: &Config, wanted: &mut dyn FnMut() -> bool) -> Option<String> {
    let probes = match config.confirm.probes.len() {
        0 => String::new(),
        1 => "1 probe passed, ".to_owned(),
        more => format!("{more} probes passed, "),
    };
    if reached_before(paths) == Reach::Silent {
        return Some(format!("{probes}the remote did not answer before either"));
    }
    while wanted() {
        match remote::heads(config, paths) {
            Ok(_) => return Some(format!("{probes}the remote answers")),
            Err(error) => tracing::warn!(%error, "the remote answered before"),
        }
        std::thread::sleep(PAUSE);
    }
    None
}

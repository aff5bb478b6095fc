//! Judges one attempt, and says what was found to the applying half.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::kernel::KernelError;
use chainmail_reconciler::kernel::process::Call;
use chainmail_reconciler::spool::Refusal;
use chainmail_reconciler::unit::stop_on_signals;
use thiserror::Error;

use super::{Attempt, Finding, Judged, Reach, reached_before};
use crate::child::{self, GLANCE};
use crate::config::{Config, Confirm};
use crate::paths::Paths;
use crate::remote;
use crate::state::{json, write_json};

/// How much of what a probe prints is kept.
const PRINTED: usize = 1000;
/// The wait before a remote that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a probe that is ended may take to go.
const LAST_WORD: Duration = Duration::from_secs(1);

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
pub fn judge(paths: &Paths, config: &Config) -> Result<Option<Judged>, JudgeError> {
    let Some(attempt) = Attempt::current(paths) else { return Ok(None) };
    let Some((finding, reason)) = find_in_time(paths, config, &attempt)? else { return Ok(None) };
    if !attempt.lasts(paths) {
        return Ok(None);
    }
    let Attempt { digest, since } = attempt;
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

/// What is found about an attempt, and why.
type Found = (Finding, String);

/// What is found while the attempt lasts. A probe that still runs then has nobody to tell, and is ended.
fn find_in_time(paths: &Paths, config: &Config, attempt: &Attempt) -> Result<Option<Found>, JudgeError> {
    let (sender, signals) = channel();
    stop_on_signals(sender, ()).map_err(JudgeError::Signals)?;
    let (sender, finding) = channel();
    let asked = (paths.clone(), config.clone(), attempt.clone());
    std::thread::spawn(move || {
        let (paths, config, attempt) = asked;
        sender.send(find(&paths, &config, &attempt))
    });
    let ended = loop {
        match finding.recv_timeout(GLANCE) {
            Ok(found) => return Ok(found),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !attempt.lasts(paths) {
            break Ok(None);
        }
        if signals.try_recv().is_ok() {
            break Err(JudgeError::Ended);
        }
    };
    // Whoever found something has waited for its probe. One that waits for the remote is not waited for.
    let begun = Instant::now();
    while begun.elapsed() < LAST_WORD {
        child::end_started();
        if finding.recv_timeout(GLANCE) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    ended
}

fn find(paths: &Paths, config: &Config, attempt: &Attempt) -> Option<Found> {
    match probe(&config.confirm) {
        Ok(()) => ask_remote(paths, config, attempt).map(|reason| (Finding::Confirmed, reason)),
        Err(found) => Some(found),
    }
}

/// Runs the probes, one after the other. One that cannot be run says nothing about the snapshot.
fn probe(confirm: &Confirm) -> Result<(), Found> {
    for probe in &confirm.probes {
        let Some((program, args)) = probe.split_first() else { continue };
        let call = Call::new(program.clone()).deadline(confirm.probe_timeout).most(PRINTED);
        let call = args.iter().fold(call, |call, arg| call.arg(arg.as_str()));
        match call.run("") {
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
fn ask_remote(paths: &Paths, config: &Config, attempt: &Attempt) -> Option<String> {
    let probes = match config.confirm.probes.len() {
        0 => String::new(),
        1 => "1 probe passed, ".to_owned(),
        more => format!("{more} probes passed, "),
    };
    if reached_before(paths) == Reach::Silent {
        return Some(format!("{probes}the remote did not answer before either"));
    }
    while attempt.lasts(paths) {
        match remote::heads(config, paths) {
            Ok(_) => return Some(format!("{probes}the remote answers")),
            Err(error) => tracing::warn!(%error, "the remote answered before"),
        }
        std::thread::sleep(PAUSE);
    }
    None
}

//! Judges one attempt, and says what was found to the applying half.

use std::time::Duration;

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::kernel::KernelError;
use chainmail_reconciler::kernel::process::Call;
use chainmail_reconciler::spool::Refusal;

use super::{Attempt, Finding, Judged, Reach, reached_before};
use crate::config::{Config, Confirm};
use crate::paths::Paths;
use crate::remote;
use crate::state::{json, write_json};

/// How much of what a probe prints is kept.
const PRINTED: usize = 1000;
/// The wait before a remote that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Judges what waits to be confirmed, as long as it waits; `None` where nothing does, or does no more.
///
/// # Errors
/// When what was found cannot be written down.
pub fn judge(paths: &Paths, config: &Config) -> Result<Option<Judged>, FileError> {
    let Some(attempt) = Attempt::current(paths) else { return Ok(None) };
    let (finding, reason) = match probe(&config.confirm) {
        Ok(()) => match ask_remote(paths, config, &attempt) {
            Some(reason) => (Finding::Confirmed, reason),
            None => return Ok(None),
        },
        Err(found) => found,
    };
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

/// Runs the probes, one after the other. One that cannot be run says nothing about the snapshot.
fn probe(confirm: &Confirm) -> Result<(), (Finding, String)> {
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

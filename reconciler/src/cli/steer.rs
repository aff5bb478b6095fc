//! The commands by which a person overrules fetch. The service does what they say; they only write it down.

use chainmail_contract::Sha256Hex;
use clap::Args;

use super::{Answer, CliError};
use crate::clock::{Clock, Moment};
use crate::files;
use crate::orders::{Orders, Pause, Pin};
use crate::paths::Paths;
use crate::setback::Setback;
use crate::spool;
use crate::state;

#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The snapshot: its digest or how that begins, as `chainmaild history` shows it [default: the one before the one in
    /// force].
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    /// Why, for whoever asks `chainmaild status`.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct ConfirmArgs {
    /// The snapshot: its digest or how that begins [default: the one that waits, or else the one that was taken back].
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct PauseArgs {
    /// How long, like 30m or 2h.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    time: u32,
}

/// Seconds from a number and a unit.
fn seconds(text: &str) -> Result<u32, String> {
    let units = [("s", 1_u32), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let of = |(unit, seconds): (&str, u32)| {
        let number = text.strip_suffix(unit)?.parse::<u32>().ok()?;
        number.checked_mul(seconds).filter(|&time| time > 0)
    };
    units.into_iter().find_map(of).ok_or_else(|| "write a number and a unit, like 30m or 2h".to_owned())
}

pub(super) fn confirm(paths: &Paths, args: ConfirmArgs) -> Result<Answer, CliError> {
    let setback = Setback::read(paths).map(|setback| setback.digest);
    let begin = args.digest.as_deref().unwrap_or_default();
    let candidates = state::awaiting(paths).into_iter().chain(setback.clone());
    let Some(digest) = candidates.into_iter().find(|digest| digest.as_str().starts_with(begin)) else {
        return Err(match args.digest {
            Some(begin) => CliError::NotAwaited { begin },
            None => CliError::NothingToConfirm,
        });
    };
    let text = format!("{digest} is confirmed\n");
    let again = setback.as_ref() == Some(&digest);
    let mut orders = Orders::read(paths)?;
    orders.confirmed = Some(digest);
    orders.write(paths)?;
    if again {
        Setback::forget(paths)?;
    }
    Ok(Answer::done(text))
}

pub(super) fn rollback(paths: &Paths, args: RollbackArgs) -> Result<Answer, CliError> {
    let digest = target(paths, args.to.as_deref())?;
    let mut orders = Orders::read(paths)?;
    let text = format!("goes back to {digest} and stays there until `chainmaild resume`\n");
    orders.pin = Some(Pin { digest, reason: args.reason, since: Moment::now().to_string() });
    orders.write(paths)?;
    Ok(Answer::done(text))
}

/// The kept snapshot that is meant.
fn target(paths: &Paths, begin: Option<&str>) -> Result<Sha256Hex, CliError> {
    let kept = files::names(&paths.kept_all())?;
    let kept: Vec<Sha256Hex> = kept.into_iter().filter_map(|name| Sha256Hex::try_from(name).ok()).collect();
    let in_force = match state::awaiting(paths) {
        Some(awaiting) => Some(awaiting),
        None => spool::pointer(&paths.good())?,
    };
    let Some(begin) = begin else {
        let history = state::history(paths)?;
        let mut before = state::stood(&history)
            .filter(|digest| Some(*digest) != in_force.as_ref() && kept.contains(digest));
        return before.next().cloned().ok_or(CliError::NothingToGoBackTo);
    };
    let mut fitting = kept.into_iter().filter(|digest| digest.as_str().starts_with(begin));
    match (fitting.next(), fitting.next()) {
        (Some(digest), None) => Ok(digest),
        (None, _) => Err(CliError::NotKept { begin: begin.to_owned() }),
        (Some(_), Some(_)) => Err(CliError::Ambiguous { begin: begin.to_owned() }),
    }
}

pub(super) fn pause(paths: &Paths, args: PauseArgs) -> Result<Answer, CliError> {
    let pause = Pause::begin(Clock::HOST, args.time);
    let text = format!("nothing new comes into force {pause}; what is in force is still healed\n");
    let mut orders = Orders::read(paths)?;
    orders.pause = Some(pause);
    orders.write(paths)?;
    Ok(Answer::done(text))
}

pub(super) fn resume(paths: &Paths) -> Result<Answer, CliError> {
    Setback::forget(paths)?;
    Orders::default().write(paths)?;
    Ok(Answer::done("this node follows its spool again\n".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let rows = [
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("2h", Some(7200)),
            ("1d", Some(86_400)),
            ("99999d", None),
            ("5", None),
            ("0s", None),
            ("-1s", None),
            ("h", None),
        ];
        for (text, expected) in rows {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }
}

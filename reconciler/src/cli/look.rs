//! The commands that change nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use chainmail_contract::limits::STATUS_BYTES;
use chainmail_contract::{Family, JsonProblem, Sha256Hex, escape};
use clap::Args;
use serde::Serialize;

use super::{Answer, CliError, Output, setup};
use crate::apply::ApplyError;
use crate::changes::{self, Line, Sign};
use crate::clock::Uptime;
use crate::doctor::{Level, diagnose};
use crate::exit::Exit;
use crate::facts;
use crate::files;
use crate::kernel::Kernel as _;
use crate::kernel::command::CommandKernel;
use crate::lock::{self, APPLY_LOCK};
use crate::paths::Paths;
use crate::plan;
use crate::preflight;
use crate::spool::{self, Loaded};
use crate::state::{self, LastGood};
use crate::status::{Shown, Status, Writer};
use crate::terminal;

/// How often it is looked whether a change has come to its end.
const CHANGE_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct OutputArgs {
    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

pub(super) fn status(paths: &Paths, args: OutputArgs) -> Result<Answer, CliError> {
    let path = paths.status();
    let shown = path.display().to_string();
    let text = files::read_short(&path, STATUS_BYTES)?;
    let text = text.ok_or_else(|| CliError::NoStatus { path: shown.clone() })?;
    let status: Status = serde_json::from_str(&text)
        .map_err(|error| CliError::Status { path: shown, problem: JsonProblem::from(&error) })?;
    let writer = Writer::of(&status, &Uptime::now(), lock::is_held(&paths.run(), APPLY_LOCK));
    let shown = Shown { writer, status };
    let exit = if shown.is_well() { Exit::Done } else { Exit::Differences };
    let text = match args.output {
        Output::Text => shown.text(),
        Output::Json => shown.json(),
    };
    Ok(Answer { text, exit })
}

pub(super) fn doctor(paths: &Paths, args: OutputArgs) -> Result<Answer, CliError> {
    let findings = diagnose(&facts::gather(paths, &setup::config(paths)?));
    let alarmed = findings.iter().any(|finding| finding.level == Level::Alarm);
    let text = match args.output {
        Output::Text => findings.iter().map(|finding| format!("{finding}\n")).collect(),
        Output::Json => terminal::json(&findings),
    };
    Ok(Answer { text, exit: if alarmed { Exit::Differences } else { Exit::Done } })
}

pub(super) fn history(paths: &Paths, args: OutputArgs) -> Result<Answer, CliError> {
    let entries = state::history(paths)?;
    let mut text = String::new();
    match args.output {
        Output::Text => {
            for state::Entry { time, event, digest, note, .. } in &entries {
                let note = escape::line(note);
                writeln!(text, "{time}  {:<11}  {}  {note}", event.as_str(), digest.short(12))
                    .expect("a String takes all");
            }
        }
        Output::Json => {
            text = terminal::json(&entries);
        }
    }
    Ok(Answer::done(text))
}

pub(super) fn plan(paths: &Paths, args: OutputArgs) -> Result<Answer, CliError> {
    let config = setup::config(paths)?;
    let node = setup::node(&config)?;
    let loaded = match spool::wanted(paths)? {
        Some(digest) => Some(spool::load(&paths.spooled(&digest), &digest, &node)?),
        None => in_force(paths, &node)?,
    };
    compare(paths, args, loaded, Exit::Done)
}

pub(super) fn verify(paths: &Paths, args: OutputArgs) -> Result<Answer, CliError> {
    let config = setup::config(paths)?;
    let node = setup::node(&config)?;
    let patience = Instant::now() + config.deadline;
    loop {
        let loaded = in_force(paths, &node)?;
        let digest = loaded.as_ref().map(|loaded| loaded.digest().clone());
        let answer = compare(paths, args, loaded, Exit::Differences)?;
        // Between the rules of a change and its record the kernel rightly holds something else than the last good
        // snapshot.
        let at_work = state::is_changing(paths) && lock::is_held(&paths.run(), APPLY_LOCK) == Some(true);
        if answer.exit == Exit::Done || !(at_work || digest != digest_in_force(paths)?) {
            return Ok(answer);
        }
        if Instant::now() > patience {
            return Err(CliError::Changing);
        }
        std::thread::sleep(CHANGE_PAUSE);
    }
}

/// The snapshot that the kernel is kept at: the last good one, unless another one waits to be confirmed.
pub(super) fn in_force(
    paths: &Paths,
    node: &chainmail_contract::NodeName,
) -> Result<Option<Loaded>, CliError> {
    if let Some(digest) = state::awaiting(paths) {
        return Ok(Some(spool::load_kept(paths, &digest, node)?));
    }
    match LastGood::find(paths, node) {
        LastGood::Never => Ok(None),
        LastGood::Whole(loaded) | LastGood::Spooled(loaded) | LastGood::Unnamed(loaded) => Ok(Some(loaded)),
        LastGood::Older { loaded, lost } => {
            tracing::warn!(digest = %loaded.digest(), "the last good snapshot cannot be used, an older one is: {lost}");
            Ok(Some(loaded))
        }
        LastGood::Lost { lost } => Err(CliError::Lost { lost }),
    }
}

fn digest_in_force(paths: &Paths) -> Result<Option<Sha256Hex>, CliError> {
    match state::awaiting(paths) {
        Some(awaiting) => Ok(Some(awaiting)),
        None => Ok(spool::pointer(&paths.good())?),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    digest: &'a str,
    differences: Vec<JsonLine<'a>>,
    /// Families that are not enforced, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    degraded: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    family: String,
    change: &'static str,
    line: &'a str,
}

/// The lines that would bring the kernel to a snapshot; `differs` is the exit when there are any.
fn compare(
    paths: &Paths,
    args: OutputArgs,
    loaded: Option<Loaded>,
    differs: Exit,
) -> Result<Answer, CliError> {
    let Some(loaded) = loaded else {
        return Ok(Answer::done("there is no snapshot yet\n".to_owned()));
    };
    let config = setup::config(paths)?;
    preflight::capabilities()?;
    let backend = setup::backend_read_only(&config, paths)?;
    preflight::one_backend(backend)?;
    let mut kernel = CommandKernel::new(backend, config.deadline);
    let unusable = kernel.survey()?;
    let live = kernel.live().map_err(ApplyError::Read)?;
    let plan = plan::plan(&loaded.desired, &live, &config.jump);
    // What the one before it needs stays as long as one waits to be confirmed.
    let plan = if state::awaiting(paths).is_some() { plan.without_orphans() } else { plan };
    let lines = changes::lines(&plan, &loaded.desired, &live);
    let digest = loaded.digest().as_str();
    let text = match args.output {
        Output::Text if plan.is_empty() && unusable.is_empty() => {
            format!("the kernel holds {digest} ({backend})\n")
        }
        Output::Text => {
            let head = format!(
                "{} lines differ from {digest} ({backend}); to bring the kernel there:\n",
                lines.len()
            );
            let text = lines.iter().fold(head, |text, line| text + &line.to_string() + "\n");
            let told = |text: String, (family, reason): (&Family, &String)| {
                text + &format!("! {family} cannot be compared, and is not enforced: {reason}\n")
            };
            unusable.iter().fold(text, told)
        }
        Output::Json => {
            let unusable = unusable.iter().map(|(family, reason)| (family.to_string(), reason.clone()));
            let differences = lines.iter().map(json_line).collect();
            terminal::json(&Json { digest, differences, degraded: unusable.collect() })
        }
    };
    let is_equal = plan.is_empty() && unusable.is_empty();
    Ok(Answer { text, exit: if is_equal { Exit::Done } else { differs } })
}

fn json_line(line: &Line) -> JsonLine<'_> {
    let change = match line.sign {
        Sign::Added => "add",
        Sign::Removed => "remove",
    };
    JsonLine { family: line.family.to_string(), change, line: &line.text }
}

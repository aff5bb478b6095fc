//! The command line of `chainmail-fetch`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::exit::Exit;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::lock::{ApplyLock, FETCH_LOCK, LockError};
use chainmail_reconciler::log;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use thiserror::Error;

use crate::child;
use crate::config::{BranchStatement, Mode};
use crate::confirm::judge::{JudgeError, judge};
use crate::confirm::{Finding, Judged};
use crate::cycle;
use crate::inputs::{self, Inputs, InputsError};
use crate::inventory::keep::keep;
use crate::inventory::refresh::{Keeper, RefreshError};
use crate::mirror;
use crate::paths::Paths;
use crate::run;
use crate::state::{Release, StateError, json, read_json, write_json};
use crate::status::Status;
use crate::trust::{self, First};

/// Pulls policies from Git, verifies who answers for them, and hands this node's snapshot over to chainmaild.
///
/// It needs no privilege and touches no rule. Results are printed on standard output, all else on standard error.
///
/// Exit codes: 0 done; 1 something needs a person; 2 usage or configuration; 3 the revision is invalid, or Git or a file
/// failed; 4 nobody who may answers for the revision; 7 the revision is held, or another chainmail-fetch is at work.
#[derive(Debug, Parser)]
#[command(name = "chainmail-fetch", version, max_term_width = 100)]
struct Cli {
    /// Look for /etc/chainmail, /var/lib/chainmail and /run/chainmail below this folder.
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks at the remote again and again, and hands over what is new.
    Run(FirstArgs),
    /// Looks at the remote once, hands over what is new, and says how things stand.
    Once(OnceArgs),
    /// How things stand, as they were last found. Exits with 1 unless all is well.
    Status(OutputArgs),
    /// Says whether /etc/chainmail/fetch.toml and the files that it names can be used.
    CheckConfig,
    /// Judges the snapshot that chainmaild waits to have confirmed, by the probes and by whether the remote still answers,
    /// and tells it. `run` does so by itself. Exits with 1 where the snapshot is refused.
    #[command(name = child::CONFIRM)]
    Confirm,
    /// Lets a held revision go.
    Release(ReleaseArgs),
    /// Prints the digest of a commit without its signature, for refused_revisions in fetch.toml.
    Payload {
        /// The whole commit, as the status shows it.
        commit: String,
    },
    /// Print a shell's completion script.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// One look, in the process that `run` and `once` start for it.
    #[command(name = child::COMMAND, hide = true)]
    Cycle(FirstArgs),
    /// Looks after the inventory, in the process that `run` and `once` start for it.
    #[command(name = child::INVENTORY, hide = true)]
    Inventory(InventoryArgs),
}

#[derive(Debug, Clone, Copy, Args)]
struct FirstArgs {
    /// Where nothing was accepted yet and min_commit is not set, believe that what the remote shows is not an old
    /// revision. It must be signed all the same.
    #[arg(long)]
    trust_first: bool,
}

#[derive(Debug, Clone, Copy, Args)]
struct InventoryArgs {
    /// Look once.
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Clone, Copy, Args)]
struct OnceArgs {
    #[command(flatten)]
    first: FirstArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, Args)]
struct OutputArgs {
    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
struct ReleaseArgs {
    /// The whole commit, as the status shows it.
    revision: String,
    /// Why it may go.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl FirstArgs {
    fn first(self) -> First {
        if self.trust_first { First::Trust } else { First::Refuse }
    }
}

/// How things stand with pulling, and what was last said about a snapshot that waited to be confirmed.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    status: Status,
    judged: Option<Judged>,
}

struct Answer {
    text: String,
    exit: Exit,
}

#[derive(Debug, Error)]
enum CliError {
    #[error(transparent)]
    Inputs(#[from] InputsError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    #[error(transparent)]
    Judge(#[from] JudgeError),
    #[error(
        "{path} belongs to another user, and the service could not use what this one leaves there; run it as that user: runuser -u chainmail-fetch -- chainmail-fetch once"
    )]
    OtherUser { path: String },
    #[error("there is no {path}: is chainmail-fetch.service running?")]
    NoStatus { path: String },
    #[error("{0:?} is not the revision that is held; `chainmail-fetch status` shows it")]
    NotHeld(String),
    #[error("the mirror has no commit {commit}: {source}")]
    Commit { commit: String, source: git2::Error },
    #[error("cannot go on: {0}")]
    System(std::io::Error),
    #[error("cannot print the result: {0}")]
    Print(std::io::Error),
}

impl CliError {
    fn exit(&self) -> Exit {
        match self {
            CliError::Inputs(_) | CliError::OtherUser { .. } | CliError::NotHeld(_) => Exit::Usage,
            CliError::Lock(LockError::Busy { .. }) => Exit::Busy,
            CliError::Lock(LockError::File { .. })
            | CliError::File(_)
            | CliError::State(_)
            | CliError::Refresh(_)
            | CliError::Judge(_)
            | CliError::NoStatus { .. }
            | CliError::Commit { .. }
            | CliError::System(_)
            | CliError::Print(_) => Exit::Input,
        }
    }
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start();
    let paths = Paths::under(&cli.root);
    let result = match cli.command {
        Command::Run(first) => run(&paths, first.first()),
        Command::Once(args) => once(&paths, args),
        Command::Status(args) => status(&paths, args),
        Command::CheckConfig => check_config(&paths),
        Command::Confirm => confirm(&paths),
        Command::Release(args) => release(&paths, args),
        Command::Payload { commit } => payload(&paths, &commit),
        Command::Completions { shell } => Ok(completions(shell)),
        Command::Cycle(first) => one_cycle(&paths, first.first()),
        Command::Inventory(args) => inventory(&paths, args),
    };
    let result = result.and_then(|Answer { text, exit }| {
        std::io::stdout().lock().write_all(text.as_bytes()).map_err(CliError::Print)?;
        Ok(exit)
    });
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            // Standard error may be closed; the exit code still says it.
            drop(writeln!(std::io::stderr(), "error: {error}"));
            error.exit().into()
        }
    }
}

/// Makes the folders that are ours, and takes the lock.
fn prepare(paths: &Paths) -> Result<ApplyLock, CliError> {
    for folder in [paths.state(), paths.node.spool(), paths.run()] {
        if inputs::owner_differs(&folder) {
            return Err(CliError::OtherUser { path: folder.display().to_string() });
        }
        files::make_dir(&folder)?;
    }
    Ok(ApplyLock::take_file(&paths.state(), FETCH_LOCK)?)
}

fn run(paths: &Paths, first: First) -> Result<Answer, CliError> {
    let (_, config) = inputs::config(paths)?;
    let _lock = prepare(paths)?;
    run::run(paths, config, first).map_err(CliError::System)?;
    Ok(Answer { text: String::new(), exit: Exit::Done })
}

fn once(paths: &Paths, args: OnceArgs) -> Result<Answer, CliError> {
    let (_, config) = inputs::config(paths)?;
    let _lock = prepare(paths)?;
    let mut status = run::once(paths, &config, args.first.first()).map_err(CliError::System)?;
    if config.inventory.is_some() {
        child::inventory(paths, child::Rounds::One).map_err(CliError::System)?;
        status = status.with(read_json(&paths.inventory_status())?);
    }
    let exit = status.state.exit();
    Ok(Answer { text: print(&status, args.output), exit })
}

/// The lock is held by the process that started this one.
fn one_cycle(paths: &Paths, first: First) -> Result<Answer, CliError> {
    let (_, config) = inputs::config(paths)?;
    child::limit_memory(&config);
    let status = cycle::cycle(paths, first)?;
    Ok(Answer { text: String::new(), exit: status.state.exit() })
}

/// The lock is held by the process that started this one.
fn inventory(paths: &Paths, args: InventoryArgs) -> Result<Answer, CliError> {
    let (_, config) = inputs::config(paths)?;
    child::limit_memory(&config);
    match args.once {
        true => drop(Keeper::default().refresh(paths)?),
        false => keep(paths),
    }
    Ok(Answer { text: String::new(), exit: Exit::Done })
}

fn print(status: &Status, args: OutputArgs) -> String {
    match args.output {
        Output::Text => status.text(),
        Output::Json => json(status),
    }
}

fn status(paths: &Paths, args: OutputArgs) -> Result<Answer, CliError> {
    let path = paths.status();
    let status = Status::read(paths)?;
    let status = status.ok_or_else(|| CliError::NoStatus { path: path.display().to_string() })?;
    let exit = if status.is_well() { Exit::Done } else { Exit::Differences };
    let judged = Judged::last(paths);
    let text = match args.output {
        Output::Text => {
            let judged = judged.map_or(String::new(), |judged| format!("  judged    {judged}\n"));
            status.text() + &judged
        }
        Output::Json => json(&Shown { status, judged }),
    };
    Ok(Answer { text, exit })
}

fn confirm(paths: &Paths) -> Result<Answer, CliError> {
    child::end_with_parent();
    let (_, config) = inputs::config(paths)?;
    child::limit_memory(&config);
    if inputs::owner_differs(&paths.node.spool()) {
        return Err(CliError::OtherUser { path: paths.node.spool().display().to_string() });
    }
    let Some(judged) = judge(paths, &config)? else {
        return Ok(Answer { text: "nothing waits to be confirmed\n".to_owned(), exit: Exit::Done });
    };
    let exit = match judged.finding {
        Finding::Confirmed => Exit::Done,
        Finding::Refused => Exit::Differences,
        Finding::Unknown => Exit::Input,
    };
    Ok(Answer { text: format!("{judged}\n"), exit })
}

fn check_config(paths: &Paths) -> Result<Answer, CliError> {
    let Inputs { config, node, .. } = Inputs::read(paths)?;
    let trust = match config.trust.mode {
        Mode::Range => "every commit signed",
        Mode::Tag => "a signed tag",
        Mode::Off => "nothing signed",
    };
    let by = match config.trust.threshold.get() {
        1 => String::new(),
        people => format!(" by {people} people"),
    };
    let stated = match config.trust.branch_statement {
        BranchStatement::Required => " and its branch stated",
        BranchStatement::NotAsked => "",
    };
    let text = format!(
        "{} can be used: node {node}, {} {}, {trust}{by}{stated}, a look every {} s\n",
        paths.config().display(),
        config.remote,
        config.branch.as_str(),
        config.interval.as_secs()
    );
    Ok(Answer { text, exit: Exit::Done })
}

fn release(paths: &Paths, args: ReleaseArgs) -> Result<Answer, CliError> {
    let ReleaseArgs { revision, reason } = args;
    let status = read_json::<Status>(&paths.status())?;
    let held = status.and_then(|status| status.reason);
    // The reason names the revision: the branch may have moved on since.
    if revision.len() != 40
        || !held.is_some_and(|held| held.contains(&format!("revision {revision} is held")))
    {
        return Err(CliError::NotHeld(revision));
    }
    let text = format!("{revision} may go; the service takes it up at once\n");
    write_json(&paths.released(), &Release { revision, reason, time: Moment::now().to_string() })?;
    Ok(Answer { text, exit: Exit::Done })
}

fn payload(paths: &Paths, commit: &str) -> Result<Answer, CliError> {
    let found = mirror::open(&paths.mirror()).and_then(|mirror| trust::payload(&mirror, commit));
    let fail = |source| CliError::Commit { commit: commit.to_owned(), source };
    let text = format!("{}\n", found.map_err(fail)?);
    Ok(Answer { text, exit: Exit::Done })
}

fn completions(shell: clap_complete::Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chainmail-fetch", &mut script);
    Answer { text: String::from_utf8_lossy(&script).into_owned(), exit: Exit::Done }
}

//! The command line of `chainmail-fetch`.

use std::path::PathBuf;
use std::process::ExitCode;

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::exit::Exit;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::lock::{ApplyLock, FETCH_LOCK, LockError};
use chainmail_reconciler::{log, terminal};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use thiserror::Error;

use crate::child::{self, Parting};
use crate::config::{BranchStatement, Mode};
use crate::confirm::judge::{JudgeError, judge};
use crate::confirm::{Finding, Judged, word};
use crate::cycle;
use crate::download;
use crate::download::folder::DOWNLOAD_LOCK;
use crate::inputs::{self, Inputs, InputsError};
use crate::inventory::keep::keep;
use crate::inventory::refresh::{Keeper, RefreshError};
use crate::paths::Paths;
use crate::run;
use crate::state::{Release, StateError, read_json, write_json};
use crate::status::Status;
use crate::trust::{self, First};
use crate::users::{Part, Users, UsersError};

/// Pulls policies from Git, verifies who answers for them, and hands this node's snapshot over to chainmaild.
///
/// It needs no privilege and touches no rule. Its three parts, download, verify and probe, each have a user of their own, so
/// that the one who speaks to the network can write no snapshot. Results are printed on standard output, all else on
/// standard error.
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
    /// Runs all three parts: download, verify and probe. As root it becomes their users, where they exist.
    Run(FirstArgs),
    /// Downloads and verifies once, and says how things stand. As root it becomes their users, where they exist.
    Once(OnceArgs),
    /// Looks at the remote again and again, and takes what is new into the quarantine. It can write nothing else.
    Download(PartArgs),
    /// Verifies what came into the quarantine, and hands over what is new. It needs no network.
    Verify(VerifyArgs),
    /// Judges snapshots that wait to be confirmed, and answers who asks for metrics. It can write nothing but its findings.
    Probe(PartArgs),
    /// How things stand, as they were last found. Exits with 1 unless all is well.
    Status(OutputArgs),
    /// Says whether /etc/chainmail/fetch.toml and the files that it names can be used.
    CheckConfig,
    /// Judges the snapshot that chainmaild waits to have confirmed, by the probes and by whether the remote still answers,
    /// and tells it. `run` does so by itself. Exits with 1 where the snapshot is refused.
    Confirm,
    /// Lets a held revision go. As root it becomes the user who verifies, where it exists.
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
    /// One look at the remote, in the process that `download` starts for it.
    #[command(name = child::LOOK, hide = true)]
    Look,
    /// One look at what came over, in the process that `verify` starts for it.
    #[command(name = child::CYCLE, hide = true)]
    Cycle(FirstArgs),
    /// One judgement, in the process that `probe` and `confirm` start for it.
    #[command(name = child::JUDGE, hide = true)]
    Judge,
    /// Passes on what was found, in the process that `confirm` starts for it.
    #[command(name = PASS_ON, hide = true)]
    PassOn,
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
struct PartArgs {
    /// Once, and not again and again.
    #[arg(long)]
    once: bool,
    /// End with the process that has started this one.
    #[arg(long, hide = true)]
    with_parent: bool,
}

#[derive(Debug, Clone, Copy, Args)]
struct VerifyArgs {
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    first: FirstArgs,
}

/// The hidden command that passes on what was found about a snapshot.
const PASS_ON: &str = "pass-on";

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
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error(
        "{path} belongs to another user, and its service could not use what this one leaves there; say it as root, who becomes the user of each part"
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
            | CliError::Users(_)
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
        Command::Download(args) => download(&paths, args),
        Command::Verify(args) => verify(&paths, args),
        Command::Probe(args) => probe(&paths, args),
        Command::Status(args) => status(&paths, args),
        Command::CheckConfig => check_config(&paths),
        Command::Confirm => confirm(&paths),
        Command::Release(args) => release(&paths, args),
        Command::Payload { commit } => payload(&paths, &commit),
        Command::Completions { shell } => completions(shell),
        Command::Look => one_look(&paths),
        Command::Cycle(first) => one_cycle(&paths, first.first()),
        Command::Judge => one_judgement(&paths),
        Command::PassOn => pass_on(&paths),
        Command::Inventory(args) => inventory(&paths, args),
    };
    let result = result.and_then(|Answer { text, exit }| {
        terminal::print(&text).map_err(CliError::Print)?;
        Ok(exit)
    });
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            terminal::print_error(&error);
            error.exit().into()
        }
    }
}

/// Makes the folders of a part.
fn prepare(paths: &Paths, part: Part) -> Result<(), CliError> {
    for folder in part.folders(paths) {
        if inputs::owner_differs(&folder) {
            return Err(CliError::OtherUser { path: folder.display().to_string() });
        }
        files::make_dir(&folder)?;
    }
    Ok(())
}

/// Who the parts are, with folders for each of them.
fn users(paths: &Paths) -> Result<Users, CliError> {
    let users = Users::find(paths)?;
    users.make_folders(paths)?;
    if users == Users::One {
        tracing::info!(
            "download, verify and probe are one user here: nothing but this program keeps them apart"
        );
    }
    Ok(users)
}

fn begin(args: PartArgs, parting: Parting) {
    if args.with_parent {
        child::end_with_parent(parting);
    }
}

fn done() -> Result<Answer, CliError> {
    Ok(Answer { text: String::new(), exit: Exit::Done })
}

fn run(paths: &Paths, first: First) -> Result<Answer, CliError> {
    inputs::config(paths)?;
    let users = users(paths)?;
    let exit = run::together::run(paths, &users, first).map_err(CliError::System)?;
    Ok(Answer { text: String::new(), exit })
}

fn once(paths: &Paths, args: OnceArgs) -> Result<Answer, CliError> {
    inputs::config(paths)?;
    let users = users(paths)?;
    let went = run::together::once(paths, &users, args.first.first()).map_err(CliError::System)?;
    if let Err(exit) = went {
        return Ok(Answer { text: String::new(), exit });
    }
    let path = paths.status().display().to_string();
    let status = Status::read(paths)?.ok_or(CliError::NoStatus { path })?;
    let exit = status.state.exit();
    Ok(Answer { text: print(&status, args.output), exit })
}

fn download(paths: &Paths, args: PartArgs) -> Result<Answer, CliError> {
    begin(args, Parting::Asked);
    let (_, config) = inputs::config(paths)?;
    prepare(paths, Part::Download)?;
    let _lock = ApplyLock::take_file(&paths.quarantine(), DOWNLOAD_LOCK)?;
    match args.once {
        true => run::download::once(paths, &config),
        false => run::download::run(paths, config),
    }
    .map_err(CliError::System)?;
    done()
}

fn verify(paths: &Paths, VerifyArgs { part, first }: VerifyArgs) -> Result<Answer, CliError> {
    begin(part, Parting::Asked);
    let (_, config) = inputs::config(paths)?;
    prepare(paths, Part::Verify)?;
    let _lock = ApplyLock::take_file(&paths.state(), FETCH_LOCK)?;
    if part.once {
        run::verify::once(paths, &config, first.first()).map_err(CliError::System)?;
        if config.inventory.is_some() {
            child::inventory(paths, child::Rounds::One).map_err(CliError::System)?;
        }
    } else {
        run::verify::run(paths, config, first.first()).map_err(CliError::System)?;
    }
    done()
}

fn probe(paths: &Paths, args: PartArgs) -> Result<Answer, CliError> {
    begin(args, Parting::Asked);
    let (_, config) = inputs::config(paths)?;
    prepare(paths, Part::Probe)?;
    if args.once {
        return one_judgement(paths);
    }
    run::probe::run(paths, &config).map_err(CliError::System)?;
    done()
}

/// The lock is held by the process that started this one.
fn one_look(paths: &Paths) -> Result<Answer, CliError> {
    child::end_with_parent(Parting::Killed);
    if let Ok((_, config)) = inputs::config(paths) {
        child::limit_memory(&config);
    }
    download::look(paths)?;
    done()
}

/// The lock is held by the process that started this one.
fn one_cycle(paths: &Paths, first: First) -> Result<Answer, CliError> {
    child::end_with_parent(Parting::Killed);
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
        Output::Json => terminal::json(status),
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
        Output::Json => terminal::json(&Shown { status, judged }),
    };
    Ok(Answer { text, exit })
}

/// Judges what waits, as the user who probes.
fn one_judgement(paths: &Paths) -> Result<Answer, CliError> {
    child::end_with_parent(Parting::Asked);
    let (_, config) = inputs::config(paths)?;
    child::limit_memory(&config);
    let exit = match judge(paths, &config)?.map(|answer| answer.finding) {
        Some(Finding::Confirmed) | None => Exit::Done,
        Some(Finding::Refused) => Exit::Differences,
        Some(Finding::Unknown) => Exit::Input,
    };
    Ok(Answer { text: String::new(), exit })
}

/// Passes on what was found, as the user who may write the spool.
fn pass_on(paths: &Paths) -> Result<Answer, CliError> {
    prepare(paths, Part::Verify)?;
    let text = match word::pass_on(paths)? {
        Some(judged) => format!("{judged}\n"),
        None => "nothing waits to be confirmed\n".to_owned(),
    };
    Ok(Answer { text, exit: Exit::Done })
}

fn confirm(paths: &Paths) -> Result<Answer, CliError> {
    inputs::config(paths)?;
    let users = users(paths)?;
    let judged = run::together::confirm(paths, &users, PASS_ON).map_err(CliError::System)?;
    Ok(Answer { text: judged.text, exit: judged.exit })
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

/// Becomes the user who verifies, where root says it, and refuses where the verifier's folder is another user's all the same.
fn as_verifier(paths: &Paths) -> Result<(), CliError> {
    Users::become_user_of(paths, Part::Verify)?;
    let state = paths.state();
    if inputs::owner_differs(&state) {
        return Err(CliError::OtherUser { path: state.display().to_string() });
    }
    Ok(())
}

fn release(paths: &Paths, args: ReleaseArgs) -> Result<Answer, CliError> {
    as_verifier(paths)?;
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
    as_verifier(paths)?;
    let store = git2::Repository::open_bare(paths.mirror());
    let found = store.and_then(|store| trust::payload(&store, commit));
    let fail = |source| CliError::Commit { commit: commit.to_owned(), source };
    let text = format!("{}\n", found.map_err(fail)?);
    Ok(Answer { text, exit: Exit::Done })
}

fn completions(shell: clap_complete::Shell) -> Result<Answer, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chainmail-fetch", &mut script);
    terminal::print_script(&script).map_err(CliError::Print)?;
    Ok(Answer { text: String::new(), exit: Exit::Done })
}

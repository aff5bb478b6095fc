//! The command line of `chainmaild`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use chainmail_snapshot::{Joined, NodeName, SnapshotError, read};
use clap::{Args, Parser, Subcommand, ValueEnum};
use thiserror::Error;

use crate::apply::{self, ApplyError, Outcome};
use crate::desired::{Desired, DesiredError};
use crate::exit::Exit;
use crate::kernel::backend::Backend;
use crate::kernel::command::CommandKernel;
use crate::kernel::{Kernel as _, KernelError};
use crate::lock::{ApplyLock, LockError};
use crate::plan::plan;
use crate::preflight::{self, PreflightError};
use crate::report::{self, Mode, Report};
use crate::uninstall::{self, UninstallError};

/// Keeps this node's kernel at exactly the snapshot that was reviewed.
///
/// It touches the chains CM-* of table filter, the jump to them in FORWARD, and the sets cm4-* and cm6-*; nothing
/// else. Results are printed on standard output, all else on standard error (RUST_LOG=debug shows each rule).
///
/// Exit codes: 0 done; 2 usage; 3 snapshot invalid or unreadable; 5 failed or refused, the old state is in force;
/// 6 failed, the kernel's state is not the expected one; 7 another chainmaild is at work.
#[derive(Debug, Parser)]
#[command(name = "chainmaild", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Applies a snapshot.
    Apply(ApplyArgs),
    /// Removes the jump, our chains and our sets, and nothing else.
    Uninstall(UninstallArgs),
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// Apply this folder once, then exit: what `chainmail compile` wrote, or one joined snapshot.
    #[arg(long, value_name = "DIR")]
    once: PathBuf,
    /// The node whose snapshot it is.
    #[arg(long, value_name = "NAME")]
    node: NodeName,
    /// Where rules are kept [default: what `iptables` on this host works on].
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Print what would change, rule by rule, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, Args)]
struct UninstallArgs {
    /// Only this backend [default: each that holds chains of ours]. Sets go with the last of them.
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, Args)]
struct StateArgs {
    /// Where the lock is.
    #[arg(long, value_name = "DIR", default_value = "/run/chainmail")]
    state_dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Error)]
enum CliError {
    #[error("snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    #[error("snapshot: {0}")]
    Desired(#[from] DesiredError),
    #[error("nothing was changed: {0}")]
    Preflight(#[from] PreflightError),
    #[error("nothing was changed: {0}")]
    Lock(#[from] LockError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Uninstall(#[from] UninstallError),
    #[error("cannot print the result: {0}")]
    Print(std::io::Error),
}

impl From<KernelError> for CliError {
    fn from(error: KernelError) -> Self {
        CliError::Preflight(error.into())
    }
}

impl CliError {
    fn exit(&self) -> Exit {
        match self {
            CliError::Snapshot(_) | CliError::Desired(_) | CliError::Print(_) => Exit::Input,
            CliError::Preflight(_) => Exit::OldStateInForce,
            CliError::Lock(LockError::Busy { .. }) => Exit::Busy,
            CliError::Lock(LockError::File { .. }) => Exit::Input,
            CliError::Apply(error) => error.exit(),
            CliError::Uninstall(error) => error.exit(),
        }
    }
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    let result = match cli.command {
        Command::Apply(args) => apply(&args),
        Command::Uninstall(args) => uninstall(&args),
    };
    match result {
        Ok(text) => match std::io::stdout().lock().write_all(text.as_bytes()) {
            Ok(()) => Exit::Done.into(),
            Err(error) => fail(&CliError::Print(error)),
        },
        Err(error) => fail(&error),
    }
}

fn fail(error: &CliError) -> ExitCode {
    // Standard error may be closed; the exit code still says it.
    drop(writeln!(std::io::stderr(), "error: {error}"));
    error.exit().into()
}

fn apply(args: &ApplyArgs) -> Result<String, CliError> {
    let snapshot = read::snapshot(&args.once, &args.node)?;
    let desired = Desired::of_snapshot(&snapshot)?;
    preflight::capabilities()?;
    let _lock = if args.dry_run { None } else { Some(ApplyLock::take(&args.state.state_dir)?) };
    let backend = args.backend.map_or_else(Backend::detect, Ok)?;
    preflight::one_backend(backend)?;
    let mut kernel = CommandKernel { backend };
    let live = kernel.live().map_err(ApplyError::Read)?;
    for family in desired.tables.keys().filter(|family| !live.tables.contains_key(family)) {
        tracing::warn!(%family, "this network namespace does not have the family: its rules and sets are left out");
    }
    let plan = plan(&desired, &live).map_err(ApplyError::Plan)?;
    if args.dry_run {
        let outcome = Outcome { steps: plan.steps, stuck: Vec::new() };
        return Ok(print(args, &snapshot, backend, Mode::DryRun, &outcome));
    }
    if !plan.is_settled() {
        for &family in live.tables.keys() {
            let policy = preflight::forward_policy(backend, family)?;
            tracing::debug!(%family, %policy, "FORWARD can be worked with");
        }
    }
    let outcome = apply::apply(&mut kernel, &desired, &live)?;
    Ok(print(args, &snapshot, backend, Mode::Done, &outcome))
}

fn print(args: &ApplyArgs, snapshot: &Joined, backend: Backend, mode: Mode, outcome: &Outcome) -> String {
    let report = Report {
        node: args.node.as_str(),
        digest: snapshot.manifest().digest.as_str(),
        backend,
        mode,
        steps: &outcome.steps,
        stuck: &outcome.stuck,
    };
    match args.output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    }
}

fn uninstall(args: &UninstallArgs) -> Result<String, CliError> {
    preflight::capabilities()?;
    let _lock = ApplyLock::take(&args.state.state_dir)?;
    let mut outcome = Outcome::default();
    let holding = |backend: &Backend| !preflight::own_tables(*backend).is_empty();
    match args.backend {
        Some(backend) => uninstall::remove_rules(&mut CommandKernel { backend }, &mut outcome)?,
        None => {
            for backend in Backend::ALL.into_iter().filter(holding) {
                uninstall::remove_rules(&mut CommandKernel { backend }, &mut outcome)?;
            }
        }
    }
    let left = Backend::ALL.into_iter().find(holding);
    if left.is_none() {
        // Sets belong to no backend; any will do to reach them.
        uninstall::remove_sets(&mut CommandKernel { backend: Backend::Nft }, &mut outcome)?;
    }
    let mut text = if outcome.steps.is_empty() {
        "nothing to remove\n".to_owned()
    } else {
        format!("removed: {}\n", report::summary(&outcome.steps))
    };
    if let Some(left) = left {
        text.push_str(&format!("backend {left} still holds chains of ours, so all sets stay\n"));
    }
    Ok(text)
}

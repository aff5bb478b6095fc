//! The command line of `chainmaild`.

mod denied;
mod look;
mod once;
mod serve;
mod setup;
mod steer;

use std::path::PathBuf;
use std::process::ExitCode;

use chainmail_contract::{DENY_GROUP, JsonProblem, SnapshotError};
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use thiserror::Error;

use crate::apply::ApplyError;
use crate::config::ConfigError;
use crate::cut::CutError;
use crate::desired::DesiredError;
use crate::exit::Exit;
use crate::files::FileError;
use crate::kernel::KernelError;
use crate::lock::LockError;
use crate::log;
use crate::orders::OrdersError;
use crate::paths::Paths;
use crate::preflight::PreflightError;
use crate::service::REPAIR;
use crate::spool::SpoolError;
use crate::terminal;
use crate::uninstall::UninstallError;
use crate::user;

/// Keeps this node's kernel at exactly the snapshot that was reviewed.
///
/// It touches the chains CM-* of table filter, the jump to them in FORWARD, and the sets cm4-* and cm6-*; nothing
/// else. Results are printed on standard output, all else on standard error (RUST_LOG=debug shows each rule).
///
/// Exit codes: 0 done; 1 the kernel holds something else, or a check failed; 2 usage or configuration; 3 snapshot invalid
/// or unreadable; 5 failed or refused, the old state is in force; 6 failed, the kernel's state is not the expected one;
/// 7 another chainmaild is at work.
#[derive(Debug, Parser)]
#[command(name = "chainmaild", version)]
struct Cli {
    /// Look for /etc/chainmail, /var/lib/chainmail, /run/chainmail and /var/log/chainmail below this folder.
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watches the spool and keeps the kernel at the wanted snapshot. The rules stay when it ends.
    Run,
    /// Brings the last good snapshot into force, then exits: for the time before the network is up.
    Boot,
    /// Says whether /etc/chainmail/node.toml can be used.
    CheckConfig,
    /// How things stand, as the service last saw it. Exits with 1 unless all is well.
    Status(look::OutputArgs),
    /// What would change in the kernel, line by line. Changes nothing.
    Plan(look::OutputArgs),
    /// What was done, oldest first.
    History(look::OutputArgs),
    /// Compares the kernel with the last good snapshot, line by line, after waiting for a change at work. Exits with 1 if
    /// they differ.
    Verify(look::OutputArgs),
    /// Looks for what could make right rules useless on this host. Exits with 1 if there is an alarm.
    Doctor(look::OutputArgs),
    /// Listens for packets that the rules deny, and says which and how many. Needs CAP_NET_ADMIN, and log_denied or
    /// enforce = false in the repository's chainmail.toml.
    Denied(denied::DeniedArgs),
    /// Applies a snapshot.
    Apply(once::ApplyArgs),
    /// Says that the snapshot in force works, where one is to be confirmed; one that was taken back comes again.
    Confirm(steer::ConfirmArgs),
    /// Goes back to a snapshot that was in force, and stays there, whatever the spool wants, until `resume`.
    Rollback(steer::RollbackArgs),
    /// Lets nothing new into force for a while. What is in force is still looked after.
    Pause(steer::PauseArgs),
    /// Ends a rollback, a pause and an uninstall: this node follows its spool again, and tries again what was taken back.
    Resume,
    /// Removes the jump, our chains and our sets, and nothing else. Nothing comes back until `resume`, also where the
    /// service is started again.
    Uninstall(once::UninstallArgs),
    /// Print a shell's completion script.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether it writes into the state folder, so that root is to become the user to whom that belongs.
    fn writes_state(&self) -> bool {
        match self {
            Command::Run
            | Command::Boot
            | Command::Confirm(_)
            | Command::Rollback(_)
            | Command::Pause(_)
            | Command::Resume
            | Command::Uninstall(_) => true,
            Command::CheckConfig
            | Command::Status(_)
            | Command::Plan(_)
            | Command::History(_)
            | Command::Verify(_)
            | Command::Doctor(_)
            | Command::Denied(_)
            | Command::Apply(_)
            | Command::Completions { .. } => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// What a command prints, and what its exit says.
struct Answer {
    text: String,
    exit: Exit,
}

impl Answer {
    fn done(text: String) -> Self {
        Self { text, exit: Exit::Done }
    }
}

#[derive(Debug, Error)]
enum CliError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("the host's name {name:?} is no node's name: set node in /etc/chainmail/node.toml")]
    HostName { name: String },
    #[error("snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    #[error("snapshot: {0}")]
    Desired(#[from] DesiredError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("nothing was changed: {0}")]
    Preflight(#[from] PreflightError),
    #[error("nothing was changed: {0}")]
    Lock(#[from] LockError),
    #[error("nothing was changed: this cannot be done as the user to whom the state folder belongs: {0}")]
    Owner(std::io::Error),
    #[error("nothing was changed: tools cannot inherit the lock: {0}")]
    HandDown(std::io::Error),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Uninstall(#[from] UninstallError),
    #[error("{path} cannot be read as a status: {problem}")]
    Status { path: String, problem: JsonProblem },
    #[error("there is no {path}: is chainmail-apply.service running?")]
    NoStatus { path: String },
    #[error("a change is being made, and takes long: ask again, or see `chainmaild status`")]
    Changing,
    #[error("there is no snapshot in force yet")]
    NoSnapshot,
    #[error("no copy of a snapshot can be used: {lost}; {REPAIR}")]
    Lost { lost: String },
    #[error(transparent)]
    Orders(#[from] OrdersError),
    #[error("no snapshot waits to be confirmed, and none was taken back")]
    NothingToConfirm,
    #[error("no snapshot whose digest begins with {begin:?} waits to be confirmed or was taken back")]
    NotAwaited { begin: String },
    #[error("no snapshot is kept that was in force before: `chainmaild history` shows what was")]
    NothingToGoBackTo,
    #[error("no snapshot is kept whose digest begins with {begin:?}: `keep` in node.toml says how many are")]
    NotKept { begin: String },
    #[error("several digests begin with {begin:?}: write more of it")]
    Ambiguous { begin: String },
    #[error("{0}")]
    Cut(#[from] CutError),
    #[error("NFLOG group {DENY_GROUP} cannot be listened to: {source}{}", hint(.source))]
    Nflog { source: std::io::Error },
    #[error("signals cannot be had: {0}")]
    Signals(std::io::Error),
    #[error("cannot print the result: {0}")]
    Print(std::io::Error),
}

/// What to do about a group that cannot be had: linux/netfilter/nfnetlink_log.h gives each to one program.
fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "; it needs CAP_NET_ADMIN",
        std::io::ErrorKind::ResourceBusy => "; another program listens to it",
        _ => "",
    }
}

impl From<KernelError> for CliError {
    fn from(error: KernelError) -> Self {
        CliError::Preflight(error.into())
    }
}

impl CliError {
    fn exit(&self) -> Exit {
        match self {
            CliError::Config(_) | CliError::HostName { .. } => Exit::Usage,
            CliError::Snapshot(_)
            | CliError::Desired(_)
            | CliError::Spool(_)
            | CliError::File(_)
            | CliError::Status { .. }
            | CliError::NoStatus { .. }
            | CliError::NoSnapshot
            | CliError::Lost { .. }
            | CliError::Orders(_)
            | CliError::NothingToConfirm
            | CliError::NotAwaited { .. }
            | CliError::NothingToGoBackTo
            | CliError::NotKept { .. }
            | CliError::Ambiguous { .. }
            | CliError::Cut(_)
            | CliError::Nflog { .. }
            | CliError::Signals(_)
            | CliError::HandDown(_)
            | CliError::Owner(_)
            | CliError::Print(_)
            | CliError::Lock(LockError::File { .. }) => Exit::Input,
            CliError::Preflight(_) => Exit::OldStateInForce,
            CliError::Lock(LockError::Busy { .. }) | CliError::Changing => Exit::Busy,
            CliError::Apply(error) => error.exit(),
            CliError::Uninstall(error) => error.exit(),
        }
    }
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start();
    let paths = Paths::under(&cli.root);
    if cli.command.writes_state()
        && let Err(error) = user::become_owner(&paths)
    {
        return fail(&CliError::Owner(error));
    }
    let result = match cli.command {
        Command::Run => serve::run(&paths),
        Command::Boot => serve::boot(&paths),
        Command::CheckConfig => setup::check(&paths),
        Command::Status(args) => look::status(&paths, args),
        Command::Plan(args) => look::plan(&paths, args),
        Command::History(args) => look::history(&paths, args),
        Command::Verify(args) => look::verify(&paths, args),
        Command::Doctor(args) => look::doctor(&paths, args),
        Command::Denied(args) => denied::denied(&paths, args),
        Command::Confirm(args) => steer::confirm(&paths, args),
        Command::Rollback(args) => steer::rollback(&paths, args),
        Command::Pause(args) => steer::pause(&paths, args),
        Command::Resume => steer::resume(&paths),
        Command::Apply(args) => once::apply(&paths, &args),
        Command::Completions { shell } => completions(shell),
        Command::Uninstall(args) => once::uninstall(&paths, &args).map(Answer::done),
    };
    match result {
        Ok(Answer { text, exit }) => match terminal::print(&text) {
            Ok(()) => exit.into(),
            Err(error) => fail(&CliError::Print(error)),
        },
        Err(error) => fail(&error),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Answer, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chainmaild", &mut script);
    terminal::print_script(&script).map_err(CliError::Print)?;
    Ok(Answer::done(String::new()))
}

fn fail(error: &CliError) -> ExitCode {
    terminal::print_error(error);
    error.exit().into()
}

//! The commands that change the kernel once.

use std::path::PathBuf;

use chainmail_contract::{Family, Joined, NodeName, read};
use clap::Args;

use super::{Answer, CliError, Output};
use crate::apply::{self, ApplyError, Change, Outcome};
use crate::clock::Moment;
use crate::desired::Desired;
use crate::exit::Exit;
use crate::files;
use crate::journal::Old;
use crate::kept::kept_chains;
use crate::kernel::Kernel as _;
use crate::kernel::backend::Backend;
use crate::kernel::command::CommandKernel;
use crate::kernel::process::DEADLINE;
use crate::lock::ApplyLock;
use crate::orders::Orders;
use crate::paths::Paths;
use crate::place::Place;
use crate::plan::plan;
use crate::preflight;
use crate::report::{self, Mode, Report};
use crate::state;
use crate::uninstall;

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
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
pub(super) struct UninstallArgs {
    /// Only this backend [default: each that holds chains of ours]. Sets go with the last of them.
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, Args)]
struct StateArgs {
    /// Where the lock is [default: run/chainmail below the root].
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl StateArgs {
    fn lock(&self, paths: &Paths) -> Result<ApplyLock, CliError> {
        let lock = ApplyLock::take(self.state_dir.as_ref().unwrap_or(&paths.run()))?;
        lock.hand_down().map_err(CliError::HandDown)?;
        Ok(lock)
    }
}

pub(super) fn apply(paths: &Paths, args: &ApplyArgs) -> Result<Answer, CliError> {
    let snapshot = read::snapshot(&args.once, &args.node)?;
    let desired = Desired::of_snapshot(&snapshot)?;
    preflight::capabilities()?;
    let _lock = if args.dry_run { None } else { Some(args.state.lock(paths)?) };
    let backend = args.backend.map_or_else(Backend::detect, Ok)?;
    preflight::one_backend(backend)?;
    let mut kernel = CommandKernel::new(backend, DEADLINE);
    let unusable = kernel.survey()?;
    for (family, reason) in &unusable {
        tracing::error!(%family, "the rules of this family are not enforced: {reason}");
    }
    let exit = if unusable.is_empty() { Exit::Done } else { Exit::UnexpectedState };
    let live = kernel.live().map_err(ApplyError::Read)?;
    let lacks = |family: &&Family| !live.tables.contains_key(family) && !unusable.contains_key(family);
    for family in desired.tables.keys().filter(lacks) {
        tracing::warn!(%family, "this network namespace does not have the family: its rules and sets are left out");
    }
    for chain in kept_chains(&desired, &live) {
        tracing::warn!("{chain}");
    }
    let plan = plan(&desired, &live, &Place::First);
    if args.dry_run {
        let outcome = Outcome { steps: plan.steps, stuck: Vec::new() };
        return Ok(Answer { text: print(args, &snapshot, backend, Mode::DryRun, &outcome), exit });
    }
    let old = Old::of_live(&live);
    let change = Change { desired: &desired, place: &Place::First, old: Some(&old) };
    let outcome = apply::apply(&mut kernel, change, &live)?;
    Ok(Answer { text: print(args, &snapshot, backend, Mode::Done, &outcome), exit })
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

pub(super) fn uninstall(paths: &Paths, args: &UninstallArgs) -> Result<String, CliError> {
    preflight::capabilities()?;
    let _lock = args.state.lock(paths)?;
    let withdrawn = withdraw(paths, args.backend)?;
    let mut outcome = Outcome::default();
    let holding = |backend: &Backend| !preflight::own_tables(*backend).is_empty();
    match args.backend {
        Some(backend) => remove_rules(backend, &mut outcome)?,
        None => {
            for backend in Backend::ALL.into_iter().filter(holding) {
                remove_rules(backend, &mut outcome)?;
            }
        }
    }
    let left = Backend::ALL.into_iter().find(holding);
    if left.is_none() {
        // Sets belong to no backend; any will do to reach them.
        uninstall::remove_sets(&mut CommandKernel::new(Backend::Nft, DEADLINE), &mut outcome)?;
    }
    let mut text = if outcome.steps.is_empty() {
        "nothing to remove\n".to_owned()
    } else {
        format!("removed: {}\n", report::summary(&outcome.steps))
    };
    if let Some(left) = left {
        text.push_str(&format!("backend {left} still holds chains of ours, so all sets stay\n"));
    }
    if withdrawn {
        files::remove(&paths.closed())?;
        text.push_str(
            "nothing comes back until `chainmaild resume`, also where the service is started again\n",
        );
    }
    Ok(text)
}

fn remove_rules(backend: Backend, outcome: &mut Outcome) -> Result<(), CliError> {
    Ok(uninstall::remove_rules(&mut CommandKernel::new(backend, DEADLINE), outcome)?)
}

/// Keeps the service from bringing back what is removed, before anything is: a run that is killed half-way must not come
/// back whole. Where nothing could come back, or only what the other backend holds is cleared, there is nothing to do.
fn withdraw(paths: &Paths, backend: Option<Backend>) -> Result<bool, CliError> {
    let used = state::pinned_backend(paths);
    let follows = paths.good().exists() || paths.desired().exists();
    if !follows || backend.is_some_and(|backend| used.is_some_and(|used| used != backend)) {
        return Ok(false);
    }
    let mut orders = Orders::read(paths).unwrap_or_default();
    orders.withdrawn.get_or_insert_with(|| Moment::now().to_string());
    orders.write(paths)?;
    Ok(true)
}

//! The commands that keep the kernel at a snapshot.

use std::time::Instant;

use super::{Answer, CliError, setup};
use crate::clock::Clock;
use crate::exit::Exit;
use crate::kernel::Kernel as _;
use crate::kernel::backend::Backend;
use crate::kernel::command::CommandKernel;
use crate::lock::ApplyLock;
use crate::paths::Paths;
use crate::preflight::{self, PreflightError};
use crate::run;
use crate::service::{Reach, Service, Settings};
use crate::state::State;
use crate::status::{Enforce, Shown, Writer};

pub(super) fn run(paths: &Paths) -> Result<Answer, CliError> {
    let (_lock, mut service) = open(paths)?;
    let lookout = service.lookout();
    run::run(&mut service, paths, lookout).map_err(CliError::Signals)?;
    Ok(Answer::done(String::new()))
}

pub(super) fn boot(paths: &Paths) -> Result<Answer, CliError> {
    let (_lock, mut service) = open(paths)?;
    service.cycle(Reach::LastGood, Instant::now());
    let status = service.status();
    let exit = match status.enforce {
        // The rules of one family are not in force.
        Enforce::Enforcing | Enforce::Observing if !status.degraded.is_empty() => Exit::UnexpectedState,
        Enforce::Enforcing | Enforce::Observing if service.is_older() => Exit::OldStateInForce,
        Enforce::Enforcing | Enforce::Observing | Enforce::Nothing => Exit::Done,
        Enforce::RolledBack => Exit::OldStateInForce,
        Enforce::Drifted | Enforce::Closed | Enforce::Unknown => Exit::UnexpectedState,
    };
    let shown = Shown { writer: Writer::Running, status: status.clone() };
    Ok(Answer { text: shown.text(), exit })
}

fn open(paths: &Paths) -> Result<(ApplyLock, Service<CommandKernel>), CliError> {
    let config = setup::config(paths)?;
    let node = setup::node(&config)?;
    preflight::capabilities()?;
    let lock = ApplyLock::take(&paths.run())?;
    lock.hand_down().map_err(CliError::HandDown)?;
    let clock = Clock::HOST;
    let backend = setup::backend(&config, &State::open(paths, config.keep, clock))?;
    let mut kernel = CommandKernel::new(backend, config.deadline);
    kernel.survey()?;
    let (paths, alive) = (paths.clone(), run::alive);
    let settings = Settings { paths, config, node, backend, clock, guard, alive };
    Ok((lock, Service::open(kernel, settings)))
}

fn guard(backend: Backend) -> Result<(), PreflightError> {
    preflight::one_backend(backend)
}

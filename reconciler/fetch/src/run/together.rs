//! All three parts by one command, for a person, for tests and for nodes without systemd: each is a process of its own.

use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use chainmail_reconciler::exit::Exit;
use chainmail_reconciler::unit::{stop_on_signals, tell};
use rustix::process::{Pid, Signal, kill_process};
use sd_notify::NotifyState;

use super::{Event, beat, stopped};
use crate::child::GLANCE;
use crate::paths::Paths;
use crate::quarantine::{Look, Needs, Wanted};
use crate::state::read_json;
use crate::trust::First;
use crate::users::{Part, Users};

/// How a part is told that another process started it, and ends it.
pub const PART_OF_ANOTHER: &str = "--with-parent";
/// How a part is told to do its work once.
pub const ONCE: &str = "--once";
/// How the verifier is told to believe the first revision.
const TRUST_FIRST: &str = "--trust-first";

/// The wait before a part that ended is started again.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a part that was asked to end may take.
const MOMENT: Duration = Duration::from_secs(10);
/// How often the remote is asked for what the verifier lacks: files of a commit, and then everything.
const ROUNDS: usize = 3;

/// A part that runs.
struct Running {
    part: Part,
    child: Option<Child>,
    since: Instant,
}

impl Running {
    fn start(paths: &Paths, users: &Users, part: Part, first: First) -> std::io::Result<Self> {
        let mut command = users.command(paths, part);
        command.arg(part.command()).arg(PART_OF_ANOTHER).stdin(Stdio::null()).stdout(Stdio::null());
        // Only the process that systemd started speaks to it.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        if part == Part::Verify && first == First::Trust {
            command.arg(TRUST_FIRST);
        }
        Ok(Self { part, child: Some(command.spawn()?), since: Instant::now() })
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let ended = child.try_wait()?;
        if ended.is_some() {
            self.child = None;
        }
        Ok(ended)
    }

    fn ask_to_end(&self) {
        if let Some(child) = &self.child {
            kill_process(Pid::from_child(child), Signal::TERM).ok();
        }
    }
}

/// Runs all parts until a signal ends this process; what it ends with.
///
/// # Errors
/// When the signals cannot be had, or no process can be started.
pub fn run(paths: &Paths, users: &Users, first: First) -> std::io::Result<Exit> {
    let (sender, events) = channel();
    stop_on_signals(sender, Event::Stop)?;
    let mut parts = Vec::new();
    for part in Part::ALL {
        parts.push(Running::start(paths, users, part, first)?);
    }
    tell(&[NotifyState::Ready]);
    let exit = tend(paths, users, &mut parts, &events)?;
    for part in &parts {
        part.ask_to_end();
    }
    let until = Instant::now() + MOMENT;
    for part in &mut parts {
        while part.ended()?.is_none() && part.child.is_some() && Instant::now() < until {
            std::thread::sleep(GLANCE);
        }
        if let Some(child) = &mut part.child {
            child.kill()?;
            child.wait()?;
        }
    }
    stopped()?;
    Ok(exit)
}

/// Starts parts again that end, until a signal comes or one cannot do its work at all.
fn tend(
    paths: &Paths,
    users: &Users,
    parts: &mut [Running],
    events: &Receiver<Event>,
) -> std::io::Result<Exit> {
    let glance = beat().unwrap_or(PAUSE).min(PAUSE / 10);
    loop {
        tell(&[NotifyState::Watchdog]);
        if events.recv_timeout(glance) == Ok(Event::Stop) {
            return Ok(Exit::Done);
        }
        for running in &mut *parts {
            if let Some(status) = running.ended()? {
                let never = [Exit::Busy, Exit::Usage];
                if let Some(exit) = never.into_iter().find(|exit| status.code() == Some(exit.code().into())) {
                    return Ok(exit);
                }
                tracing::error!("{} has ended: {status}", running.part.command());
            }
            if running.child.is_none() && running.since.elapsed() > PAUSE {
                *running = Running::start(paths, users, running.part, First::Refuse)?;
            }
        }
    }
}

/// Downloads and verifies once; what went wrong where something did.
///
/// # Errors
/// When no process can be started.
pub fn once(paths: &Paths, users: &Users, first: First) -> std::io::Result<Result<(), Exit>> {
    for _ in 0..ROUNDS {
        for part in [Part::Download, Part::Verify] {
            let mut command = users.command(paths, part);
            command.args([part.command(), ONCE, PART_OF_ANOTHER]).stdin(Stdio::null()).stdout(Stdio::null());
            if part == Part::Verify && first == First::Trust {
                command.arg(TRUST_FIRST);
            }
            let status = command.status()?;
            if !status.success() {
                let codes = [Exit::Usage, Exit::Input, Exit::Busy];
                let said = codes.into_iter().find(|exit| status.code() == Some(exit.code().into()));
                return Ok(Err(said.unwrap_or(Exit::Input)));
            }
        }
        let needs = read_json::<Needs>(&paths.needs()).ok().flatten().unwrap_or_default();
        let answered = read_json::<Look>(&paths.look()).ok().flatten().map(|look| look.answers);
        if needs.wanted == Wanted::Nothing || answered == Some(needs) {
            break;
        }
    }
    Ok(Ok(()))
}

/// What was found about a snapshot that waits, and what that comes to.
pub struct Confirmation {
    /// For people.
    pub text: String,
    /// What the program ends with.
    pub exit: Exit,
}

/// Has what waits to be confirmed judged by one user, and passed on by another, whose command `pass_on` is.
///
/// # Errors
/// When no process can be started.
pub fn confirm(paths: &Paths, users: &Users, pass_on: &str) -> std::io::Result<Confirmation> {
    let mut judge = users.command(paths, Part::Probe);
    let status = judge.args([Part::Probe.command(), ONCE, PART_OF_ANOTHER]).stdin(Stdio::null()).status()?;
    let codes = [Exit::Done, Exit::Differences, Exit::Usage, Exit::Input];
    let exit = codes.into_iter().find(|exit| status.code() == Some(exit.code().into()));
    let exit = exit.unwrap_or(Exit::Input);
    let said = users
        .command(paths, Part::Verify)
        .arg(pass_on)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let exit = if said.status.success() { exit } else { Exit::Input };
    Ok(Confirmation { text, exit })
}

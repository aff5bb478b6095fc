//! The shell: one look, or one judgement, in a process of its own. Git gives no way to end a connection to a remote that
//! never answers but to end the process; and what a large cluster took of memory is given back.

#![expect(clippy::disallowed_methods, reason = "this module is the one that starts a process")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, set_parent_process_death_signal, setrlimit,
};

use crate::config::{Config, Transport};
use crate::paths::Paths;
use crate::trust::First;

/// The hidden command that looks at the remote once.
pub const LOOK: &str = "look";
/// The hidden command that looks once at what came over.
pub const CYCLE: &str = "cycle";
/// How it is told to believe the first revision.
pub const TRUST_FIRST: &str = "--trust-first";
/// The hidden command that judges what waits to be confirmed.
pub const JUDGE: &str = "judge";

/// What a process is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// To look at the remote.
    Look,
    /// To look at what came over.
    Cycle(First),
    /// To judge what waits to be confirmed.
    Judge,
}

impl Work {
    fn words(self) -> &'static [&'static str] {
        match self {
            Work::Look => &[LOOK],
            Work::Cycle(First::Refuse) => &[CYCLE],
            Work::Cycle(First::Trust) => &[CYCLE, TRUST_FIRST],
            Work::Judge => &[JUDGE],
        }
    }

    /// A judgement has started programs of others, which it ends itself.
    fn parting(self) -> Parting {
        match self {
            Work::Look | Work::Cycle(_) => Parting::Killed,
            Work::Judge => Parting::Asked,
        }
    }
}

/// A cycle or judgement that is running.
#[derive(Debug)]
pub struct Cycle {
    child: Child,
    until: Instant,
    parting: Parting,
}

/// How a process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// At once, whatever it is at.
    Killed,
    /// It is asked to, and is given a moment to end what it has started itself.
    Asked,
}

/// How long a process that was asked to end may take.
const MOMENT: Duration = Duration::from_secs(3);

/// How far a cycle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It runs.
    Running,
    /// It came to its end.
    Ended(ExitStatus),
    /// It took too long, and was ended.
    TooLong,
}

impl Cycle {
    /// Starts one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start(paths: &Paths, config: &Config, work: Work) -> std::io::Result<Self> {
        let mut command = Command::new(program());
        command.arg("--root").arg(paths.root()).args(work.words()).stdin(Stdio::null()).stdout(Stdio::null());
        // OpenSSL asks the environment. What is no folder has no further certificates; and who speaks no TLS need not
        // read those of the system, which is most of what a look without news would take.
        let certificates = match (&config.remote.transport, &config.access.ca_file) {
            (Transport::Https, ca_file) if !matches!(work, Work::Cycle(_)) => ca_file.as_deref(),
            (Transport::Https | Transport::Local(_) | Transport::Git | Transport::Ssh { .. }, _) => {
                Some(Path::new("/dev/null"))
            }
        };
        if let Some(file) = certificates {
            command.env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", file);
        }
        let until = Instant::now() + config.timeout;
        Ok(Self { child: command.spawn()?, until, parting: work.parting() })
    }

    /// Waits until it ends, or has taken too long.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn wait(&mut self) -> std::io::Result<Progress> {
        loop {
            match self.progress()? {
                Progress::Running => std::thread::sleep(GLANCE),
                end => return Ok(end),
            }
        }
    }

    /// Looks how far it is.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn progress(&mut self) -> std::io::Result<Progress> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Progress::Ended(status));
        }
        if Instant::now() < self.until {
            return Ok(Progress::Running);
        }
        self.end();
        Ok(Progress::TooLong)
    }

    /// Ends it.
    pub fn end(&mut self) {
        if self.parting == Parting::Asked {
            self.ask_to_end();
        }
        // One that has just ended by itself is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    fn ask_to_end(&mut self) {
        let runs = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        // The number of one that was waited for may be another's by now.
        if runs(&mut self.child) {
            kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        }
        let until = Instant::now() + MOMENT;
        while runs(&mut self.child) && Instant::now() < until {
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Cycle {
    fn drop(&mut self) {
        self.end();
    }
}

/// The hidden command that looks after the inventory.
pub const INVENTORY: &str = "inventory";
/// How it is told to look once.
pub const ONCE: &str = "--once";

/// How often the inventory is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// Once.
    One,
    /// Whenever it changes, until standard input ends.
    Many,
}

/// Starts the process that looks after the inventory. It ends with this one: its standard input does.
///
/// # Errors
/// When the system refuses.
pub fn inventory(paths: &Paths, rounds: Rounds) -> std::io::Result<ExitStatus> {
    let mut command = Command::new(program());
    command.arg("--root").arg(paths.root()).arg(INVENTORY).stdin(Stdio::piped()).stdout(Stdio::null());
    if rounds == Rounds::One {
        command.arg(ONCE);
    }
    let mut child = command.spawn()?;
    // To wait for a process closes its input.
    let input = child.stdin.take();
    let end = child.wait();
    drop(input);
    end
}

/// This program. Where the file was replaced by a newer one, this is the one that runs.
#[must_use]
pub fn program() -> PathBuf {
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    program.unwrap_or_else(|| "/proc/self/exe".into())
}

/// How often a cycle is looked at.
pub const GLANCE: Duration = Duration::from_millis(10);

/// Has this process end when the one that started it does: asked to where it has others to end, or at once.
pub fn end_with_parent(parting: Parting) {
    let signal = match parting {
        Parting::Asked => Signal::TERM,
        Parting::Killed => Signal::KILL,
    };
    if let Err(error) = set_parent_process_death_signal(Some(signal)) {
        tracing::warn!(%error, "this process may outlive the service");
    }
}

/// Limits the memory of this process, which runs a cycle: an object that unpacks to more than it should is an error of
/// this process alone.
pub fn limit_memory(config: &Config) {
    let most = Some(config.limits.memory);
    let limit = Rlimit { current: most, maximum: getrlimit(Resource::Data).maximum.or(most) };
    if let Err(error) = setrlimit(Resource::Data, limit) {
        tracing::warn!(%error, "memory is not limited");
    }
}

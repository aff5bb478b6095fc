//! The shell: takes a lab down, also when the process that built it was killed.
//!
//! A small shell script waits on a pipe whose other end only the builder and the `ip` programs that it starts hold.
//! When the last of them is gone, however it ended, the script ends the processes inside the lab's namespaces and
//! removes the namespaces, by their recorded names. It stands in a process group of its own, so that ^C does not reach
//! it.

#![expect(clippy::disallowed_methods, reason = "this module is the one that starts the reaper")]

use std::io::{self, PipeWriter, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use thiserror::Error;

use crate::layout::NetnsName;
use crate::state::Paths;

/// `$1` the state file, `$2` the work folder, then the namespaces. The state file goes last, and stays when a namespace
/// does, so that the work can be done again. `keep` on standard input means that the lab shall outlive its builder.
const SCRIPT: &str = r#"
while read -r word; do
    [ "$word" = keep ] && exit 0
done
state=$1 work=$2 rc=0
shift 2
for netns; do
    [ -e "/run/netns/$netns" ] || continue
    for pid in $(ip netns pids "$netns" 2>/dev/null); do
        kill -KILL "$pid" 2>/dev/null
    done
    ip netns del "$netns" || rc=1
done
rm -rf -- "$work"
[ $rc = 0 ] && rm -f -- "$state"
exit $rc
"#;

/// A lab that could not be taken down, or not be watched over.
#[derive(Debug, Error)]
pub enum ReaperError {
    /// `sh` could not be run, or not be waited for.
    #[error("cannot run the script that removes namespaces: {source}")]
    Run {
        /// Why.
        source: io::Error,
    },
    /// A namespace is still there.
    #[error("a namespace could not be removed; {state} still names it")]
    Left {
        /// The state file.
        state: String,
    },
}

fn run(source: io::Error) -> ReaperError {
    ReaperError::Run { source }
}

/// The end of the pipe that keeps the lab up.
#[derive(Debug)]
pub(crate) struct Lifeline(PipeWriter);

impl Lifeline {
    /// For the standard output of a program that changes the lab: while it runs, nothing is removed. It must print
    /// nothing there.
    pub(crate) fn hold(&self) -> io::Result<Stdio> {
        Ok(self.0.try_clone()?.into())
    }
}

/// The waiting script.
#[derive(Debug)]
pub(crate) struct Reaper {
    child: Child,
    lifeline: Lifeline,
    state: String,
}

impl Reaper {
    pub(crate) fn start(paths: &Paths, namespaces: &[&NetnsName]) -> Result<Self, ReaperError> {
        let (reader, writer) = io::pipe().map_err(run)?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "chainmail-lab-reaper"]).arg(&paths.state).arg(&paths.work);
        command.args(namespaces.iter().map(|netns| netns.as_str()));
        let child = command.process_group(0).stdin(reader).stdout(Stdio::null()).spawn().map_err(run)?;
        Ok(Self { child, lifeline: Lifeline(writer), state: paths.state.display().to_string() })
    }

    pub(crate) fn lifeline(&self) -> &Lifeline {
        &self.lifeline
    }

    /// Takes the lab down and waits until it is.
    pub(crate) fn reap(self) -> Result<(), ReaperError> {
        let Self { mut child, lifeline, state } = self;
        drop(lifeline);
        let status = child.wait().map_err(run)?;
        if status.success() { Ok(()) } else { Err(ReaperError::Left { state }) }
    }

    /// Leaves the lab up.
    pub(crate) fn dismiss(mut self) -> Result<(), ReaperError> {
        self.lifeline.0.write_all(b"keep\n").map_err(run)?;
        self.child.wait().map_err(run)?;
        Ok(())
    }
}

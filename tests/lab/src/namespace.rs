//! A network namespace without a name, for one test.

#![expect(clippy::disallowed_methods, reason = "this module starts what holds the namespace")]

use std::fs::File;
use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};

use crate::netns;

/// A network namespace, with mounts of its own. It ends with the process that made it, in whatever way that ends.
#[derive(Debug)]
pub struct Namespace {
    /// It waits for the end of its input, which the kernel closes when this process dies.
    holder: Child,
}

impl Namespace {
    /// Makes one, in which a line of shell is run first.
    ///
    /// # Errors
    /// When there can be none, or the line fails.
    pub fn prepared_by(line: &str) -> io::Result<Self> {
        let script = format!("{line} && echo ready; exec cat >/dev/null");
        let holder = Command::new("unshare")
            .args(["-n", "-m", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut made = Self { holder };
        let mut said = [0; 6];
        let mut stdout = made.holder.stdout.take().expect("standard output was asked for");
        stdout.read_exact(&mut said)?;
        Ok(made)
    }

    /// The process that holds it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// What runs in it the program that is added as an argument, with its arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.id().to_string(), "-n", "-m", "--"]);
        command
    }

    /// Does something on a thread of its own inside. Sockets that it makes stay there.
    ///
    /// # Errors
    /// When the thread cannot enter.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        netns::inside(&File::open(format!("/proc/{}/ns/net", self.id()))?, work)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // One that has ended already is no problem here.
        let _ = self.holder.wait();
    }
}

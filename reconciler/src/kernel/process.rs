//! The shell: runs one tool with a deadline.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that starts processes and reads /proc"
)]

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::kernel::KernelError;

/// How long a call may take. 50,000 rules load in 1.3 s, and another tool may hold the lock for 10.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Where tools are looked for, whatever the caller's environment says.
pub const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// How often it is asked whether anybody still wants to know what a tool says.
const ASKED: Duration = Duration::from_millis(100);
/// How much a pipe holds: pipe(7).
const CHUNK: usize = 64 * 1024;

/// A tool and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    program: Cow<'static, str>,
    args: Vec<String>,
    deadline: Duration,
    /// How much of what it prints is kept, where that is limited.
    most: Option<usize>,
    /// The process whose network namespace it is to run in.
    inside: Option<u32>,
}

impl Call {
    /// A tool without arguments.
    #[must_use]
    pub fn new(program: impl Into<Cow<'static, str>>) -> Self {
        Self { program: program.into(), args: Vec::new(), deadline: DEADLINE, most: None, inside: None }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets another deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Keeps only so many bytes of what it prints on each of its outputs.
    #[must_use]
    pub fn most(mut self, bytes: usize) -> Self {
        self.most = Some(bytes);
        self
    }

    /// Runs the tool in the network namespace of another process.
    #[must_use]
    pub fn inside(mut self, process: Option<u32>) -> Self {
        self.inside = process;
        self
    }

    fn command(&self) -> Command {
        // With a path the process is spawned; with a name and another PATH it would be forked, and a fork copies the page
        // tables of all that this program has in memory.
        let path = |program: &str| find_tool(program).unwrap_or_else(|| program.to_owned());
        let Some(process) = self.inside else { return Command::new(path(&self.program)) };
        let mut command = Command::new(path("nsenter"));
        command.arg(format!("--net=/proc/{process}/ns/net")).arg("--").arg(&*self.program);
        command
    }

    /// Runs the tool with `input` on its standard input, and returns what it printed.
    ///
    /// The environment is empty but for PATH, so the kernel's state does not depend on who started this program.
    /// The tool is in a process group of its own: Ctrl-C does not stop it half-way, and its children (`modprobe`)
    /// die with it at the deadline.
    ///
    /// # Errors
    /// When it cannot be started, fails, or does not end in time.
    pub fn run(&self, input: &str) -> Result<String, KernelError> {
        self.run_while(input, &mut || true)
    }

    /// As [`Self::run`], as long as somebody still wants to know: that is asked ten times a second.
    ///
    /// # Errors
    /// As [`Self::run`]; a tool that was ended because nobody does has not ended in time.
    pub fn run_while(&self, input: &str, wanted: &mut dyn FnMut() -> bool) -> Result<String, KernelError> {
        let fail = |source| KernelError::Run { command: self.to_string(), source };
        tracing::debug!(command = %self, bytes = input.len(), "running");
        let stdin = stdin(input).map_err(fail)?;
        let printed = if self.most.is_some() { None } else { Some(memory("stdout").map_err(fail)?) };
        let stdout = match &printed {
            Some(file) => file.try_clone().map_err(fail)?.into(),
            None => Stdio::piped(),
        };
        let mut child = self
            .command()
            .args(&self.args)
            .env_clear()
            .env("PATH", PATH)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(fail)?;
        let Some((status, [mut stdout, stderr])) =
            listen(&mut child, self.deadline, self.most, wanted).map_err(fail)?
        else {
            let seconds = self.deadline.as_secs();
            return Err(KernelError::Deadline { command: self.to_string(), seconds });
        };
        if let Some(file) = printed {
            stdout = whole(&file).map_err(fail)?;
        }
        let [printed, stderr] = [stdout, stderr].map(|bytes| {
            String::from_utf8(bytes)
                .unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned())
        });
        if status.success() {
            return Ok(printed);
        }
        let stderr = stderr.trim().to_owned();
        Err(KernelError::Failed { command: self.to_string(), status: describe(status), stderr })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

/// What a tool said in pipes: on standard output, where that is no file, and on standard error.
type Said = [Vec<u8>; 2];

/// A text as the standard input of a tool. A file, not a pipe: tools read by a few kilobytes, and each time somebody would
/// have to wake and fill the pipe again.
fn stdin(input: &str) -> std::io::Result<Stdio> {
    if input.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = memory("stdin")?;
    file.write_all(input.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

/// A file in memory. What a tool prints goes to one for the same reason, unless only a part of it is kept: it prints by a few
/// kilobytes, and each would wake this process.
fn memory(name: &str) -> std::io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// All that is in a file, wherever its writers are in it.
fn whole(file: &File) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Takes what a tool says in pipes, until it has ended and nobody else holds one of them; `None` when it or a child of it
/// had to be killed.
fn listen(
    child: &mut Child,
    deadline: Duration,
    most: Option<usize>,
    wanted: &mut dyn FnMut() -> bool,
) -> std::io::Result<Option<(ExitStatus, Said)>> {
    let stdout = child.stdout.take().map(OwnedFd::from).map(PipeReader::from);
    let stderr = child.stderr.take().map(OwnedFd::from).map(PipeReader::from);
    let mut outputs = [stdout, stderr];
    let mut said = Said::default();
    let process = Pid::from_child(child);
    // It can be read once the process has ended: pidfd_open(2).
    let end = pidfd_open(process, PidfdFlags::empty())?;
    let begin = Instant::now();
    let mut asked = begin;
    let mut chunk = vec![0; CHUNK];
    loop {
        let mut news: Vec<_> =
            outputs.iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        let all_said = news.is_empty();
        if all_said {
            news.push(PollFd::new(&end, PollFlags::IN));
        }
        let left = deadline.saturating_sub(begin.elapsed());
        let time = Timespec::try_from(left.min(ASKED)).map_err(std::io::Error::other)?;
        let found = poll(&mut news, Some(&time));
        let is_wanted = asked.elapsed() < ASKED || {
            asked = Instant::now();
            wanted()
        };
        match found {
            // One that prints for ever always has news.
            Ok(_) if left.is_zero() || !is_wanted => {
                kill_process_group(process, Signal::KILL)?;
                child.wait()?;
                return Ok(None);
            }
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) if all_said => return Ok(Some((child.wait()?, said))),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = news.iter().map(|news| !news.revents().is_empty()).collect();
        let open = outputs.iter_mut().zip(&mut said).filter(|(output, _)| output.is_some());
        for ((output, said), _) in open.zip(ready).filter(|(_, ready)| *ready) {
            let Some(pipe) = output else { continue };
            let length = match pipe.read(&mut chunk) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // What is not kept is read all the same, so that nobody waits to print it.
            let room = most.map_or(length, |most| most.saturating_sub(said.len()));
            said.extend_from_slice(chunk.get(..length.min(room)).unwrap_or_default());
            if length == 0 {
                *output = None;
            }
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// The full path of a tool, looked for where [`Call::run`] looks.
#[must_use]
pub fn find_tool(program: &str) -> Option<String> {
    PATH.split(':').map(|folder| format!("{folder}/{program}")).find(|path| Path::new(path).exists())
}

/// Reads a file of `/proc`; `None` when the kernel does not have it.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_proc(path: &'static str) -> Result<Option<String>, KernelError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KernelError::Proc { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_returns_what_the_tool_printed_or_said() {
        assert_eq!(Call::new("cat").run("a\nb\n").unwrap(), "a\nb\n");
        let error = Call::new("cat").arg("/no/such/file").run("").unwrap_err().to_string();
        assert!(error.contains("`cat /no/such/file` failed (exit code 1)"), "{error}");
        assert!(error.contains("No such file"), "{error}");
        let error = Call::new("no-such-tool").run("").unwrap_err().to_string();
        assert!(error.starts_with("cannot run `no-such-tool`"), "{error}");
    }

    #[test]
    fn all_that_a_tool_and_its_children_print_is_returned() {
        let printed = Call::new("sh").arg("-c").arg("seq 100000; (sleep 0.2; echo end) &").run("").unwrap();
        assert_eq!((printed.lines().count(), printed.lines().last()), (100_001, Some("end")));
    }

    #[test]
    fn a_tool_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        let call = Call::new("sh").arg("-c").arg("sleep 60 & wait").deadline(Duration::from_millis(50));
        let error = call.run("").unwrap_err();
        assert!(matches!(error, KernelError::Deadline { .. }), "{error}");
        // The grandchild holds the pipe: only its death lets the readers end.
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_tool_whose_words_nobody_wants_any_more_is_killed_with_its_children() {
        let mut times = 0;
        let mut wanted = || {
            times += 1;
            times < 3
        };
        let error = Call::new("sh").arg("-c").arg("sleep 60 & wait").run_while("", &mut wanted).unwrap_err();
        assert!(matches!(error, KernelError::Deadline { .. }), "{error}");
        assert_eq!(times, 3);
    }

    #[test]
    fn of_a_tool_that_prints_for_ever_little_is_kept() {
        let call = Call::new("yes").deadline(Duration::from_millis(50)).most(10);
        assert!(matches!(call.run("").unwrap_err(), KernelError::Deadline { .. }));
        assert_eq!(Call::new("seq").arg("100000").most(6).run("").unwrap(), "1\n2\n3\n");
    }
}

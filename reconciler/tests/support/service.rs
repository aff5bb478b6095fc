//! `chainmaild run` on a node, with a spool to write and a status to wait for.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::Snapshot;
use super::node::Node;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `chainmaild`, which is killed with the test.
pub(crate) struct Running {
    child: Child,
    by: StartedBy,
}

/// Who waits for the end of `chainmaild`.
enum StartedBy {
    Test,
    /// A program that keeps signals to itself.
    Another,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let id = match self.by {
            StartedBy::Test => self.child.id(),
            StartedBy::Another => {
                let id = self.child.id();
                let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
                children.trim().parse().unwrap()
            }
        };
        let id = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Node {
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Writes a file below the root, as another program would.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Configures this node's backend, with more lines.
    pub(crate) fn configure(&self, lines: &str) {
        let text = format!("node = \"n1\"\nbackend = \"{}\"\n{lines}", self.backend);
        self.write("etc/chainmail/node.toml", &text);
    }

    /// Writes a snapshot into the spool as fetch does: the folder first, then the file that names it.
    pub(crate) fn spool(&self, snapshot: &Snapshot) {
        let digest = snapshot.manifest.digest.as_str();
        let spool = self.path("var/lib/chainmail/spool");
        let begun = spool.join(format!("{digest}.new"));
        snapshot.write_joined(&begun);
        if !spool.join(digest).exists() {
            std::fs::rename(begun, spool.join(digest)).unwrap();
        }
        self.want(digest);
    }

    pub(crate) fn want(&self, digest: &str) {
        let spool = self.path("var/lib/chainmail/spool");
        std::fs::write(spool.join("desired.new"), format!("{digest}\n")).unwrap();
        std::fs::rename(spool.join("desired.new"), spool.join("desired")).unwrap();
    }

    /// Runs a command of `chainmaild` that ends by itself.
    pub(crate) fn ask(&self, words: &[&str]) -> super::Done {
        self.ask_with(&[], words)
    }

    /// Runs it by words that put it into other surroundings.
    pub(crate) fn ask_with(&self, before: &[&str], words: &[&str]) -> super::Done {
        let root = self.root();
        let program = [env!("CARGO_BIN_EXE_chainmaild"), "--root", root.to_str().unwrap()];
        self.namespace.run(&[before, &program, words].concat(), "")
    }

    pub(crate) fn start(&self) -> Running {
        self.start_by(&[], StartedBy::Test)
    }

    /// Starts it with a snapshot in its spool, and waits until that is in force.
    pub(crate) fn enforce(&self, snapshot: &Snapshot) -> Running {
        self.spool(snapshot);
        let running = self.start();
        self.wait_for(snapshot);
        running
    }

    /// Starts it by words that put it into other surroundings and become it, such as env.
    pub(crate) fn start_with(&self, before: &[&str]) -> Running {
        self.start_by(before, StartedBy::Test)
    }

    /// Starts it under another program that stays, such as strace.
    pub(crate) fn start_under(&self, before: &[&str]) -> Running {
        self.start_by(before, StartedBy::Another)
    }

    /// What it says goes to a file.
    fn start_by(&self, before: &[&str], by: StartedBy) -> Running {
        std::fs::create_dir_all(self.root()).unwrap();
        std::fs::remove_file(self.path("run/chainmail/apply.json")).ok();
        let root = self.root();
        let program = [env!("CARGO_BIN_EXE_chainmaild"), "--root", root.to_str().unwrap(), "run"];
        let said = std::fs::OpenOptions::new().create(true).append(true).open(self.path("said")).unwrap();
        let mut command = self.namespace.command(&[before, &program].concat());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).env_remove("JOURNAL_STREAM");
        command.env("RUST_LOG", "info,chainmail_reconciler::service=debug");
        Running { child: command.spawn().unwrap(), by }
    }

    /// The two words of the status, and the digest in force.
    pub(crate) fn status(&self) -> (String, String) {
        let status: serde_json::Value =
            serde_json::from_str(&self.read("run/chainmail/apply.json")).unwrap_or_default();
        let word = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        (format!("{} {}", word("sync"), word("enforce")), word("enforced"))
    }

    /// Says of the snapshot that waits to be confirmed that it does harm, as fetch does.
    pub(crate) fn refuse(&self, reason: &str) {
        let status: serde_json::Value = serde_json::from_str(&self.read("run/chainmail/apply.json")).unwrap();
        let refusal = serde_json::json!({
            "digest": status["enforced"], "since": status["awaits"]["since"], "reason": reason,
        });
        self.write("var/lib/chainmail/spool/refused", &refusal.to_string());
    }

    /// Waits until a condition holds.
    pub(crate) fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < PATIENCE, "never: {what}\n{:?}\n{}", self.status(), self.read("said"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a snapshot is in force and all is well.
    pub(crate) fn wait_for(&self, snapshot: &Snapshot) {
        self.wait_for_words("synced enforcing", snapshot);
    }

    /// Waits until a snapshot is in force, with these words of the status.
    pub(crate) fn wait_for_words(&self, words: &str, snapshot: &Snapshot) {
        let wanted = (words.to_owned(), snapshot.manifest.digest.to_string());
        self.wait_until(&format!("{wanted:?}"), || self.status() == wanted);
    }
}

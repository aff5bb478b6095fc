//! Network namespaces for both halves of a node, a pod and a remote.

#![allow(clippy::print_stderr, reason = "it says aloud when a test must skip")]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chainmail_lab::Namespace;

use super::ok;

/// Says why there can be no namespaces here. In CI there must be.
pub fn skipped() -> bool {
    let works = |words: &[&str]| {
        Command::new("unshare").arg("-n").args(words).output().is_ok_and(|o| o.status.success())
    };
    let missing = !works(&["iptables-nft", "-S"]) || !works(&["ipset", "list"]);
    if missing {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "in CI this must work");
        eprintln!("SKIPPED: needs root and the tools of iptables and ipset");
    }
    missing
}

/// The applying half, which is built with the workspace.
pub fn chainmaild() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_chainmail-fetch")).with_file_name("chainmaild");
    assert!(path.exists(), "{} is missing: cargo build --workspace --bins", path.display());
    path
}

/// A network namespace with a loopback, which ends with the test.
pub struct Net(Namespace);

impl Net {
    pub fn new() -> Self {
        Self(Namespace::prepared_by("ip link set lo up").unwrap())
    }

    /// A command that runs in it, with what another command says.
    pub fn within(&self, command: &Command) -> Command {
        let mut inside = self.0.command();
        inside.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        inside
    }

    pub fn sh(&self, script: &str) -> String {
        let mut sh = Command::new("sh");
        sh.args(["-ec", script]);
        ok(&mut self.within(&sh))
    }

    /// Links another namespace to this one, which is its gateway: the other has `address`, and this one `.254` of the same
    /// 24 bits.
    pub fn gateway_of(&self, other: &Net, link: &str, address: &str) {
        let (network, _) = address.rsplit_once('.').unwrap();
        self.sh(&format!(
            "ip link add {link} type veth peer name eth0 netns {}\nip addr add {network}.254/24 dev {link}\nip link set {link} up",
            other.0.id()
        ));
        other.sh(&format!(
            "ip addr add {address}/24 dev eth0\nip link set eth0 up\nip route add default via {network}.254"
        ));
    }
}

/// A process that is killed with the test, and those that it started with it.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).spawn().unwrap())
    }

    /// Ends it as a power loss would.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        self.0.wait().ok();
    }
}

//! Network namespaces for both halves of a node, a pod and a remote.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::ok;

/// A network namespace, which ends with the test in whatever way that ends: its holder waits for the end of its input.
pub struct Net {
    holder: Child,
}

impl Net {
    pub fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up && echo ready; exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).expect("the namespace is made");
        Self { holder }
    }

    /// A command that runs in it, with what another command says.
    pub fn within(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.holder.id().to_string(), "-n", "--"]);
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
            other.holder.id()
        ));
        other.sh(&format!(
            "ip addr add {address}/24 dev eth0\nip link set eth0 up\nip route add default via {network}.254"
        ));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().ok();
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

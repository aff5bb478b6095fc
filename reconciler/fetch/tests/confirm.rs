//! Both halves of a node together: what is brought into force is confirmed, or taken back. The pulling half runs in a pod,
//! behind the rules, so that a policy can cut it off from its remote.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::net::{Net, Running, chainmaild, skipped};
use support::{Node, World, run};

const PATIENCE: Duration = Duration::from_secs(60);
/// The pod of `CLUSTER` that is on node n1.
const POD: &str = "10.1.0.2";
const REMOTE: &str = "192.0.2.2";

/// Lets the pod's own connections out to nobody.
const CUT_OFF: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: cut-off, namespace: shop}\n\
                       spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: []}\n";

/// A node with both halves, and a remote on the network.
struct Both {
    host: Net,
    pod: Net,
    remote: Net,
    world: World,
    node: Node,
}

impl Both {
    /// `lines` are of `fetch.toml`.
    fn new(confirm_timeout: u64, lines: &str) -> Self {
        let (host, pod, remote) = (Net::new(), Net::new(), Net::new());
        host.gateway_of(&pod, "pod", POD);
        host.gateway_of(&remote, "out", REMOTE);
        host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        let world = World::new();
        let lines = format!(
            "interval = 1\nmax_backoff = 1\ntimeout = 3\n{lines}[trust]\nmode = \"off\"\n[hold]\nmax_loss = 100\n"
        );
        let node = world.node("n1", &format!("git://{REMOTE}/remote.git"), &lines);
        let text = format!(
            "node = \"n1\"\nbackend = \"nft\"\nconfirm = \"required\"\nconfirm_timeout = {confirm_timeout}\n"
        );
        node.write("etc/chainmail/node.toml", &text);
        Self { host, pod, remote, world, node }
    }

    fn serve(&self) -> Running {
        let mut daemon = Command::new("timeout");
        daemon.args(["--signal=KILL", "120", "git", "daemon", "--reuseaddr", "--export-all"]);
        daemon.arg(format!("--base-path={}", self.world.path("").display()));
        Running::start(&mut self.remote.within(&daemon))
    }

    fn apply(&self) -> Running {
        let mut daemon = Command::new(chainmaild());
        daemon.arg("--root").arg(self.node.path("")).arg("run");
        Running::start(&mut self.host.within(&daemon))
    }

    fn fetch(&self) -> Running {
        Running::start(&mut self.pod.within(&self.node.command(&["run"])))
    }

    fn ask(&self, words: &[&str]) -> support::Done {
        let mut command = Command::new(chainmaild());
        command.arg("--root").arg(self.node.path("")).args(words);
        run(&mut self.host.within(&command))
    }

    fn push(&self, file: &str, text: &str) {
        self.world.write(file, text);
        self.world.commit("nobody", file);
        self.world.push();
    }

    fn apply_status(&self) -> serde_json::Value {
        serde_json::from_str(&self.node.read("run/chainmail/apply.json")).unwrap_or_default()
    }

    fn wait(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < PATIENCE, "never: {what}\n{}", self.all_that_is_known());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn all_that_is_known(&self) -> String {
        let (applies, fetches) = (self.apply_status(), self.node.read("run/chainmail/fetch/status.json"));
        format!("{applies:#}\n{fetches}\n{}", self.ask(&["history"]).out)
    }

    /// Waits until the newest revision's snapshot is in force, with these words of the status.
    fn wait_for(&self, words: &str, handed: &str) {
        self.wait(words, |both| {
            let status = both.apply_status();
            let found = format!(
                "{} {}",
                status["sync"].as_str().unwrap_or_default(),
                status["enforce"].as_str().unwrap_or_default()
            );
            found == words
                && status["desired"].as_str() == Some(&both.node.desired())
                && both.node.desired() != handed
        });
    }

    fn events(&self) -> Vec<String> {
        let history = self.ask(&["history"]).out;
        history.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
    }

    /// What the pulling half answers on loopback.
    fn get(&self, path: &str) -> String {
        let mut wget = Command::new("wget");
        wget.args(["-q", "--content-on-error", "-O", "-", &format!("http://127.0.0.1:9469/{path}")]);
        run(&mut self.pod.within(&wget)).out
    }

    fn last_error(&self) -> String {
        self.apply_status()["last_error"].as_str().unwrap_or_default().to_owned()
    }

    fn rules(&self) -> String {
        self.host.sh("iptables-nft -S")
    }

    /// Another port of the database, which changes the rules and nobody's reach of the remote.
    fn harmless(&self, port: u16) {
        self.push("db.yaml", &support::policy(&[port]));
    }
}

#[test]
fn a_policy_that_cuts_the_node_off_from_its_remote_is_taken_back() {
    if skipped() {
        return;
    }
    let both = Both::new(4, "");
    let _remote = both.serve();
    let (_apply, _fetch) = (both.apply(), both.fetch());
    both.wait_for("synced enforcing", "");
    let (good, rules) = (both.node.desired(), both.rules());
    both.push("cut-off.yaml", CUT_OFF);
    both.wait_for("pending-confirm enforcing", &good);
    both.wait_for("held rolled-back", &good);
    assert_eq!(both.rules(), rules);
    assert!(
        both.last_error().contains("nobody confirmed it in 4 s; it is tried again"),
        "{}",
        both.last_error()
    );
    // The remote answers again, so its silence speaks against that snapshot the next time, too.
    both.wait("it answers again", |both| {
        both.node.read("run/chainmail/fetch/reach.json").contains("answers")
    });
    let bad = both.node.desired();
    assert_eq!(both.ask(&["resume"]).code, Some(0));
    both.wait_for("pending-confirm enforcing", &good);
    both.wait_for("held rolled-back", &good);
    assert_eq!(both.rules(), rules);

    // What does not cut it off comes into force, though it follows that one.
    std::fs::remove_file(both.world.path("clone").join("cut-off.yaml")).unwrap();
    both.harmless(5433);
    both.wait_for("synced enforcing", &bad);
    assert_ne!(both.rules(), rules);
    let expected =
        ["applied", "confirmed", "applied", "unconfirmed", "applied", "unconfirmed", "applied", "confirmed"];
    assert_eq!(both.events(), expected);
}

#[test]
fn a_probe_that_fails_takes_a_snapshot_back_for_good() {
    if skipped() {
        return;
    }
    let shop = tempfile::tempdir().unwrap();
    let down = shop.path().join("down");
    let probe = format!(
        "metrics = \"127.0.0.1:9469\"\n[confirm]\nprobes = [[\"true\"], [\"sh\", \"-c\", \"test ! -e {0} || {{ echo the shop is down >&2; exit 3; }}\"]]\n",
        down.display()
    );
    let both = Both::new(60, &probe);
    let _remote = both.serve();
    let (_apply, _fetch) = (both.apply(), both.fetch());
    both.wait_for("synced enforcing", "");
    let (good, rules) = (both.node.desired(), both.rules());
    both.wait("all is well", |both| both.get("healthz") == "ok\n");
    std::fs::write(&down, "").unwrap();
    both.harmless(5433);
    let begin = Instant::now();
    both.wait_for("held rolled-back", &good);
    assert!(begin.elapsed() < Duration::from_secs(20), "the time that it has is not waited for");
    assert_eq!(both.rules(), rules);
    let said = both.last_error();
    assert!(said.contains("exit code 3") && said.contains("the shop is down"), "{said}");
    let status = run(&mut both.node.command(&["status"])).out;
    assert!(status.contains("refused 20") && status.contains("the shop is down"), "{status}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(both.events(), ["applied", "confirmed", "applied", "refused"], "it does not come again");

    let sick = both.get("healthz");
    assert!(sick.starts_with("chainmaild is held") && sick.contains("the shop is down"), "{sick}");
    let metrics = both.get("metrics");
    assert!(metrics.contains("chainmail_reverts_total{reason=\"refused\"} 1\n"), "{metrics}");
    assert!(
        metrics.contains(&format!("chainmail_applied_info{{commit=\"\",digest=\"{good}\"}} 1\n")),
        "{metrics}"
    );

    // A person knows better.
    assert_eq!(both.ask(&["confirm"]).code, Some(0));
    both.wait_for("synced enforcing", &good);
    assert_ne!(both.rules(), rules);
}

#[test]
fn a_remote_that_is_gone_makes_a_snapshot_wait_but_not_for_ever() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    std::fs::write(&go, "").unwrap();
    let probe = format!(
        "[confirm]\nprobes = [[\"sh\", \"-c\", \"until test -e {}; do sleep 0.1; done\"]]\nprobe_timeout = 60\n",
        go.display()
    );
    let both = Both::new(6, &probe);
    let remote = both.serve();
    let apply = both.apply();
    let _fetch = both.fetch();
    both.wait_for("synced enforcing", "");
    let (good, rules) = (both.node.desired(), both.rules());

    // The applying half is killed while it waits, and goes on waiting.
    std::fs::remove_file(&go).unwrap();
    both.harmless(5433);
    both.wait_for("pending-confirm enforcing", &good);
    apply.kill();
    let _apply = both.apply();
    std::fs::write(&go, "").unwrap();
    both.wait_for("synced enforcing", &good);
    let (second, rules) = (both.node.desired(), {
        assert_ne!(both.rules(), rules);
        both.rules()
    });

    std::fs::remove_file(&go).unwrap();
    both.harmless(5434);
    both.wait_for("pending-confirm enforcing", &second);
    remote.kill();
    std::fs::write(&go, "").unwrap();
    both.wait_for("held rolled-back", &second);
    assert_eq!(both.rules(), rules);
    assert_eq!(both.events().last().map(String::as_str), Some("unconfirmed"), "it is not bad");
    // It is silent without that snapshot, too: the next time its silence says nothing.
    both.wait("it is silent", |both| both.node.read("run/chainmail/fetch/reach.json").contains("silent"));
    assert_eq!(both.ask(&["resume"]).code, Some(0));
    both.wait_for("synced enforcing", &second);
    assert_ne!(both.rules(), rules);
    let judged = both.node.read("run/chainmail/fetch/judged.json");
    assert!(judged.contains("1 probe passed, the remote did not answer before either"), "{judged}");
}

/// Processes that run, or have ended and nobody has asked how. Those of a probe that have lost their parent are left to
/// whoever takes them in.
fn alive(processes: &str) -> Vec<String> {
    let alive = |id: &&str| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
        !matches!((fields.next(), fields.next()), (None, _) | (Some("Z"), Some("1")))
    };
    processes.split_whitespace().filter(alive).map(str::to_owned).collect()
}

#[test]
fn a_probe_does_not_outlive_the_wait_or_the_service() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    let started = || std::fs::read_to_string(&list).unwrap_or_default();
    let probe = format!(
        "[confirm]\nprobes = [[\"sh\", \"-c\", \"sleep 100 & echo $$ $! >> {}; wait\"]]\nprobe_timeout = 60\n",
        list.display()
    );
    let both = Both::new(6, &probe);
    let _remote = both.serve();
    let (_apply, mut fetch) = (both.apply(), both.fetch());
    // A judgement has `timeout`, so two of them began.
    both.wait("it is taken back", |both| both.events().last().is_some_and(|event| event == "unconfirmed"));
    assert!(started().lines().count() > 1, "{}", started());
    both.wait("all probes have ended", |_| alive(&started()).is_empty());

    let before = started().lines().count();
    assert_eq!(both.ask(&["resume"]).code, Some(0));
    both.wait("another one", |_| started().lines().count() > before);
    kill_process(Pid::from_child(&fetch.0), Signal::TERM).unwrap();
    assert_eq!(fetch.0.wait().unwrap().code(), Some(0));
    both.wait("it has ended", |_| alive(&started()).is_empty());
}

#[test]
fn a_probe_that_cannot_be_run_says_nothing_and_unasked_ones_are_told() {
    if skipped() {
        return;
    }
    let both = Both::new(2, "[confirm]\nprobes = [[\"/no/such/probe\"]]\n");
    let _remote = both.serve();
    let (apply, _fetch) = (both.apply(), both.fetch());
    both.wait("it is taken back", |both| both.events().last().is_some_and(|event| event == "unconfirmed"));
    assert!(!both.rules().contains("CM-"), "there was nothing before it");
    let judged = both.node.read("run/chainmail/fetch/judged.json");
    assert!(judged.contains("/no/such/probe") && judged.contains("unknown"), "{judged}");
    apply.kill();
    both.node.write("etc/chainmail/node.toml", "node = \"n1\"\nbackend = \"nft\"\n");
    let _apply = both.apply();
    both.wait("an alarm", |both| {
        both.node.read("run/chainmail/fetch/status.json").contains("set confirm = ")
    });
}

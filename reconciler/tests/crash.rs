//! Killed at every call of a tool and at every write, with tools that fail, stop half-way or hang, and without a disk:
//! the next start ends in the old state or in the new one, verified, and nothing of ours is left over.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chainmail_contract::{Family, SetKind};
use chainmail_reconciler::config::Confirm;
use chainmail_reconciler::step::Stage;
use support::node::{BACKENDS, Node, REFUSED, assert_code, policy, refused, skipped};
use support::service::Running;
use support::{Namespace, Snapshot, set_of};

/// What a tool does when its turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Its caller is killed, and it does nothing.
    KillBefore,
    /// It does half of what it is told, and its caller is killed.
    KillHalfWay,
    /// It does its work, and its caller is killed before it hears of it.
    KillAfter,
    /// It does nothing and fails.
    Fail,
    /// It does half of what it is told and fails.
    FailHalfWay,
    /// It does nothing and never ends.
    Hang,
}

impl Fault {
    const KILLS: [Fault; 3] = [Fault::KillBefore, Fault::KillHalfWay, Fault::KillAfter];
    const FAILURES: [Fault; 3] = [Fault::Fail, Fault::FailHalfWay, Fault::Hang];

    fn word(self) -> &'static str {
        match self {
            Fault::KillBefore => "kill-before",
            Fault::KillHalfWay => "kill-half-way",
            Fault::KillAfter => "kill-after",
            Fault::Fail => "fail",
            Fault::FailHalfWay => "fail-half-way",
            Fault::Hang => "hang",
        }
    }
}

/// Stands before each tool: counts its calls that change something, and at one of them does something else. Calls that
/// only read have a count and a fault of their own.
/// Where there is a clock, each call makes it jump, to 2100 and back to 1970.
/// `ipset restore` is half done when it ends after half of its lines; a half `iptables-restore` text has no COMMIT.
const TOOL: &str = r#"#!/bin/sh
at=$(dirname "$0")/..
case "${0##*/} $*" in *-save*|*--version*|*" -S"*|*" -L"*|"ipset save"*|"ipset list"*)
    # The test asks too.
    if [ -e "$at/read-fault" ] && grep -qx chainmaild /proc/$PPID/comm; then
        number=$(($(cat "$at/reads") + 1)); echo $number > "$at/reads"
        read -r turn fault < "$at/read-fault"
        if [ "$number" = "$turn" ]; then case $fault in
            fail) exit 1 ;;
            fail-half-way) "/usr/sbin/${0##*/}" "$@" > "$at/half"; head -n $(($(wc -l < "$at/half") / 2)) "$at/half"; exit 1 ;;
            hang) exec sleep 600 ;;
        esac; fi
    fi
    exec "/usr/sbin/${0##*/}" "$@" ;;
esac
text=$(mktemp "$at/text.XXXXXX"); cat > "$text"
case "$*" in restore) grep -qE '^(create|destroy)' "$text" || { "/usr/sbin/${0##*/}" "$@" < "$text"; exit $?; };; esac
number=$(($(cat "$at/number") + 1)); echo $number > "$at/number"
[ ! -e "$at/clock" ] || echo $((number % 2 * 4102444800)) > "$at/clock"
read -r turn fault < "$at/fault"
half() { head -n $(($(wc -l < "$text") / 2)) "$text" | "/usr/sbin/${0##*/}" "$@"; }
whole() { ! grep -q 'REFUSED' "$text" && "/usr/sbin/${0##*/}" "$@" < "$text"; }
if [ "$number" = "$turn" ]; then case $fault in
    kill-before) kill -KILL $PPID; exit 1 ;;
    kill-half-way) half "$@"; kill -KILL $PPID; exit 1 ;;
    kill-after) whole "$@"; kill -KILL $PPID; exit 1 ;;
    fail) exit 1 ;;
    fail-half-way) half "$@"; exit 1 ;;
    hang) exec sleep 600 ;;
esac; fi
whole "$@"
"#;

/// A node whose tools do what the test says.
struct Lab {
    node: Node,
    /// Of its configuration.
    lines: &'static str,
}

impl Lab {
    fn new(backend: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        for tool in ["ipset", "conntrack"] {
            write_tool(&tools.join(tool));
        }
        for family in ["iptables", "ip6tables"] {
            for end in ["", "-restore", "-save"] {
                write_tool(&tools.join(format!("{family}-{backend}{end}")));
            }
        }
        std::fs::write(folder.path().join("number"), "0\n").unwrap();
        std::fs::write(folder.path().join("fault"), "0 none\n").unwrap();
        // The tools find what they are to do beside the folder that stands in their place.
        let namespace = Namespace::with_tools(&tools);
        let lines = "deadline = 1\ninterval = 1\ntrial = \"off\"\n";
        let lab = Self { node: Node::with(namespace, folder, backend), lines };
        lab.configure(Confirm::None);
        lab
    }

    fn configure(&self, confirm: Confirm) {
        self.node.configure(&format!("{}confirm = \"{}\"\n", self.lines, confirm.as_str()));
    }

    fn fault(&self, turn: usize, fault: Option<Fault>) {
        std::fs::write(self.node.folder.path().join("number"), "0\n").unwrap();
        let word = fault.map_or("none", Fault::word);
        std::fs::write(self.node.folder.path().join("fault"), format!("{turn} {word}\n")).unwrap();
    }

    /// From now on calls that only read are counted.
    fn read_fault(&self, turn: usize, fault: Fault) {
        std::fs::write(self.node.folder.path().join("reads"), "0\n").unwrap();
        let text = format!("{turn} {}\n", fault.word());
        std::fs::write(self.node.folder.path().join("read-fault"), text).unwrap();
    }

    fn calls(&self) -> usize {
        self.count("number")
    }

    fn count(&self, of: &str) -> usize {
        std::fs::read_to_string(self.node.folder.path().join(of)).unwrap().trim().parse().unwrap()
    }

    /// What the interrupted run was at.
    fn stage(&self) -> Option<String> {
        let journal = self.node.read("var/lib/chainmail/state/journal");
        journal.lines().skip(1).last().map(str::to_owned)
    }

    fn nothing_is_left_over(&self, holds: &Snapshot) {
        self.node.assert_holds(holds);
        let journal = self.node.root().join("var/lib/chainmail/state/journal");
        self.node.wait_until("the journal is ended", || !journal.exists());
        assert!(!self.node.state().contains("-tmp-"));
    }
}

fn write_tool(path: &Path) {
    // `dirname $0` is where the folder is mounted, so the text names the real one.
    let beside = path.parent().unwrap().parent().unwrap().display().to_string();
    std::fs::write(path, TOOL.replace("$(dirname \"$0\")/..", &beside).replace("REFUSED", REFUSED)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A change, from a state to a snapshot.
struct Change {
    from: Option<Snapshot>,
    to: Snapshot,
    confirm: Confirm,
}

impl Change {
    fn all() -> [Change; 2] {
        let to = policy(&["10.8.0.0/24"], 80);
        [Change { from: None, to, confirm: Confirm::None }, Self::of_confirmed(Confirm::None)]
    }

    /// From a snapshot that is confirmed, where that is asked for, to one that is to be.
    fn of_confirmed(confirm: Confirm) -> Self {
        let (first, next) = (policy(&["10.8.0.0/24"], 80), policy(&["10.9.0.0/16"], 8080));
        Change { from: Some(first), to: next, confirm }
    }

    /// As fetch: says that a snapshot works once it is in force.
    fn answer(&self, node: &Node) {
        let (words, digest) = node.status();
        if words.starts_with("pending-confirm") {
            node.write("var/lib/chainmail/spool/confirmed", &format!("{digest}\n"));
        }
    }

    fn begin(&self, lab: &Lab) -> String {
        let foreign = lab.node.foreign_state();
        lab.configure(self.confirm);
        if let Some(from) = &self.from {
            lab.node.spool(from);
            let running = lab.node.start();
            self.wait(lab, from);
            assert_eq!(running.stop(), Some(0));
        }
        lab.node.spool(&self.to);
        foreign
    }

    fn wait(&self, lab: &Lab, snapshot: &Snapshot) {
        let wanted = ("synced enforcing".to_owned(), snapshot.manifest.digest.to_string());
        lab.node.wait_until(&format!("{wanted:?}"), || {
            self.answer(&lab.node);
            lab.node.status() == wanted
        });
    }
}

/// Runs until the fault has struck or all is in force; returns whether it struck.
fn run_into(lab: &Lab, mut running: Running, change: &Change) -> bool {
    let wanted = ("synced enforcing".to_owned(), change.to.manifest.digest.to_string());
    let mut ended = false;
    lab.node.wait_until("an end", || {
        change.answer(&lab.node);
        ended = running.has_ended();
        ended || lab.node.status() == wanted
    });
    if !ended {
        running.stop();
    }
    ended
}

fn killed_at_every_call(backend: &'static str, stages: &mut BTreeSet<String>) {
    for change in Change::all().into_iter().chain([Change::of_confirmed(Confirm::Required)]) {
        for fault in Fault::KILLS {
            for turn in 1.. {
                let lab = Lab::new(backend);
                let foreign = change.begin(&lab);
                lab.fault(turn, Some(fault));
                if !run_into(&lab, lab.node.start(), &change) {
                    assert!(turn > 3, "{backend} {fault:?}: {turn} calls are too few for a change");
                    break;
                }
                stages.extend(lab.stage());
                lab.fault(0, None);
                let running = lab.node.start();
                change.wait(&lab, &change.to);
                assert_eq!(running.stop(), Some(0));
                lab.nothing_is_left_over(&change.to);
                assert_eq!(lab.node.foreign_state(), foreign, "{backend} {fault:?} {turn}");
            }
        }
    }
}

#[test]
fn killed_at_every_call_of_a_tool_nft() {
    if !skipped() {
        let mut stages = BTreeSet::new();
        killed_at_every_call("nft", &mut stages);
        let confirmed = Change::of_confirmed(Confirm::Required);
        killed_at_every_write(&confirmed, &mut stages);
        // What is in force is healed before a change begins. Only the first change meets what others left.
        killed_at_every_write(&Change { from: None, ..confirmed }, &mut stages);
        let never: Vec<_> =
            Stage::ALL.into_iter().filter(|stage| !stages.contains(&stage.to_string())).collect();
        assert_eq!(never, [], "stages at which it was never killed; it was at {stages:?}");
    }
}

#[test]
fn killed_at_every_call_of_a_tool_legacy() {
    if !skipped() {
        killed_at_every_call("legacy", &mut BTreeSet::new());
    }
}

/// strace kills it as it enters its n-th call of rename, fsync or unlink, or starts its n-th tool, which takes a pipe for what
/// it says of errors.
fn killed_at_every_write(change: &Change, stages: &mut BTreeSet<String>) {
    for call in ["rename", "fsync", "unlink", "pipe2"] {
        for turn in 1.. {
            let lab = Lab { node: Node::new("nft"), lines: "" };
            change.begin(&lab);
            // Left by others and by a crash before, so that no stage has nothing to do.
            let peers = set_of(Family::V4, SetKind::HashNet, &["10.9.0.0/16"]).0;
            let left =
                format!("create cm4-tmp-0 hash:ip\ncreate {peers} hash:net\nadd {peers} 10.66.0.0/16\n");
            lab.node.namespace.ok(&["ipset", "restore"], &left);
            let inject = format!("inject={call}:signal=KILL:when={turn}");
            let running = lab.node.start_under(&["strace", "-qq", "-o", "/dev/null", "-e", &inject]);
            if !run_into(&lab, running, change) {
                assert!(turn > 1, "{call}");
                break;
            }
            stages.extend(lab.stage());
            let running = lab.node.start();
            change.wait(&lab, &change.to);
            assert_eq!(running.stop(), Some(0));
            lab.nothing_is_left_over(&change.to);
        }
    }
}

/// `clock.c`, built, and the words that put a program under a lab's clock.
fn clocked(lab: &Lab) -> [String; 3] {
    let folder = lab.node.folder.path();
    let (library, clock) = (folder.join("clock.so"), folder.join("clock"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clock.c");
    let built =
        std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(built.unwrap().success(), "what links this test compiles C");
    std::fs::write(&clock, "0\n").unwrap();
    let set = |name: &str, path: &Path| format!("{name}={}", path.display());
    ["env".to_owned(), set("LD_PRELOAD", &library), set("TEST_CLOCK", &clock)]
}

#[test]
fn killed_at_every_call_under_a_clock_that_begins_in_1970_and_jumps() {
    if skipped() {
        return;
    }
    let change = Change::of_confirmed(Confirm::Required);
    for turn in 1.. {
        let lab = Lab::new("nft");
        let words = clocked(&lab);
        let under_clock: Vec<&str> = words.iter().map(String::as_str).collect();
        let foreign = lab.node.foreign_state();
        lab.configure(change.confirm);
        let (from, to) = (change.from.as_ref().unwrap(), &change.to);
        lab.node.spool(from);
        let running = lab.node.start_with(&under_clock);
        change.wait(&lab, from);
        assert_code(&lab.node.ask_with(&under_clock, &["status"]), 0);
        assert_eq!(running.stop(), Some(0));
        lab.node.spool(to);
        lab.fault(turn, Some(Fault::KillHalfWay));
        let struck = run_into(&lab, lab.node.start_with(&under_clock), &change);
        lab.fault(0, None);
        let running = lab.node.start_with(&under_clock);
        change.wait(&lab, to);
        lab.nothing_is_left_over(to);
        assert_eq!(lab.node.foreign_state(), foreign, "{turn}");

        // What was done is told in the order in which it was done.
        let history = lab.node.ask_with(&under_clock, &["history", "-o", "json"]).out;
        let history: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap();
        let digests: Vec<&str> = history.iter().filter_map(|entry| entry["digest"].as_str()).collect();
        let ends = [from, to].map(|snapshot| snapshot.manifest.digest.as_str());
        assert_eq!([digests[0], digests[digests.len() - 1]], ends, "{turn}: {history:?}");
        let years: BTreeSet<_> =
            history.iter().filter_map(|entry| entry["time"].as_str()?.get(..4)).collect();
        assert!(years.iter().all(|year| ["1970", "2100"].contains(year)), "{turn}: {years:?}");

        if !struck {
            pause_under_clock(&lab, &under_clock, &change);
            assert_eq!(running.stop(), Some(0));
            return;
        }
        assert_eq!(running.stop(), Some(0));
    }
}

/// A pause lasts as long as it was to, whatever the clock says meanwhile.
fn pause_under_clock(lab: &Lab, under_clock: &[&str], change: &Change) {
    let set = |seconds: &str| std::fs::write(lab.node.folder.path().join("clock"), seconds).unwrap();
    set("0\n");
    let begin = std::time::Instant::now();
    assert_code(&lab.node.ask_with(under_clock, &["pause", "--for", "4s"]), 0);
    lab.node.wait_until("paused", || {
        lab.node.read("run/chainmail/apply.json").contains("until 1970-01-01T00:00:04Z")
    });
    set("4102444800\n");
    let from = change.from.as_ref().unwrap();
    lab.node.spool(from);
    lab.node.wait_for_words("held enforcing", &change.to);
    set("0\n");
    change.wait(lab, from);
    assert!(begin.elapsed().as_secs() >= 3, "{:?}", begin.elapsed());
}

/// The second family cannot be changed, so a run that was killed after the first must go back.
fn killed_then_refused(backend: &'static str, change: &Change, turn: usize, journal: bool) -> Option<bool> {
    let lab = Lab::new(backend);
    let bad = refused(&change.to);
    change.begin(&lab);
    let old = ours(&lab.node);
    lab.node.spool(&bad);
    lab.fault(turn, Some(Fault::KillAfter));
    let mut running = lab.node.start();
    let mut ended = false;
    lab.node.wait_until("an end", || {
        ended = running.has_ended();
        ended || lab.node.status().0.starts_with("held")
    });
    drop(running);
    lab.fault(0, None);
    if !journal {
        std::fs::remove_file(lab.node.root().join("var/lib/chainmail/state/journal")).ok();
    }
    let running = lab.node.start();
    lab.node.wait_until("held", || lab.node.status().0 == "held rolled-back");
    assert_eq!(running.stop(), Some(0));
    ended.then(|| ours(&lab.node) == old)
}

/// Our part of the kernel's state, whatever the order of chains.
fn ours(node: &Node) -> BTreeSet<String> {
    let foreign = node.foreign_state();
    let foreign: BTreeSet<&str> = foreign.lines().collect();
    let state = node.state();
    // Hash seeds and sizes are the kernel's own choice.
    let lines = state.lines().filter(|line| !foreign.contains(line));
    lines.map(|line| line.split(" hashsize").next().unwrap_or(line).to_owned()).collect()
}

#[test]
fn killed_in_a_change_that_cannot_be_finished_the_old_state_comes_back() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        for change in Change::all() {
            let mut mixes = Vec::new();
            for turn in 1.. {
                let Some(old) = killed_then_refused(backend, &change, turn, true) else { break };
                assert!(old, "{backend} {turn}");
                mixes.push(killed_then_refused(backend, &change, turn, false) != Some(true));
            }
            assert!(mixes.len() > 1, "{backend}: {mixes:?}");
            if change.from.is_none() {
                assert!(mixes.contains(&true), "{backend}: without the journal a mix stays at some point");
            }
        }
    }
}

#[test]
fn tools_that_fail_stop_half_way_or_hang_leave_the_old_state_or_the_new_one() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let [_, change] = Change::all();
        for fault in Fault::FAILURES {
            for turn in 1.. {
                let lab = Lab::new(backend);
                let foreign = change.begin(&lab);
                lab.fault(turn, Some(fault));
                let running = lab.node.start();
                lab.node.wait_until("an end", || {
                    let (words, digest) = lab.node.status();
                    words.starts_with("held")
                        || (words == "synced enforcing" && digest == change.to.manifest.digest.as_str())
                });
                let struck = lab.calls() >= turn;
                match lab.node.status() {
                    (words, _) if words.starts_with("held") => {
                        assert_eq!(words, "held rolled-back", "{backend} {fault:?} {turn}");
                        lab.node.assert_holds(change.from.as_ref().unwrap());
                    }
                    _ => lab.node.assert_holds(&change.to),
                }
                assert_eq!(running.stop(), Some(0));
                let running = lab.node.start();
                lab.node.wait_for(&change.to);
                assert_eq!(running.stop(), Some(0));
                lab.nothing_is_left_over(&change.to);
                assert_eq!(lab.node.foreign_state(), foreign, "{backend} {fault:?} {turn}");
                if !struck {
                    break;
                }
            }
        }
    }
}

#[test]
fn tools_that_cannot_say_what_the_kernel_holds_leave_no_mix() {
    if skipped() {
        return;
    }
    let change = Change::of_confirmed(Confirm::None);
    let wanted = ("synced enforcing".to_owned(), change.to.manifest.digest.to_string());
    // A hang takes its time, so not every read hangs.
    for (backend, fault, step) in
        [("nft", Fault::Fail, 1), ("nft", Fault::Hang, 4), ("legacy", Fault::FailHalfWay, 1)]
    {
        for turn in (1..).step_by(step) {
            let lab = Lab::new(backend);
            let foreign = change.begin(&lab);
            lab.read_fault(turn, fault);
            let mut running = Some(lab.node.start());
            lab.node.wait_until("in force", || {
                // As systemd does, and as somebody who does not wait for the next try.
                let ended = running.as_mut().is_some_and(Running::has_ended);
                if ended || lab.node.status().0.starts_with("held") {
                    drop(running.take());
                    running = Some(lab.node.start());
                }
                lab.node.status() == wanted
            });
            let reads = lab.count("reads");
            assert_eq!(running.and_then(Running::stop), Some(0));
            lab.nothing_is_left_over(&change.to);
            assert_eq!(lab.node.foreign_state(), foreign, "{backend} {fault:?} {turn}");
            if reads < turn {
                assert!(turn > 8, "{backend} {fault:?}: {turn} reads are too few for a change");
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_changes_nothing_and_is_said() {
    if skipped() {
        return;
    }
    // A disk of its own for the state, with room for the first snapshot and not much more.
    let lab = Lab::new("nft");
    let state = lab.node.root().join("var/lib/chainmail/state");
    std::fs::create_dir_all(&state).unwrap();
    lab.node.namespace.ok(&["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", state.to_str().unwrap()], "");
    let [_, change] = Change::all();
    let from = change.from.as_ref().unwrap();
    lab.node.spool(from);
    let running = lab.node.start();
    lab.node.wait_for(from);
    let filler = state.join("filler");
    lab.node.namespace.run(&["dd", "if=/dev/zero", &format!("of={}", filler.display()), "bs=1k"], "");
    lab.node.spool(&change.to);
    lab.node.wait_until("said", || lab.node.read("run/chainmail/apply.json").contains("nothing was changed"));
    lab.node.assert_holds(from);
    // What others do is still healed: that needs no disk.
    lab.node.namespace.ok(&["iptables-nft", "-F"], "");
    lab.node.wait_until("healed", || {
        lab.node.namespace.ok(&["iptables-nft", "-S", "FORWARD"], "").contains("CM-FORWARD")
    });
    lab.node.namespace.ok(&["rm", filler.to_str().unwrap()], "");
    lab.node.wait_for(&change.to);
    lab.node.assert_holds(&change.to);
    assert_eq!(running.stop(), Some(0));
}

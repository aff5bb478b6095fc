//! The program: labs that outlive it, labs of builders that are killed, and its exit codes. In place of `chainmail` and
//! `chainmaild` stand two shell scripts, which deny one pair or claim to.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(clippy::disallowed_methods, reason = "the program is run, and files are made for it")]

mod support;

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{MANIFESTS, can_run, namespaces};

/// Denies shop/a to shop/b, and says so when asked.
const COMPILER: &str = r#"#!/bin/sh
case $1 in
compile) mkdir -p "$4/nodes/n1" "$4/nodes/n2" ;;
query) sed 's/.*"dst":"shop\/b".*"src":"shop\/a".*/{"verdict":"deny"}/; t; s/.*/{"verdict":"allow"}/' ;;
esac
"#;
const DAEMON: &str = r#"#!/bin/sh
[ "$1 $2 $4 $6 $8" = "apply --once --node --backend --state-dir" ] || exit 2
[ -d "$3/nodes/$5" ] && [ -d "$9" ] || exit 3
[ "$5" = n1 ] || exit 0
iptables-$7 -A FORWARD -s 10.244.1.10 -d 10.244.1.11 -m conntrack --ctstate NEW -j DROP
ip6tables-$7 -A FORWARD -s fd00:1::10 -d fd00:1::11 -m conntrack --ctstate NEW -j DROP
"#;

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(compiler: &str, daemon: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("manifests")).unwrap();
        std::fs::write(folder.path().join("manifests/all.yaml"), MANIFESTS).unwrap();
        for (name, text) in [("chainmail", compiler), ("chainmaild", daemon)] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self { folder }
    }

    fn manifests(&self) -> String {
        self.folder.path().join("manifests").display().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        // Whoever runs the tests in the background ignores SIGINT, and what ignores it is ignored by all children.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_chainmail-lab")]);
        command.args(args).env("CHAINMAIL_BIN_DIR", self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }
}

/// A name that only this process uses. Its lab goes when the test ends, however that is.
struct Name(String);

impl Name {
    fn new(word: &str) -> Self {
        Self(format!("{word}{}", std::process::id()))
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = chainmail_lab::take_down(&self.0.parse().unwrap());
    }
}

fn state_file(name: &str) -> bool {
    let folder = Path::new("/run/chainmail-lab");
    folder.join(format!("{name}.json")).exists() || folder.join(name).exists()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_lab_stays_up_until_it_is_taken_down() {
    if !can_run() {
        return;
    }
    let (desk, name) = (Desk::new(COMPILER, DAEMON), Name::new("stay"));
    let manifests = desk.manifests();
    let (code, stdout, stderr) = desk.run(&["up", &manifests, "--name", &name]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(
        stdout.starts_with(&format!("{name} is up\n  cml-{name}-switch\n  cml-{name}-outside\n")),
        "{stdout}"
    );
    assert_eq!(namespaces(&format!("cml-{name}-")).len(), 8);
    let (code, _, stderr) = desk.run(&["up", &manifests, "--name", &name]);
    assert_eq!(code, Some(3));
    assert_eq!(
        stderr,
        format!("error: a lab named {name} is up, or was not taken down: chainmail-lab down --name {name}\n")
    );

    let (code, stdout, stderr) = desk.run(&["probe", &manifests, "--name", &name, "--family", "6"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert_eq!(
        stdout,
        "\
# rows send, columns receive: + allowed, - denied, . not asked, ! broken
# left: what packets did; right: what the rules say

80/TCP ipv6
                     1 2 3 4 5  | 1 2 3 4 5
1 shop/a             . - + + +  | . - + + +
2 shop/b             + . + + +  | + . + + +
3 shop/c             + + . + +  | + + . + +
4 shop/d             + + + . +  | + + + . +
5 2001:db8:ffff::7   + + + + .  | + + + + .

20 probes, 0 differences
"
    );
    let (code, _, stderr) = desk.run(&["down", &manifests]);
    assert_eq!((code, stderr), (Some(0), format!("{name} is down\n")));
    assert_eq!(namespaces(&format!("cml-{name}-")), Vec::<String>::new());
    assert!(!state_file(&name));
    let (code, _, stderr) = desk.run(&["down", "--name", &name]);
    assert_eq!((code, stderr), (Some(3), format!("error: no lab is named {name}\n")));
}

#[test]
fn packets_that_do_otherwise_are_told() {
    if !can_run() {
        return;
    }
    let (desk, name) = (Desk::new(COMPILER, "#!/bin/sh\n"), Name::new("liar"));
    let manifests = desk.manifests();
    let args = ["probe", &manifests, "--name", &name, "--port", "80/TCP", "--port", "53/UDP"];
    let (code, stdout, stderr) = desk.run(&[&args[..], &["--topology", "bridge", "--family", "4"]].concat());
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let row =
        "1 shop/a         . + + + +  | . - + + +   <- differs\n2 shop/b         + . + + +  | + . + + +\n";
    assert_eq!(stdout.matches(row).count(), 2, "{stdout}");
    let end = "
40 probes, 2 differences
  shop/a -> shop/b 80/TCP ipv4: denied by the rules, allowed in fact
  shop/a -> shop/b 53/UDP ipv4: denied by the rules, allowed in fact
";
    assert!(stdout.ends_with(end), "{stdout}");
    assert_eq!(namespaces(&format!("cml-{name}-")), Vec::<String>::new());
    assert!(!state_file(&name));

    let (code, stdout, _) = desk.run(&[&args[..], &["-o", "json"]].concat());
    assert_eq!(code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["differences"], 4);
    let wrong =
        json["probes"].as_array().unwrap().iter().filter(|probe| probe["observed"] != probe["predicted"]);
    let wrong: Vec<String> =
        wrong.map(|probe| format!("{} {}", probe["protocol"], probe["family"])).collect();
    assert_eq!(wrong, ["\"TCP\" 4", "\"TCP\" 6", "\"UDP\" 4", "\"UDP\" 6"]);
}

#[test]
fn what_goes_wrong_is_said_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let name = Name::new("fails");
    let desk = Desk::new(COMPILER, "#!/bin/sh\necho no >&2\nexit 5\n");
    let (code, _, stderr) = desk.run(&["up", &desk.manifests(), "--name", &name]);
    assert_eq!(code, Some(3));
    assert!(stderr.contains("/chainmaild apply --once ") && stderr.ends_with(":\nno\n"), "{stderr}");
    assert_eq!(namespaces(&format!("cml-{name}-")), Vec::<String>::new());
    assert!(!state_file(&name));

    let rows: [(&[&str], i32, &str); 5] = [
        (&["up"], 2, "required"),
        (&["up", "/nowhere", "--name", "a-b"], 2, "at most 24 of a-z, 0-9 and _"),
        (&["up", "/nowhere"], 3, "cannot read /nowhere"),
        (&["probe", "/nowhere", "--port", "80"], 2, "write PORT/TCP"),
        (&["down"], 2, "required"),
    ];
    for (args, expected, text) in rows {
        let (code, _, stderr) = desk.run(args);
        assert_eq!(code, Some(expected), "{args:?}: {stderr}");
        assert!(stderr.contains(text), "{args:?}: {stderr}");
    }
}

fn kill(child: &mut Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
    child.wait().unwrap();
}

/// The builder is killed at many moments; whenever that is, all that it made goes.
#[test]
fn nothing_is_left_of_a_lab_whose_builder_is_killed() {
    if !can_run() {
        return;
    }
    // The daemon hangs, so that the builder never ends by itself.
    let desk = Desk::new(COMPILER, "#!/bin/sh\nexec sleep 600\n");
    let moments = [0, 1, 2, 3, 5, 8, 12, 20, 30, 45, 70, 120, 300];
    for (index, moment) in moments.into_iter().enumerate() {
        let name = Name::new(&format!("k{index}x"));
        let prefix = format!("cml-{name}-");
        let mut builder = desk.command(&["up", &desk.manifests(), "--name", &name]).spawn().unwrap();
        until("the lab is recorded", || state_file(&name));
        sleep(Duration::from_millis(moment));
        if moment == 300 {
            assert_eq!(namespaces(&prefix).len(), 8, "by then the lab stands");
        }
        let signal = [Signal::KILL, Signal::INT, Signal::TERM][index % 3];
        kill(&mut builder, signal);
        until("nothing is left", || {
            namespaces(&prefix).is_empty() && !state_file(&name) || is_unwatched(&name)
        });
        if state_file(&name) {
            // Killed before its reaper ran: recorded, and so still removed by name.
            desk.run(&["down", "--name", &name]);
        }
        // A reaper that began only now does the same work, and ends soon.
        until("nothing is recorded", || !state_file(&name));
        assert_eq!(namespaces(&prefix), Vec::<String>::new(), "killed after {moment} ms");
    }
}

/// Whether a lab is recorded but nothing of it was made, and no reaper works on it.
fn is_unwatched(name: &str) -> bool {
    let watched = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("chainmail-lab-reaper") && line.contains(&format!("/{name}.json\0"))
    });
    !watched && namespaces(&format!("cml-{name}-")).is_empty()
}

//! The shipped units and example configuration, as text.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs programs, and fails by panic"
)]
#![allow(clippy::print_stderr, reason = "it says aloud when it must skip")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use chainmail_fetch::config::Config;

/// The three parts.
const UNITS: [&str; 3] = ["chainmail-download.service", "chainmail-fetch.service", "chainmail-probe.service"];
const INVENTORY: &str = "chainmail-inventory.service";

fn shipped(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd").join(name)
}

/// Runs systemd-analyze, where there is one.
fn analyze(words: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new("systemd-analyze").args(words).output() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "in CI there must be systemd-analyze");
        eprintln!("SKIPPED: needs systemd-analyze");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

#[test]
fn the_fence_keeps_out_what_it_should() {
    // The number is ten times the exposure.
    for name in UNITS.iter().chain(&[INVENTORY]) {
        let unit = shipped(name);
        let words = ["security", "--offline=yes", "--threshold=15", unit.to_str().unwrap()];
        let Some((fine, said)) = analyze(&words) else { return };
        assert!(fine, "{said}");
    }
}

#[test]
fn systemd_understands_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let [download, verify, probe] = UNITS;
    let units = [download, verify, probe, INVENTORY, "chainmail-inventory.timer"];
    for name in units.iter().chain(&["chainmail.target"]) {
        let text = std::fs::read_to_string(shipped(name)).unwrap();
        // It asks whether the program is there.
        let text = text.replace("/usr/bin/chainmail-fetch", env!("CARGO_BIN_EXE_chainmail-fetch"));
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    for name in units {
        let unit = folder.path().join(name);
        let Some((fine, said)) = analyze(&["verify", "--man=no", unit.to_str().unwrap()]) else { return };
        assert!(fine && !said.contains("chainmail"), "{name}\n{said}");
    }
}

/// What one part may write, no other part may.
#[test]
fn only_one_unit_may_write_the_spool_and_it_has_no_network() {
    let settings = |name: &str| {
        let text = std::fs::read_to_string(shipped(name)).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |name: &str, line: &str| settings(name).iter().any(|found| found == line);
    let writes = |name: &str| {
        let keys =
            ["ReadWritePaths=", "StateDirectory=", "RuntimeDirectory=", "LogsDirectory=", "CacheDirectory="];
        let lines = settings(name).into_iter();
        lines.filter(|line| keys.iter().any(|key| line.starts_with(key))).collect::<Vec<_>>()
    };
    let [download, verify, probe] = UNITS;
    assert_eq!(writes(download), ["ReadWritePaths=/var/lib/chainmail/download"]);
    let of_verify = [
        "StateDirectory=chainmail/fetch",
        "ReadWritePaths=/var/lib/chainmail/spool",
        "RuntimeDirectory=chainmail/fetch",
    ];
    assert_eq!(writes(verify), of_verify);
    assert_eq!(writes(probe), ["RuntimeDirectory=chainmail/probe"]);
    assert!(has(verify, "PrivateNetwork=yes") && has(verify, "RestrictAddressFamilies=AF_UNIX"));
    for (name, user, command) in [
        (download, "chainmail-download", "download"),
        (verify, "chainmail-fetch", "verify"),
        (probe, "chainmail-probe", "probe"),
    ] {
        assert!(has(name, &format!("User={user}")), "{name}");
        assert!(has(name, &format!("ExecStart=/usr/bin/chainmail-fetch {command}")), "{name}");
        for line in ["ProtectSystem=strict", "NoExecPaths=/", "DevicePolicy=strict", "PrivateMounts=yes"] {
            assert!(has(name, line), "{name}: {line}");
        }
        let users = std::fs::read_to_string(shipped("chainmail.sysusers.conf")).unwrap();
        assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{user}");
    }
}

/// The command line of the unit, on another folder and with another kubectl, run by the shell as systemd has it run.
fn fill(folder: &Path, kubectl: &str) -> bool {
    let text = std::fs::read_to_string(shipped(INVENTORY)).unwrap();
    let script = text.split_once("ExecStart=/bin/sh -euc '").unwrap().1.split_once('\'').unwrap().0;
    // systemd.service(5), COMMAND LINES: a dollar is written twice, and a backslash at a line's end joins lines.
    let script = script.replace("\\\n", " ").replace("$$", "$");
    let script = script.replace("/var/lib/chainmail/inventory", folder.join("inventory").to_str().unwrap());
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    std::fs::write(tools.join("kubectl"), format!("#!/bin/sh\n{kubectl}\n")).unwrap();
    std::fs::set_permissions(tools.join("kubectl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", tools.display());
    Command::new("/bin/sh").args(["-euc", &script]).env("PATH", path).status().unwrap().success()
}

#[test]
fn the_inventory_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("inventory");
    std::fs::create_dir(&inventory).unwrap();
    let names = || {
        let entries = std::fs::read_dir(&inventory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let read = || std::fs::read_to_string(inventory.join("cluster.json")).unwrap();
    assert!(fill(folder.path(), r#"test "$1 $2" = "get namespaces,nodes,pods" && echo '{"items":[]}'"#));
    assert_eq!((names(), read()), (vec!["cluster.json".to_owned()], "{\"items\":[]}\n".to_owned()));
    let before = std::fs::metadata(inventory.join("cluster.json")).unwrap().ino();
    for kubectl in ["echo '{\"items\":['; exit 1", "exit 0", "echo half; kill -9 $$"] {
        assert!(!fill(folder.path(), kubectl), "{kubectl}");
        assert_eq!(
            (names(), read()),
            (vec!["cluster.json".to_owned()], "{\"items\":[]}\n".to_owned()),
            "{kubectl}"
        );
    }
    assert!(fill(folder.path(), "echo new"));
    assert_eq!(read(), "new\n");
    let after = std::fs::metadata(inventory.join("cluster.json")).unwrap().ino();
    assert_ne!(before, after, "who reads the old one reads it to its end");
}

/// Whoever steals the token learns what runs where, and can do nothing.
#[test]
fn the_account_may_read_three_kinds_and_no_more() {
    let text = std::fs::read_to_string(shipped("rbac.yaml")).unwrap();
    let rules = text.split_once("rules:\n").unwrap().1.split_once("---").unwrap().0;
    assert_eq!(rules, "- apiGroups: [\"\"]\n  resources: [namespaces, nodes, pods]\n  verbs: [get, list]\n");
    assert_eq!(text.matches("kind: ClusterRole\n").count(), 2, "the role, and who has it");
}

#[test]
fn the_example_configuration_shows_the_defaults() {
    let text = std::fs::read_to_string(shipped("fetch.toml")).unwrap();
    let parse = |text: &str| Config::parse("fetch.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let remote = text.lines().find(|line| line.starts_with("remote")).unwrap();
    // The one that is no default: nodes from before it know no statements.
    let asked = "[trust]\nbranch_statement = \"required\"\n";
    assert_eq!(parse(&text), parse(&format!("{remote}\n{asked}")));
    let shown: String = text
        .lines()
        .map(|line| if line.starts_with('#') && !line.starts_with("# ") { &line[1..] } else { line })
        .filter(|line| *line != "#" && !line.starts_with("snapshots") && !line.starts_with("strict_bytes"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (shown, default) = (parse(&shown), parse(remote));
    assert_eq!(
        (shown.branch, shown.source, shown.interval),
        (default.branch, default.source, default.interval)
    );
    assert_eq!((shown.max_backoff, shown.timeout), (default.max_backoff, default.timeout));
    assert_eq!((shown.limits, shown.trust.mode), (default.limits, default.trust.mode));
    assert_eq!(shown.trust.threshold, default.trust.threshold);
    assert_eq!(shown.hold.max_loss, default.hold.max_loss);
    let inventory = shown.inventory.unwrap();
    assert_eq!(inventory.folder.unwrap(), Path::new("/var/lib/chainmail/inventory"));
    assert_eq!(default.inventory, None);
    assert_eq!(shown.trust.allowed_signers.unwrap(), Path::new("/etc/chainmail/allowed_signers"));
    assert_eq!(shown.access.known_hosts.unwrap(), Path::new("/etc/chainmail/known_hosts"));
}

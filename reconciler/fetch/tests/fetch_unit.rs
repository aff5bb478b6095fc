//! The shipped unit and example configuration, as text.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs programs, and fails by panic"
)]
#![allow(clippy::print_stderr, reason = "it says aloud when it must skip")]

use std::path::Path;
use std::process::Command;

use chainmail_fetch::config::Config;

const UNIT: &str = "chainmail-fetch.service";

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
    let unit = shipped(UNIT);
    let words = ["security", "--offline=yes", "--threshold=16", unit.to_str().unwrap()];
    let Some((fine, said)) = analyze(&words) else { return };
    assert!(fine, "{said}");
}

#[test]
fn systemd_understands_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    for name in [UNIT, "chainmail.target"] {
        let text = std::fs::read_to_string(shipped(name)).unwrap();
        // It asks whether the program is there.
        let text = text.replace("/usr/bin/chainmail-fetch", env!("CARGO_BIN_EXE_chainmail-fetch"));
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let unit = folder.path().join(UNIT);
    let Some((fine, said)) = analyze(&["verify", "--man=no", unit.to_str().unwrap()]) else { return };
    assert!(fine && !said.contains("chainmail"), "{said}");
}

#[test]
fn the_example_configuration_shows_the_defaults() {
    let text = std::fs::read_to_string(shipped("fetch.toml")).unwrap();
    let parse = |text: &str| Config::parse("fetch.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let remote = text.lines().find(|line| line.starts_with("remote")).unwrap();
    assert_eq!(parse(&text), parse(remote));
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
    assert_eq!(shown.hold.max_loss, default.hold.max_loss);
    assert_eq!(shown.trust.allowed_signers.unwrap(), Path::new("/etc/chainmail/allowed_signers"));
    assert_eq!(shown.access.known_hosts.unwrap(), Path::new("/etc/chainmail/known_hosts"));
}

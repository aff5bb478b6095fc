//! The shipped units, as text: what systemd says of them.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, and fails by panic"
)]
#![allow(clippy::print_stderr, reason = "it says aloud when it must skip")]

use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs systemd-analyze, where there is one.
fn analyze(words: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("systemd-analyze").args(words).output();
    let Ok(output) = output else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "in CI there must be systemd-analyze");
        eprintln!("SKIPPED: needs systemd-analyze");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

fn unit(name: &str) -> String {
    root().join("systemd").join(name).to_str().unwrap().to_owned()
}

#[test]
fn the_fences_keep_out_what_they_should() {
    for name in ["chainmail-apply.service", "chainmail-boot.service", "chainmail-inventory.service"] {
        // The number is ten times the exposure.
        let words = ["security", "--offline=yes", "--threshold=15", &unit(name)];
        let Some((fine, said)) = analyze(&words) else { return };
        assert!(fine, "{name}\n{said}");
    }
}

/// The lines of a unit that say what it may do, without how much it may take.
fn fence(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(unit(name)).unwrap();
    let (_, fence) = text.split_once("\nUser=").unwrap();
    let (fence, _) = fence.split_once("\n[Install]").unwrap();
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("OOMScore");
    fence.lines().filter(is_said).map(str::to_owned).collect()
}

#[test]
fn what_boots_is_fenced_in_as_what_runs() {
    let boot = fence("chainmail-boot.service");
    assert_eq!(boot, fence("chainmail-apply.service"));
    for line in ["DevicePolicy=strict", "PrivateMounts=yes", "ProtectSystem=strict"] {
        assert!(boot.iter().any(|said| said == line), "{line}");
    }
}

/// The names of all shipped units, in order.
fn units() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("systemd")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_unit = |name: &String| [".service", ".target", ".timer"].iter().any(|end| name.ends_with(end));
    let mut names: Vec<String> = names.filter(is_unit).collect();
    names.sort();
    names
}

#[test]
fn systemd_understands_the_units() {
    let folder = tempfile::tempdir().unwrap();
    // It asks whether the programs are there, so the units are installed with one that is.
    for name in units() {
        let mut text = std::fs::read_to_string(unit(&name)).unwrap();
        for program in ["/usr/bin/chainmaild", "/usr/bin/chainmail-fetch"] {
            text = text.replace(program, env!("CARGO_BIN_EXE_chainmaild"));
        }
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    for name in ["chainmail-apply.service", "chainmail-boot.service", "chainmail.target"] {
        let Some((fine, said)) = analyze(&["verify", "--man=no", folder.path().join(name).to_str().unwrap()])
        else {
            return;
        };
        assert!(fine && !said.contains("chainmail"), "{name}\n{said}");
    }
}

/// A service that a timer starts is wanted by the timer alone.
#[test]
fn the_target_starts_every_unit() {
    let target = std::fs::read_to_string(unit("chainmail.target")).unwrap();
    let wants = target.lines().filter_map(|line| line.strip_prefix("Wants="));
    let mut wanted: Vec<&str> = wants.flat_map(str::split_whitespace).collect();
    wanted.sort_unstable();
    let units = units();
    let starts = |name: &&String| {
        let timer = name.strip_suffix(".service").map(|name| format!("{name}.timer"));
        !name.ends_with(".target") && !timer.is_some_and(|timer| units.contains(&timer))
    };
    assert_eq!(wanted, units.iter().filter(starts).collect::<Vec<_>>());
}

#[test]
fn the_example_configuration_shows_the_defaults() {
    use chainmail_reconciler::config::Config;
    let text = std::fs::read_to_string(root().join("systemd/node.toml")).unwrap();
    assert_eq!(Config::parse("node.toml", &text).unwrap(), Config::default());
    let keys = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
    let shown: String = text.lines().filter(keys).map(|line| format!("{}\n", &line[1..])).collect();
    let shown = Config::parse("node.toml", &shown).unwrap();
    let default = Config { node: shown.node.clone(), backend: shown.backend, ..Config::default() };
    assert_eq!(shown, default, "what is commented out is the default");
}

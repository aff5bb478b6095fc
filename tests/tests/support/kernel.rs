//! A real kernel's reading of a snapshot: loaded by the stock tools in a fresh namespace, and saved again.

use std::path::Path;
use std::process::Command;

/// What the tools print of a kernel that a snapshot was loaded into.
pub struct Saved {
    pub rules_v4: String,
    pub rules_v6: String,
    pub ipsets: String,
}

/// Both implementations of iptables.
pub const BACKENDS: [&str; 2] = ["nft", "legacy"];

/// Loads the files `ipsets`, `rules.v4` and `rules.v6` of a folder in a namespace of its own, and saves them.
pub fn load_and_save(folder: &Path, backend: &str) -> Saved {
    let script = "set -e
        ipset restore < ipsets
        iptables-$1-restore --noflush < rules.v4
        ip6tables-$1-restore --noflush < rules.v6
        iptables-$1-save -t filter > saved.v4
        ip6tables-$1-save -t filter > saved.v6
        ipset save > saved.ipsets";
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", script, "sh", backend]).current_dir(folder);
    super::run(&mut command);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    Saved { rules_v4: read("saved.v4"), rules_v6: read("saved.v6"), ipsets: read("saved.ipsets") }
}

/// The lines of our chains in a saved table: declarations without counters, and rules.
pub fn our_lines(saved: &str) -> Vec<String> {
    let ours = |line: &&str| line.starts_with(":CM-") || line.starts_with("-A CM-");
    let plain = |line: &str| match line.strip_prefix(':').and_then(|rest| rest.split_once(' ')) {
        Some((chain, _)) => format!(":{chain} - [0:0]"),
        None => line.to_owned(),
    };
    saved.lines().filter(ours).map(plain).collect()
}

/// Says why tests on kernels cannot run here. In CI they must.
pub fn skipped() -> bool {
    let probes: [&[&str]; 3] =
        [&["-n", "iptables-nft", "-S"], &["-n", "iptables-legacy", "-S"], &["-n", "ipset", "list"]];
    let works = |words: &&[&str]| {
        Command::new("unshare").args(*words).output().is_ok_and(|output| output.status.success())
    };
    let Some(missing) = probes.iter().find(|words| !works(words)) else { return false };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "in CI this must work: {missing:?}");
    println!("SKIPPED: needs root and the tools of iptables and ipset; this failed: {missing:?}");
    true
}

/// Loads rule texts, each with the sets that it asks, and fails where the kernel then holds other rules than the text has.
pub fn load_each(backend: &str, texts: &[(chainmail_contract::Family, String, std::rc::Rc<String>)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut script = String::new();
    let mut sets: Option<&std::rc::Rc<String>> = None;
    for (number, (family, text, of_text)) in texts.iter().enumerate() {
        let tool = match family {
            chainmail_contract::Family::V4 => "iptables",
            chainmail_contract::Family::V6 => "ip6tables",
        };
        if sets.is_none_or(|sets| !std::rc::Rc::ptr_eq(sets, of_text)) {
            super::write(folder.path(), &format!("{number}.sets"), of_text);
            script += &format!(
                "iptables-{backend} -F; iptables-{backend} -X; ip6tables-{backend} -F; ip6tables-{backend} -X\n\
                 ipset destroy; ipset restore < {number}.sets\n"
            );
            sets = Some(of_text);
        }
        super::write(folder.path(), &format!("{number}.rules"), text);
        script += &format!(
            "{tool}-{backend}-restore < {number}.rules\n{tool}-{backend}-save -t filter > {number}.saved\n"
        );
    }
    super::write(folder.path(), "script", &script);
    super::run(Command::new("unshare").args(["-n", "sh", "-e", "script"]).current_dir(folder.path()));
    for (number, (_, text, _)) in texts.iter().enumerate() {
        let saved = std::fs::read_to_string(folder.path().join(format!("{number}.saved"))).unwrap();
        let sorted = |text: &str| {
            let (mut chains, mut rules): (Vec<_>, Vec<_>) =
                our_lines(text).into_iter().partition(|line| line.starts_with(':'));
            chains.sort();
            // Order counts within a chain only.
            rules.sort_by(|a, b| a.split(' ').nth(1).cmp(&b.split(' ').nth(1)));
            (chains, rules)
        };
        assert_eq!(sorted(&saved), sorted(text), "{backend}");
    }
}

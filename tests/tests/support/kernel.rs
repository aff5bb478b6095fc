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

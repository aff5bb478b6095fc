//! Network namespaces, and snapshots to apply in them.

#![allow(
    dead_code,
    clippy::print_stderr,
    reason = "each test file uses a part of it, and says aloud when it must skip"
)]

pub(crate) mod node;
pub(crate) mod pods;
pub(crate) mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chainmail_contract::{
    Capacity, Family, Manifest, Member, Parts, SetKind, SetName, Sha256Hex, content_name, cut_set_name,
    is_cut_set,
};

/// A network namespace of its own, which ends with the test, in whatever way that ends.
pub(crate) struct Namespace(chainmail_lab::Namespace);

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        Self(chainmail_lab::Namespace::prepared_by("true").unwrap())
    }

    /// One in which programs of a folder stand before all others.
    pub(crate) fn with_tools(tools: &Path) -> Self {
        let bind = format!("mount --bind '{}' /usr/local/sbin", tools.display());
        Self(chainmail_lab::Namespace::prepared_by(&bind).unwrap())
    }

    /// The process that holds it.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Runs a function in this network namespace. Sockets that it makes stay there.
    pub(crate) fn within<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        self.0.within(run).unwrap()
    }

    /// A command that is to run in it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.0.command();
        command.args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str], input: &str) -> Done {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter is there");
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command that must succeed.
    pub(crate) fn ok(&self, words: &[&str], input: &str) -> String {
        let done = self.run(words, input);
        assert_eq!(done.code, 0, "{words:?}\n{input}\n{}{}", done.out, done.err);
        done.out
    }

    /// All tables of both families and all sets, as the tools print them, without dates.
    pub(crate) fn state(&self, backend: &str) -> String {
        let mut state = String::new();
        for tool in ["iptables", "ip6tables"] {
            let saved = self.ok(&[&format!("{tool}-{backend}-save")], "");
            let lines = saved.lines().filter(|line| !line.starts_with('#'));
            state.extend(lines.flat_map(|line| [line, "\n"]));
        }
        state + &self.ok(&["ipset", "save"], "")
    }
}

/// A snapshot of node `n1`, with digests that hold.
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    pub(crate) v4: String,
    pub(crate) v6: String,
    pub(crate) sets: BTreeMap<SetName, String>,
}

pub(crate) fn set_of(family: Family, kind: SetKind, members: &[&str]) -> (SetName, String) {
    let members: BTreeSet<Member> =
        members.iter().map(|member| Member::parse(kind, member).unwrap()).collect();
    let name = content_name(family, kind, &members);
    let word = family.ipset_word();
    let mut text = format!("create {name} {} family {word} {}\n", kind.as_str(), Capacity::of(members.len()));
    for member in members {
        text += &format!("add {name} {member}\n");
    }
    (name, text)
}

impl Snapshot {
    pub(crate) fn new(v4: String, v6: String, sets: impl IntoIterator<Item = (SetName, String)>) -> Self {
        let mut sets: BTreeMap<_, _> = sets.into_iter().collect();
        for family in Family::ALL {
            let (name, word) = (cut_set_name(family), family.ipset_word());
            let text = format!(
                "create {name} hash:ip,port,ip family {word} hashsize 64 maxelem 65536 timeout 86400\n"
            );
            sets.insert(name, text);
        }
        let parts = Parts { rules_v4: Sha256Hex::of(&v4), rules_v6: Sha256Hex::of(&v6) };
        let digests = sets.iter().filter(|(name, _)| !is_cut_set(name));
        let digests = digests.map(|(name, text)| (name.clone(), Sha256Hex::of(text))).collect();
        let manifest = Manifest::new("n1".parse().unwrap(), parts, digests);
        Self { manifest, v4, v6, sets }
    }

    /// Writes it as one node of a fleet.
    pub(crate) fn write_tree(&self, dir: &Path) {
        let node = dir.join("nodes/n1");
        std::fs::create_dir_all(&node).unwrap();
        std::fs::create_dir_all(dir.join("sets")).unwrap();
        let names: String = self.sets.keys().map(|name| format!("{name}\n")).collect();
        std::fs::write(node.join("sets"), names).unwrap();
        for (name, text) in &self.sets {
            std::fs::write(dir.join("sets").join(name.as_str()), text).unwrap();
        }
        self.write_node(&node);
    }

    /// Writes it with its sets in one file.
    pub(crate) fn write_joined(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("ipsets"), self.sets.values().map(String::as_str).collect::<String>())
            .unwrap();
        self.write_node(dir);
    }

    fn write_node(&self, dir: &Path) {
        std::fs::write(dir.join("rules.v4"), &self.v4).unwrap();
        std::fs::write(dir.join("rules.v6"), &self.v6).unwrap();
        std::fs::write(dir.join("manifest.json"), self.manifest.to_json()).unwrap();
    }
}

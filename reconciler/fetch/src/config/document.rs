//! The configuration's file, key by key.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use chainmail_contract::{NodeName, Sha256Hex};
use chainmail_reconciler::config::{ConfigError, OF_THE_REPOSITORY};
use chainmail_review::query::{Endpoint, Probe};
use git2::Oid;
use serde::Deserialize;
use toml::Spanned;

use super::{
    Access, BranchName, BranchStatement, Config, Confirm, DOWNLOADS_IN_QUARANTINE, Hold, Inventory, Limits,
    MEGABYTE, Mode, OtherBytes, Remote, Source, Trust,
};

/// The file as it is written. Each field carries its place, so that a wrong value can be shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Option<Spanned<String>>,
    remote: Spanned<String>,
    #[serde(rename = "ref")]
    branch: Option<Spanned<String>>,
    source: Option<Spanned<SourceWord>>,
    snapshots: Option<Spanned<String>>,
    strict_bytes: Option<Spanned<bool>>,
    interval: Option<Spanned<u64>>,
    max_backoff: Option<Spanned<u64>>,
    timeout: Option<Spanned<u64>>,
    metrics: Option<Spanned<String>>,
    #[serde(default)]
    access: Access,
    #[serde(default)]
    trust: TrustFile,
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    hold: HoldFile,
    #[serde(default)]
    confirm: ConfirmFile,
    inventory: Option<Spanned<InventoryFile>>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SourceWord {
    #[default]
    Policies,
    Snapshots,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TrustFile {
    mode: Mode,
    allowed_signers: Option<PathBuf>,
    revoked_keys: Option<PathBuf>,
    min_commit: Option<Spanned<String>>,
    max_age_hours: Option<Spanned<u64>>,
    branch_statement: Option<Spanned<BranchStatement>>,
    threshold: Option<Spanned<u64>>,
    refused_revisions: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsFile {
    download_megabytes: Option<Spanned<u64>>,
    file_megabytes: Option<Spanned<u64>>,
    total_megabytes: Option<Spanned<u64>>,
    memory_megabytes: Option<Spanned<u64>>,
    quarantine_megabytes: Option<Spanned<u64>>,
    mirror_megabytes: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HoldFile {
    max_loss: Option<Spanned<u64>>,
    keep: Vec<Spanned<Probe>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfirmFile {
    probes: Vec<Spanned<Vec<String>>>,
    probe_timeout: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct InventoryFile {
    folder: Option<Spanned<PathBuf>>,
    max_age: Option<Spanned<u64>>,
}

/// The keys that people look for here, and where they are.
const ELSEWHERE: [(&[&str], &str); 2] = [
    OF_THE_REPOSITORY,
    (
        &["backend", "jump", "deadline", "drift", "confirm_timeout", "trial", "audit"],
        "it is about applying, so it is set in /etc/chainmail/node.toml",
    ),
];

/// Numbers are believed up to here: a day in seconds, a century in hours, a terabyte in megabytes.
const DAY: u64 = 86_400;
const CENTURY: u64 = 876_600;
const TERABYTE: u64 = 1_000_000;

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
}

pub(super) fn parse(path: &str, text: &str) -> Result<Config, ConfigError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let help = help(error.message(), text.get(span.clone()).unwrap_or_default());
        ConfigError::at(path, text, span.start, error.message().to_owned(), help)
    })?;
    Reader { path, text }.config(file)
}

impl Reader<'_> {
    fn wrong(&self, span: Range<usize>, problem: impl Into<String>, help: &str) -> ConfigError {
        ConfigError::at(self.path, self.text, span.start, problem.into(), help.to_owned())
    }

    fn config(&self, file: File) -> Result<Config, ConfigError> {
        let remote = Remote::new(file.remote.get_ref()).ok_or_else(|| {
            let problem = format!("{:?} is no remote that can be pulled from", file.remote.get_ref());
            let help = "write https://… (a user goes into [access]), ssh://user@host/path, user@host:path, git://… or an absolute path";
            self.wrong(file.remote.span(), problem, help)
        })?;
        let seconds = |name, value: Option<Spanned<u64>>, default, help| {
            self.number(name, value, 1..=DAY, help).map(|found| Duration::from_secs(found.unwrap_or(default)))
        };
        let interval =
            seconds("interval", file.interval, 60, "it is the number of seconds between two looks")?;
        let max_backoff = "it is the longest wait in seconds while the remote does not answer";
        let timeout = "it is the number of seconds that one look may take, with compiling and proving";
        let source = self.source(file.source, file.snapshots, file.strict_bytes)?;
        Ok(Config {
            inventory: self.inventory(file.inventory, &source)?,
            node: file.node.map(|node| self.node(&node)).transpose()?,
            branch: self.branch(file.branch)?,
            source,
            remote,
            interval,
            max_backoff: seconds("max_backoff", file.max_backoff, 900, max_backoff)?.max(interval),
            timeout: seconds("timeout", file.timeout, 300, timeout)?,
            access: file.access,
            trust: self.trust(file.trust)?,
            limits: self.limits(file.limits)?,
            hold: self.hold(file.hold)?,
            confirm: self.confirm(file.confirm)?,
            metrics: file.metrics.map(|address| self.metrics(&address)).transpose()?,
        })
    }

    fn node(&self, node: &Spanned<String>) -> Result<NodeName, ConfigError> {
        let name = node.get_ref().parse::<NodeName>();
        name.map_err(|error| {
            self.wrong(node.span(), error.to_string(), "write the node's name as the repository has it")
        })
    }

    fn branch(&self, branch: Option<Spanned<String>>) -> Result<BranchName, ConfigError> {
        let Some(branch) = branch else {
            return Ok(BranchName::new("main").expect("main is a branch's name"));
        };
        BranchName::new(branch.get_ref()).ok_or_else(|| {
            let problem = format!("{:?} is no branch", branch.get_ref());
            self.wrong(branch.span(), problem, "write a branch's name, for example \"main\"")
        })
    }

    fn source(
        &self,
        source: Option<Spanned<SourceWord>>,
        folder: Option<Spanned<String>>,
        strict: Option<Spanned<bool>>,
    ) -> Result<Source, ConfigError> {
        let word = source.map(Spanned::into_inner).unwrap_or_default();
        if word == SourceWord::Policies {
            let spans = [folder.map(|folder| folder.span()), strict.map(|strict| strict.span())];
            return match spans.into_iter().flatten().next() {
                Some(span) => {
                    let problem = "without source = \"snapshots\" there are no committed bytes to take";
                    Err(self.wrong(span, problem, "set source = \"snapshots\", or remove the key"))
                }
                None => Ok(Source::Policies),
            };
        }
        let bytes = match strict.is_some_and(Spanned::into_inner) {
            true => OtherBytes::Refuse,
            false => OtherBytes::Warn,
        };
        let Some(folder) = folder else {
            return Ok(Source::Snapshots { folder: "snapshots".to_owned(), bytes });
        };
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !folder.get_ref().split('/').all(plain) {
            let problem = format!("{:?} is no folder of the repository", folder.get_ref());
            return Err(self.wrong(folder.span(), problem, "write its path from the repository's root"));
        }
        Ok(Source::Snapshots { folder: folder.into_inner(), bytes })
    }

    fn trust(&self, file: TrustFile) -> Result<Trust, ConfigError> {
        let min_commit = file.min_commit.map(|commit| {
            let text = commit.get_ref();
            let whole = text.len() == 40;
            Oid::from_str(text).ok().filter(|_| whole).ok_or_else(|| {
                let problem = format!("{text:?} is no commit");
                self.wrong(commit.span(), problem, "write all 40 digits, as `git rev-parse main` prints them")
            })
        });
        let help = "it is the number of hours after which a newer revision is missed";
        let max_age = self.number("max_age_hours", file.max_age_hours, 1..=CENTURY, help)?;
        let spans = [
            file.branch_statement
                .as_ref()
                .filter(|word| *word.get_ref() == BranchStatement::Required)
                .map(Spanned::span),
            file.threshold.as_ref().map(Spanned::span),
            file.refused_revisions.first().map(Spanned::span),
        ];
        if let (Mode::Off, Some(span)) = (file.mode, spans.into_iter().flatten().next()) {
            let help = "set mode = \"range\" or \"tag\", or remove the key";
            return Err(self.wrong(span, "with mode = \"off\" no signature is looked at", help));
        }
        let min_commit = min_commit.transpose()?;
        if let (None, Some(first)) = (min_commit, file.refused_revisions.first()) {
            let help = "set min_commit to the commit that nodes go back to";
            return Err(self.wrong(first.span(), "refused_revisions needs min_commit", help));
        }
        let mut refused = BTreeSet::new();
        for payload in file.refused_revisions {
            let digest = Sha256Hex::try_from(payload.get_ref().clone()).map_err(|_| {
                let problem = format!("{:?} is no payload of a commit", payload.get_ref());
                let help = "write the 64 digits that `chainmail-fetch payload COMMIT` prints";
                self.wrong(payload.span(), problem, help)
            })?;
            refused.insert(digest);
        }
        let help = "it is how many different people have to sign a revision";
        let threshold = self.number("threshold", file.threshold, 1..=100, help)?;
        let threshold = threshold.and_then(|number| NonZeroU8::new(u8::try_from(number).ok()?));
        Ok(Trust {
            mode: file.mode,
            allowed_signers: file.allowed_signers,
            revoked_keys: file.revoked_keys,
            min_commit,
            max_age: max_age.map(|hours| Duration::from_secs(hours * 3600)),
            branch_statement: file.branch_statement.map(Spanned::into_inner).unwrap_or_default(),
            threshold: threshold.unwrap_or(NonZeroU8::MIN),
            refused,
        })
    }

    fn limits(&self, file: LimitsFile) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        let bytes = |name, value, default| {
            let help = "it is a number of megabytes";
            self.number(name, value, 1..=TERABYTE, help)
                .map(|found| found.map_or(default, |megabytes| megabytes * MEGABYTE))
        };
        let download = bytes("download_megabytes", file.download_megabytes, default.download)?;
        let least = 2 * download;
        let span = file.quarantine_megabytes.as_ref().map(Spanned::span);
        let quarantine = DOWNLOADS_IN_QUARANTINE * download;
        let quarantine = bytes("quarantine_megabytes", file.quarantine_megabytes, quarantine)?;
        if let Some(span) = span.filter(|_| quarantine < least) {
            let problem = format!("quarantine_megabytes {} is too little", quarantine / MEGABYTE);
            return Err(self.wrong(span, problem, "it has to hold two downloads at least"));
        }
        Ok(Limits {
            download,
            quarantine,
            mirror: bytes("mirror_megabytes", file.mirror_megabytes, default.mirror)?,
            file: bytes("file_megabytes", file.file_megabytes, default.file)?,
            total: bytes("total_megabytes", file.total_megabytes, default.total)?,
            memory: bytes("memory_megabytes", file.memory_megabytes, default.memory)?,
        })
    }

    fn hold(&self, file: HoldFile) -> Result<Hold, ConfigError> {
        let help = "it is how many of a hundred rules may go at once; 100 lets all of them go";
        let max_loss = self.number("max_loss", file.max_loss, 0..=100, help)?;
        let max_loss =
            max_loss.map_or(Hold::default().max_loss, |percent| u8::try_from(percent).expect("100 fits"));
        let mut keep = Vec::new();
        for probe in file.keep {
            for end in [&probe.get_ref().src, &probe.get_ref().dst] {
                end.parse::<Endpoint>().map_err(|error| {
                    let help = "write namespace/pod, an address, or outside";
                    self.wrong(probe.span(), error.to_string(), help)
                })?;
            }
            keep.push(probe.into_inner());
        }
        Ok(Hold { max_loss, keep })
    }

    /// Whoever can ask learns which revision is in force, so only this host can.
    fn metrics(&self, address: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
        let parsed = address.get_ref().parse::<SocketAddr>().ok();
        parsed.filter(|parsed| parsed.ip().is_loopback() && parsed.port() > 0).ok_or_else(|| {
            let problem = format!("{:?} is no address and port of this host alone", address.get_ref());
            self.wrong(address.span(), problem, "write \"127.0.0.1:9469\", or \"[::1]:9469\"")
        })
    }

    fn confirm(&self, file: ConfirmFile) -> Result<Confirm, ConfigError> {
        let help = "it is the number of seconds that one probe may take";
        let timeout = self.number("probe_timeout", file.probe_timeout, 1..=DAY, help)?;
        let mut probes = Vec::new();
        for probe in file.probes {
            let plain = |word: &String| !word.contains('\0');
            if probe.get_ref().first().is_none_or(String::is_empty) || !probe.get_ref().iter().all(plain) {
                let help = "write a program and its arguments, for example [\"curl\", \"-fsS\", \"http://10.0.0.1/\"]; no shell reads it";
                return Err(self.wrong(probe.span(), "this is no command", help));
            }
            probes.push(probe.into_inner());
        }
        let default = Confirm::default().probe_timeout;
        Ok(Confirm { probes, probe_timeout: timeout.map_or(default, Duration::from_secs) })
    }

    fn inventory(
        &self,
        file: Option<Spanned<InventoryFile>>,
        source: &Source,
    ) -> Result<Option<Inventory>, ConfigError> {
        let Some(file) = file else { return Ok(None) };
        if *source != Source::Policies {
            let problem = "a committed snapshot has no pods of an inventory";
            let help = "set source = \"policies\", so that this node's snapshot is compiled with them, or remove [inventory]";
            return Err(self.wrong(file.span(), problem, help));
        }
        let InventoryFile { folder, max_age } = file.into_inner();
        if let Some(folder) = folder.as_ref().filter(|folder| !folder.get_ref().is_absolute()) {
            let problem = format!("{} is no absolute path", folder.get_ref().display());
            return Err(self.wrong(folder.span(), problem, "write the folder's path from / on"));
        }
        let help = "it is the number of seconds after which a newer file is missed";
        let max_age = self.number("max_age", max_age, 1..=CENTURY * 3600, help)?;
        let folder = folder.map(Spanned::into_inner);
        Ok(Some(Inventory { folder, max_age: max_age.map(Duration::from_secs) }))
    }

    fn number(
        &self,
        name: &str,
        value: Option<Spanned<u64>>,
        range: std::ops::RangeInclusive<u64>,
        help: &str,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = value else { return Ok(None) };
        let number = *value.get_ref();
        if range.contains(&number) {
            return Ok(Some(number));
        }
        let problem = format!("{name} {number} is not between {} and {}", range.start(), range.end());
        Err(self.wrong(value.span(), problem, help))
    }
}

fn help(message: &str, key: &str) -> String {
    let elsewhere =
        ELSEWHERE.iter().find(|(keys, _)| message.contains("unknown field") && keys.contains(&key));
    match elsewhere {
        Some((_, help)) => (*help).to_owned(),
        None if message.contains("unknown field") => "remove the key, or correct its name".to_owned(),
        None if message.contains("struct ConfirmFile") => {
            "[confirm] has the probes here; confirm = \"required\" is set in /etc/chainmail/node.toml"
                .to_owned()
        }
        None if message.contains("missing field `remote`") => {
            "set remote = \"https://…\", the repository that policies are pulled from".to_owned()
        }
        None => "the example in fetch.toml shows each key with its values".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOTE: &str = "remote = \"/srv/policies.git\"\n";

    #[test]
    fn all_keys_are_read() {
        let text = "node = \"worker-1\"\nremote = \"git@host:p\"\nref = \"refs/heads/canary\"\n\
                    source = \"snapshots\"\nsnapshots = \"out/snapshots\"\nstrict_bytes = true\ninterval = 5\n\
                    max_backoff = 50\ntimeout = 9\nmetrics = \"[::1]:9469\"\n[access]\nssh_key = \"/k\"\nknown_hosts = \"/h\"\nca_file = \"/c\"\n\
                    user = \"u\"\npassword_file = \"/p\"\n[trust]\nmode = \"tag\"\nallowed_signers = \"/a\"\n\
                    revoked_keys = \"/r\"\nmin_commit = \"0123456789012345678901234567890123456789\"\n\
                    max_age_hours = 2\nbranch_statement = \"required\"\nthreshold = 3\n\
                    refused_revisions = [\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]\n[limits]\ndownload_megabytes = 3\nfile_megabytes = 2\ntotal_megabytes = 4\nmemory_megabytes = 5\nquarantine_megabytes = 6\nmirror_megabytes = 7\n\
                    [hold]\nmax_loss = 50\n[[hold.keep]]\nsrc = \"10.0.0.1\"\ndst = \"shop/web\"\nport = 80\n\
                    [confirm]\nprobes = [[\"true\"], [\"curl\", \"x\"]]\nprobe_timeout = 3\n";
        let keep = Probe {
            src: "10.0.0.1".into(),
            dst: "shop/web".into(),
            protocol: "TCP".into(),
            port: Some(80),
            family: None,
        };
        let path = |path: &str| Some(PathBuf::from(path));
        let config = Config {
            node: Some("worker-1".parse().unwrap()),
            remote: Remote::new("git@host:p").unwrap(),
            branch: BranchName::new("canary").unwrap(),
            source: Source::Snapshots { folder: "out/snapshots".into(), bytes: OtherBytes::Refuse },
            interval: Duration::from_secs(5),
            max_backoff: Duration::from_secs(50),
            timeout: Duration::from_secs(9),
            access: Access {
                ssh_key: path("/k"),
                known_hosts: path("/h"),
                ca_file: path("/c"),
                user: Some("u".into()),
                password_file: path("/p"),
            },
            trust: Trust {
                mode: Mode::Tag,
                allowed_signers: path("/a"),
                revoked_keys: path("/r"),
                min_commit: Some(Oid::from_str("0123456789012345678901234567890123456789").unwrap()),
                max_age: Some(Duration::from_secs(7200)),
                branch_statement: BranchStatement::Required,
                threshold: NonZeroU8::new(3).unwrap(),
                refused: BTreeSet::from([Sha256Hex::try_from("0123456789abcdef".repeat(4)).unwrap()]),
            },
            limits: Limits {
                download: 3_000_000,
                file: 2_000_000,
                total: 4_000_000,
                memory: 5_000_000,
                quarantine: 6_000_000,
                mirror: 7_000_000,
            },
            hold: Hold { max_loss: 50, keep: vec![keep] },
            confirm: Confirm {
                probes: vec![vec!["true".to_owned()], vec!["curl".to_owned(), "x".to_owned()]],
                probe_timeout: Duration::from_secs(3),
            },
            metrics: Some(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 9469))),
            inventory: None,
        };
        assert_eq!(parse("f", text).unwrap(), config);
        let live = parse("f", &format!("{REMOTE}[inventory]\nfolder = \"/i\"\nmax_age = 90\n")).unwrap();
        let inventory = Inventory { folder: path("/i"), max_age: Some(Duration::from_secs(90)) };
        assert_eq!(live.inventory, Some(inventory));
        let least = parse("f", REMOTE).unwrap();
        assert_eq!((least.interval, least.branch.as_str()), (Duration::from_secs(60), "main"));
        assert_eq!((least.source, least.trust.mode), (Source::Policies, Mode::Range));
    }

    /// The table of the document has each key of `[trust]`, and no other; its example holds.
    #[test]
    fn the_document_has_each_key_of_trust() {
        let document = include_str!("../../../../docs/configuration.md");
        let (_, section) = document.split_once("\n## What a node believes").unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let told: BTreeSet<&str> = rows.map(|(key, _)| key).collect();
        let error = parse("f", &format!("{REMOTE}[trust]\nx = 1\n")).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected one of ").expect("the error names all keys");
        let keys: BTreeSet<&str> = expected.lines().next().unwrap().split('`').skip(1).step_by(2).collect();
        assert_eq!(told, keys);
        let (_, example) = section.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        parse("f", &format!("{REMOTE}{example}")).unwrap();
    }

    #[test]
    fn a_wrong_configuration_is_shown_with_its_place_and_help() {
        let rows = [
            ("", ["missing field `remote`", "f:1:1\n", "pulled from"]),
            ("remote = \"http://x/y\"\n", ["is no remote", "f:1:10\n", "https://…"]),
            ("@allow = \"accept\"\n", ["unknown field `allow`", "f:2:1\n", "chainmail.toml"]),
            ("@jump = \"first\"\n", ["unknown field `jump`", "f:2:1\n", "node.toml"]),
            ("@intervall = 1\n", ["unknown field `intervall`", "   2 | intervall", "correct its name"]),
            ("@ref = \"a..b\"\n", ["is no branch", "f:2:7\n", "main"]),
            ("@strict_bytes = true\n", ["no committed bytes", "f:2:16\n", "source = \"snapshots\""]),
            ("@source = \"snapshots\"\nsnapshots = \"../x\"\n", ["is no folder", "f:3:13\n", "root"]),
            ("@interval = 0\n", ["interval 0 is not between", "f:2:12\n", "seconds"]),
            ("@[trust]\nmode = \"none\"\n", ["unknown variant", "f:3:8\n", "each key"]),
            ("@[trust]\nmin_commit = \"abc\"\n", ["is no commit", "f:3:14\n", "40 digits"]),
            ("@[trust]\nthreshold = 0\n", ["threshold 0", "f:3:13\n", "different people"]),
            ("@[trust]\nbranch_statement = \"on\"\n", ["unknown variant", "f:3:20\n", "each key"]),
            ("@[trust]\nmode = \"off\"\nthreshold = 2\n", ["no signature", "f:4:13\n", "range"]),
            (
                "@[trust]\nmode = \"off\"\nbranch_statement = \"required\"\n",
                ["no signature", "f:4:20\n", "remove the key"],
            ),
            ("@[trust]\nrefused_revisions = [\"ab\"]\n", ["needs min_commit", "f:3:22\n", "go back to"]),
            (
                "@[trust]\nmin_commit = \"0123456789012345678901234567890123456789\"\nrefused_revisions = [\"ab\"]\n",
                ["is no payload", "f:4:22\n", "chainmail-fetch payload"],
            ),
            ("@[trust]\nkeys = 1\n", ["unknown field `keys`", "f:3:1\n", "correct its name"]),
            ("@[hold]\nmax_loss = 101\n", ["max_loss 101", "f:3:12\n", "hundred"]),
            ("@[[hold.keep]]\nsrc = \"a b\"\ndst = \"outside\"\n", ["a b", "f:2:", "namespace/pod"]),
            ("@metrics = \"0.0.0.0:9469\"\n", ["this host alone", "f:2:11\n", "127.0.0.1:9469"]),
            ("@confirm = \"required\"\n", ["invalid type", "f:2:11\n", "node.toml"]),
            ("@[confirm]\nprobes = [[]]\n", ["no command", "f:3:11\n", "no shell"]),
            (
                "@source = \"snapshots\"\n[inventory]\n",
                ["no pods of an inventory", "f:3:1\n", "source = \"policies\""],
            ),
            ("@[inventory]\nfolder = \"live\"\n", ["no absolute path", "f:3:10\n", "from / on"]),
            ("@[inventory]\nmax_age = 0\n", ["max_age 0", "f:3:11\n", "seconds"]),
            ("@[limits]\nfile_megabytes = 0\n", ["file_megabytes 0", "f:3:18\n", "megabytes"]),
            (
                "@[limits]\nquarantine_megabytes = 511\n",
                ["quarantine_megabytes 511", "f:3:24\n", "two downloads"],
            ),
        ];
        for (text, expected) in rows {
            let text = text.replace('@', REMOTE);
            let error = parse("f", &text).expect_err(&text).to_string();
            assert!(expected.iter().all(|part| error.contains(part)), "{text}\n{error}");
        }
    }
}

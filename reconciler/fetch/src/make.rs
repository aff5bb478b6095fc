//! One node's snapshot of a revision: compiled from its policies, or the committed one; either way proven to mean what
//! the policies say.

use std::collections::BTreeMap;
use std::path::Path;

use chainmail_contract::{Family, Joined, NodeName, SnapshotError, read};
use chainmail_findings::{Diagnostic, Severity, Style, render};
use chainmail_manifest::Cache;
use chainmail_manifest::source::{self, SourceError, Sources};
use chainmail_model::semantics::Verdict;
use chainmail_model::{Cluster, Node};
use chainmail_pipeline::{Compiler, load_with};
use chainmail_prove::{Flaw, Prover};
use chainmail_reconciler::desired::{Desired, DesiredError};
use chainmail_review::query::{Probe, RulesEngine};
use chainmail_verdict::{Kernel, Ruleset, Sets};
use git2::Repository;
use thiserror::Error;

use crate::config::{Limits, OtherBytes, Source};
use crate::inventory::Inventory;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The commit.
    pub commit: &'a str,
    /// The node.
    pub node: &'a NodeName,
    /// What of the commit becomes the snapshot.
    pub source: &'a Source,
    /// How much of it is read.
    pub limits: Limits,
    /// Traffic that it may not deny.
    pub keep: &'a [Probe],
    /// Live objects beside those of the commit.
    pub inventory: Option<&'a Inventory>,
}

/// What is remembered from one snapshot to the next, for whoever makes several of one revision.
#[derive(Debug)]
pub struct Memory {
    /// The revision that is remembered, if any is.
    remembered: Option<(String, Sources)>,
    remembers: bool,
    cache: Cache,
}

impl Memory {
    /// Remembers nothing: what is made once needs the memory for something else.
    #[must_use]
    pub fn none() -> Self {
        Self { remembered: None, remembers: false, cache: Cache::none() }
    }

    /// Remembers the last revision.
    #[must_use]
    pub fn of_one() -> Self {
        Self { remembered: None, remembers: true, cache: Cache::none().and_in_memory() }
    }

    fn sources(&mut self, mirror: &Path, wanted: &Wanted<'_>) -> Result<Sources, SourceError> {
        if let Some((commit, sources)) = &self.remembered
            && commit == wanted.commit
        {
            return Ok(sources.clone());
        }
        let limits = source::Limits { file: wanted.limits.file, total: wanted.limits.total };
        let sources = source::from_revision_within(mirror, wanted.commit, limits)?;
        if self.remembers {
            *self = Self { remembered: Some((wanted.commit.to_owned(), sources.clone())), ..Self::of_one() };
        }
        Ok(sources)
    }
}

/// A snapshot, and what is to be said about it.
#[derive(Debug)]
pub struct Made {
    /// The snapshot.
    pub snapshot: Joined,
    /// Which policy each rule comes from.
    pub provenance: Option<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// Traffic that was to be kept and is denied, or of which that cannot be told.
    pub denied: Vec<String>,
    /// Live objects that contradict what was reviewed, or each other.
    pub contradictions: Vec<Diagnostic>,
    /// How many addresses the node's sets have from the inventory alone.
    pub members: usize,
}

/// A revision that gives no snapshot.
#[derive(Debug, Error)]
pub enum MakeError {
    /// It cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its manifests mean nothing that may be enforced.
    #[error("{errors} in the manifests:\n{text}")]
    Findings {
        /// How many.
        errors: String,
        /// As the compiler prints them.
        text: String,
    },
    /// It has no such node.
    #[error("the repository has no node {node}; it has: {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    NoNode {
        /// This node.
        node: NodeName,
        /// The nodes that it has.
        known: Vec<String>,
    },
    /// The rules do something else than the policies say.
    #[error("{what} not what the policies say:\n{flaws}")]
    Unproven {
        /// Which rules.
        what: &'static str,
        /// All that is wrong.
        flaws: String,
    },
    /// The committed snapshot is not whole.
    #[error("the committed snapshot cannot be taken: {0}")]
    Committed(SnapshotError),
    /// The committed snapshot has other bytes.
    #[error(
        "the committed snapshot {committed} is not the one that this program compiles, {compiled}, and strict_bytes is set"
    )]
    OtherBytes {
        /// As committed.
        committed: String,
        /// As compiled here.
        compiled: String,
    },
    /// The applying half would refuse it.
    #[error("the snapshot would not be applied: {0}")]
    Desired(#[from] DesiredError),
}

/// Makes a snapshot of a revision in the mirror.
///
/// # Errors
/// When it gives none.
pub fn make(mirror: &Path, wanted: &Wanted<'_>, memory: &mut Memory) -> Result<Made, MakeError> {
    let mut sources = memory.sources(mirror, wanted)?;
    if let Some(inventory) = wanted.inventory {
        sources = inventory.beside(sources, &mut memory.cache);
    }
    let loaded = load_with(&sources, &mut memory.cache);
    if loaded.findings.has_errors() {
        let mut findings = loaded.findings;
        findings.drop_notes();
        let errors = counted(findings.count(Severity::Error), "error");
        return Err(MakeError::Findings { errors, text: render(&findings, Style::Plain) });
    }
    let is_live =
        |finding: &Diagnostic| wanted.inventory.is_some_and(|inventory| inventory.is_about(finding));
    let warnings =
        loaded.findings.sorted().into_iter().filter(|finding| finding.severity == Severity::Warning);
    let (contradictions, warnings): (Vec<_>, Vec<_>) = warnings.partition(|finding| is_live(finding));
    let (contradictions, warnings) = (contradictions.into_iter().cloned().collect(), warnings.len());
    let cluster = &loaded.cluster;
    let node = cluster.linux_nodes().find(|node| node.name == *wanted.node).ok_or_else(|| {
        let known = cluster.linux_nodes().map(|node| node.name.to_string()).collect();
        MakeError::NoNode { node: wanted.node.clone(), known }
    })?;
    let mut made = compiled(cluster, &sources, node)?;
    if let Source::Snapshots { folder, bytes } = wanted.source {
        let committed = committed(mirror, wanted, folder)?;
        let (snapshot, provenance) = committed;
        let sets = snapshot.sets().iter().map(|(name, text)| (name, text.as_str()));
        let rules = Family::ALL.map(|family| snapshot.rules(family));
        let what = "the committed rules are";
        Prover::new(cluster, &sources).text(node, rules, sets).map_err(|flaws| unproven(what, &flaws))?;
        let [theirs, ours] = [&snapshot, &made.snapshot].map(|snapshot| snapshot.manifest().digest.clone());
        if theirs != ours {
            let (committed, compiled) = (theirs.to_string(), ours.to_string());
            if *bytes == OtherBytes::Refuse {
                return Err(MakeError::OtherBytes { committed, compiled });
            }
            made.notes.push(format!(
                "the committed snapshot {committed} means the same as {compiled}, which this program compiles"
            ));
        }
        (made.snapshot, made.provenance) = (snapshot, provenance);
    }
    if warnings > 0 {
        made.notes
            .push(format!("{} in the manifests; `chainmail check` shows them", counted(warnings, "warning")));
    }
    Desired::of_snapshot(&made.snapshot)?;
    made.contradictions = contradictions;
    made.denied = denied(cluster, node, &made.snapshot, wanted.keep);
    Ok(made)
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn unproven(what: &'static str, flaws: &[Flaw]) -> MakeError {
    let flaws: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    MakeError::Unproven { what, flaws: flaws.join("\n") }
}

fn compiled(cluster: &Cluster, sources: &Sources, node: &Node) -> Result<Made, MakeError> {
    let rendered = Compiler::new(cluster, sources).snapshot(node);
    let what = "this program is at fault, not the manifests: the rules that it compiled are";
    Prover::new(cluster, sources).snapshot(node, &rendered).map_err(|flaws| unproven(what, &flaws))?;
    let sets: BTreeMap<_, _> =
        rendered.sets.iter().map(|(name, text)| (name.clone(), text.to_string())).collect();
    let snapshot = Joined::new(rendered.manifest, rendered.rules_v4, rendered.rules_v6, sets)
        .map_err(MakeError::Committed)?;
    Ok(Made {
        snapshot,
        provenance: Some(rendered.provenance),
        notes: Vec::new(),
        denied: Vec::new(),
        contradictions: Vec::new(),
        members: rendered.live_members,
    })
}

/// The snapshot that was committed beside the policies, read from Git's objects.
fn committed(
    mirror: &Path,
    wanted: &Wanted<'_>,
    folder: &str,
) -> Result<(Joined, Option<String>), MakeError> {
    let git = |source| SourceError::Git {
        repo: mirror.display().to_string(),
        rev: wanted.commit.to_owned(),
        source,
    };
    let repository = Repository::open_bare(mirror).map_err(git)?;
    let objects = repository.odb().map_err(git)?;
    let tree =
        repository.revparse_single(wanted.commit).and_then(|commit| commit.peel_to_tree()).map_err(git)?;
    let mut left = wanted.limits.total;
    let mut text = |path: &str| {
        let path = format!("{folder}/{path}");
        let fail = |message: &str| SnapshotError::Read {
            path: path.clone(),
            source: std::io::Error::other(message.to_owned()),
        };
        let git = |error: git2::Error| fail(error.message());
        let entry = tree.get_path(Path::new(&path)).map_err(git)?;
        let (length, _) = objects.read_header(entry.id()).map_err(git)?;
        let length = length as u64;
        if length > wanted.limits.file || length > left {
            return Err(fail("it is larger than limits.file_megabytes or limits.total_megabytes allow"));
        }
        left -= length;
        let blob = repository.find_blob(entry.id()).map_err(git)?;
        String::from_utf8(blob.content().to_vec()).map_err(|_| fail("it is not UTF-8"))
    };
    let snapshot = read::node_with(wanted.node, &mut text).map_err(MakeError::Committed)?;
    if snapshot.manifest().node != *wanted.node {
        let (found, wanted) = (snapshot.manifest().node.to_string(), wanted.node.to_string());
        return Err(MakeError::Committed(SnapshotError::OtherNode { found, wanted }));
    }
    Ok((snapshot, text(&format!("nodes/{}/provenance.json", wanted.node)).ok()))
}

/// Asks the rules themselves about traffic that is to be kept.
fn denied(cluster: &Cluster, node: &Node, snapshot: &Joined, keep: &[Probe]) -> Vec<String> {
    if keep.is_empty() {
        return Vec::new();
    }
    let kernel = Ruleset::parse(Family::V4, snapshot.rules(Family::V4)).and_then(|v4| {
        Ok((v4, Ruleset::parse(Family::V6, snapshot.rules(Family::V6))?, Sets::parse(&snapshot.ipsets())?))
    });
    let (v4, v6, sets) = kernel.expect("the proof has read them");
    let kernel = Kernel::new(v4, v6, sets).expect("the proof has put them together");
    let engine = RulesEngine::new(cluster, BTreeMap::from([(node.name.clone(), kernel)]));
    let says = |probe: &Probe| {
        let port = probe.port.map_or(String::new(), |port| format!(":{port}"));
        let flow = format!("{} → {} {}{port}", probe.src, probe.dst, probe.protocol);
        match probe.packet(cluster) {
            Err(error) => Some(format!("{flow} cannot be judged: {error}")),
            Ok(packet) => match engine.judge(&packet) {
                Ok(Verdict::Allow) => None,
                Ok(Verdict::Deny) => Some(format!("{flow} is denied")),
                Err(error) => Some(format!("{flow} cannot be judged: {error}")),
            },
        }
    };
    keep.iter().filter_map(says).collect()
}

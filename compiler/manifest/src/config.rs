//! `chainmail.toml`: what changes rules and is said by no policy, reviewed with the policies it stands beside.

mod document;
mod filter;
mod interfaces;
mod limits;
mod lint;
mod nodes;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::NodeName;

use nodes::{Matching, NamePattern, matching};
use settings::Overrides;

pub use filter::FileFilter;

use chainmail_findings::{Code, Diagnostic, Findings, Place};
use chainmail_model::{Cluster, Enforcement, LintSettings, NodeSettings, UnknownPods, Waiver};

/// The configuration. Where its findings have errors, what is left must not be used.
#[derive(Debug, Clone, Default)]
pub struct Config {
    files: FileFilter,
    all: Overrides,
    nodes: Vec<NodeOverrides>,
    lint: LintSettings,
    waivers: Vec<Waiver>,
}

/// One `[[nodes]]`.
#[derive(Debug, Clone)]
struct NodeOverrides {
    pattern: NamePattern,
    place: Place,
    overrides: Overrides,
}

impl Config {
    /// Reads it; findings name it by `path`. Every problem is found in one pass.
    #[must_use]
    pub fn parse(path: &str, bytes: &[u8]) -> (Self, Findings) {
        document::read(path, bytes)
    }

    /// How lints are reported.
    #[must_use]
    pub fn lint(&self) -> &LintSettings {
        &self.lint
    }

    /// Which files are manifests.
    #[must_use]
    pub fn files(&self) -> &FileFilter {
        &self.files
    }

    /// The exceptions that hold until their day.
    #[must_use]
    pub fn waivers(&self) -> &[Waiver] {
        &self.waivers
    }

    /// Gives the cluster's nodes their settings, and says what of the configuration found no use.
    pub fn apply(&self, cluster: &mut Cluster) -> Findings {
        let mut findings = Findings::default();
        let names: BTreeSet<NodeName> = cluster.nodes().map(|node| node.name.clone()).collect();
        let matching = match matching(&self.nodes, &names) {
            Ok(matching) => matching,
            Err(work) => {
                let message = format!(
                    "the patterns of [[nodes]] take too long to match with the names of {} nodes: {work} steps, of at most {}",
                    names.len(),
                    limits::MATCHING
                );
                let place = self.nodes.first().map(|block| block.place.clone());
                let help = "write fewer or shorter patterns with wildcards; whole names cost nothing";
                findings.push(Diagnostic::new(Code::TooLarge, place, message).help(help));
                return findings;
            }
        };
        let for_nodes = ForNodes { config: self, matching };
        let used: BTreeSet<usize> = for_nodes.matching.values().flatten().copied().collect();
        for (place, block) in self.nodes.iter().enumerate() {
            if !used.contains(&place) {
                let message = format!("no node has a name like {:?}", block.pattern.text());
                let help = "correct the pattern, or remove the section";
                findings.push(
                    Diagnostic::new(Code::UnmatchedNodes, Some(block.place.clone()), message).help(help),
                );
            }
        }
        let unsaid = |name: &NodeName| !for_nodes.of(name).any(Overrides::says_unknown_pods);
        let passing: Vec<&str> = cluster
            .nodes()
            .filter(|node| !node.pod_cidrs.is_empty() && unsaid(&node.name))
            .map(|node| node.name.as_str())
            .collect();
        if let Some(first) = passing.first() {
            let others = and_others(passing.len() - 1);
            let message = format!(
                "what no pod explains in the podCIDR of {first}{others} passes like an address outside"
            );
            let help =
                "write unknown_pods = \"drop\" in chainmail.toml, or \"pass\" to say that this is meant";
            findings.push(Diagnostic::new(Code::UnknownPodsPass, None, message).help(help));
        }
        for (place, nodes) in for_nodes.observed(&names) {
            let (first, others) = nodes.split_first().expect("a line stands there for a node");
            let verb = if others.is_empty() { "observes" } else { "observe" };
            let message = format!(
                "{first}{} only {verb}: what policies deny passes, and is only told of",
                and_others(others.len())
            );
            let help =
                "remove the line once what `chainmaild denied` tells of is what the policies should deny";
            findings.push(Diagnostic::new(Code::OnlyObserved, Some(place.clone()), message).help(help));
        }
        for name in &names {
            let settings = for_nodes.settings(name);
            debug_assert!(unsaid(name) <= (settings.unknown_pods == UnknownPods::Pass));
            cluster.configure(name, settings);
        }
        findings.extend(interfaces::findings(&for_nodes, cluster));
        findings
    }
}

/// The configuration, with the sections that hold for each node of a cluster.
struct ForNodes<'c> {
    config: &'c Config,
    matching: Matching<'c>,
}

impl ForNodes<'_> {
    /// What holds for a node: the keys at the top, and over them each `[[nodes]]` that matches, the later ones last.
    fn settings(&self, node: &NodeName) -> NodeSettings {
        let mut settings = NodeSettings::default();
        for overrides in self.of(node) {
            overrides.apply(&mut settings);
        }
        settings
    }

    /// All that is said of a node, the weakest first.
    fn of(&self, node: &NodeName) -> impl Iterator<Item = &Overrides> {
        let places = self.matching.get(node).map_or(&[][..], Vec::as_slice);
        let matching = places.iter().filter_map(|place| self.config.nodes.get(*place));
        std::iter::once(&self.config.all).chain(matching.map(|block| &block.overrides))
    }

    /// The lines by which nodes only observe, with those nodes.
    fn observed<'a>(&'a self, names: &'a BTreeSet<NodeName>) -> BTreeMap<&'a Place, Vec<&'a NodeName>> {
        let mut observed: BTreeMap<&Place, Vec<&NodeName>> = BTreeMap::new();
        for name in names {
            if let Some((Enforcement::Observe, place)) =
                self.of(name).filter_map(|overrides| overrides.enforcement.as_ref()).last()
            {
                observed.entry(place).or_default().push(name);
            }
        }
        observed
    }
}

fn and_others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => " and 1 other node".to_owned(),
        count => format!(" and {count} other nodes"),
    }
}

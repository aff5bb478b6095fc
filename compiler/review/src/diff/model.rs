//! A review: all that changes between two revisions, as every format prints it.
//!
//! Counts are of everything, however little of it a format shows. Lists are in the order in which they matter.

use std::net::IpAddr;

use chainmail_contract::Family;
use chainmail_findings::Agreed;
use chainmail_model::Direction;
use chainmail_model::semantics::{Service, Verdict};
use serde::{Serialize, Serializer};

use super::rules::{ChainDiff, Change, SetDiff};
use crate::query::Allowed;

/// The name of the shape of [`Review`] as JSON. Fields may be added to it; anything else is a new name.
pub const SCHEMA: &str = "chainmail.diff/v1";

/// All that changes between two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Review {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whether all that was asked is known: false where a side has rules without the policies that they come from.
    pub complete: bool,
    /// What is compared with.
    pub base: SideFacts,
    /// What is compared.
    pub head: SideFacts,
    /// What it comes to, in numbers.
    pub summary: Summary,
    /// What packets meet; `None` where it is not known.
    pub reachability: Option<Reachability>,
    /// What kernels load.
    pub rules: RuleChanges,
}

/// One of the two sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SideFacts {
    /// As it was asked for: a revision, or a folder.
    pub name: String,
    /// The commit, of a revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How many nodes it has rules for.
    pub nodes: usize,
    /// One digest over the digests of all its nodes.
    pub digest: String,
}

/// The numbers of a review.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What to say first.
    pub outcome: Outcome,
    /// What manifests say otherwise.
    pub sources: SourceCounts,
    /// Flows between ends that stay.
    pub flows: FlowCounts,
    /// Flows that come with pods that appear.
    pub appear: usize,
    /// Flows that go with pods that vanish.
    pub vanish: usize,
    /// Of all flows that let more through, those that the world may use.
    pub world: usize,
    /// Pods that policies isolate, and did not before; one that is isolated in both directions counts twice.
    pub newly_isolated: usize,
    /// Pods that policies no longer isolate.
    pub no_longer_isolated: usize,
    /// Addresses that isolated pods left and that are nobody's now; one that was isolated in both directions counts twice.
    pub addresses_freed: usize,
    /// Flows that only nodes of different revisions let through together.
    pub mixed: usize,
    /// Rows that exceptions cover.
    pub waived: usize,
    /// Nodes whose rules change.
    pub nodes: usize,
    /// Kinds of nodes that change alike.
    pub shapes: usize,
    /// Rules that come, on all nodes together.
    pub rules_added: usize,
    /// Rules that go.
    pub rules_removed: usize,
    /// Sets that change, come or go.
    pub sets: usize,
    /// Members that come, each set counted once for all nodes.
    pub members_added: usize,
    /// Members that go.
    pub members_removed: usize,
}

/// What a review comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Rules and sets are the same on every node.
    #[default]
    Same,
    /// Rules differ and let the same packets through.
    SameTraffic,
    /// Packets meet something else.
    OtherTraffic,
    /// Rules differ, and what that means for packets is not known.
    OtherRules,
}

/// How many flows change, by how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FlowCounts {
    /// See [`FlowChange::Opened`].
    pub opened: usize,
    /// See [`FlowChange::Widened`].
    pub widened: usize,
    /// See [`FlowChange::Altered`].
    pub altered: usize,
    /// See [`FlowChange::Closed`].
    pub closed: usize,
    /// See [`FlowChange::Narrowed`].
    pub narrowed: usize,
}

/// How much of the manifests differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SourceCounts {
    /// Files that differ, come or go.
    pub files: usize,
    /// NetworkPolicies.
    pub policies: usize,
    /// Namespaces whose labels differ.
    pub namespaces: usize,
    /// Pods.
    pub pods: usize,
    /// Deployments and all else that makes pods.
    pub workloads: usize,
    /// Nodes, by their networks, addresses or settings.
    pub nodes: usize,
}

/// What changes for packets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reachability {
    /// The families of which pods have addresses.
    #[serde(serialize_with = "texts")]
    pub families: Vec<Family>,
    /// Who may reach whom, the most dangerous first: what the world may use, then by [`FlowChange`]; those of pods that
    /// appear or vanish come after all others.
    pub flows: Vec<Flow>,
    /// Pods that policies isolate from now on, or no longer, then addresses that isolated pods left.
    pub isolation: Vec<Isolation>,
    /// What is open only while the source's node and the destination's are not at one revision.
    pub mixed: Vec<Mixed>,
}

/// One change between two groups of ends: it holds of each pair of different ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// The same wherever the same ends change in the same way.
    pub id: String,
    /// What happens.
    pub change: FlowChange,
    /// Whether it lets in practically everyone outside.
    pub world: bool,
    /// Whether its pods were there before and stay.
    pub pods: Presence,
    /// Who sends.
    pub from: Ends,
    /// Who receives.
    pub to: Ends,
    /// The families of addresses for which it holds.
    #[serde(serialize_with = "texts")]
    pub families: Vec<Family>,
    /// What is allowed before.
    pub before: Allowed,
    /// What is allowed after.
    pub after: Allowed,
    /// Why, the first one foremost.
    pub causes: Vec<Cause>,
    /// A packet that shows it.
    pub witness: Witness,
    /// The nodes whose rules decide.
    pub nodes: NodeCount,
    /// The exception that covers it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<Agreed>,
}

/// How a flow changes. The order is that of danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowChange {
    /// Nothing was allowed, something is.
    Opened,
    /// More services are allowed than before.
    Widened,
    /// Some services are allowed that were not, and some no longer.
    Altered,
    /// Something was allowed, nothing is.
    Closed,
    /// Fewer services are allowed than before.
    Narrowed,
}

impl FlowChange {
    /// Whether anything is let through that was not.
    #[must_use]
    pub fn opens(self) -> bool {
        match self {
            FlowChange::Opened | FlowChange::Widened | FlowChange::Altered => true,
            FlowChange::Closed | FlowChange::Narrowed => false,
        }
    }
}

/// Whether the pods of a flow are on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// All of them are.
    Stay,
    /// One end is new.
    Appear,
    /// One end is gone.
    Vanish,
}

/// A group of ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ends {
    /// What they are.
    pub kind: EndsKind,
    /// Them all, in the words in which the command line takes ends.
    pub ends: Vec<String>,
    /// How many pods they are, or ranges of addresses.
    pub count: usize,
}

/// What a group of ends is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndsKind {
    /// Every pod, and every address outside.
    Any,
    /// Addresses that are no pod's.
    Outside,
    /// Pods.
    Pods,
}

/// Why a flow changes, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cause {
    /// Whose say changes: the source's egress or the destination's ingress.
    #[serde(serialize_with = "text")]
    pub direction: Direction,
    /// In what way it is the cause.
    pub role: Role,
    /// On which side it stands.
    pub side: Side,
    /// What stands there: `NetworkPolicy shop/db`, `Namespace shop`, `Pod shop/web-0`, `Node n1`.
    pub object: String,
    /// The field: `ingress[1]`, `metadata.labels.app`; nothing where it is the object as a whole.
    pub field: String,
    /// The file, relative to the root of the manifests.
    pub file: String,
    /// The line.
    pub line: u32,
}

/// In what way something is a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A rule allows it.
    Allow,
    /// A policy isolates the pod.
    Isolate,
    /// A label changes whom a selector means.
    Label,
    /// A container port changes what a name means.
    Port,
    /// A pod's address changes.
    Address,
    /// A pod, node or namespace comes or goes.
    Object,
    /// A setting of nodes.
    Setting,
}

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// What is compared with.
    Base,
    /// What is compared.
    Head,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Base, Side::Head];

    /// Its place in [`Side::ALL`].
    pub(super) fn index(self) -> usize {
        match self {
            Side::Base => 0,
            Side::Head => 1,
        }
    }
}

/// The first packet of a connection that meets something else: `explain FROM TO SERVICE` tells all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Witness {
    /// Who sends it, as the command line takes ends.
    pub from: String,
    /// Who receives it.
    pub to: String,
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address.
    pub destination: IpAddr,
    /// What it asks for.
    #[serde(serialize_with = "text")]
    pub service: Service,
    /// What becomes of it before; nothing where an end is not there.
    #[serde(serialize_with = "verdict")]
    pub before: Option<Verdict>,
    /// What becomes of it after.
    #[serde(serialize_with = "verdict")]
    pub after: Option<Verdict>,
}

/// Some nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NodeCount {
    /// How many.
    pub count: usize,
    /// The first few of them.
    pub sample: Vec<String>,
}

/// Pods that policies isolate from now on, or no longer, or addresses that isolated pods left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Isolation {
    /// The same wherever the same pods or addresses are isolated in the same direction.
    pub id: String,
    /// Which.
    pub change: IsolationChange,
    /// In which direction.
    #[serde(serialize_with = "text")]
    pub direction: Direction,
    /// The pods.
    pub pods: Ends,
    /// The addresses that the pods had and left, in order: no pod has them now, so that no policy isolates them. Empty where
    /// the row is about the pods, wherever they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Why.
    pub causes: Vec<Cause>,
    /// The exception that covers it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<Agreed>,
}

/// What happens to a pod's isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationChange {
    /// No policy isolates it any more: all is allowed.
    NoLongerIsolated,
    /// Policies isolate it: what they do not allow is denied.
    NewlyIsolated,
}

/// Flows that neither side allows, but the policies of the source of one side and of the destination of the other do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mixed {
    /// The same wherever the same ends are open while nodes differ.
    pub id: String,
    /// Who sends.
    pub from: Ends,
    /// Who receives.
    pub to: Ends,
    /// For what.
    pub services: Allowed,
    /// The families of addresses for which it holds.
    #[serde(serialize_with = "texts")]
    pub families: Vec<Family>,
    /// Which node has to be ahead of the other.
    pub ahead: Ahead,
}

/// Which end's node loads the new rules first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ahead {
    /// The source's.
    Source,
    /// The destination's.
    Destination,
}

/// What changes in kernels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RuleChanges {
    /// Nodes that change alike, those with the most nodes first.
    pub shapes: Vec<Shape>,
    /// Sets whose members change, in order of names.
    pub sets: Vec<SetDiff>,
}

/// Nodes whose rules change alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// The same wherever the same rules change.
    pub id: String,
    /// The nodes, in order of names.
    pub nodes: Vec<String>,
    /// What happens to them.
    pub change: Change,
    /// Chains of policies that change, the same on each of the nodes.
    pub chains: Vec<ChainDiff>,
    /// What changes in chains that say which addresses are a node's own pods, of each node for itself.
    pub own: Vec<OwnChains>,
    /// The sets among [`RuleChanges::sets`] that their rules ask, before or after.
    pub sets: Vec<String>,
}

/// What changes in a node's own chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnChains {
    /// The node.
    pub node: String,
    /// Its chains, those that change.
    pub chains: Vec<ChainDiff>,
}

impl Review {
    /// The review as one JSON document; `docs/diff.md` has its shape.
    #[must_use]
    pub fn json(&self) -> String {
        chainmail_contract::escape::json(
            &serde_json::to_string_pretty(self).expect("a review has only string keys"),
        ) + "\n"
    }
}

fn text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn texts<T: std::fmt::Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

fn verdict<S: Serializer>(verdict: &Option<Verdict>, serializer: S) -> Result<S::Ok, S::Error> {
    match verdict {
        None => serializer.serialize_none(),
        Some(Verdict::Allow) => serializer.serialize_str("allow"),
        Some(Verdict::Deny) => serializer.serialize_str("deny"),
    }
}

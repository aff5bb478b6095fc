//! Why a connection is allowed or denied: the decisions on its way, each with its place.
//!
//! Who isolates and which rules allow is asked of [`semantics`], clause by clause, and the whole must come to the
//! verdict of [`semantics::judge`] and of the rules that nodes load; otherwise there is no explanation but an error.

mod facts;
mod miss;
mod side;
mod text;

use chainmail_contract::Family;
use chainmail_findings::Places;
use chainmail_model::Cluster;
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_verdict::{Target, Verdict as KernelVerdict, Walk};
use serde::{Serialize, Serializer};

use crate::query::{End, EngineError, RulesEngine};

pub use facts::{EndFacts, EndKind};
pub use miss::{Condition, Miss};
pub use side::{Exemption, NearMiss, Side};

/// Why one packet that opens a connection is allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What becomes of it.
    #[serde(serialize_with = "verdict_word")]
    pub verdict: Verdict,
    /// The family of its addresses.
    #[serde(serialize_with = "as_text")]
    pub family: Family,
    /// What it asks for.
    #[serde(serialize_with = "as_text")]
    pub service: Service,
    /// Where it comes from.
    pub source: EndFacts,
    /// Where it goes.
    pub destination: EndFacts,
    /// What the source's policies say.
    pub egress: Side,
    /// What the destination's policies say.
    pub ingress: Side,
    /// What settings of nodes refuse, whatever policies say.
    pub guards: Vec<Guard>,
    /// What the nodes on its way do, in order; the last one drops it, if any does.
    pub nodes: Vec<NodeDecision>,
}

/// A node that drops the packet by a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// The node.
    pub node: String,
    /// The setting of `chainmail.toml`.
    pub setting: &'static str,
    /// What it refuses.
    pub refuses: String,
}

/// What a node does with the packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeDecision {
    /// The node.
    pub node: String,
    /// What becomes of the packet there.
    #[serde(serialize_with = "kernel_verdict_word")]
    pub verdict: KernelVerdict,
    /// The rules that decided, in order: for egress, for ingress, or both. Where none matched the packet passes.
    pub rules: Vec<DecidingRule>,
}

/// A rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecidingRule {
    /// Its chain.
    pub chain: String,
    /// Its place there, from 1, as iptables counts.
    pub number: usize,
    /// Its text.
    pub text: String,
}

/// Explains what becomes of a service between two ends, once for each address family that both have. `rules` are those
/// of every node that forwards between them.
///
/// # Errors
/// When the rules cannot be walked, or do not come to the verdict of the policies.
pub fn explain(
    cluster: &Cluster,
    places: &dyn Places,
    rules: &RulesEngine<'_>,
    (source, destination): (&End, &End),
    service: Service,
) -> Result<Vec<Explanation>, EngineError> {
    let pairs = source.pairs(destination).into_iter();
    pairs
        .map(|(family, from, to)| {
            let packet = Packet { source: from, destination: to, service };
            let walks = rules.walks(&packet)?;
            let explanation = Explanation {
                verdict: semantics::judge(cluster, &packet),
                family,
                service,
                source: EndFacts::new(cluster, source, from),
                destination: EndFacts::new(cluster, destination, to),
                egress: Side::egress(cluster, places, &packet),
                ingress: Side::ingress(cluster, places, &packet),
                guards: guards(cluster, &packet),
                nodes: walks.iter().map(|(node, walk)| node_decision(node.name.as_str(), walk)).collect(),
            };
            explanation.checked(packet)
        })
        .collect()
}

impl Explanation {
    /// Who asks whom for what, in words.
    #[must_use]
    pub fn packet(&self) -> String {
        text::packet(self)
    }

    /// The explanation, if what it tells comes to its verdict.
    fn checked(self, packet: Packet) -> Result<Self, EngineError> {
        let verdict = |allows| if allows { Verdict::Allow } else { Verdict::Deny };
        let told = verdict(self.egress.allows() && self.ingress.allows() && self.guards.is_empty());
        let rules = verdict(self.nodes.iter().all(NodeDecision::lets_pass));
        if rules != self.verdict {
            return Err(EngineError::Disagree { packet, rules, policies: self.verdict });
        }
        if told == self.verdict { Ok(self) } else { Err(EngineError::Unexplained { packet }) }
    }
}

impl NodeDecision {
    fn lets_pass(&self) -> bool {
        match self.verdict {
            KernelVerdict::Pass | KernelVerdict::Accept => true,
            KernelVerdict::Drop | KernelVerdict::Reject | KernelVerdict::Observed => false,
        }
    }
}

fn guards(cluster: &Cluster, packet: &Packet) -> Vec<Guard> {
    let unknown = semantics::refuses_unknown_pod(cluster, packet).map(|node| Guard {
        node: node.name.to_string(),
        setting: "unknown_pods",
        refuses:
            "unknown_pods = \"drop\", and an end is in its pod network without a manifest that explains it"
                .to_owned(),
    });
    let stray = semantics::refuses_on_bridge(cluster, packet).map(|node| Guard {
        node: node.name.to_string(),
        setting: "pod_bridge",
        refuses: "pod_bridge is set, and between ports of the bridge only pods' own addresses may talk, to one host"
            .to_owned(),
    });
    unknown.into_iter().chain(stray).collect()
}

fn node_decision(node: &str, walk: &Walk<'_>) -> NodeDecision {
    let decides = |target: &Target| match target {
        Target::Return | Target::Accept | Target::Drop | Target::Reject(_) => true,
        Target::Continue | Target::Jump(_) | Target::Goto(_) | Target::Nflog(_) => false,
    };
    let deciding = walk.matched().iter().filter(|step| decides(&step.rule.target));
    let rules = deciding.map(|step| DecidingRule {
        chain: step.chain.name.to_string(),
        number: step.index + 1,
        text: step.rule.text.to_string(),
    });
    NodeDecision { node: node.to_owned(), verdict: walk.verdict(), rules: rules.collect() }
}

const SCHEMA: &str = "chainmail.explain/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    explanations: &'a [Explanation],
}

/// The explanations as one JSON document; `docs/explain.md` has its shape.
#[must_use]
pub fn json(explanations: &[Explanation]) -> String {
    let document = Document { schema: SCHEMA, explanations };
    chainmail_contract::escape::json(
        &serde_json::to_string_pretty(&document).expect("explanations have only string keys"),
    ) + "\n"
}

/// What policies and settings decide, line by line, each with who decides; not what nodes do.
#[must_use]
pub fn decisions(explanation: &Explanation) -> Vec<(String, String)> {
    text::decisions(explanation)
}

/// The explanations as people read them, a decision a line.
#[must_use]
pub fn text(explanations: &[Explanation]) -> String {
    let texts: Vec<String> = explanations.iter().map(text::explanation).collect();
    texts.join("\n")
}

fn as_text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn verdict_word<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    })
}

fn kernel_verdict_word<S: Serializer>(verdict: &KernelVerdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match verdict {
        KernelVerdict::Pass => "pass",
        KernelVerdict::Accept => "accept",
        KernelVerdict::Drop => "drop",
        KernelVerdict::Reject => "reject",
        KernelVerdict::Observed => "observed",
    })
}

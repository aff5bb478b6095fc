//! What a policy means, in the words of `kubectl describe networkpolicy`, and whom each line means now; and what policies
//! say of a workload.
//!
//! Whom selectors and blocks mean is asked of [`semantics`](chainmail_model::semantics), entry by entry.

mod resolve;
mod text;
mod workload;

use chainmail_contract::Transport;
use chainmail_findings::Places;
use chainmail_model::{
    Cluster, Direction, NamespaceScope, Peer, Peers, Policy, PolicyAt, PolicyRef, Port, PortMatch, Ports,
    RuleAt,
};
use serde::Serialize;
use thiserror::Error;

use resolve::Resolver;

pub use resolve::{Pods, PortOn};
pub use text::{Fold, text};
pub use workload::{Isolating, PodFacts, WorkloadDescription, describe_workload, workload_text};

/// A policy, and whom it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The policy.
    #[serde(flatten)]
    pub policy: PolicyAt,
    /// `spec.podSelector`; empty, it selects every pod.
    pub pod_selector: String,
    /// The pods that it selects.
    pub selected: Pods,
    /// The ingress rules; none where the policy does not isolate for ingress.
    pub ingress: Option<Vec<RuleDescription>>,
    /// The egress rules; none where the policy does not isolate for egress.
    pub egress: Option<Vec<RuleDescription>>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleDescription {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleAt,
    /// With one of these; none where with anyone.
    pub peers: Option<Vec<PeerDescription>>,
    /// And to one of these; none where to any port of any protocol.
    pub ports: Option<Vec<PortDescription>>,
}

/// An entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PeerDescription {
    /// Pods that both selectors select.
    Selectors {
        /// `namespaceSelector`; without one only the policy's own namespace is meant.
        namespace_selector: Option<String>,
        /// `podSelector`; empty or absent, it selects every pod.
        pod_selector: String,
        /// The pods.
        resolved: Pods,
    },
    /// Addresses.
    IpBlock {
        /// `cidr`.
        cidr: String,
        /// `except`.
        except: Vec<String>,
        /// What is left of the one without the others, in the fewest networks.
        networks: Vec<String>,
        /// The pods that have such an address.
        resolved: Pods,
        /// The nodes that have such an address, and with them their pods that have their network.
        nodes: Vec<String>,
    },
}

/// An entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortDescription {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'static str,
    /// A number, a range `80-90` or a name; none where any.
    pub port: Option<String>,
    /// What the name is on the destination's pods, by number; none where it is no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Vec<PortOn>>,
}

/// A policy that is not there, or not the only one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyNameError {
    /// None.
    #[error("there is no policy {0} in the manifests{1}")]
    Unknown(String, String),
    /// Several.
    #[error("there are several policies called {name}: {}; write NAMESPACE/NAME", all.join(", "))]
    Several {
        /// The name.
        name: String,
        /// Their full names.
        all: Vec<String>,
    },
}

/// The policy of a name: `namespace/name`, or `name` where only one is called so.
///
/// # Errors
/// When there is none, or more than one.
pub fn find_policy<'a>(cluster: &'a Cluster, name: &str) -> Result<&'a Policy, PolicyNameError> {
    let full: Vec<String> = cluster.policies().iter().map(|policy| policy.policy_ref().to_string()).collect();
    let is_it = |(policy, full): &(&'a Policy, &String)| **full == name || policy.name.as_str() == name;
    let found: Vec<(&Policy, &String)> = cluster.policies().iter().zip(&full).filter(is_it).collect();
    match &found[..] {
        [] => {
            let hint = chainmail_findings::nearest(name, full.iter().map(String::as_str))
                .map(|near| format!("; is it {near}?"))
                .unwrap_or_default();
            Err(PolicyNameError::Unknown(name.to_owned(), hint))
        }
        [(policy, _)] => Ok(policy),
        several => {
            let all = several.iter().map(|(_, full)| (*full).clone()).collect();
            Err(PolicyNameError::Several { name: name.to_owned(), all })
        }
    }
}

/// Describes a policy.
#[must_use]
pub fn describe(cluster: &Cluster, places: &dyn Places, policy: &Policy) -> Description {
    let resolver = Resolver { cluster, policy };
    let rules = |direction| {
        let rules = policy.rules(direction)?.iter().enumerate();
        Some(
            rules
                .map(|(index, rule)| RuleDescription {
                    rule: RuleAt::new(places, policy, direction, index),
                    peers: match &rule.peers {
                        Peers::Any => None,
                        Peers::OneOf(peers) => Some(peers.iter().map(|item| peer(&resolver, item)).collect()),
                    },
                    ports: match &rule.ports {
                        Ports::Any => None,
                        Ports::OneOf(ports) => {
                            let destinations = || match direction {
                                Direction::Ingress => resolver.subjects(),
                                Direction::Egress => resolver.peers(&rule.peers),
                            };
                            Some(
                                ports
                                    .iter()
                                    .map(|item| port(resolver.cluster, item, &destinations))
                                    .collect(),
                            )
                        }
                    },
                })
                .collect(),
        )
    };
    Description {
        policy: PolicyAt::new(places, policy),
        pod_selector: policy.subject.to_string(),
        selected: resolver.selected(),
        ingress: rules(Direction::Ingress),
        egress: rules(Direction::Egress),
    }
}

fn peer(resolver: &Resolver<'_>, item: &Peer) -> PeerDescription {
    let resolved = resolver.peer(item);
    match item {
        Peer::Pods { namespaces, pods } => PeerDescription::Selectors {
            namespace_selector: match namespaces {
                NamespaceScope::Own => None,
                NamespaceScope::Matching(selector) => Some(selector.to_string()),
            },
            pod_selector: pods.to_string(),
            resolved,
        },
        Peer::Block(block) => PeerDescription::IpBlock {
            cidr: block.cidr.to_string(),
            except: block.except.iter().map(ToString::to_string).collect(),
            networks: block.addresses().networks().iter().map(ToString::to_string).collect(),
            resolved,
            nodes: resolver.nodes(item),
        },
    }
}

fn port<'a>(
    cluster: &Cluster,
    item: &Port,
    destinations: &dyn Fn() -> Vec<&'a chainmail_model::Pod>,
) -> PortDescription {
    let protocol = match item.protocol {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Sctp => "SCTP",
    };
    let (port, resolved) = match &item.which {
        PortMatch::All => (None, None),
        PortMatch::Range(range) if range.first() == range.last() => (Some(range.first().to_string()), None),
        PortMatch::Range(range) => (Some(format!("{}-{}", range.first(), range.last())), None),
        PortMatch::Named(name) => {
            (Some(name.to_string()), Some(resolve::named(cluster, &destinations(), item.protocol, name)))
        }
    };
    PortDescription { protocol, port, resolved }
}

const SCHEMA: &str = "chainmail.describe/v1";

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    description: &'a T,
}

/// The description of a policy or a workload as a JSON document; `docs/explain.md` has its shape.
#[must_use]
pub fn json(description: &impl Serialize) -> String {
    let document = Document { schema: SCHEMA, description };
    chainmail_contract::escape::json(
        &serde_json::to_string_pretty(&document).expect("a description has only string keys"),
    ) + "\n"
}

impl Description {
    /// The policy's name.
    #[must_use]
    pub fn policy_ref(&self) -> &PolicyRef {
        &self.policy.policy
    }
}

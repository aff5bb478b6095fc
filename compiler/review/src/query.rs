//! Who may talk to whom, asked of either engine: the text that nodes load, or the policies themselves.

mod allowed;
mod endpoint;
mod ends;
mod matrix;
mod outside;
mod path;
mod probe;

use std::collections::BTreeMap;

use chainmail_contract::{Family, NodeName};
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_model::{Cluster, Node};
use chainmail_verdict::{ConnState, Kernel, Packet as KernelPacket, Payload, ReadError, Walk};
use thiserror::Error;

use crate::effort::TooLong;

pub use allowed::{Allowed, ServicesError};
pub use chainmail_model::ServiceError;
pub use endpoint::{Endpoint, EndpointError};
pub use ends::{End, Who};
pub use matrix::{Answer, Matrix, Question, TooMany, matrix};
pub(crate) use outside::EXAMPLES;
pub use path::forwarding_nodes;
pub use probe::{Probe, ProbeError};

/// Why the text of a node could not be asked. A compiler's own text always can; one that was read from files may not.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The text is not what a kernel would load.
    #[error("node {node}: {source}")]
    Read {
        /// The node.
        node: NodeName,
        /// What and where.
        source: ReadError,
    },
    /// A packet that cannot be walked.
    #[error("node {node}: {problem}")]
    Walk {
        /// The node.
        node: NodeName,
        /// Why.
        problem: String,
    },
    /// The two engines answer differently: the rules are not what the policies say.
    #[error(
        "the rules {} {packet} and the policies {} it: this is a bug in chainmail, please report it",
        says(.rules),
        says(.policies)
    )]
    Disagree {
        /// What was asked.
        packet: Packet,
        /// By the text that nodes load.
        rules: Verdict,
        /// By the API text.
        policies: Verdict,
    },
    /// The answer takes too many steps.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Decisions that were found do not come to the verdict.
    #[error("the verdict on {packet} cannot be explained: this is a bug in chainmail, please report it")]
    Unexplained {
        /// What was asked.
        packet: Packet,
    },
}

fn says(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    }
}

/// The rules of every node, read back from their text.
pub struct RulesEngine<'a> {
    cluster: &'a Cluster,
    kernels: BTreeMap<NodeName, Kernel>,
}

impl<'a> RulesEngine<'a> {
    /// Takes each node's rules.
    #[must_use]
    pub fn new(cluster: &'a Cluster, kernels: BTreeMap<NodeName, Kernel>) -> Self {
        Self { cluster, kernels }
    }

    /// Judges a connection's first packet by the FORWARD of every node on its way.
    ///
    /// # Errors
    /// When a walk meets something that cannot be judged.
    pub fn judge(&self, packet: &Packet) -> Result<Verdict, EngineError> {
        let walks = self.walks(packet)?;
        let refused = walks.last().is_some_and(|(_, walk)| is_refusal(walk.verdict()));
        Ok(if refused { Verdict::Deny } else { Verdict::Allow })
    }

    /// The walks of a connection's first packet, node after node; the last one is where it is dropped, if it is.
    ///
    /// # Errors
    /// When a walk meets something that cannot be judged.
    pub fn walks(&self, packet: &Packet) -> Result<Vec<(&'a Node, Walk<'_>)>, EngineError> {
        let mut walks = Vec::new();
        for walk in self.every_walk(packet) {
            let (node, walk) = walk?;
            let refused = is_refusal(walk.verdict());
            walks.push((node, walk));
            if refused {
                break;
            }
        }
        Ok(walks)
    }

    /// The ways of a connection's first packet through the FORWARD of every node that it meets, whatever each says.
    pub fn every_walk(
        &self,
        packet: &Packet,
    ) -> impl Iterator<Item = Result<(&'a Node, Walk<'_>), EngineError>> {
        let packet = *packet;
        let nodes = forwarding_nodes(self.cluster, packet.source, packet.destination).into_iter();
        let ruled = nodes.filter_map(|node| Some((node, self.kernels.get(&node.name)?)));
        ruled.map(move |(node, kernel)| Ok((node, self.walk(node, kernel, &packet)?)))
    }

    fn walk<'k>(&self, node: &Node, kernel: &'k Kernel, packet: &Packet) -> Result<Walk<'k>, EngineError> {
        let fail = |problem: String| EngineError::Walk { node: node.name.clone(), problem };
        let mut opening = opening(packet).map_err(|e| fail(e.to_string()))?;
        let interface = |address| path::interface(self.cluster, node, address);
        if let (Some(from), Some(to)) = (interface(packet.source), interface(packet.destination)) {
            opening = opening.between(from, to);
        }
        kernel.forward(&opening).map_err(|e| fail(e.to_string()))
    }
}

/// Rules that are only observed refuse, too: they are judged by what they would do.
fn is_refusal(verdict: chainmail_verdict::Verdict) -> bool {
    match verdict {
        chainmail_verdict::Verdict::Pass | chainmail_verdict::Verdict::Accept => false,
        chainmail_verdict::Verdict::Drop
        | chainmail_verdict::Verdict::Reject
        | chainmail_verdict::Verdict::Observed => true,
    }
}

/// The first packet of a connection as netfilter meets it.
fn opening(packet: &Packet) -> Result<KernelPacket, chainmail_verdict::PacketError> {
    /// ICMP and ICMPv6 echo request.
    const ECHO: [(Family, u8); 2] = [(Family::V4, 8), (Family::V6, 128)];
    match packet.service {
        Service::Port(transport, port) => {
            KernelPacket::opening(packet.source, packet.destination, transport, port)
        }
        Service::Portless => {
            let family = Family::of(packet.source);
            let type_ = if family == ECHO[0].0 { ECHO[0].1 } else { ECHO[1].1 };
            let echo = Payload::Icmp { type_, code: 0 };
            KernelPacket::new(packet.source, packet.destination, echo, ConnState::New)
        }
    }
}

/// Which engine answers.
pub enum Engine<'a> {
    /// The rendered text, walked.
    Rules(RulesEngine<'a>),
    /// The API text, read naively.
    Policy(&'a Cluster),
    /// Both, which must agree.
    Both(RulesEngine<'a>),
}

impl Engine<'_> {
    /// The verdict on a packet.
    ///
    /// # Errors
    /// As [`RulesEngine::judge`], and where both engines are asked and disagree.
    pub fn judge(&self, packet: &Packet) -> Result<Verdict, EngineError> {
        match self {
            Engine::Rules(rules) => rules.judge(packet),
            Engine::Policy(cluster) => Ok(semantics::judge(cluster, packet)),
            Engine::Both(engine) => {
                let rules = engine.judge(packet)?;
                let policies = semantics::judge(engine.cluster, packet);
                let disagree = EngineError::Disagree { packet: *packet, rules, policies };
                if rules == policies { Ok(rules) } else { Err(disagree) }
            }
        }
    }
}

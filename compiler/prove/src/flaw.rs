//! What a proof can find, and how it is said.

use std::fmt;
use std::net::IpAddr;

use chainmail_contract::{ChainName, Family, NodeName, SetName};
use chainmail_findings::Places;
use chainmail_model::{Cluster, Direction, Node, Policy, PolicyAt, Refusal, RuleAt, Whose, semantics};
use chainmail_verdict::exact::{Ending, Mode, Modes, Service, Unprovable};
use chainmail_verdict::{ConnState, End, Kernel, ReadError, TcpFlags};
use serde::Serialize;
use thiserror::Error;

use super::Meaning;
use super::compare::Found;
use super::contract::{Exit, Expected, Way};

/// One thing that is wrong with a node's rules or sets.
#[derive(Debug, Error)]
pub enum Flaw {
    /// The text is not what a kernel would load.
    #[error("node {node}: {error}")]
    Unreadable {
        /// The node.
        node: NodeName,
        /// What and where.
        error: ReadError,
    },
    /// The way into our chains is missing.
    #[error("rules of family {0} have no chain {FORWARD}", FORWARD = chainmail_contract::FORWARD_CHAIN)]
    NoForwardChain(Family),
    /// FORWARD does not send every packet to our chains, once.
    #[error("rules of family {0}: FORWARD does not jump to {FORWARD} once and always", FORWARD = chainmail_contract::FORWARD_CHAIN)]
    Jump(Family),
    /// A rule of others, before the jump into our chains, by which packets may pass without it.
    #[error("rules of family {family}: packets may pass before the jump to {FORWARD}: {rule}", FORWARD = chainmail_contract::FORWARD_CHAIN)]
    PassesBefore {
        /// The family.
        family: Family,
        /// The rule.
        rule: Box<str>,
    },
    /// Packets become something else than policies say.
    #[error("{0}")]
    Difference(Box<Difference>),
    /// A rule that cannot be judged for all packets at once.
    #[error("rules of family {family}: {error}")]
    Unprovable {
        /// The family.
        family: Family,
        /// The rule.
        error: Unprovable,
    },
    /// A chain that no packet comes to.
    #[error("rules of family {family}: nothing leads to chain {chain}")]
    Unreachable {
        /// The family.
        family: Family,
        /// The chain.
        chain: ChainName,
    },
    /// A rule that stands in its chain twice.
    #[error("rules of family {family}: a rule stands twice: {rule}")]
    Twice {
        /// The family.
        family: Family,
        /// The rule.
        rule: Box<str>,
    },
    /// A rule that refuses packets on a node that is only to observe.
    #[error("rules of family {family}: enforce is false, and yet a rule refuses packets: {rule}")]
    Refuses {
        /// The family.
        family: Family,
        /// The rule.
        rule: Box<str>,
    },
    /// A path of chains that nft refuses.
    #[error("rules of family {family}: a path of {chains} chains is too long for nft")]
    Deep {
        /// The family.
        family: Family,
        /// How many.
        chains: usize,
    },
    /// Rules outside our chains.
    #[error("rules of family {family}: chain {chain} is not one of ours")]
    Foreign {
        /// The family.
        family: Family,
        /// The chain.
        chain: Box<str>,
    },
    /// A set that no rule names.
    #[error("no rule names set {0}")]
    UnusedSet(SetName),
    /// The set of flows to be ended is missing.
    #[error("there is no set {0} for flows that are to be ended")]
    NoCutSet(SetName),
    /// A set whose members do not hash to its name.
    #[error("set {set} does not hold what its name says")]
    Content {
        /// The set.
        set: SetName,
    },
}

/// A packet that becomes something else than policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The node.
    pub node: NodeName,
    /// Whose policies are at stake: the source's egress or the destination's ingress.
    pub direction: Direction,
    /// Where the packet comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// What it asks for.
    pub service: Service,
    /// What else it is.
    pub mode: Mode,
    /// The names of the ends, where they have some.
    pub names: [Option<String>; 2],
    /// What must become of it.
    pub expected: Expected,
    /// What the policies say of it, as text.
    pub because: Vec<String>,
    /// Where it ends.
    pub ending: Ending,
    /// What becomes of denied packets on the node.
    pub refusal: Refusal,
    /// The rule that decides of it, where one does.
    pub rule: Option<Box<str>>,
}

/// What a difference is told with.
pub(super) struct Context<'c, 'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) places: &'a dyn Places,
    pub(super) meaning: &'c Meaning<'a>,
    pub(super) node: &'c Node,
    pub(super) kernel: &'c Kernel,
    pub(super) modes: &'c Modes,
}

impl Context<'_, '_> {
    pub(super) fn difference(&self, direction: Direction, found: Found) -> Difference {
        let (source, destination) = match direction {
            Direction::Egress => (found.subject, found.peer),
            Direction::Ingress => (found.peer, found.subject),
        };
        let Found { service, part, expected, ending, .. } = found;
        let mode = self.plainest(&part.modes);
        let walked = mode.packet(source, destination, service).ok();
        let walk = walked.as_ref().and_then(|packet| self.kernel.forward(packet).ok());
        let rule = walk.and_then(|walk| walk.matched().last().map(|step| step.rule.text.clone()));
        let name = |address| match self.cluster.whose(address) {
            Whose::Pod(_, pod) => Some(pod.pod_ref().to_string()),
            Whose::Node(node) => Some(format!("node {}", node.name)),
            Whose::Contested(contested) => Some(self.cluster.claimants_text(contested)),
            Whose::Unknown => None,
        };
        let because = self.because(direction, source, destination, service, &expected);
        let names = [name(source), name(destination)];
        let node = self.node.name.clone();
        Difference {
            node,
            direction,
            source,
            destination,
            service,
            mode,
            names,
            expected,
            because,
            ending,
            refusal: self.node.settings.refusal(),
            rule,
        }
    }

    /// A new connection's first packet is easier to imagine than others.
    fn plainest(&self, modes: &chainmail_verdict::exact::ModeSet) -> Mode {
        let all: Vec<&Mode> = self.modes.of_set(modes).collect();
        let new = |mode: &&&Mode| mode.state == ConnState::New && mode.cut.is_empty();
        let plain = all.iter().filter(new).min_by_key(|mode| mode.flags != TcpFlags::SYN);
        (*plain.or(all.first()).expect("a part has modes")).clone()
    }

    /// The policies that have a say, and the rule that allows, where the policies decide.
    fn because(
        &self,
        direction: Direction,
        source: IpAddr,
        destination: IpAddr,
        service: Service,
        expected: &Expected,
    ) -> Vec<String> {
        let Expected::Policies { holder, allowed, .. } = expected else { return Vec::new() };
        let peer = if direction == Direction::Ingress { source } else { destination };
        let is_allowed = allowed.contains(peer, service);
        let service = match service {
            Service::Port(transport, port) => semantics::Service::Port(transport, port),
            Service::Icmp(..) | Service::Other(_) => semantics::Service::Portless,
        };
        let packet = semantics::Packet { source, destination, service };
        let policies: Vec<&Policy> = self.meaning.isolating(direction, *holder).collect();
        let allowing: Vec<String> = policies
            .iter()
            .flat_map(|policy| {
                let rules = policy.rules(direction).unwrap_or_default().iter().enumerate();
                let allowing = rules
                    .filter(|(_, rule)| semantics::rule_allows(self.cluster, policy, rule, &packet, peer));
                allowing.map(|(index, _)| {
                    let at = RuleAt::new(self.places, policy, direction, index);
                    format!("allowed by {} at {}", at.rule, at.place)
                })
            })
            .collect();
        if is_allowed && !allowing.is_empty() {
            return allowing;
        }
        if policies.is_empty() {
            return vec!["isolated since too many pods claim the address".to_owned()];
        }
        let isolating = policies.into_iter().map(|policy| PolicyAt::new(self.places, policy));
        isolating.map(|at| format!("isolated by {} at {}, allowed by no rule", at.policy, at.place)).collect()
    }
}

/// A flaw as programs read it.
#[derive(Debug, Serialize)]
pub struct FlawText<'f> {
    /// All of it, as it is printed.
    message: String,
    /// The packet that shows it, where it is a difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<DifferenceText<'f>>,
}

#[derive(Debug, Serialize)]
struct DifferenceText<'f> {
    direction: String,
    source: IpAddr,
    destination: IpAddr,
    service: String,
    packet: String,
    expected: &'static str,
    because: &'f [String],
    found: String,
    rule: Option<&'f str>,
}

impl Flaw {
    /// The flaw as programs read it.
    #[must_use]
    pub fn text(&self) -> FlawText<'_> {
        let difference = match self {
            Flaw::Difference(difference) => Some(DifferenceText {
                direction: difference.direction.to_string(),
                source: difference.source,
                destination: difference.destination,
                service: difference.service.to_string(),
                packet: words(&difference.mode, difference.service),
                expected: expectation(difference),
                because: &difference.because,
                found: outcome(difference),
                rule: difference.rule.as_deref(),
            }),
            _ => None,
        };
        FlawText { message: self.to_string(), difference }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |name: &Option<String>, address: IpAddr| match name {
            Some(name) => format!("{address} ({name})"),
            None => address.to_string(),
        };
        let [source, destination] = [end(&self.names[0], self.source), end(&self.names[1], self.destination)];
        let direction = self.direction;
        writeln!(f, "{direction} rules and policies differ")?;
        writeln!(
            f,
            "  packet:   {source} -> {destination} {}, {}",
            self.service,
            words(&self.mode, self.service)
        )?;
        write!(f, "  expected: {}", expectation(self))?;
        for line in &self.because {
            write!(f, "\n            {line}")?;
        }
        write!(f, "\n  found:    {}", outcome(self))?;
        if let Some(rule) = &self.rule {
            write!(f, "\n            {rule}")?;
        }
        Ok(())
    }
}

/// What a mode says beside what every new packet is.
fn words(mode: &Mode, service: Service) -> String {
    let state = match mode.state {
        ConnState::New => "NEW",
        ConnState::Established => "ESTABLISHED",
        ConnState::Related => "RELATED",
        ConnState::Invalid => "INVALID",
        ConnState::Untracked => "UNTRACKED",
    };
    let mut words = vec![state.to_owned()];
    if matches!(service, Service::Port(chainmail_contract::Transport::Tcp, _)) && mode.flags != TcpFlags::SYN
    {
        words.push("not a SYN".to_owned());
    }
    if let (Some(from), Some(to)) = (&mode.in_iface, &mode.out_iface)
        && (from.as_str(), to.as_str()) != ("~", "~")
    {
        words.push(format!("from {from} to {to}"));
    }
    for order in &mode.cut {
        let ends: Vec<&str> = order.iter().map(|end| if *end == End::Src { "src" } else { "dst" }).collect();
        words.push(format!("in the CUT set as {}", ends.join(",")));
    }
    words.join(", ")
}

fn denied(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Drop => "dropped",
        Refusal::Log(_) => "logged and dropped",
        Refusal::Observe(_) => "logged as denied and let pass",
    }
}

fn expectation(difference: &Difference) -> &'static str {
    match (&difference.expected, difference.because.first()) {
        (Expected::Policies { .. }, Some(because)) if because.starts_with("isolated") => {
            denied(difference.refusal)
        }
        (Expected::Policies { way, .. } | Expected::Allowed(way), _) => match way {
            Way::Past => "let past to the destination's policies",
            Way::Out(Exit::Return) => "let out to the host's other rules",
            Way::Out(Exit::Accept) => "accepted",
        },
        (Expected::Dropped, _) => "dropped",
        (Expected::Denied, _) => denied(difference.refusal),
        (Expected::Reset, _) => "answered by a TCP reset",
        (Expected::Anything, _) => "anything",
    }
}

fn outcome(difference: &Difference) -> String {
    let plain = |ending: &Ending| match ending {
        Ending::Through => "goes on past this direction's rules",
        Ending::Pass => "leaves our chains",
        Ending::Accept => "is accepted",
        Ending::Drop => "is dropped",
        Ending::Reject(_) => "is rejected",
        Ending::Logged => "is logged and dropped",
        Ending::Observed => "is logged as denied and passes",
        Ending::Chain { .. } => "is decided by a chain",
    };
    match &difference.ending {
        Ending::Chain { name, summary, returned } => {
            let (peer, service) = match difference.direction {
                Direction::Egress => (difference.destination, difference.service),
                Direction::Ingress => (difference.source, difference.service),
            };
            let parts = summary.parts(returned);
            let ending = parts.iter().find(|(traffic, _)| traffic.contains(peer, service));
            let (_, ending) = ending.expect("the parts of a summary are everything");
            format!("{} in {name}", plain(ending))
        }
        ending => plain(ending).to_owned(),
    }
}

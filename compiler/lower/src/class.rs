//! A class as a chain: its rules, its name, its comments.

use std::collections::BTreeSet;
use std::rc::Rc;

use chainmail_contract::{ChainName, Family, Sha256Hex};
use chainmail_model::{Cluster, Direction};
use ipnet::IpNet;

use super::Lowering;
use super::base::Tail;
use super::meet::meet;
use super::peers::inline;
use super::term::{Payload, Peers, Term, Terms, canonical};
use crate::netfilter::{Comment, IpSet, Match, PortRange, Ports, Protocol, Rule, Side, Target};
use crate::policy::{Admits, ClassId, Origin};

/// A class in one family, with one end for what it denies.
pub(super) type Key = (Direction, ClassId, Family, Tail);

/// A class's chain, before it has comments: those name the policies of the pods on one node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClassChain {
    /// `CM-E-…` or `CM-I-…`, by the rules' text.
    pub(super) name: ChainName,
    /// The rules in order, a final one that denies among them.
    pub(super) rules: Vec<Rule>,
    /// Which policy rules each rule comes from; none for the final one.
    pub(super) origins: Rc<Vec<BTreeSet<Origin>>>,
}

/// The one chain of all classes on a node that have the same rules: the comments name the policies of all of them, and
/// of no other.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) rules: Rc<Vec<Rule>>,
    /// Which policy rules each rule comes from.
    pub(super) origins: Rc<Vec<BTreeSet<Origin>>>,
}

impl Lowering<'_> {
    /// The chain of classes whose chains have one name, made at the first call.
    pub(super) fn body(&mut self, alike: Vec<Key>) -> Body {
        if let Some(body) = self.bodies.get(&alike) {
            return body.clone();
        }
        let chains: Vec<&ClassChain> = alike.iter().map(|key| &*self.chains[key]).collect();
        let origins = match chains[..] {
            [only] => Rc::clone(&only.origins),
            _ => {
                let of =
                    |index: usize| chains.iter().flat_map(|chain| &chain.origins[index]).copied().collect();
                Rc::new((0..chains[0].rules.len()).map(of).collect())
            }
        };
        let rules = with_comments(self.cluster, &chains[0].rules, &origins);
        let body = Body { rules: Rc::new(rules), origins };
        self.bodies.insert(alike, body.clone());
        body
    }

    /// The chain of a class, made at the first call.
    pub(super) fn class_chain(&mut self, key: Key) -> Rc<ClassChain> {
        if let Some(chain) = self.chains.get(&key) {
            return Rc::clone(chain);
        }
        let (direction, id, family, tail) = key;
        let terms = self.terms(direction, id, family);
        let chain = Rc::new(self.chain_of(direction, family, &terms, tail));
        self.chains.insert(key, Rc::clone(&chain));
        chain
    }

    fn terms(&mut self, direction: Direction, id: ClassId, family: Family) -> Terms {
        let all = match &self.traffic.class(direction, id).admits {
            Admits::AnyOf(allows) => return canonical(self.cluster, &mut self.pod_sets, family, allows),
            Admits::AllOf(classes) => classes.clone(),
        };
        let each = all.into_iter().map(|class| self.terms(direction, class, family));
        let each: Vec<Terms> = each.collect();
        let met = each.into_iter().reduce(|all, more| meet(self.cluster, &mut self.pod_sets, &all, &more));
        met.expect("several classes are at least two")
    }

    fn chain_of(&mut self, direction: Direction, family: Family, terms: &Terms, tail: Tail) -> ClassChain {
        let mut rules: Vec<(Rule, BTreeSet<Origin>)> = Vec::new();
        for term in &terms.terms {
            for matches in self.term_matches(direction, family, term) {
                rules.push((Rule::new(matches, Target::Return), term.origins.clone()));
            }
        }
        if !terms.services.is_empty() {
            let set = self.peer_sets.of_services(family, &terms.services);
            let matches = [Match::InSet(set.asked(peer_side(direction)))];
            rules.push((Rule::new(matches, Target::Return), terms.service_origins.clone()));
        }
        // Nothing comes after a rule that meets every packet.
        let all_return = rules.iter().any(|(rule, _)| rule.matches.is_empty());
        if !all_return {
            rules.push((Rule::new([], tail.target()), BTreeSet::new()));
        }
        let (rules, origins): (Vec<Rule>, Vec<BTreeSet<Origin>>) = rules.into_iter().unzip();
        ClassChain { name: class_name(direction, family, &rules), rules, origins: Rc::new(origins) }
    }

    /// The matches of a term: each way to say its peers, with each part of its ports.
    fn term_matches(&mut self, direction: Direction, family: Family, term: &Term) -> Vec<Vec<Match>> {
        let payloads: Vec<Vec<Match>> = match &term.payload {
            Payload::Any => vec![Vec::new()],
            Payload::Ports(transport, ports) => {
                let protocol = Match::Protocol(Protocol::Transport(*transport));
                if ports.ranges().eq([0..=u16::MAX]) {
                    vec![vec![protocol]]
                } else {
                    let ranges =
                        ports.ranges().map(|range| PortRange { first: *range.start(), last: *range.end() });
                    let parts = Ports::split(ranges).into_iter();
                    parts
                        .map(|part| vec![protocol.clone(), Match::DestinationPorts(*transport, part)])
                        .collect()
                }
            }
        };
        let side = peer_side(direction);
        let mut peers: Vec<PeerMatch> = Vec::new();
        match &term.peers {
            Peers::Any => peers.push(PeerMatch::Any),
            Peers::OneOf { pods, blocks } => {
                match inline(blocks) {
                    Ok(networks) => peers.extend(networks.into_iter().map(PeerMatch::Network)),
                    Err(networks) => peers.push(PeerMatch::Set(self.peer_sets.of_networks(family, networks))),
                }
                if self.pod_sets.len(*pods) > 0 {
                    let set = self.peer_sets.of_pods(self.cluster, &self.pod_sets, family, *pods);
                    peers.push(PeerMatch::Set(set));
                }
            }
        }
        let each = peers.iter().flat_map(|peer| payloads.iter().map(move |payload| peer.with(side, payload)));
        each.collect()
    }
}

enum PeerMatch {
    Any,
    Network(IpNet),
    Set(Rc<IpSet>),
}

impl PeerMatch {
    /// Addresses stand before the protocol and sets after it, as iptables-save prints them.
    fn with(&self, side: Side, payload: &[Match]) -> Vec<Match> {
        let mut matches = Vec::with_capacity(payload.len() + 1);
        if let PeerMatch::Network(net) = self {
            matches.push(match side {
                Side::Src => Match::Source(*net),
                Side::Dst => Match::Destination(*net),
            });
        }
        matches.extend_from_slice(payload);
        if let PeerMatch::Set(set) = self {
            matches.push(Match::InSet(set.asked(side)));
        }
        matches
    }
}

/// At which end of a packet the peer is.
fn peer_side(direction: Direction) -> Side {
    match direction {
        Direction::Ingress => Side::Src,
        Direction::Egress => Side::Dst,
    }
}

fn class_name(direction: Direction, family: Family, rules: &[Rule]) -> ChainName {
    let mut text = String::new();
    for rule in rules {
        rule.write_spec(&mut text, family);
        text.push('\n');
    }
    let letter = match direction {
        Direction::Ingress => 'I',
        Direction::Egress => 'E',
    };
    let digest = Sha256Hex::of(text);
    ChainName::try_from(format!("CM-{letter}-{}", digest.short(16))).expect("21 bytes are within 28")
}

/// The rules of a chain with comments: the first policy rule by name, and how many more there are.
fn with_comments(cluster: &Cluster, rules: &[Rule], origins: &[BTreeSet<Origin>]) -> Vec<Rule> {
    let comment = |origins: &BTreeSet<Origin>| {
        let first = origins.first()?.rule_ref(cluster);
        let more = origins.len() - 1;
        let rest = format!(" {}[{}]", first.direction, first.index);
        let more = if more == 0 { String::new() } else { format!(" +{more}") };
        Some(Comment::new(&first.policy.to_string(), &(rest + &more)))
    };
    let commented = |(rule, origins): (&Rule, _)| Rule { comment: comment(origins), ..rule.clone() };
    rules.iter().zip(origins).map(commented).collect()
}

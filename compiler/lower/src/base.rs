//! The chains that every node has: CM-FORWARD, and CM-INVALID where somebody is isolated; and CM-DENY, in which packets
//! that are denied end where a node is to tell of them.

use std::net::Ipv6Addr;
use std::rc::Rc;

use chainmail_contract::{
    ChainName, DENY_CHAIN, FORWARD_CHAIN, Family, INGRESS_CHAIN, Transport, cut_set_name,
};
use chainmail_model::{AllowTarget, InvalidPackets, NodeSettings, Refusal, UnknownPods};
use ipnet::{IpNet, Ipv6Net};

use crate::netfilter::{ConnState, IpSet, Match, Protocol, Rule, SetRef, Side, SideOrder, Target};

/// ICMPv6 types of neighbour discovery (RFC 4861): without them no neighbour is found.
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
/// The hop limit that neighbour discovery must have: a packet with it was not forwarded to here.
const FIRST_HOP: u8 = 255;
/// IPv6 multicast (RFC 4291 §2.7).
const MULTICAST_V6: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8));
/// IPv6 link-local unicast (RFC 4291 §2.5.6).
const LINK_LOCAL_V6: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10));

/// What CM-FORWARD is made from.
pub(super) struct Base<'a> {
    pub(super) family: Family,
    pub(super) settings: &'a NodeSettings,
    /// The node's networks for pods, of this family.
    pub(super) pod_cidrs: Vec<IpNet>,
    /// What sources on the node's bridge may be, where that is not one network: several networks or, without any of this
    /// family, its pods.
    pub(super) pod_nets: Option<Rc<IpSet>>,
    /// The node's pods.
    pub(super) local: Rc<IpSet>,
    /// Those of them that are isolated for egress and for ingress, where there are any.
    pub(super) egress: Option<Rc<IpSet>>,
    pub(super) ingress: Option<Rc<IpSet>>,
}

/// A chain that has one fixed name.
pub(super) fn fixed(name: &str) -> ChainName {
    name.parse().expect("fixed names are within 28 bytes")
}

pub(super) fn forward() -> ChainName {
    fixed(FORWARD_CHAIN)
}

pub(super) fn invalid() -> ChainName {
    fixed("CM-INVALID")
}

pub(super) fn egress() -> ChainName {
    fixed("CM-EGRESS")
}

pub(super) fn ingress() -> ChainName {
    fixed(INGRESS_CHAIN)
}

fn deny() -> ChainName {
    fixed(DENY_CHAIN)
}

/// How chains below CM-FORWARD end for packets that they deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tail {
    /// In DROP.
    Drop,
    /// In CM-DENY, which decides for all of them.
    Deny,
}

impl Tail {
    pub(super) fn of(settings: &NodeSettings) -> Self {
        match settings.refusal() {
            Refusal::Drop => Tail::Drop,
            Refusal::Log(_) | Refusal::Observe(_) => Tail::Deny,
        }
    }

    pub(super) fn target(self) -> Target {
        match self {
            Tail::Drop => Target::Drop,
            Tail::Deny => Target::Goto(deny()),
        }
    }
}

/// The chain that denied packets end in, where chains lead to it. RETURN in it leads back to behind the last jump, so
/// that a packet which egress would have denied meets the ingress rules too.
pub(super) fn deny_chain(settings: &NodeSettings) -> Option<(ChainName, Vec<Rule>)> {
    let (limit, end) = match settings.refusal() {
        Refusal::Drop => return None,
        Refusal::Log(limit) => (limit, Target::Drop),
        Refusal::Observe(limit) => (limit, Target::Return),
    };
    Some((deny(), vec![Rule::new([Match::Limit(limit)], Target::TellDenied), Rule::new([], end)]))
}

impl Base<'_> {
    /// The rules of CM-FORWARD, in the order in which a packet must meet them.
    pub(super) fn forward_rules(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        // First, so that a packet of a known connection meets nothing else. Neighbour discovery is untracked.
        self.pass(&mut rules, vec![Match::State(ConnState::Established)]);
        if self.family == Family::V6 {
            for kind in NEIGHBOUR_DISCOVERY {
                let icmp = Match::Protocol(Protocol::Icmp);
                self.pass(&mut rules, vec![icmp, Match::Icmpv6Type(kind), Match::HopLimit(FIRST_HOP)]);
            }
        }
        // Errors only: what a conntrack helper relates is judged like a new connection.
        self.pass(&mut rules, vec![Match::Protocol(Protocol::Icmp), Match::State(ConnState::Related)]);
        self.cut(&mut rules);
        self.bridge(&mut rules);
        self.unknown_pods(&mut rules);
        if self.settings.invalid == InvalidPackets::Drop && (self.egress.is_some() || self.ingress.is_some())
        {
            // A datagram is invalid by its checksum only, never by what came before it: the rules judge it like any
            // other, and new flows of UDP are spared a look at their state.
            let checked = Match::NotProtocol(Protocol::Transport(Transport::Udp));
            let target = match self.settings.refusal() {
                Refusal::Drop | Refusal::Log(_) => Target::Goto(invalid()),
                Refusal::Observe(_) => Target::Jump(invalid()),
            };
            rules.push(Rule::new([checked, Match::State(ConnState::Invalid)], target));
        }
        if let Some(set) = &self.egress {
            rules.push(Rule::new([Match::InSet(set.asked(Side::Src))], Target::Jump(egress())));
        }
        if let Some(set) = &self.ingress {
            let target = match self.settings.allow {
                AllowTarget::Return => Target::Goto(ingress()),
                AllowTarget::Accept => Target::Jump(ingress()),
            };
            rules.push(Rule::new([Match::InSet(set.asked(Side::Dst))], target));
        }
        if self.settings.allow == AllowTarget::Accept {
            self.accept_local(&mut rules, &[]);
        }
        rules
    }

    /// Lets packets go on: by RETURN, or on a host that drops what nobody accepts by ACCEPT, where a pod of ours is an
    /// end. Other traffic of the host is none of our business in either case.
    fn pass(&self, rules: &mut Vec<Rule>, matches: Vec<Match>) {
        if self.settings.allow == AllowTarget::Accept {
            self.accept_local(rules, &matches);
        }
        rules.push(Rule::new(matches, Target::Return));
    }

    fn accept_local(&self, rules: &mut Vec<Rule>, matches: &[Match]) {
        if self.local.members().is_empty() {
            return;
        }
        for side in [Side::Src, Side::Dst] {
            let local = Match::InSet(self.local.asked(side));
            rules.push(Rule::new(matches.iter().cloned().chain([local]), Target::Accept));
        }
    }

    /// The target of rules that deny in CM-FORWARD itself. Where denied packets pass, they come back to the next rule, so
    /// that a host which accepts what is a pod's does so.
    fn refuse(&self) -> Target {
        match self.settings.refusal() {
            Refusal::Drop => Target::Drop,
            Refusal::Log(_) => Target::Goto(deny()),
            Refusal::Observe(_) => Target::Jump(deny()),
        }
    }

    /// Ends flows that were cut. A SYN opens a new connection, which the rules below judge, so that a client's port can
    /// be used again. Established packets never come here. What else than TCP a client sends needs no rule here: a flow
    /// is cut because the rules below refuse just that.
    fn cut(&self, rules: &mut Vec<Rule>) {
        if matches!(self.settings.refusal(), Refusal::Observe(_)) {
            return;
        }
        let tcp = Protocol::Transport(Transport::Tcp);
        let flow = |order| Match::InSet(SetRef::Cut { name: cut_set_name(self.family), order });
        for order in [SideOrder::FromClient, SideOrder::ToClient] {
            rules.push(Rule::new([Match::Protocol(tcp), Match::NotTcpSyn, flow(order)], Target::TcpReset));
        }
        rules.push(Rule::new([Match::NotProtocol(tcp), flow(SideOrder::ToClient)], Target::Drop));
    }

    /// Between two ports of a bridge addresses are what a pod says they are, and frames need no route. What is not from
    /// one of the node's pod addresses to one host would pass every rule on addresses: isolated pods answer broadcasts,
    /// multicasts and their fe80:: addresses. Neighbour discovery has passed above.
    fn bridge(&self, rules: &mut Vec<Rule>) {
        let Some(bridge) = &self.settings.pod_bridge else { return };
        let within = || Match::Within(bridge.clone());
        let mut refuse = |matches: Vec<Match>| rules.push(Rule::new(matches, self.refuse()));
        match self.family {
            Family::V4 => refuse(vec![within(), Match::ToMany]),
            Family::V6 => {
                refuse(vec![Match::Destination(MULTICAST_V6), within()]);
                refuse(vec![Match::Source(LINK_LOCAL_V6), within()]);
                refuse(vec![Match::Destination(LINK_LOCAL_V6), within()]);
            }
        }
        match (&self.pod_cidrs[..], &self.pod_nets) {
            ([net], _) => refuse(vec![Match::NotSource(*net), within()]),
            (_, Some(nets)) => refuse(vec![within(), Match::NotInSet(nets.asked(Side::Src))]),
            // No pod of this node has an address of this family.
            (_, None) => refuse(vec![within()]),
        }
    }

    /// Addresses that are no pod's of this node's: in its networks for pods, wherever such a packet comes from, and on the
    /// interfaces of its pods, whatever the address. Flows that are open and neighbour discovery have passed above.
    fn unknown_pods(&self, rules: &mut Vec<Rule>) {
        if self.settings.unknown_pods == UnknownPods::Pass {
            return;
        }
        let mut refuse = |side, where_from: Match| {
            let stranger =
                (!self.local.members().is_empty()).then(|| Match::NotInSet(self.local.asked(side)));
            rules.push(Rule::new([where_from].into_iter().chain(stranger), self.refuse()));
        };
        for net in &self.pod_cidrs {
            refuse(Side::Src, Match::Source(*net));
            refuse(Side::Dst, Match::Destination(*net));
        }
        for pattern in self.settings.pod_interfaces.iter() {
            refuse(Side::Src, Match::InInterface(pattern.clone()));
            refuse(Side::Dst, Match::OutInterface(pattern.clone()));
        }
    }

    /// The rules of CM-INVALID: denied where an isolated pod is an end, and none of our business elsewhere.
    pub(super) fn invalid_rules(&self) -> Vec<Rule> {
        let mut sets: Vec<&Rc<IpSet>> = self.egress.iter().chain(&self.ingress).collect();
        sets.dedup_by_key(|set| set.name().clone());
        let tail = Tail::of(self.settings).target();
        let sides = sets.into_iter().flat_map(|set| [(set, Side::Src), (set, Side::Dst)]);
        sides.map(|(set, side)| Rule::new([Match::InSet(set.asked(side))], tail.clone())).collect()
    }
}

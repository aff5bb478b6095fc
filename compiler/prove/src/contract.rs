//! What a node must do with each packet that its FORWARD sees: policies are one part of it.
//!
//! Clauses stand in order, and the first that holds decides, so that each can be read against the contract's table in
//! `docs/semantics.md` by itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use chainmail_contract::Family;
use chainmail_model::{
    AllowTarget, Direction, HolderId, InterfacePattern, InvalidPackets, Node, Refusal, UnknownPods,
};
use chainmail_verdict::exact::{AddressSet, Mode, Modes, Part, ServiceSet, Traffic, split};
use chainmail_verdict::{ConnState, DstKind, End, IfaceName, IfacePattern, Protocol, TcpFlags, Test};
use ipnet::{IpNet, Ipv6Net};

use super::Meaning;

/// How allowed packets leave our chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// To the host's other rules.
    Return,
    /// Past them.
    Accept,
}

/// Where allowed packets come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Past this direction's rules, to the other's.
    Past,
    /// Out of our chains.
    Out(Exit),
}

/// What must become of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// FORWARD does not see them, so anything.
    Anything,
    /// They are let through.
    Allowed(Way),
    /// They are gone without a word.
    Dropped,
    /// They are denied, as the node's settings say what becomes of such packets.
    Denied,
    /// They are answered by a TCP reset.
    Reset,
    /// Let through where an isolated pod's policies allow it, gone where not.
    Policies {
        /// What holds the address.
        holder: HolderId,
        /// What its policies allow.
        allowed: Rc<Traffic>,
        /// Where to that is let through.
        way: Way,
    },
}

/// A clause: for these subjects, of these packets, this.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) subjects: AddressSet,
    pub(super) parts: Vec<Part>,
    pub(super) expected: Expected,
}

/// The contract of a node, in one family and direction.
#[derive(Debug)]
pub(super) struct Contract {
    /// What FORWARD does not see.
    pub(super) unseen: [Clause; 2],
    /// What comes before the policies.
    pub(super) before: Vec<Clause>,
    /// What the policies say of each address that is an isolated pod's.
    pub(super) isolated: BTreeMap<IpAddr, Expected>,
    /// Those addresses.
    pub(super) pods: AddressSet,
    /// What becomes of all others.
    pub(super) after: Vec<Clause>,
    /// Of packets of isolated pods, those that come to the policies.
    pub(super) judged: Vec<Part>,
}

/// The ends of packets on a node, in one family.
pub(super) struct Ends {
    family: Family,
    /// The node's own addresses.
    own: AddressSet,
    /// Its pods'.
    local: AddressSet,
    /// Those of its pods that are isolated in either direction.
    isolated: AddressSet,
    /// Addresses of its networks for pods.
    pod_nets: AddressSet,
    /// What sources on its bridge may be.
    on_bridge: AddressSet,
    /// What holds them, with its address.
    holders: Vec<(HolderId, IpAddr)>,
}

/// What modes must tell apart for the contract, whatever the rules tell apart.
pub(super) fn asked(node: &Node) -> Vec<Test> {
    let bridge =
        node.settings.pod_bridge.as_ref().and_then(|bridge| bridge.as_str().parse::<IfaceName>().ok());
    let interfaces = bridge.into_iter().flat_map(|bridge| {
        let pattern = IfacePattern::Exact(bridge);
        [Test::InIface(pattern.clone()), Test::OutIface(pattern)]
    });
    let of_pods = node.settings.pod_interfaces.iter().flat_map(|pattern| {
        let pattern = judged_pattern(pattern);
        [Test::InIface(pattern.clone()), Test::OutIface(pattern)]
    });
    let hop_limit = Test::HopLimit(FIRST_HOP);
    let kinds = [DstKind::Broadcast, DstKind::Multicast]
        .map(|kind| Test::DstKind(chainmail_verdict::DstKinds::default().with(kind)));
    let kinds = kinds.into_iter().filter(|_| node.settings.pod_bridge.is_some());
    [Test::TcpFlags { mask: OPENING, set: TcpFlags::SYN }, hop_limit]
        .into_iter()
        .chain(kinds)
        .chain(interfaces)
        .chain(of_pods)
        .collect()
}

/// A pattern of the configuration as rules spell it.
fn judged_pattern(pattern: &InterfacePattern) -> IfacePattern {
    match pattern {
        InterfacePattern::Name(name) => IfacePattern::Exact(
            name.as_str().parse().expect("the name of an interface is one to the judge as well"),
        ),
        InterfacePattern::Prefix(prefix) => IfacePattern::Prefix(prefix.as_str().into()),
    }
}

/// The flags of which a segment that opens a connection has SYN alone (RFC 9293 §3.5).
const OPENING: TcpFlags = TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK);
/// The hop limit of a packet that no router has forwarded.
const FIRST_HOP: u8 = 255;
/// The ICMPv6 types of neighbour discovery (RFC 4861 §4).
const NEIGHBOUR_DISCOVERY: (u8, u8) = (133, 137);

impl Ends {
    pub(super) fn new(meaning: &Meaning<'_>, node: &Node, family: Family) -> Self {
        let holders: Vec<(HolderId, IpAddr)> =
            meaning.on(node).filter_map(|id| Some((id, meaning.address(family, id)?))).collect();
        let isolated =
            holders.iter().filter(|(id, _)| Direction::ALL.iter().any(|&d| meaning.isolates(d, *id)));
        let isolated = AddressSet::of(family, isolated.map(|(_, address)| *address));
        let local = AddressSet::of(family, holders.iter().map(|(_, address)| *address));
        let pod_nets = AddressSet::of_nets(family, &node.pod_cidrs);
        Self {
            family,
            own: AddressSet::of(family, node.addresses.iter().copied()),
            isolated,
            on_bridge: if pod_nets.is_empty() { local.clone() } else { pod_nets.clone() },
            local,
            pod_nets,
            holders,
        }
    }
}

/// Writes clauses of one node and family.
struct Writer<'a> {
    node: &'a Node,
    ends: &'a Ends,
    modes: &'a Modes,
    clauses: Vec<Clause>,
}

impl Contract {
    /// What a node's FORWARD must do with packets for the sake of one of their ends: by egress all that it decides before
    /// the destination's policies are asked, by ingress what these say of the rest.
    pub(super) fn new(
        meaning: &Meaning<'_>,
        node: &Node,
        ends: &Ends,
        modes: &Modes,
        direction: Direction,
    ) -> Self {
        let writer = || Writer { node, ends, modes, clauses: Vec::new() };
        let (mut before, mut after) = (writer(), writer());
        let everyone = before.everyone();
        let way = match (direction, node.settings.allow) {
            (Direction::Egress, _) => Way::Past,
            (Direction::Ingress, AllowTarget::Return) => Way::Out(Exit::Return),
            (Direction::Ingress, AllowTarget::Accept) => Way::Out(Exit::Accept),
        };
        match direction {
            Direction::Egress => {
                before.always();
                before.cut();
                before.bridge();
                before.unknown_pods();
                before.invalid();
                after.say(
                    &everyone,
                    after.part(|_| true, &everyone, &ServiceSet::all()),
                    Expected::Allowed(way),
                );
            }
            Direction::Ingress => after.out(|_| true, &ServiceSet::all()),
        }
        let isolated: BTreeMap<IpAddr, Expected> = ends
            .holders
            .iter()
            .filter_map(|&(holder, address)| {
                let allowed = meaning.allowed(direction, ends.family, holder)?;
                Some((address, Expected::Policies { holder, allowed, way }))
            })
            .collect();
        let pods = AddressSet::of(ends.family, isolated.keys().copied());
        let all = vec![before.part(|_| true, &everyone, &ServiceSet::all())];
        let judged = before.clauses.iter().fold(all, |left, clause| {
            if pods.is_disjoint(&clause.subjects) { left } else { split(&left, &clause.parts).1 }
        });
        let unseen = [(ends.own.clone(), everyone.clone()), (everyone, ends.own.clone())];
        let unseen = unseen.map(|(subjects, peers)| Clause {
            subjects,
            parts: vec![before.part(|_| true, &peers, &ServiceSet::all())],
            expected: Expected::Anything,
        });
        Self { unseen, before: before.clauses, isolated, pods, after: after.clauses, judged }
    }
}

impl Writer<'_> {
    fn part(&self, modes: impl Fn(&Mode) -> bool, peers: &AddressSet, services: &ServiceSet) -> Part {
        let traffic = Rc::new(Traffic::of(Rc::new(peers.clone()), services));
        Part { modes: self.modes.matching(modes), traffic }
    }

    fn everyone(&self) -> AddressSet {
        AddressSet::all(self.ends.family)
    }

    fn say(&mut self, subjects: &AddressSet, part: Part, expected: Expected) {
        if !subjects.is_empty() && !part.modes.is_empty() && !part.traffic.is_empty() {
            self.clauses.push(Clause { subjects: subjects.clone(), parts: vec![part], expected });
        }
    }

    /// Packets that are out whatever policies say: of a known connection, errors of one, and neighbour discovery.
    fn always(&mut self) {
        let family = self.ends.family;
        let (icmp, discovery) = match family {
            Family::V4 => (Protocol::ICMP, ServiceSet::none()),
            Family::V6 => {
                let (first, last) = NEIGHBOUR_DISCOVERY;
                (Protocol::ICMPV6, ServiceSet::icmp_types(family, first, last))
            }
        };
        self.out(|mode| mode.state == ConnState::Established, &ServiceSet::all());
        self.out(|mode| mode.hop_limit == FIRST_HOP, &discovery);
        self.out(|mode| mode.state == ConnState::Related, &ServiceSet::protocol(icmp));
    }

    /// A host that drops by policy has to be told to accept, but only what is a pod's.
    fn out(&mut self, modes: impl Fn(&Mode) -> bool + Copy, services: &ServiceSet) {
        let (everyone, local) = (self.everyone(), self.ends.local.clone());
        if self.node.settings.allow == AllowTarget::Accept {
            self.say(
                &local,
                self.part(modes, &everyone, services),
                Expected::Allowed(Way::Out(Exit::Accept)),
            );
            self.say(
                &everyone,
                self.part(modes, &local, services),
                Expected::Allowed(Way::Out(Exit::Accept)),
            );
        }
        self.say(&everyone, self.part(modes, &everyone, services), Expected::Allowed(Way::Out(Exit::Return)));
    }

    /// Flows that are being ended. A SYN opens a new one, and what else than TCP a client sends is refused by what had
    /// its flow cut.
    fn cut(&mut self) {
        if matches!(self.node.settings.refusal(), Refusal::Observe(_)) {
            return;
        }
        let everyone = self.everyone();
        let tcp = ServiceSet::protocol(Protocol::TCP);
        let others = ServiceSet::with_ports().intersection(&tcp.complement());
        let segment = |mode: &Mode| !mode.flags.under_mask_are(OPENING, TcpFlags::SYN);
        let cut = |order: [End; 3]| move |mode: &Mode| mode.cut.contains(&order[..]);
        let (from_client, to_client) =
            (cut([End::Src, End::Src, End::Dst]), cut([End::Dst, End::Dst, End::Src]));
        let ended =
            self.part(|mode| segment(mode) && (from_client(mode) || to_client(mode)), &everyone, &tcp);
        self.say(&everyone, ended, Expected::Reset);
        self.say(&everyone, self.part(to_client, &everyone, &others), Expected::Dropped);
    }

    /// Between two ports of the pods' bridge: what is not from one of the node's pod addresses to one host.
    fn bridge(&mut self) {
        let Some(bridge) = self.node.settings.pod_bridge.clone() else { return };
        let is_bridge =
            |iface: &Option<IfaceName>| iface.as_ref().is_some_and(|name| name.as_str() == bridge.as_str());
        let within = |mode: &Mode| is_bridge(&mode.in_iface) && is_bridge(&mode.out_iface);
        let (everyone, everything) = (self.everyone(), ServiceSet::all());
        let all = self.part(within, &everyone, &everything);
        match self.ends.family {
            Family::V4 => {
                let to_many = |mode: &Mode| within(mode) && mode.dst_kind != DstKind::Unicast;
                self.say(&everyone, self.part(to_many, &everyone, &everything), Expected::Denied);
            }
            Family::V6 => {
                let link_local = AddressSet::of_nets(Family::V6, &[LINK_LOCAL]);
                let strange = AddressSet::of_nets(Family::V6, &[LINK_LOCAL, MULTICAST]);
                self.say(&link_local, all.clone(), Expected::Denied);
                self.say(&everyone, self.part(within, &strange, &everything), Expected::Denied);
            }
        }
        self.say(&self.ends.on_bridge.complement(), all, Expected::Denied);
    }

    /// Addresses that no manifest explains: those that the node keeps for its pods, and any on an interface of its pods.
    fn unknown_pods(&mut self) {
        if self.node.settings.unknown_pods == UnknownPods::Pass {
            return;
        }
        let (everyone, everything) = (self.everyone(), ServiceSet::all());
        let unknown = self.ends.pod_nets.difference(&self.ends.local);
        self.say(&unknown, self.part(|_| true, &everyone, &everything), Expected::Denied);
        self.say(&everyone, self.part(|_| true, &unknown, &everything), Expected::Denied);
        let interfaces = self.node.settings.pod_interfaces.clone();
        let is_pods =
            |iface: &Option<IfaceName>| iface.as_ref().is_some_and(|name| interfaces.have(name.as_str()));
        let strangers = self.ends.local.complement();
        let entering = self.part(|mode| is_pods(&mode.in_iface), &everyone, &everything);
        self.say(&strangers, entering, Expected::Denied);
        let leaving = self.part(|mode| is_pods(&mode.out_iface), &strangers, &everything);
        self.say(&everyone, leaving, Expected::Denied);
    }

    /// Packets that conntrack can make nothing of. A datagram is such by its checksum only, and is judged like others.
    fn invalid(&mut self) {
        if self.node.settings.invalid == InvalidPackets::Judge {
            return;
        }
        let (everyone, isolated) = (self.everyone(), self.ends.isolated.clone());
        let services = ServiceSet::protocol(Protocol::UDP).complement();
        let invalid = |mode: &Mode| mode.state == ConnState::Invalid;
        self.say(&isolated, self.part(invalid, &everyone, &services), Expected::Denied);
        self.say(&everyone, self.part(invalid, &isolated, &services), Expected::Denied);
        if !isolated.is_empty() {
            // Nobody's business here, and so nothing that a host is told to accept; but what is only observed goes on.
            let way = match self.node.settings.refusal() {
                Refusal::Drop | Refusal::Log(_) => Way::Out(Exit::Return),
                Refusal::Observe(_) => Way::Past,
            };
            self.say(&everyone, self.part(invalid, &everyone, &services), Expected::Allowed(way));
        }
    }
}

/// IPv6 link-local unicast (RFC 4291 §2.5.6).
const LINK_LOCAL: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10));
/// IPv6 multicast (RFC 4291 §2.7).
const MULTICAST: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8));

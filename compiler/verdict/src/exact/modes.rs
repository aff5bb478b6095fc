//! What rules ask of a packet beside its ends and its service, as a finite list: conntrack's state, TCP flags, hop limit,
//! interfaces, kind of destination, source port, and whether its flow is being cut.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::{Transport, is_cut_set};

use super::Service;
use crate::packet::{EPHEMERAL_PORT, USUAL_HOP_LIMIT};
use crate::{
    ConnState, DstKind, End, IfaceName, IfacePattern, Match, MultiportEnd, Packet, PacketError, Payload,
    Protocol, Ruleset, SetType, TcpFlags, Test,
};

/// One way a packet can be, as far as the rules can tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode {
    /// What conntrack says.
    pub state: ConnState,
    /// TCP flags, of a packet that has some.
    pub flags: TcpFlags,
    /// The hop limit.
    pub hop_limit: u8,
    /// The interface it came in by.
    pub in_iface: Option<IfaceName>,
    /// The interface it leaves by.
    pub out_iface: Option<IfaceName>,
    /// The kind of its destination.
    pub dst_kind: DstKind,
    /// The source's port, of a packet that has some.
    pub source_port: u16,
    /// The orders of ends in which its flow stands in the CUT set. What that set holds is no part of what rules mean, so
    /// membership is one more thing that a packet may be, or not.
    pub cut: BTreeSet<Vec<End>>,
}

/// All modes that a family's rules, and the tests that a reader adds, can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes(Vec<Mode>);

/// A set of modes, of one list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModeSet(Box<[u64]>);

impl Modes {
    /// The modes that rules can tell apart, with one packet for all that they cannot. `more` are tests that are to be
    /// told apart too, whether a rule has them or not.
    #[must_use]
    pub fn of(rules: &Ruleset, more: &[Test]) -> Self {
        let in_rules = rules.chains().iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.matches);
        let asked = in_rules.map(|Match { test, .. }| test).filter(|test| !is_free(test)).chain(more);
        let asked: Vec<&Test> = asked.collect::<BTreeSet<_>>().into_iter().collect();
        let orders: BTreeSet<&Vec<End>> = asked
            .iter()
            .filter_map(|test| match test {
                Test::Set { set, ends } if is_cut_set(rules.set_name(*set)) => Some(ends),
                _ => None,
            })
            .collect();
        // Told apart also where a rule for one of them is missing: the packets of a flow, and its answers.
        let both = [vec![End::Src, End::Src, End::Dst], vec![End::Dst, End::Dst, End::Src]];
        let orders: BTreeSet<&Vec<End>> = orders.into_iter().chain(&both).collect();
        let plain = Mode {
            state: ConnState::New,
            flags: TcpFlags::SYN,
            hop_limit: USUAL_HOP_LIMIT,
            in_iface: None,
            out_iface: None,
            dst_kind: DstKind::Unicast,
            source_port: EPHEMERAL_PORT,
            cut: BTreeSet::new(),
        };
        let spread = Spread { asked: &asked, plain: &plain };
        let ifaces = interfaces(&asked);
        let modes = STATES.map(|state| Mode { state, ..plain.clone() }).to_vec();
        let modes = spread.over(modes, TcpFlags::each(), |mode, flags| mode.flags = flags);
        let modes = spread.over(modes, hop_limits(&asked), |mode, hop_limit| mode.hop_limit = hop_limit);
        let modes = spread.over(modes, KINDS, |mode, kind| mode.dst_kind = kind);
        let modes = spread.over(modes, ifaces.clone(), |mode, iface| mode.in_iface = Some(iface));
        let modes = spread.over(modes, ifaces, |mode, iface| mode.out_iface = Some(iface));
        let modes = spread.over(modes, source_ports(&asked), |mode, port| mode.source_port = port);
        let cut = |modes: Vec<Mode>, order: &Vec<End>| -> Vec<Mode> {
            let member = |mode: &Mode| {
                let mut member = mode.clone();
                member.cut.insert(order.clone());
                member
            };
            let members: Vec<Mode> = modes.iter().map(member).collect();
            modes.into_iter().chain(members).collect()
        };
        Self(orders.into_iter().fold(modes, cut))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> ModeSet {
        self.matching(|_| true)
    }

    /// Those that a condition holds for.
    #[must_use]
    pub fn matching(&self, holds: impl Fn(&Mode) -> bool) -> ModeSet {
        let mut words = vec![0u64; self.0.len().div_ceil(64)];
        for (at, _) in self.0.iter().enumerate().filter(|(_, mode)| holds(mode)) {
            words[at / 64] |= 1 << (at % 64);
        }
        ModeSet(words.into())
    }

    /// The modes of a set.
    pub fn of_set<'m>(&'m self, set: &'m ModeSet) -> impl Iterator<Item = &'m Mode> {
        self.0.iter().enumerate().filter(|(at, _)| set.0[at / 64] >> (at % 64) & 1 == 1).map(|(_, mode)| mode)
    }
}

impl Mode {
    /// A packet of this mode, but for [`Mode::cut`], which is no packet's to say.
    ///
    /// # Errors
    /// When the ends are of two families.
    pub fn packet(&self, src: IpAddr, dst: IpAddr, service: Service) -> Result<Packet, PacketError> {
        let (sport, flags) = (self.source_port, self.flags);
        let payload = match service {
            Service::Port(Transport::Tcp, dport) => Payload::Tcp { sport, dport, flags },
            Service::Port(Transport::Udp, dport) => Payload::Udp { sport, dport },
            Service::Port(Transport::Sctp, dport) => Payload::Sctp { sport, dport },
            Service::Icmp(type_, code) => Payload::Icmp { type_, code },
            Service::Other(Protocol(number)) => Payload::Other(number),
        };
        let packet = Packet::new(src, dst, payload, self.state)?;
        let packet = packet.with_hop_limit(self.hop_limit).with_dst_kind(self.dst_kind);
        Ok(match (&self.in_iface, &self.out_iface) {
            (Some(in_iface), Some(out_iface)) => packet.between(in_iface.clone(), out_iface.clone()),
            _ => packet,
        })
    }
}

impl ModeSet {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// Whether each is in the other set too, of one list as in all that follow.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    /// The modes of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    /// The modes of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    /// The modes of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }
}

const STATES: [ConnState; 5] =
    [ConnState::New, ConnState::Established, ConnState::Related, ConnState::Invalid, ConnState::Untracked];
const KINDS: [DstKind; 3] = [DstKind::Unicast, DstKind::Broadcast, DstKind::Multicast];

/// Multiplies modes by what one thing about a packet can be.
struct Spread<'m> {
    asked: &'m [&'m Test],
    plain: &'m Mode,
}

impl Spread<'_> {
    /// Each mode with each value, but only one of the values that no test can tell apart.
    fn over<V: Clone>(
        &self,
        modes: Vec<Mode>,
        values: impl IntoIterator<Item = V>,
        put: impl Fn(&mut Mode, V),
    ) -> Vec<Mode> {
        let mut seen = BTreeSet::new();
        let distinct: Vec<V> = values
            .into_iter()
            .filter(|value| {
                let mut mode = self.plain.clone();
                put(&mut mode, value.clone());
                seen.insert(self.asked.iter().map(|test| test.holds_in(&mode)).collect::<Vec<bool>>())
            })
            .collect();
        let with = |mode: Mode| {
            let put = &put;
            distinct.iter().cloned().map(move |value| {
                let mut mode = mode.clone();
                put(&mut mode, value);
                mode
            })
        };
        modes.into_iter().flat_map(|mode| with(mode).collect::<Vec<_>>()).collect()
    }
}

/// The hop limits that tests name, and one that none does.
fn hop_limits(asked: &[&Test]) -> Vec<u8> {
    let named = asked.iter().filter_map(|test| match test {
        Test::HopLimit(hop_limit) => Some(*hop_limit),
        _ => None,
    });
    let named: BTreeSet<u8> = named.collect();
    let other = (0..=u8::MAX).rev().find(|hop_limit| !named.contains(hop_limit));
    other.into_iter().chain(named).collect()
}

/// Names that the patterns of interfaces tell apart: each name, each prefix, and a name that nobody gives.
fn interfaces(asked: &[&Test]) -> Vec<IfaceName> {
    let named = asked.iter().filter_map(|test| match test {
        Test::InIface(IfacePattern::Exact(name)) | Test::OutIface(IfacePattern::Exact(name)) => {
            Some(name.as_str().to_owned())
        }
        Test::InIface(IfacePattern::Prefix(prefix)) | Test::OutIface(IfacePattern::Prefix(prefix)) => {
            Some(prefix.to_string())
        }
        _ => None,
    });
    let names: BTreeSet<String> = named.collect();
    // A prefix may itself be a name that a rule asks for; a longer one is of the prefix only.
    let longer = names.iter().map(|name| format!("{name}~"));
    let all: BTreeSet<String> = names.iter().cloned().chain(longer).chain([ELSEWHERE.to_owned()]).collect();
    all.iter().filter_map(|name| name.parse().ok()).collect()
}

/// A name of an interface that no rule gives.
const ELSEWHERE: &str = "~";

/// Where the ranges of source ports begin, and where they have just ended.
fn source_ports(asked: &[&Test]) -> BTreeSet<u16> {
    let ranges = asked.iter().flat_map(|test| match test {
        Test::Port { end: End::Src, ports, .. } => std::slice::from_ref(ports),
        Test::Multiport { end: MultiportEnd::One(End::Src) | MultiportEnd::Either, ranges } => ranges,
        _ => &[],
    });
    let ends = ranges.flat_map(|range| [Some(range.first()), range.last().checked_add(1)]);
    [0].into_iter().chain(ends.flatten()).collect()
}

/// Whether a test asks for nothing that a mode has.
fn is_free(test: &Test) -> bool {
    match test {
        Test::Address { .. } | Test::Protocol(_) | Test::Icmp(_) | Test::RateLimit(_) => true,
        Test::Port { end, .. } => *end == End::Dst,
        Test::Multiport { end, .. } => *end == MultiportEnd::One(End::Dst),
        // Flows: only the CUT set has three ends.
        Test::Set { ends, .. } => ends.len() < SetType::HashIpPortIp.dimension(),
        Test::InIface(_)
        | Test::OutIface(_)
        | Test::TcpFlags { .. }
        | Test::State(_)
        | Test::HopLimit(_)
        | Test::DstKind(_) => false,
    }
}

impl Test {
    /// Whether a test holds of a mode, as far as it asks for one; the rest of it is taken as met.
    pub(super) fn holds_in(&self, mode: &Mode) -> bool {
        match self {
            Test::State(states) => states.contains(mode.state),
            Test::TcpFlags { mask, set } => mode.flags.under_mask_are(*mask, *set),
            Test::HopLimit(hop_limit) => mode.hop_limit == *hop_limit,
            Test::InIface(pattern) => pattern.fits(mode.in_iface.as_ref()),
            Test::OutIface(pattern) => pattern.fits(mode.out_iface.as_ref()),
            Test::DstKind(kinds) => kinds.contains(mode.dst_kind),
            Test::Port { end: End::Src, ports, .. } => ports.contains(mode.source_port),
            Test::Multiport { end: MultiportEnd::One(End::Src) | MultiportEnd::Either, ranges } => {
                ranges.iter().any(|range| range.contains(mode.source_port))
            }
            Test::Set { ends, .. } => mode.cut.contains(ends),
            Test::Address { .. }
            | Test::Protocol(_)
            | Test::Port { .. }
            | Test::Multiport { .. }
            | Test::Icmp(_)
            | Test::RateLimit(_) => true,
        }
    }
}

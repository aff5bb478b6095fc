//! Whether two texts mean the same, by walks of single packets.
//!
//! The packets are all that the rules of either text can tell apart: an address of each side of every edge that a rule
//! or a set draws, and the same of ports, messages, flags, hop limits, interfaces and kinds of destination, each with
//! each, in every state, with flows in the CUT set and without. Of values that no rule of either text tells apart, one
//! stands for all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use chainmail_contract::{Family, Transport, cut_set_name};
use chainmail_verdict::{
    ConnState, DstKind, End, IfaceName, Kernel, Match, Members, Packet, Payload, RejectWith, Ruleset, Sets,
    Target, Test, Verdict,
};

use super::edges::{
    Asked, addresses, distinct, hop_limits, interfaces, payloads, spoken, told, told_of_address,
    told_of_payload,
};

/// The texts of a node as they were read: rules of IPv4 and IPv6, and the text of the sets.
#[derive(Debug, Clone, Copy)]
pub struct Node<'t> {
    /// The rules.
    pub rules: &'t [Ruleset; 2],
    /// The sets.
    pub sets: &'t str,
}

/// A packet that two texts treat differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The packet.
    pub packet: Packet,
    /// Members of the CUT sets that it takes.
    pub cut: String,
    /// What becomes of it by the first text, and by the second.
    pub verdicts: [Outcome; 2],
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [was, is] = self.verdicts;
        let flows = self.cut.lines().count();
        write!(f, "  {:?}, while {flows} flows are being cut: {was:?} becomes {is:?}", self.packet)
    }
}

/// Where a walk ends.
pub type Outcome = (Verdict, Option<RejectWith>);

/// Walks one packet.
///
/// # Panics
/// When the family's rules have no CM-FORWARD.
#[must_use]
pub fn outcome(kernel: &Kernel, packet: &Packet) -> Outcome {
    let walk = kernel.forward(packet).expect("CM-FORWARD is loaded");
    let with = match walk.matched().last().map(|step| &step.rule.target) {
        Some(Target::Reject(with)) => Some(*with),
        _ => None,
    };
    (walk.verdict(), with)
}

/// Ties texts together with these members in the CUT sets.
///
/// # Panics
/// When the texts do not fit together.
#[must_use]
pub fn kernel(node: Node<'_>, cut: &str) -> Kernel {
    let ours = Family::ALL.map(cut_set_name);
    let is_cut =
        |line: &str| line.split(' ').nth(1).is_some_and(|name| ours.iter().any(|cut| cut.as_str() == name));
    let mut text: String =
        node.sets.lines().filter(|line| !is_cut(line)).map(|line| format!("{line}\n")).collect();
    for family in Family::ALL {
        let (name, word) = (cut_set_name(family), family.ipset_word());
        let _ = writeln!(text, "create {name} hash:ip,port,ip family {word} timeout 86400");
    }
    text.push_str(cut);
    let [v4, v6] = node.rules.clone();
    let sets = Sets::parse(&text).expect("the sets were read before");
    Kernel::new(v4, v6, sets).expect("rules and sets were put together before")
}

/// A packet that one text lets through and another does not, or answers in another way. `unseen` are the addresses of
/// the node itself: FORWARD has no packets from them or to them.
#[must_use]
pub fn differing(one: Node<'_>, other: Node<'_>, family: Family, unseen: &[IpAddr]) -> Option<Witness> {
    let plain = [kernel(one, ""), kernel(other, "")];
    let space = Space::of(&plain, family, unseen);
    let packets = space.packets();
    let touched = touched(one, other, family);
    for cut in space.cuts() {
        let filled = if cut.is_empty() { plain.clone() } else { [kernel(one, &cut), kernel(other, &cut)] };
        let touched = touched.as_ref().map(|rules| kernel(Node { rules, sets: one.sets }, &cut));
        let may_differ = |packet: &&Packet| {
            touched.as_ref().is_none_or(|touched| outcome(touched, packet).0 == Verdict::Drop)
        };
        for packet in packets.iter().filter(may_differ) {
            let verdicts = filled.each_ref().map(|kernel| outcome(kernel, packet));
            if verdicts[0] != verdicts[1] {
                return Some(Witness { packet: packet.clone(), cut, verdicts });
            }
        }
    }
    None
}

/// Rules that drop what any rule matches that is not the same in both texts: all other packets match the same rules in
/// the same order, so that they need no walk. `None` where the sets differ.
fn touched(one: Node<'_>, other: Node<'_>, family: Family) -> Option<[Ruleset; 2]> {
    if one.sets != other.sets {
        return None;
    }
    let at = usize::from(family == Family::V6);
    let [one, other] = [&one.rules[at], &other.rules[at]];
    let names: BTreeSet<_> =
        one.chains().iter().chain(other.chains()).map(|chain| chain.name.as_str()).collect();
    let mut text = "*filter\n:CM-FORWARD - [0:0]\n".to_owned();
    for name in names {
        let [was, is] = [one, other].map(|rules| {
            let chain = rules.find(name).map(|id| rules.chain(id));
            chain
                .map(|chain| chain.rules.iter().map(|rule| &*rule.text).collect::<Vec<&str>>())
                .unwrap_or_default()
        });
        let before = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
        let [was, is] = [&was[before..], &is[before..]];
        let behind = was.iter().rev().zip(is.iter().rev()).take_while(|(a, b)| a == b).count();
        for rule in was[..was.len() - behind].iter().chain(&is[..is.len() - behind]) {
            let conditions = rule.strip_prefix("-A ").and_then(|rule| rule.strip_prefix(name))?;
            let target = conditions.rfind(" -j ").max(conditions.rfind(" -g ")).unwrap_or(conditions.len());
            let _ = writeln!(text, "-A CM-FORWARD {} -j DROP", &conditions[..target]);
        }
    }
    text.push_str("COMMIT\n");
    let [v4, v6] = if family == Family::V4 { [&*text, ""] } else { ["", &*text] };
    Some([Ruleset::parse(Family::V4, v4).ok()?, Ruleset::parse(Family::V6, v6).ok()?])
}

/// What the rules of two kernels can tell apart.
struct Space {
    family: Family,
    sources: Vec<IpAddr>,
    destinations: Vec<IpAddr>,
    payloads: Vec<Payload>,
    hop_limits: Vec<u8>,
    interfaces: [Vec<IfaceName>; 2],
    kinds: Vec<DstKind>,
    /// The orders of ends in which rules ask the CUT set.
    orders: BTreeSet<Vec<End>>,
}

const STATES: [ConnState; 5] =
    [ConnState::New, ConnState::Established, ConnState::Related, ConnState::Invalid, ConnState::Untracked];

impl Space {
    fn of(kernels: &[Kernel; 2], family: Family, unseen: &[IpAddr]) -> Self {
        let mut asked: Vec<Asked<'_>> = Vec::new();
        for kernel in kernels {
            let rules = kernel.rules(family).chains().iter().flat_map(|chain| &chain.rules);
            for Match { test, .. } in rules.flat_map(|rule| &rule.matches) {
                let members = match test {
                    Test::Set { set, .. } => Some(kernel.set(family, *set).members()),
                    _ => None,
                };
                asked.push((test, members));
            }
        }
        // The same set is asked by an id of its own in each kernel.
        let key = |(test, members): &Asked<'_>| match test {
            Test::Set { ends, .. } => (None, Some(ends.clone()), members.cloned()),
            test => (Some((*test).clone()), None, None),
        };
        let asked: Vec<Asked<'_>> = asked
            .iter()
            .map(|asked| (key(asked), *asked))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect();
        let orders = asked.iter().filter_map(|asked| match asked {
            (Test::Set { ends, .. }, Some(Members::IpPortIp(_))) => Some(ends.clone()),
            _ => None,
        });
        let mut addresses = addresses(&asked, family);
        addresses.retain(|address| !unseen.contains(address));
        let of_end = |end| distinct(&addresses, |address| told_of_address(&asked, end, *address));
        Self {
            family,
            sources: of_end(End::Src),
            destinations: of_end(End::Dst),
            payloads: distinct(&payloads(&asked, family), |payload| {
                told_of_payload(&asked, family, *payload)
            }),
            hop_limits: distinct(&hop_limits(&asked), |limit| {
                told(&asked, |test| match test {
                    Test::HopLimit(wanted) => Some(wanted == limit),
                    _ => None,
                })
            }),
            interfaces: [End::Src, End::Dst].map(|end| interfaces(&asked, end)),
            kinds: distinct(&[DstKind::Unicast, DstKind::Broadcast, DstKind::Multicast], |kind| {
                told(&asked, |test| match test {
                    Test::DstKind(kinds) => Some(kinds.contains(*kind)),
                    _ => None,
                })
            }),
            orders: orders.collect(),
        }
    }

    fn packets(&self) -> Vec<Packet> {
        let mut packets = Vec::new();
        for (&src, &dst) in pairs(&self.sources, &self.destinations) {
            for (&payload, state) in pairs(&self.payloads, &STATES) {
                let packet =
                    Packet::new(src, dst, payload, *state).expect("one family, and no hidden protocol");
                for (&limit, kind) in pairs(&self.hop_limits, &self.kinds) {
                    for (from, to) in pairs(&self.interfaces[0], &self.interfaces[1]) {
                        let packet = packet.clone().with_hop_limit(limit).with_dst_kind(*kind);
                        packets.push(packet.between(from.clone(), to.clone()));
                    }
                }
            }
        }
        packets
    }

    /// Members for the CUT sets: none; for each order that rules ask for the flows of all packets from a lower address
    /// to a higher, and of those back, so that orders are told apart; and all.
    fn cuts(&self) -> Vec<String> {
        let mut cuts = vec![BTreeSet::new()];
        for order in &self.orders {
            for upward in [true, false] {
                let pairs = pairs(&self.sources, &self.destinations);
                let pairs = pairs.filter(|(src, dst)| src == dst || (src < dst) == upward);
                cuts.push(pairs.flat_map(|(&src, &dst)| self.flows(order, src, dst)).collect());
            }
        }
        cuts.push(cuts.iter().flatten().cloned().collect());
        let name = cut_set_name(self.family);
        let line = |flow: &String| format!("add {name} {flow}\n");
        cuts.iter().map(|flows| flows.iter().map(line).collect()).collect()
    }

    fn flows(&self, order: &[End], src: IpAddr, dst: IpAddr) -> Vec<String> {
        let address = |end| if end == End::Src { src } else { dst };
        let &[host, service, peer] = order else { return Vec::new() };
        let flow = |(transport, sport, dport): (Transport, u16, u16)| {
            let port = if service == End::Src { sport } else { dport };
            format!("{},{}:{port},{}", address(host), transport.as_str(), address(peer))
        };
        self.payloads.iter().filter_map(|payload| spoken(*payload)).map(flow).collect()
    }
}

fn pairs<'v, A, B>(all: &'v [A], others: &'v [B]) -> impl Iterator<Item = (&'v A, &'v B)> {
    all.iter().flat_map(move |one| others.iter().map(move |other| (one, other)))
}

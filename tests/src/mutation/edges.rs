//! The values that rules can tell apart, and what they can tell of each.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chainmail_contract::{Family, Transport};
use chainmail_verdict::{
    End, IcmpPattern, IfaceName, IfacePattern, Members, MultiportEnd, Payload, PortRange, Protocol, TcpFlags,
    Test,
};
use ipnet::IpNet;

/// A test with the members of the set that it names.
pub(super) type Asked<'k> = (&'k Test, Option<&'k Members>);

/// The source port of packets of which no rule asks for it.
const SOURCE_PORT: u16 = 49152;

/// One of all values of which the same is told.
pub(super) fn distinct<V: Clone, T: Ord>(values: &[V], told: impl Fn(&V) -> T) -> Vec<V> {
    let mut seen = BTreeSet::new();
    values.iter().filter(|value| seen.insert(told(value))).cloned().collect()
}

pub(super) fn told(asked: &[Asked<'_>], holds: impl Fn(&Test) -> Option<bool>) -> Vec<bool> {
    asked.iter().filter_map(|(test, _)| holds(test)).collect()
}

/// Addresses on both sides of every edge.
pub(super) fn addresses(asked: &[Asked<'_>], family: Family) -> Vec<IpAddr> {
    let elsewhere: IpAddr = match family {
        Family::V4 => Ipv4Addr::new(203, 0, 113, 77).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77).into(),
    };
    let mut nets = vec![IpNet::from(elsewhere)];
    for (test, members) in asked {
        match (test, members) {
            (Test::Address { net, .. }, _) => nets.push(*net),
            (_, Some(Members::Ip(ips))) => nets.extend(ips.iter().map(|ip| IpNet::from(*ip))),
            (_, Some(Members::Net(held))) => nets.extend(held.nets()),
            (_, Some(Members::IpPort(services))) => {
                nets.extend(services.iter().map(|(ip, ..)| IpNet::from(*ip)));
            }
            _ => {}
        }
    }
    let around = nets.iter().flat_map(|net| {
        let [first, last] = [net.network(), net.broadcast()];
        let inside = [beside(first, 1), beside(last, -1)].map(|at| at.filter(|at| net.contains(at)));
        [beside(first, -1), Some(first), inside[0], inside[1], Some(last), beside(last, 1)]
    });
    around.flatten().collect::<BTreeSet<IpAddr>>().into_iter().collect()
}

fn beside(address: IpAddr, step: i8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => Some(IpAddr::V4(u32::from(address).checked_add_signed(step.into())?.into())),
        IpAddr::V6(address) => Some(IpAddr::V6(u128::from(address).checked_add_signed(step.into())?.into())),
    }
}

/// What rules can tell of an address at one end: whether each test that asks for it holds, and of sets of services
/// which it has.
pub(super) fn told_of_address(asked: &[Asked<'_>], end: End, address: IpAddr) -> Vec<Vec<(Transport, u16)>> {
    const HOLDS: (Transport, u16) = (Transport::Tcp, 0);
    let told = |(test, members): &Asked<'_>| match (test, members) {
        (Test::Address { end: at, net }, _) if *at == end => {
            Some(if net.contains(&address) { vec![HOLDS] } else { Vec::new() })
        }
        (Test::Set { ends, .. }, Some(members)) if ends.first() == Some(&end) => {
            let held = match members {
                Members::Ip(ips) => ips.contains(&address),
                Members::Net(nets) => nets.nets().iter().any(|net| net.contains(&address)),
                Members::IpPort(services) => {
                    let own = services.iter().filter(|(ip, ..)| *ip == address);
                    return Some(own.map(|(_, transport, port)| (*transport, *port)).collect());
                }
                Members::IpPortIp(_) => return None,
            };
            Some(if held { vec![HOLDS] } else { Vec::new() })
        }
        _ => None,
    };
    asked.iter().filter_map(told).collect()
}

/// Payloads on both sides of every edge.
pub(super) fn payloads(asked: &[Asked<'_>], family: Family) -> Vec<Payload> {
    let (mut sports, mut dports) = (BTreeSet::from([SOURCE_PORT]), BTreeSet::from([9]));
    let mut edge = |ends: &[End], range: PortRange| {
        let around = [
            range.first().checked_sub(1),
            Some(range.first()),
            Some(range.last()),
            range.last().checked_add(1),
        ];
        for end in ends {
            let ports = if *end == End::Src { &mut sports } else { &mut dports };
            ports.extend(around.into_iter().flatten());
        }
    };
    let (mut protocols, mut messages) =
        (BTreeSet::from([1, 47, 58]), BTreeSet::from([(0, 0), (8, 0), (128, 0)]));
    for (test, members) in asked {
        match (test, members) {
            (Test::Port { end, ports, .. }, _) => edge(&[*end], *ports),
            (Test::Multiport { end, ranges }, _) => {
                let ends = match end {
                    MultiportEnd::One(end) => vec![*end],
                    MultiportEnd::Either => vec![End::Src, End::Dst],
                };
                ranges.iter().for_each(|range| edge(&ends, *range));
            }
            (Test::Set { ends, .. }, Some(Members::IpPort(services))) => {
                for (_, _, port) in services {
                    let range = PortRange::new(*port, *port).expect("a port is a range");
                    ends.get(1).into_iter().for_each(|end| edge(&[*end], range));
                }
            }
            (Test::Protocol(Protocol(number)), _) => {
                protocols.extend(
                    [number.checked_sub(1), Some(*number), number.checked_add(1)].into_iter().flatten(),
                );
            }
            (Test::Icmp(IcmpPattern::Type(kind)), _) => {
                messages.extend([(kind.wrapping_sub(1), 0), (*kind, 0), (kind.wrapping_add(1), 0)]);
            }
            (Test::Icmp(IcmpPattern::TypeCode(kind, code)), _) => {
                messages.extend([
                    (*kind, code.wrapping_sub(1)),
                    (*kind, *code),
                    (*kind, code.wrapping_add(1)),
                ]);
            }
            _ => {}
        }
    }
    let flags = [TcpFlags::FIN, TcpFlags::SYN, TcpFlags::RST, TcpFlags::PSH, TcpFlags::ACK, TcpFlags::URG];
    let mut all = Vec::new();
    for (&sport, &dport) in sports.iter().flat_map(|sport| dports.iter().map(move |dport| (sport, dport))) {
        for bits in 0..1u8 << flags.len() {
            let set = flags.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            let flags = set.fold(TcpFlags::NONE, |all, (_, flag)| all.with(*flag));
            all.push(Payload::Tcp { sport, dport, flags });
        }
        all.extend([Payload::Udp { sport, dport }, Payload::Sctp { sport, dport }]);
    }
    all.extend(messages.into_iter().map(|(type_, code)| Payload::Icmp { type_, code }));
    let icmp = icmp(family);
    let others = protocols
        .into_iter()
        .filter(|&number| Protocol(number).transport().is_none() && Protocol(number) != icmp);
    all.extend(others.map(Payload::Other));
    all
}

fn icmp(family: Family) -> Protocol {
    match family {
        Family::V4 => Protocol::ICMP,
        Family::V6 => Protocol::ICMPV6,
    }
}

pub(super) fn spoken(payload: Payload) -> Option<(Transport, u16, u16)> {
    match payload {
        Payload::Tcp { sport, dport, .. } => Some((Transport::Tcp, sport, dport)),
        Payload::Udp { sport, dport } => Some((Transport::Udp, sport, dport)),
        Payload::Sctp { sport, dport } => Some((Transport::Sctp, sport, dport)),
        Payload::Icmp { .. } | Payload::Other(_) => None,
    }
}

/// What rules can tell of a payload: whether each test that asks for it holds, and which addresses have its service.
pub(super) fn told_of_payload(
    asked: &[Asked<'_>],
    family: Family,
    payload: Payload,
) -> Vec<(bool, Vec<IpAddr>)> {
    let ports = spoken(payload);
    let port_of = |end: End| ports.map(|(_, sport, dport)| if end == End::Src { sport } else { dport });
    let protocol = match payload {
        Payload::Other(number) => Protocol(number),
        Payload::Icmp { .. } => icmp(family),
        Payload::Tcp { .. } => Protocol::TCP,
        Payload::Udp { .. } => Protocol::UDP,
        Payload::Sctp { .. } => Protocol::SCTP,
    };
    let within = |end, ranges: &[PortRange]| {
        port_of(end).is_some_and(|port| ranges.iter().any(|range| range.contains(port)))
    };
    let told = |(test, members): &Asked<'_>| {
        let holds = match (test, members) {
            (Test::Protocol(wanted), _) => protocol == *wanted,
            (Test::Port { transport, end, ports: range }, _) => {
                ports.is_some_and(|(spoken, ..)| spoken == *transport) && within(*end, &[*range])
            }
            (Test::Multiport { end: MultiportEnd::One(end), ranges }, _) => within(*end, ranges),
            (Test::Multiport { end: MultiportEnd::Either, ranges }, _) => {
                within(End::Src, ranges) || within(End::Dst, ranges)
            }
            (Test::TcpFlags { mask, set }, _) => {
                matches!(payload, Payload::Tcp { flags, .. } if flags.under_mask_are(*mask, *set))
            }
            (Test::Icmp(pattern), _) => match (payload, pattern) {
                (Payload::Icmp { .. }, IcmpPattern::Any) => true,
                (Payload::Icmp { type_, .. }, IcmpPattern::Type(kind)) => type_ == *kind,
                (Payload::Icmp { type_, code }, IcmpPattern::TypeCode(kind, with)) => {
                    (type_, code) == (*kind, *with)
                }
                _ => false,
            },
            (Test::Set { ends, .. }, Some(Members::IpPort(services))) => {
                let end = *ends.get(1)?;
                let own = services.iter().filter(|(_, transport, port)| {
                    ports.is_some_and(|(spoken, ..)| spoken == *transport) && port_of(end) == Some(*port)
                });
                return Some((false, own.map(|(ip, ..)| *ip).collect()));
            }
            (_, Some(Members::IpPortIp(_))) => ports.is_some(),
            _ => return None,
        };
        Some((holds, Vec::new()))
    };
    asked.iter().filter_map(told).collect()
}

pub(super) fn hop_limits(asked: &[Asked<'_>]) -> Vec<u8> {
    let named = asked.iter().filter_map(|(test, _)| match test {
        Test::HopLimit(limit) => Some(*limit),
        _ => None,
    });
    let around = named.flat_map(|limit| [limit.checked_sub(1), Some(limit), limit.checked_add(1)]);
    [64, 255].into_iter().chain(around.flatten()).collect()
}

/// Interfaces at one end: each that rules name, longer and shorter ones, and another.
pub(super) fn interfaces(asked: &[Asked<'_>], end: End) -> Vec<IfaceName> {
    let of_end = |test: &Test| match (test, end) {
        (Test::InIface(pattern), End::Src) | (Test::OutIface(pattern), End::Dst) => Some(pattern.clone()),
        _ => None,
    };
    let mut names = vec!["~".to_owned()];
    for pattern in asked.iter().filter_map(|(test, _)| of_end(test)) {
        let name = match &pattern {
            IfacePattern::Exact(name) => name.as_str(),
            IfacePattern::Prefix(prefix) => prefix,
        };
        names.extend([name.to_owned(), format!("{name}x"), name[..name.len().saturating_sub(1)].to_owned()]);
    }
    let names: Vec<IfaceName> = names.iter().filter_map(|name| name.parse().ok()).collect();
    distinct(&names, |name| {
        told(asked, |test| {
            of_end(test).map(|pattern| match pattern {
                IfacePattern::Exact(wanted) => wanted == *name,
                IfacePattern::Prefix(prefix) => name.as_str().starts_with(&*prefix),
            })
        })
    })
}

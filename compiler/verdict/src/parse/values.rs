//! Single values: addresses, ports, names of things.

use std::net::IpAddr;
use std::str::FromStr;

use chainmail_contract::{Family, Transport};
use ipnet::IpNet;

use crate::error::{ParseError, Place};
use crate::{
    ConnState, ConnStates, DstKind, DstKinds, IcmpPattern, IfacePattern, PortRange, Protocol, TcpFlags,
};

/// A number that is digits only: `u16::from_str` takes a `+` too, which iptables refuses.
pub(crate) fn number<N: FromStr>(place: Place, text: &str, wanted: &'static str) -> Result<N, ParseError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| place.not(text, wanted))
}

fn wanted_address(family: Family) -> &'static str {
    match family {
        Family::V4 => "an IPv4 address",
        Family::V6 => "an IPv6 address",
    }
}

fn wanted_network(family: Family) -> &'static str {
    match family {
        Family::V4 => "an IPv4 network",
        Family::V6 => "an IPv6 network",
    }
}

fn address_in(family: Family, text: &str) -> Option<IpAddr> {
    match family {
        Family::V4 => text.parse().ok().map(IpAddr::V4),
        Family::V6 => text.parse().ok().map(IpAddr::V6),
    }
}

/// An address of one family.
pub(crate) fn address(place: Place, family: Family, text: &str) -> Result<IpAddr, ParseError> {
    address_in(family, text).ok_or_else(|| place.not(text, wanted_address(family)))
}

/// An address with or without a prefix length; host bits are masked, as the kernel does.
pub(crate) fn network(place: Place, family: Family, text: &str) -> Result<IpNet, ParseError> {
    let wanted = wanted_network(family);
    let (ip, prefix) = match text.split_once('/') {
        None => (text, family.bits()),
        Some((ip, prefix)) => (ip, number(place, prefix, "a prefix length")?),
    };
    let ip = address_in(family, ip).ok_or_else(|| place.not(text, wanted))?;
    IpNet::new(ip, prefix).map(|net| net.trunc()).map_err(|_| place.not(text, wanted))
}

pub(crate) fn port(place: Place, text: &str) -> Result<u16, ParseError> {
    number(place, text, "a port")
}

/// `N`, `A:B`, `A:` or `:B`.
pub(crate) fn port_range(place: Place, text: &str) -> Result<PortRange, ParseError> {
    let (first, last) = match text.split_once(':') {
        None => {
            let only = port(place, text)?;
            (only, only)
        }
        Some((first, last)) => (
            if first.is_empty() { 0 } else { port(place, first)? },
            if last.is_empty() { u16::MAX } else { port(place, last)? },
        ),
    };
    PortRange::new(first, last).ok_or_else(|| place.not(text, "a rising port range"))
}

pub(crate) fn transport(place: Place, text: &str) -> Result<Transport, ParseError> {
    Transport::ALL
        .into_iter()
        .find(|transport| transport.as_str() == text)
        .ok_or_else(|| place.not(text, "tcp, udp or sctp"))
}

/// A protocol by the names that rules of ours use, or by number. Protocol 0 is iptables' word for "any", which is no
/// test at all.
pub(crate) fn protocol(place: Place, text: &str) -> Result<Protocol, ParseError> {
    let wanted = "tcp, udp, sctp, icmp, ipv6-icmp or a protocol number from 1";
    match text {
        "tcp" => Ok(Protocol::TCP),
        "udp" => Ok(Protocol::UDP),
        "sctp" => Ok(Protocol::SCTP),
        "icmp" => Ok(Protocol::ICMP),
        "ipv6-icmp" | "icmpv6" => Ok(Protocol::ICMPV6),
        _ => match number(place, text, wanted)? {
            0 => Err(place.not(text, wanted)),
            protocol => Ok(Protocol(protocol)),
        },
    }
}

pub(crate) fn iface_pattern(place: Place, text: &str) -> Result<IfacePattern, ParseError> {
    let wanted = "an interface name";
    // iptables-save prints a name as it is, and what it printed of such a one says something else.
    if text.contains('"') {
        return Err(place.not(text, wanted));
    }
    text.parse().map_err(|_| place.not(text, wanted))
}

pub(crate) fn tcp_flags(place: Place, text: &str) -> Result<TcpFlags, ParseError> {
    text.split(',').try_fold(TcpFlags::NONE, |flags, word| {
        let flag = match word {
            "FIN" => TcpFlags::FIN,
            "SYN" => TcpFlags::SYN,
            "RST" => TcpFlags::RST,
            "PSH" => TcpFlags::PSH,
            "ACK" => TcpFlags::ACK,
            "URG" => TcpFlags::URG,
            "ALL" => TcpFlags::ALL,
            "NONE" => TcpFlags::NONE,
            _ => return Err(place.not(word, "a TCP flag")),
        };
        Ok(flags.with(flag))
    })
}

pub(crate) fn conn_states(place: Place, text: &str) -> Result<ConnStates, ParseError> {
    text.split(',').try_fold(ConnStates::default(), |states, word| {
        let state = match word {
            "NEW" => ConnState::New,
            "ESTABLISHED" => ConnState::Established,
            "RELATED" => ConnState::Related,
            "INVALID" => ConnState::Invalid,
            "UNTRACKED" => ConnState::Untracked,
            _ => return Err(place.not(word, "a connection state that can be judged")),
        };
        Ok(states.with(state))
    })
}

/// `--dst-type`. The other types need the host's routes to judge, and ip6tables takes no BROADCAST.
pub(crate) fn address_types(place: Place, family: Family, text: &str) -> Result<DstKinds, ParseError> {
    text.split(',').try_fold(DstKinds::default(), |kinds, word| {
        let kind = match (word, family) {
            ("UNICAST", _) => DstKind::Unicast,
            ("BROADCAST", Family::V4) => DstKind::Broadcast,
            ("MULTICAST", _) => DstKind::Multicast,
            _ => return Err(place.not(word, "an address type that can be judged")),
        };
        Ok(kinds.with(kind))
    })
}

pub(crate) fn packet_type(place: Place, text: &str) -> Result<DstKinds, ParseError> {
    let kind = match text {
        "unicast" => DstKind::Unicast,
        "broadcast" => DstKind::Broadcast,
        "multicast" => DstKind::Multicast,
        _ => return Err(place.not(text, "a packet type")),
    };
    Ok(DstKinds::default().with(kind))
}

/// `TYPE`, `TYPE/CODE`, or `any` in IPv4 rules. Names are not read: what is saved has numbers.
pub(crate) fn icmp_pattern(place: Place, family: Family, text: &str) -> Result<IcmpPattern, ParseError> {
    let wanted = "an ICMP type by number";
    // iptables takes type 255 for "any" as well.
    if let ("any" | "255", Family::V4) = (text, family) {
        return Ok(IcmpPattern::Any);
    }
    match text.split_once('/') {
        None => Ok(IcmpPattern::Type(number(place, text, wanted)?)),
        Some((kind, code)) => {
            Ok(IcmpPattern::TypeCode(number(place, kind, wanted)?, number(place, code, wanted)?))
        }
    }
}

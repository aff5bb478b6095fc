//! The headers of a packet, as far as rules look into them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chainmail_contract::{Family, Transport};
use chainmail_verdict::exact::Service;
use chainmail_verdict::{ConnState, Packet, Payload, Protocol, TcpFlags};

/// Extension headers of IPv6 that only lead on (RFC 8200 §4.1): hop-by-hop options, routing, destination options.
const LEADING_ON: [u8; 3] = [0, 43, 60];
/// The fragment header.
const FRAGMENT: u8 = 44;

/// A packet from its bytes, as one that opens a connection; `None` for what is cut off or no IP.
pub(super) fn read(bytes: &[u8]) -> Option<(Packet, Service)> {
    let (src, dst, protocol, hop_limit, rest) = match bytes.first()? >> 4 {
        4 => v4(bytes)?,
        6 => v6(bytes)?,
        _ => return None,
    };
    let (payload, service) = payload(Family::of(src), protocol, rest)?;
    let packet = Packet::new(src, dst, payload, ConnState::New).ok()?;
    Some((packet.with_hop_limit(hop_limit), service))
}

/// The ends, the protocol, the hop limit, and what comes behind; nothing of a fragment that is not the first.
type Network<'b> = (IpAddr, IpAddr, u8, u8, Option<&'b [u8]>);

fn v4(bytes: &[u8]) -> Option<Network<'_>> {
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?)));
    let header = usize::from(bytes.first()? & 0xf) * 4;
    let offset = u16::from_be_bytes(*bytes.get(6..)?.first_chunk()?) & 0x1fff;
    let rest = bytes.get(header..).filter(|_| offset == 0);
    Some((address(12)?, address(16)?, *bytes.get(9)?, *bytes.get(8)?, rest))
}

fn v6(bytes: &[u8]) -> Option<Network<'_>> {
    let address = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?)));
    let mut protocol = *bytes.get(6)?;
    let mut rest = bytes.get(40..)?;
    let mut first = true;
    loop {
        let length = if LEADING_ON.contains(&protocol) {
            (usize::from(*rest.get(1)?) + 1) * 8
        } else if protocol == FRAGMENT {
            first &= u16::from_be_bytes(*rest.get(2..)?.first_chunk()?) >> 3 == 0;
            8
        } else {
            break;
        };
        protocol = *rest.first()?;
        rest = rest.get(length..)?;
    }
    Some((address(8)?, address(24)?, protocol, *bytes.get(7)?, Some(rest).filter(|_| first)))
}

fn payload(family: Family, protocol: u8, rest: Option<&[u8]>) -> Option<(Payload, Service)> {
    let port = |at: usize| Some(u16::from_be_bytes(*rest?.get(at..)?.first_chunk()?));
    let icmp = match family {
        Family::V4 => Protocol::ICMP,
        Family::V6 => Protocol::ICMPV6,
    };
    if let Some(transport) = Protocol(protocol).transport() {
        let (sport, dport) = (port(0)?, port(2)?);
        let payload = match transport {
            Transport::Tcp => Payload::Tcp { sport, dport, flags: flags(*rest?.get(13)?) },
            Transport::Udp => Payload::Udp { sport, dport },
            Transport::Sctp => Payload::Sctp { sport, dport },
        };
        return Some((payload, Service::Port(transport, dport)));
    }
    if Protocol(protocol) == icmp {
        let (type_, code) = (*rest?.first()?, *rest?.get(1)?);
        return Some((Payload::Icmp { type_, code }, Service::Icmp(type_, code)));
    }
    Some((Payload::Other(protocol), Service::Other(Protocol(protocol))))
}

fn flags(byte: u8) -> TcpFlags {
    let each = [TcpFlags::FIN, TcpFlags::SYN, TcpFlags::RST, TcpFlags::PSH, TcpFlags::ACK, TcpFlags::URG];
    let on = (0..).zip(each).filter(|(bit, _)| byte >> bit & 1 == 1);
    on.fold(TcpFlags::NONE, |all, (_, flag)| all.with(flag))
}

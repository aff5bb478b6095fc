//! A packet as FORWARD sees it: after DNAT, before SNAT, with what conntrack says of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use chainmail_contract::{Family, Transport};
use thiserror::Error;

use crate::{End, Protocol, TcpFlags};

/// The first port of the range that IANA sets aside for clients.
pub(crate) const EPHEMERAL_PORT: u16 = 49152;
/// What most hosts send, less the router that forwards.
pub(crate) const USUAL_HOP_LIMIT: u8 = 63;

/// A packet that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Its ends are of two families.
    #[error("{src} and {dst} are not of one family")]
    Families {
        /// The source.
        src: IpAddr,
        /// The destination.
        dst: IpAddr,
    },
    /// The payload hides a protocol whose header rules look into.
    #[error("protocol {0} has a payload of its own")]
    OpaqueProtocol(u8),
    /// Not an interface name.
    #[error("interface name {0:?} is not 1 to 15 bytes without '/', ':' and spaces")]
    IfaceName(String),
}

/// The name of a network interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IfaceName(Box<str>);

impl IfaceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfaceName {
    type Err = PacketError;

    fn from_str(name: &str) -> Result<Self, PacketError> {
        // dev_valid_name() of the kernel: under IFNAMSIZ (16) with the NUL, not "." or "..", none of these bytes.
        let fits = (1..=15).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.bytes().any(|b| b == b'/' || b == b':' || b.is_ascii_whitespace());
        if fits { Ok(Self(name.into())) } else { Err(PacketError::IfaceName(name.to_owned())) }
    }
}

impl fmt::Display for IfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What conntrack says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnState {
    /// It would open a connection.
    New,
    /// Its connection has seen packets in both directions.
    Established,
    /// It belongs to a connection without being of it: an ICMP error, a helper's child.
    Related,
    /// It fits nothing that conntrack knows.
    Invalid,
    /// Conntrack does not look at it, as at neighbour discovery.
    Untracked,
}

/// What kind of destination the address is, on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DstKind {
    /// One host.
    Unicast,
    /// Every host of an IPv4 link.
    Broadcast,
    /// A group.
    Multicast,
}

/// What follows the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payload {
    /// TCP.
    Tcp {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// The flags that are on.
        flags: TcpFlags,
    },
    /// UDP.
    Udp {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
    },
    /// SCTP.
    Sctp {
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
    },
    /// ICMP in an IPv4 packet, ICMPv6 in an IPv6 one.
    Icmp {
        /// Type.
        type_: u8,
        /// Code.
        code: u8,
    },
    /// Any other protocol, by number.
    Other(u8),
}

/// A packet at FORWARD.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    src: IpAddr,
    dst: IpAddr,
    payload: Payload,
    state: ConnState,
    in_iface: Option<IfaceName>,
    out_iface: Option<IfaceName>,
    hop_limit: u8,
    dst_kind: DstKind,
}

impl Packet {
    /// A packet with no interfaces, a usual hop limit, and the destination kind that its address alone tells.
    ///
    /// # Errors
    /// When the ends are of two families, or [`Payload::Other`] holds a protocol that has a variant of its own.
    pub fn new(src: IpAddr, dst: IpAddr, payload: Payload, state: ConnState) -> Result<Self, PacketError> {
        let family = Family::of(src);
        if family != Family::of(dst) {
            return Err(PacketError::Families { src, dst });
        }
        if let Payload::Other(number) = payload {
            let protocol = Protocol(number);
            if protocol.transport().is_some() || protocol == icmp_of(family) {
                return Err(PacketError::OpaqueProtocol(number));
            }
        }
        let dst_kind = match dst {
            IpAddr::V4(Ipv4Addr::BROADCAST) => DstKind::Broadcast,
            _ if dst.is_multicast() => DstKind::Multicast,
            _ => DstKind::Unicast,
        };
        Ok(Self {
            src,
            dst,
            payload,
            state,
            in_iface: None,
            out_iface: None,
            hop_limit: USUAL_HOP_LIMIT,
            dst_kind,
        })
    }

    /// The first packet of a connection from an ephemeral port; for TCP the SYN.
    ///
    /// # Errors
    /// When the ends are of two families.
    pub fn opening(src: IpAddr, dst: IpAddr, transport: Transport, dport: u16) -> Result<Self, PacketError> {
        let sport = EPHEMERAL_PORT;
        let payload = match transport {
            Transport::Tcp => Payload::Tcp { sport, dport, flags: TcpFlags::SYN },
            Transport::Udp => Payload::Udp { sport, dport },
            Transport::Sctp => Payload::Sctp { sport, dport },
        };
        Self::new(src, dst, payload, ConnState::New)
    }

    /// The same packet in another conntrack state.
    #[must_use]
    pub fn with_state(self, state: ConnState) -> Self {
        Self { state, ..self }
    }

    /// The same packet with another hop limit, or TTL.
    #[must_use]
    pub fn with_hop_limit(self, hop_limit: u8) -> Self {
        Self { hop_limit, ..self }
    }

    /// The same packet, of which conntrack says something else.
    #[must_use]
    pub fn in_state(self, state: ConnState) -> Self {
        Self { state, ..self }
    }

    /// The same packet between two interfaces.
    #[must_use]
    pub fn between(self, in_iface: IfaceName, out_iface: IfaceName) -> Self {
        Self { in_iface: Some(in_iface), out_iface: Some(out_iface), ..self }
    }

    /// The same packet to an address that the host's routes know as of that kind; a subnet's broadcast address
    /// cannot be told from the address alone.
    #[must_use]
    pub fn with_dst_kind(self, dst_kind: DstKind) -> Self {
        Self { dst_kind, ..self }
    }

    /// The family of both ends.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.src)
    }

    /// The source address.
    #[must_use]
    pub fn src(&self) -> IpAddr {
        self.src
    }

    /// The destination address.
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        self.dst
    }

    /// The address of one end.
    #[must_use]
    pub fn address(&self, end: End) -> IpAddr {
        match end {
            End::Src => self.src,
            End::Dst => self.dst,
        }
    }

    /// What follows the IP header.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// The protocol number of the payload.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.payload {
            Payload::Tcp { .. } => Protocol::TCP,
            Payload::Udp { .. } => Protocol::UDP,
            Payload::Sctp { .. } => Protocol::SCTP,
            Payload::Icmp { .. } => icmp_of(self.family()),
            Payload::Other(number) => Protocol(number),
        }
    }

    /// The transport protocol and the port of one end, if the payload has ports.
    #[must_use]
    pub fn service(&self, end: End) -> Option<(Transport, u16)> {
        let (transport, sport, dport) = match self.payload {
            Payload::Tcp { sport, dport, .. } => (Transport::Tcp, sport, dport),
            Payload::Udp { sport, dport } => (Transport::Udp, sport, dport),
            Payload::Sctp { sport, dport } => (Transport::Sctp, sport, dport),
            Payload::Icmp { .. } | Payload::Other(_) => return None,
        };
        match end {
            End::Src => Some((transport, sport)),
            End::Dst => Some((transport, dport)),
        }
    }

    /// What conntrack says.
    #[must_use]
    pub fn state(&self) -> ConnState {
        self.state
    }

    /// The interface it came in by.
    #[must_use]
    pub fn in_iface(&self) -> Option<&IfaceName> {
        self.in_iface.as_ref()
    }

    /// The interface it leaves by.
    #[must_use]
    pub fn out_iface(&self) -> Option<&IfaceName> {
        self.out_iface.as_ref()
    }

    /// The hop limit, or TTL.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// What kind of destination it has.
    #[must_use]
    pub fn dst_kind(&self) -> DstKind {
        self.dst_kind
    }
}

fn icmp_of(family: Family) -> Protocol {
    match family {
        Family::V4 => Protocol::ICMP,
        Family::V6 => Protocol::ICMPV6,
    }
}

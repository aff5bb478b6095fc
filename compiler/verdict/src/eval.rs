//! Whether a condition holds for a packet.

use crate::{
    End, IcmpPattern, IfaceName, IfacePattern, Match, MultiportEnd, Packet, Payload, PortRange, Set, SetId,
    Test,
};

impl Match {
    /// Whether the condition holds; `set` finds the sets that rules of this family name.
    pub(crate) fn holds<'k>(&self, packet: &Packet, set: impl Fn(SetId) -> &'k Set) -> bool {
        self.sense.accepts(self.test.holds(packet, set))
    }
}

impl Test {
    /// A test of a header that the packet does not have fails: the kernel's matches check the protocol first, and
    /// an ipset lookup that finds no port is no match.
    fn holds<'k>(&self, packet: &Packet, set: impl Fn(SetId) -> &'k Set) -> bool {
        match self {
            Test::Address { end, net } => net.contains(&packet.address(*end)),
            Test::InIface(pattern) => pattern.fits(packet.in_iface()),
            Test::OutIface(pattern) => pattern.fits(packet.out_iface()),
            Test::Protocol(protocol) => packet.protocol() == *protocol,
            Test::Port { transport, end, ports } => packet
                .service(*end)
                .is_some_and(|(spoken, port)| spoken == *transport && ports.contains(port)),
            Test::TcpFlags { mask, set } => match packet.payload() {
                Payload::Tcp { flags, .. } => flags.under_mask_are(*mask, *set),
                Payload::Udp { .. } | Payload::Sctp { .. } | Payload::Icmp { .. } | Payload::Other(_) => {
                    false
                }
            },
            Test::Multiport { end, ranges } => match end {
                MultiportEnd::One(end) => port_in(packet, *end, ranges),
                MultiportEnd::Either => {
                    port_in(packet, End::Src, ranges) || port_in(packet, End::Dst, ranges)
                }
            },
            Test::Set { set: id, ends } => set(*id).matches(packet, ends),
            Test::State(states) => states.contains(packet.state()),
            Test::Icmp(pattern) => match packet.payload() {
                Payload::Icmp { type_, code } => pattern.fits(type_, code),
                Payload::Tcp { .. } | Payload::Udp { .. } | Payload::Sctp { .. } | Payload::Other(_) => false,
            },
            Test::HopLimit(hop_limit) => packet.hop_limit() == *hop_limit,
            Test::DstKind(kinds) => kinds.contains(packet.dst_kind()),
            // The rule only logs; the first packet is always within the limit.
            Test::RateLimit(_) => true,
        }
    }
}

fn port_in(packet: &Packet, end: End, ranges: &[PortRange]) -> bool {
    packet.service(end).is_some_and(|(_, port)| ranges.iter().any(|range| range.contains(port)))
}

impl IfacePattern {
    /// Whether an interface is meant. A packet without one has an empty name, as in the kernel.
    #[must_use]
    pub fn fits(&self, iface: Option<&IfaceName>) -> bool {
        let name = iface.map_or("", IfaceName::as_str);
        match self {
            IfacePattern::Exact(wanted) => name == wanted.as_str(),
            IfacePattern::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

impl IcmpPattern {
    fn fits(self, type_: u8, code: u8) -> bool {
        match self {
            IcmpPattern::Any => true,
            IcmpPattern::Type(wanted) => type_ == wanted,
            IcmpPattern::TypeCode(wanted, with_code) => type_ == wanted && code == with_code,
        }
    }
}

//! Protocols, ports and TCP flags, as rules and packets both speak of them.

use chainmail_contract::Transport;

/// An IP protocol by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP, of IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMPv6, of IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// The transport protocol with this number, if it is one.
    #[must_use]
    pub fn transport(self) -> Option<Transport> {
        Transport::ALL.into_iter().find(|&transport| Self::from(transport) == self)
    }
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::TCP,
            Transport::Udp => Self::UDP,
            Transport::Sctp => Self::SCTP,
        }
    }
}

/// Which end of a packet is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The source address or port.
    Src,
    /// The destination address or port.
    Dst,
}

/// Ports from a first to a last, both included; a single port is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// A range, unless it is reversed: iptables refuses that.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether a port is in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// A set of TCP flags, bit for bit as the TCP header has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No flag: `NONE` in a rule.
    pub const NONE: Self = Self(0);
    /// FIN.
    pub const FIN: Self = Self(0x01);
    /// SYN.
    pub const SYN: Self = Self(0x02);
    /// RST.
    pub const RST: Self = Self(0x04);
    /// PSH.
    pub const PSH: Self = Self(0x08);
    /// ACK.
    pub const ACK: Self = Self(0x10);
    /// URG.
    pub const URG: Self = Self(0x20);
    /// The six flags that rules can name: `ALL`.
    pub const ALL: Self = Self(0x3f);

    /// Every combination of the six flags.
    pub(crate) fn each() -> impl Iterator<Item = Self> {
        (0..=Self::ALL.0).map(Self)
    }

    /// These flags and others.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether, of the flags in `mask`, exactly those in `set` are on: `--tcp-flags MASK SET`.
    #[must_use]
    pub fn under_mask_are(self, mask: Self, set: Self) -> bool {
        self.0 & mask.0 == set.0
    }
}

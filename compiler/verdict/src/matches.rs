//! What a rule of ours can ask of a packet: `iptables(8)` and the matches of `iptables-extensions(8)` that can be
//! judged from the packet and the sets alone.

use std::fmt;
use std::str::FromStr;

use chainmail_contract::Transport;
use ipnet::IpNet;

use crate::{ConnState, DstKind, End, IfaceName, PacketError, PortRange, Protocol, TcpFlags};

/// One condition of a rule; a rule matches when all of its conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// Whether a `!` stands before it.
    pub sense: Sense,
    /// What is asked.
    pub test: Test,
}

/// Whether a test must hold or fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sense {
    /// It must hold.
    Is,
    /// It must fail: `!`.
    Not,
}

impl Sense {
    /// Whether a test with this outcome lets the condition hold.
    #[must_use]
    pub fn accepts(self, outcome: bool) -> bool {
        match self {
            Sense::Is => outcome,
            Sense::Not => !outcome,
        }
    }
}

/// A set that rules of one family name, as a place in [`Ruleset::sets`](crate::Ruleset::sets).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetId(pub(crate) u32);

/// One question about a packet. Options of one `-m` stand as tests of their own, which means the same: iptables
/// joins them by "and".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// `-s` or `-d`; host bits are zero.
    Address {
        /// The end looked at.
        end: End,
        /// Where it must be.
        net: IpNet,
    },
    /// `-i`.
    InIface(IfacePattern),
    /// `-o`.
    OutIface(IfacePattern),
    /// `-p`.
    Protocol(Protocol),
    /// `-m tcp --dport` and its like.
    Port {
        /// The protocol whose header is looked into.
        transport: Transport,
        /// The end looked at.
        end: End,
        /// The ports.
        ports: PortRange,
    },
    /// `-m tcp --tcp-flags MASK SET`.
    TcpFlags {
        /// The flags looked at.
        mask: TcpFlags,
        /// Those of them that must be on, the others off.
        set: TcpFlags,
    },
    /// `-m multiport`, of the transport that the rule's `-p` names.
    Multiport {
        /// The end looked at.
        end: MultiportEnd,
        /// The ports, one of which it must be.
        ranges: Vec<PortRange>,
    },
    /// `-m set --match-set`.
    Set {
        /// The set.
        set: SetId,
        /// The end for each dimension of the set's members.
        ends: Vec<End>,
    },
    /// `-m conntrack --ctstate`.
    State(ConnStates),
    /// `-m icmp --icmp-type` in IPv4 rules, `-m icmp6 --icmpv6-type` in IPv6 rules.
    Icmp(IcmpPattern),
    /// `-m hl --hl-eq`.
    HopLimit(u8),
    /// `-m addrtype --dst-type`, or `-m pkttype --pkt-type` of the kind.
    DstKind(DstKinds),
    /// `-m limit`; it stands only in rules that log, so it decides no verdict.
    RateLimit(RateLimit),
}

/// The ends that a multiport looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MultiportEnd {
    /// `--sports` or `--dports`.
    One(End),
    /// `--ports`: either end will do.
    Either,
}

/// An interface, or all whose names begin alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum IfacePattern {
    /// One name.
    Exact(IfaceName),
    /// `PREFIX+`.
    Prefix(Box<str>),
}

impl FromStr for IfacePattern {
    type Err = PacketError;

    /// As iptables spells it. The prefix has the limits of a name, and may be empty: "+" is any interface.
    fn from_str(text: &str) -> Result<Self, PacketError> {
        match text.strip_suffix('+') {
            None => text.parse().map(IfacePattern::Exact),
            Some("") => Ok(IfacePattern::Prefix("".into())),
            Some(prefix) => prefix.parse::<IfaceName>().map(|_| IfacePattern::Prefix(prefix.into())),
        }
    }
}

impl fmt::Display for IfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IfacePattern::Exact(name) => name.fmt(f),
            IfacePattern::Prefix(prefix) => write!(f, "{prefix}+"),
        }
    }
}

/// A set of conntrack states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ConnStates(u8);

impl ConnStates {
    /// This set and one more state.
    #[must_use]
    pub fn with(self, state: ConnState) -> Self {
        Self(self.0 | Self::bit(state))
    }

    /// Whether a state is in the set.
    #[must_use]
    pub fn contains(self, state: ConnState) -> bool {
        self.0 & Self::bit(state) != 0
    }

    fn bit(state: ConnState) -> u8 {
        match state {
            ConnState::New => 1,
            ConnState::Established => 2,
            ConnState::Related => 4,
            ConnState::Invalid => 8,
            ConnState::Untracked => 16,
        }
    }
}

/// A set of destination kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DstKinds(u8);

impl DstKinds {
    /// This set and one more kind.
    #[must_use]
    pub fn with(self, kind: DstKind) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    /// Whether a kind is in the set.
    #[must_use]
    pub fn contains(self, kind: DstKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    fn bit(kind: DstKind) -> u8 {
        match kind {
            DstKind::Unicast => 1,
            DstKind::Broadcast => 2,
            DstKind::Multicast => 4,
        }
    }
}

/// The ICMP messages that a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IcmpPattern {
    /// `any`, of IPv4 only.
    Any,
    /// A type with any code.
    Type(u8),
    /// A type and a code.
    TypeCode(u8, u8),
}

/// How often a rule may match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RateLimit {
    /// `--limit`, as written: `10/sec`.
    pub rate: Box<str>,
    /// `--limit-burst`; iptables takes 5 when it is not said.
    pub burst: u32,
}

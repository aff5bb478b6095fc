//! A rule: matches that must all hold, and what happens then.

use std::fmt;

use chainmail_contract::{COMMENT_MAX, ChainName, Level, MULTIPORT_SLOTS, SetKind, SetName, Transport};
use chainmail_model::{InterfaceName, InterfacePattern, LogLimit};
use ipnet::IpNet;

/// Which end of a packet a set is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Source.
    Src,
    /// Destination.
    Dst,
}

/// A protocol as `-p` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// One with ports.
    Transport(Transport),
    /// ICMP of the rule's family.
    Icmp,
}

/// Ports `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// How many of a multiport match's slots it takes.
    #[must_use]
    pub fn slots(self) -> usize {
        if self.first == self.last { 1 } else { 2 }
    }
}

/// The destination ports of one rule: at least one range, and no more than one match can hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports(Vec<PortRange>);

impl Ports {
    /// Spreads ranges over as few matches as can hold them.
    #[must_use]
    pub fn split(ranges: impl IntoIterator<Item = PortRange>) -> Vec<Self> {
        let mut matches: Vec<Self> = Vec::new();
        let mut free = 0;
        for range in ranges {
            match matches.last_mut() {
                Some(last) if range.slots() <= free => {
                    last.0.push(range);
                    free -= range.slots();
                }
                _ => {
                    matches.push(Self(vec![range]));
                    free = MULTIPORT_SLOTS - range.slots();
                }
            }
        }
        matches
    }

    /// The ranges.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }
}

/// A connection state of conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnState {
    /// Part of a connection that was let in.
    Established,
    /// Caused by one.
    Related,
    /// Neither that nor a new one.
    Invalid,
}

/// How the address, port and address of a cut flow are read from a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SideOrder {
    /// The client sends: `src,src,dst`.
    FromClient,
    /// The server sends: `dst,dst,src`.
    ToClient,
}

/// A set and how it is asked. The number of directions is the type's: the kernel loads a wrong number silently and
/// then never matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetRef {
    /// A set of one of the content-named kinds, asked about one end (address, and port where it has one).
    Content {
        /// The set.
        name: SetName,
        /// Its type.
        kind: SetKind,
        /// Which end.
        side: Side,
    },
    /// The set of cut flows.
    Cut {
        /// The set.
        name: SetName,
        /// Who sends.
        order: SideOrder,
    },
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// The source address is in a network.
    Source(IpNet),
    /// The source address is not in a network.
    NotSource(IpNet),
    /// The destination address is in a network.
    Destination(IpNet),
    /// The packet comes in by an interface and leaves by the same: between two ports of a bridge.
    Within(InterfaceName),
    /// The packet comes in by one of these interfaces.
    InInterface(InterfacePattern),
    /// The packet leaves by one of these interfaces.
    OutInterface(InterfacePattern),
    /// The packet is of a protocol.
    Protocol(Protocol),
    /// The packet is not of a protocol.
    NotProtocol(Protocol),
    /// The destination port of a protocol is one of these. Stands after `Protocol` of the same protocol.
    DestinationPorts(Transport, Ports),
    /// A TCP packet that does not open a connection: of FIN, SYN, RST and ACK not exactly SYN is set.
    NotTcpSyn,
    /// An ICMPv6 message of a type. Stands after `Protocol`.
    Icmpv6Type(u8),
    /// The IPv6 hop limit.
    HopLimit(u8),
    /// The destination is not one host, as the routing table knows it: broadcast or multicast. IPv4 only.
    ToMany,
    /// Conntrack's state.
    State(ConnState),
    /// The packet's end is in a set.
    InSet(SetRef),
    /// The packet's end is not in a set.
    NotInSet(SetRef),
    /// No more than so many packets have come here of late.
    Limit(LogLimit),
}

impl Match {
    /// The grammar level of snapshots that has this condition in such a place. The applying half of a node reads rules by
    /// forms (`reconciler/src/rules/form.rs`), and one that does not know a form has to be told which version does.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Match::Source(_)
            | Match::NotSource(_)
            | Match::Destination(_)
            | Match::Within(_)
            | Match::InInterface(_)
            | Match::OutInterface(_)
            | Match::Protocol(_)
            | Match::NotProtocol(_)
            | Match::DestinationPorts(..)
            | Match::NotTcpSyn
            | Match::Icmpv6Type(_)
            | Match::HopLimit(_)
            | Match::ToMany
            | Match::State(_)
            | Match::InSet(_)
            | Match::NotInSet(_)
            | Match::Limit(_) => Level::First,
        }
    }
}

/// What happens with a packet that meets a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Back to where the chain was jumped to from.
    Return,
    /// The packet is gone.
    Drop,
    /// The packet passes the table.
    Accept,
    /// The sender's connection is reset.
    TcpReset,
    /// On in another chain, and back here.
    Jump(ChainName),
    /// On in another chain, and back to where this one returns to.
    Goto(ChainName),
    /// Told of as denied, and on with the next rule.
    TellDenied,
}

/// A rule's comment: printable ASCII without quote and backslash, at most [`COMMENT_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comment(String);

impl Comment {
    /// Takes a name and what follows it. A name that is too long is cut with `~`, what follows stays; characters that a
    /// comment cannot hold become `?`.
    #[must_use]
    pub fn new(name: &str, rest: &str) -> Self {
        let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '\'');
        let clean = |text: &str| text.chars().map(|c| if plain(c) { c } else { '?' }).collect::<String>();
        let (mut text, rest) = (clean(name), clean(rest));
        let room = COMMENT_MAX.saturating_sub(rest.len());
        if text.len() > room {
            text.truncate(room.saturating_sub(1));
            text.push('~');
        }
        text.push_str(&rest);
        text.truncate(COMMENT_MAX);
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// What must hold: addresses first, then protocol, then the rest, as iptables-save prints them.
    pub matches: Vec<Match>,
    /// What happens then.
    pub target: Target,
    /// Where it comes from.
    pub comment: Option<Comment>,
}

impl Rule {
    /// A rule without a comment.
    #[must_use]
    pub fn new(matches: impl IntoIterator<Item = Match>, target: Target) -> Self {
        Self { matches: matches.into_iter().collect(), target, comment: None }
    }

    /// The set it asks, if it asks one.
    pub fn sets(&self) -> impl Iterator<Item = &SetName> {
        self.matches.iter().filter_map(|condition| match condition {
            Match::InSet(SetRef::Content { name, .. } | SetRef::Cut { name, .. })
            | Match::NotInSet(SetRef::Content { name, .. } | SetRef::Cut { name, .. }) => Some(name),
            Match::Source(_)
            | Match::NotSource(_)
            | Match::Destination(_)
            | Match::Within(_)
            | Match::InInterface(_)
            | Match::OutInterface(_)
            | Match::ToMany
            | Match::Protocol(_)
            | Match::NotProtocol(_)
            | Match::DestinationPorts(..)
            | Match::NotTcpSyn
            | Match::Icmpv6Type(_)
            | Match::HopLimit(_)
            | Match::State(_)
            | Match::Limit(_) => None,
        })
    }

    /// The chain it goes on in, if it does.
    #[must_use]
    pub fn next_chain(&self) -> Option<&ChainName> {
        match &self.target {
            Target::Jump(chain) | Target::Goto(chain) => Some(chain),
            Target::Return | Target::Drop | Target::Accept | Target::TcpReset | Target::TellDenied => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_spread_by_slots() {
        let single = |n: u16| PortRange { first: n, last: n };
        let wide = |n: u16| PortRange { first: n, last: n + 1 };
        let rows: Vec<(&str, Vec<PortRange>, Vec<usize>)> = vec![
            ("fifteen single ports fit", (1..=15).map(single).collect(), vec![15]),
            ("sixteen do not", (1..=16).map(single).collect(), vec![15, 1]),
            (
                "seven ranges and a port fit",
                (0..7).map(|n| wide(n * 3)).chain([single(99)]).collect(),
                vec![8],
            ),
            ("eight ranges do not", (0..8).map(|n| wide(n * 3)).collect(), vec![7, 1]),
            ("none need no match", vec![], vec![]),
        ];
        for (what, ranges, expected) in rows {
            let sizes: Vec<usize> = Ports::split(ranges).iter().map(|ports| ports.ranges().len()).collect();
            assert_eq!(sizes, expected, "{what}");
        }
    }

    #[test]
    fn a_comment_is_what_the_kernel_keeps() {
        assert_eq!(Comment::new("shop/web", " egress[0]").as_str(), "shop/web egress[0]");
        assert_eq!(Comment::new("a\"b\\c\nd", "").as_str(), "a?b?c?d");
        let long = Comment::new(&"x".repeat(200), " ingress[10] +3");
        assert_eq!(long.as_str().len(), COMMENT_MAX);
        assert!(long.as_str().ends_with("x~ ingress[10] +3"), "{long}");
    }
}

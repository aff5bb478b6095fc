//! The words of rules: only those that `render` writes, read from what `verdict` has judged, and written anew.
//!
//! The spelling is that of `iptables-save`, so that what the kernel holds compares as text.

use std::fmt::Write as _;

use chainmail_contract::{
    COMMENT_MAX, ChainName, DENY_GROUP, DENY_PREFIX, Family, KernelAddress, SetKind, SetName, Transport,
};
use chainmail_verdict::{
    self as verdict, ConnState, ConnStates, DstKind, DstKinds, End, IcmpPattern, IfacePattern, Match,
    MultiportEnd, PortRange, RejectWith, Ruleset, Sense, TcpFlags, Test,
};
use ipnet::IpNet;

use super::{Asked, Refused, SetKinds};

/// The hop limit of a packet that was not forwarded to here (RFC 4861).
const FIRST_HOP: u8 = 255;
/// `--limit` in packets a minute: the kernel's arithmetic gives back no higher number as it was given.
const LIMIT_MOST: u16 = 600;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The source address is in a network.
    Source(IpNet),
    /// The source address is not in a network.
    NotSource(IpNet),
    /// The destination address is in a network.
    Destination(IpNet),
    /// The packet comes in by an interface.
    In(Interface),
    /// The packet leaves by an interface.
    Out(Interface),
    /// The packet is of a protocol.
    Protocol(Protocol),
    /// The packet is not of a protocol.
    NotProtocol(Protocol),
    /// The destination port of a protocol is in one of these ranges.
    Ports(Transport, Vec<PortRange>),
    /// A TCP packet that opens no connection.
    NotTcpSyn,
    /// An ICMPv6 message of a type.
    Icmpv6Type(u8),
    /// The hop limit is that of a packet which was not forwarded.
    FirstHop,
    /// The destination is broadcast or multicast.
    ToMany,
    /// Conntrack's state.
    State(State),
    /// An end of the packet is in a set.
    InSet(SetMatch),
    /// An end of the packet is not in a set.
    NotInSet(SetMatch),
    /// No more than so many packets have come here of late.
    Limit(Limit),
}

/// The name of an interface, or how names begin: letters, digits, `-`, `_` and `.`, as the compiler takes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// One.
    Name(Box<str>),
    /// All whose names begin so.
    Prefix(Box<str>),
}

/// A protocol as `-p` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// One with ports.
    Transport(Transport),
    /// ICMP of the rule's family.
    Icmp,
}

/// A state of conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Part of a connection that was let in.
    Established,
    /// Caused by one.
    Related,
    /// Neither that nor a new one.
    Invalid,
}

/// A set and how it is asked. The number of directions is the type's: the kernel loads a wrong number silently and then
/// never matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetMatch {
    /// A set named by its content, asked about one end.
    Content {
        /// The set.
        name: SetName,
        /// Its type.
        kind: SetKind,
        /// Which end.
        end: End,
    },
    /// The set of cut flows.
    Cut {
        /// The set.
        name: SetName,
        /// The end where the client is: the source (`src,src,dst`) or the destination (`dst,dst,src`).
        client: End,
    },
}

/// How many packets a second or a minute: 1 to 10, or 1 to 600.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit {
    number: u16,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Second,
    Minute,
}

/// A rule's comment: printable ASCII without quotes and backslash, with a blank, at most [`COMMENT_MAX`] bytes. So its
/// quoted form has nothing to escape, and iptables-save quotes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comment(Box<str>);

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
    /// Told of as denied, and on with the next rule.
    TellDenied,
    /// On in another chain, and back here.
    Jump(ChainName),
    /// On in another chain, and back to where this one returns to.
    Goto(ChainName),
}

impl Condition {
    /// Reads the conditions of a rule, in order.
    pub(super) fn all(rules: &Ruleset, matches: &[Match], sets: &SetKinds) -> Result<Vec<Self>, Refused> {
        let mut conditions: Vec<Self> = Vec::with_capacity(matches.len());
        for condition in matches {
            let transport = conditions.iter().find_map(|known| match known {
                Condition::Protocol(Protocol::Transport(transport)) => Some(*transport),
                _ => None,
            });
            conditions.push(Self::of(rules, condition, transport, sets)?);
        }
        Ok(conditions)
    }

    fn of(
        rules: &Ruleset,
        condition: &Match,
        transport: Option<Transport>,
        sets: &SetKinds,
    ) -> Result<Self, Refused> {
        let family = rules.family();
        Ok(match (condition.sense, &condition.test) {
            (Sense::Is, Test::Address { end: End::Src, net }) => Condition::Source(*net),
            (Sense::Not, Test::Address { end: End::Src, net }) => Condition::NotSource(*net),
            (Sense::Is, Test::Address { end: End::Dst, net }) => Condition::Destination(*net),
            (Sense::Is, Test::InIface(pattern)) => Condition::In(Interface::of(pattern)?),
            (Sense::Is, Test::OutIface(pattern)) => Condition::Out(Interface::of(pattern)?),
            (Sense::Is, Test::Protocol(protocol)) => Condition::Protocol(Protocol::of(family, *protocol)?),
            (Sense::Not, Test::Protocol(protocol)) => {
                Condition::NotProtocol(Protocol::of(family, *protocol)?)
            }
            (Sense::Is, Test::Port { transport, end: End::Dst, ports }) => {
                Condition::Ports(*transport, vec![*ports])
            }
            (Sense::Is, Test::Multiport { end: MultiportEnd::One(End::Dst), ranges }) => {
                Condition::Ports(transport.ok_or(Refused::Word("ports of no protocol"))?, ranges.clone())
            }
            (Sense::Not, Test::TcpFlags { mask, set }) if opens(*mask, *set) => Condition::NotTcpSyn,
            (Sense::Is, Test::Icmp(IcmpPattern::Type(kind))) if family == Family::V6 => {
                Condition::Icmpv6Type(*kind)
            }
            (Sense::Is, Test::HopLimit(FIRST_HOP)) => Condition::FirstHop,
            (Sense::Is, Test::DstKind(kinds)) if *kinds == to_many() => Condition::ToMany,
            (Sense::Is, Test::State(states)) => Condition::State(State::of(*states)?),
            (Sense::Is, Test::Set { set, ends }) => {
                Condition::InSet(SetMatch::of(family, rules.set_name(*set), ends, sets)?)
            }
            (Sense::Not, Test::Set { set, ends }) => {
                Condition::NotInSet(SetMatch::of(family, rules.set_name(*set), ends, sets)?)
            }
            (Sense::Is, Test::RateLimit(limit)) => Condition::Limit(Limit::of(limit)?),
            _ => return Err(Refused::Word("such a condition")),
        })
    }

    /// The set that it asks, if it asks one.
    #[must_use]
    pub fn set(&self) -> Option<&SetName> {
        match self {
            Condition::InSet(set) | Condition::NotInSet(set) => match set {
                SetMatch::Content { name, .. } | SetMatch::Cut { name, .. } => Some(name),
            },
            _ => None,
        }
    }

    pub(super) fn write(&self, family: Family, text: &mut String) {
        match self {
            Condition::Source(net) => network(text, "-s", *net),
            Condition::NotSource(net) => network(text, "! -s", *net),
            Condition::Destination(net) => network(text, "-d", *net),
            Condition::In(interface) => interface.write(text, "-i"),
            Condition::Out(interface) => interface.write(text, "-o"),
            Condition::Protocol(protocol) => text.extend(["-p ", protocol.word(family)]),
            Condition::NotProtocol(protocol) => text.extend(["! -p ", protocol.word(family)]),
            Condition::Ports(transport, ranges) => ports(text, *transport, ranges),
            Condition::NotTcpSyn => text.push_str("-m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN"),
            Condition::Icmpv6Type(kind) => put(text, format_args!("-m icmp6 --icmpv6-type {kind}")),
            Condition::FirstHop => put(text, format_args!("-m hl --hl-eq {FIRST_HOP}")),
            Condition::ToMany => text.push_str("-m addrtype --dst-type BROADCAST,MULTICAST"),
            Condition::State(state) => text.extend(["-m conntrack --ctstate ", state.word()]),
            Condition::InSet(set) => set.write(text, "-m set --match-set"),
            Condition::NotInSet(set) => set.write(text, "-m set ! --match-set"),
            Condition::Limit(Limit { number, unit }) => {
                let unit = match unit {
                    Unit::Second => "sec",
                    Unit::Minute => "min",
                };
                put(text, format_args!("-m limit --limit {number}/{unit}"));
            }
        }
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String cannot fail");
}

/// iptables prints the prefix length always.
fn network(text: &mut String, option: &str, net: IpNet) {
    put(text, format_args!("{option} {}/{}", KernelAddress(net.addr()), net.prefix_len()));
}

fn ports(text: &mut String, transport: Transport, ranges: &[PortRange]) {
    match ranges {
        [_] => text.extend(["-m ", transport.as_str(), " --dport "]),
        _ => text.push_str("-m multiport --dports "),
    }
    for (index, range) in ranges.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        put(text, format_args!("{comma}{}", range.first()));
        if range.first() != range.last() {
            put(text, format_args!(":{}", range.last()));
        }
    }
}

/// `--tcp-flags FIN,SYN,RST,ACK SYN`: what opens a connection.
fn opens(mask: TcpFlags, set: TcpFlags) -> bool {
    mask == TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK) && set == TcpFlags::SYN
}

fn to_many() -> DstKinds {
    DstKinds::default().with(DstKind::Broadcast).with(DstKind::Multicast)
}

impl Interface {
    fn of(pattern: &IfacePattern) -> Result<Self, Refused> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = |name: &str| !name.is_empty() && name.bytes().all(plain) && !name.starts_with('-');
        match pattern {
            IfacePattern::Exact(name) if fits(name.as_str()) => Ok(Interface::Name(name.as_str().into())),
            IfacePattern::Prefix(prefix) if fits(prefix) => Ok(Interface::Prefix(prefix.clone())),
            IfacePattern::Exact(_) | IfacePattern::Prefix(_) => Err(Refused::Word("such an interface")),
        }
    }

    /// iptables marks the beginning of a name by `+`.
    fn write(&self, text: &mut String, option: &str) {
        match self {
            Interface::Name(name) => text.extend([option, " ", name]),
            Interface::Prefix(prefix) => text.extend([option, " ", prefix, "+"]),
        }
    }
}

impl Protocol {
    fn of(family: Family, protocol: verdict::Protocol) -> Result<Self, Refused> {
        let icmp = match family {
            Family::V4 => verdict::Protocol::ICMP,
            Family::V6 => verdict::Protocol::ICMPV6,
        };
        match protocol.transport() {
            Some(transport) => Ok(Protocol::Transport(transport)),
            None if protocol == icmp => Ok(Protocol::Icmp),
            None => Err(Refused::Word("such a protocol")),
        }
    }

    fn word(self, family: Family) -> &'static str {
        match (self, family) {
            (Protocol::Transport(transport), _) => transport.as_str(),
            (Protocol::Icmp, Family::V4) => "icmp",
            (Protocol::Icmp, Family::V6) => "ipv6-icmp",
        }
    }
}

impl State {
    fn of(states: ConnStates) -> Result<Self, Refused> {
        let is = |state| states == ConnStates::default().with(state);
        let all = [
            (ConnState::Established, State::Established),
            (ConnState::Related, State::Related),
            (ConnState::Invalid, State::Invalid),
        ];
        let found = all.into_iter().find(|(state, _)| is(*state));
        found.map(|(_, state)| state).ok_or(Refused::Word("such connection states"))
    }

    fn word(self) -> &'static str {
        match self {
            State::Established => "ESTABLISHED",
            State::Related => "RELATED",
            State::Invalid => "INVALID",
        }
    }
}

impl SetMatch {
    fn of(family: Family, name: &SetName, ends: &[End], sets: &SetKinds) -> Result<Self, Refused> {
        let asked = sets.get(name).filter(|_| name.as_str().starts_with(family.set_prefix()));
        let asked =
            asked.ok_or(Refused::Word("a set that is not in the snapshot, or of the other family"))?;
        let name = name.clone();
        Ok(match (asked, ends) {
            (Asked::Content(kind @ (SetKind::HashIp | SetKind::HashNet)), [end]) => {
                SetMatch::Content { name, kind: *kind, end: *end }
            }
            (Asked::Content(kind @ SetKind::HashIpPort), [end, same]) if end == same => {
                SetMatch::Content { name, kind: *kind, end: *end }
            }
            (Asked::Cut, [End::Src, End::Src, End::Dst]) => SetMatch::Cut { name, client: End::Src },
            (Asked::Cut, [End::Dst, End::Dst, End::Src]) => SetMatch::Cut { name, client: End::Dst },
            _ => return Err(Refused::Word("a set of this type asked so")),
        })
    }

    fn write(&self, text: &mut String, option: &str) {
        let word = |end: &End| match end {
            End::Src => "src",
            End::Dst => "dst",
        };
        match self {
            SetMatch::Content { name, kind: SetKind::HashIp | SetKind::HashNet, end } => {
                text.extend([option, " ", name.as_str(), " ", word(end)]);
            }
            SetMatch::Content { name, kind: SetKind::HashIpPort, end } => {
                text.extend([option, " ", name.as_str(), " ", word(end), ",", word(end)]);
            }
            SetMatch::Cut { name, client: End::Src } => {
                text.extend([option, " ", name.as_str(), " src,src,dst"]);
            }
            SetMatch::Cut { name, client: End::Dst } => {
                text.extend([option, " ", name.as_str(), " dst,dst,src"]);
            }
        }
    }
}

impl Limit {
    /// The burst is what iptables takes where none is said, as the compiler says none.
    fn of(limit: &verdict::RateLimit) -> Result<Self, Refused> {
        let (number, unit, most) = match limit.rate.split_once('/') {
            Some((number, "sec")) => (number, Unit::Second, LIMIT_MOST / 60),
            Some((number, "min")) => (number, Unit::Minute, LIMIT_MOST),
            _ => return Err(Refused::Word("such a limit")),
        };
        let number = number.parse().ok().filter(|number| (1..=most).contains(number));
        number.map(|number| Self { number, unit }).ok_or(Refused::Word("such a limit"))
    }
}

impl Comment {
    pub(super) fn of(text: &str) -> Result<Self, Refused> {
        let plain =
            |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'"' | b'\\' | b'\'');
        let fits = text.len() <= COMMENT_MAX && text.contains(' ') && text.bytes().all(plain);
        if fits { Ok(Self(text.into())) } else { Err(Refused::Word("such a comment")) }
    }

    /// The only text in a rule that is quoted.
    pub(super) fn write(&self, text: &mut String) {
        text.extend(["-m comment --comment \"", &self.0, "\""]);
    }
}

impl Target {
    pub(super) fn of(rules: &Ruleset, target: &verdict::Target) -> Result<Self, Refused> {
        Ok(match target {
            verdict::Target::Return => Target::Return,
            verdict::Target::Drop => Target::Drop,
            verdict::Target::Accept => Target::Accept,
            verdict::Target::Reject(RejectWith::TcpReset) => Target::TcpReset,
            verdict::Target::Nflog(nflog)
                if nflog.group == DENY_GROUP
                    && nflog.prefix.as_deref() == Some(DENY_PREFIX)
                    && nflog.size.is_none()
                    && nflog.threshold.is_none() =>
            {
                Target::TellDenied
            }
            verdict::Target::Jump(chain) => Target::Jump(rules.chain(*chain).name.clone()),
            verdict::Target::Goto(chain) => Target::Goto(rules.chain(*chain).name.clone()),
            verdict::Target::Continue | verdict::Target::Reject(_) | verdict::Target::Nflog(_) => {
                return Err(Refused::Word("such a target"));
            }
        })
    }

    pub(super) fn write(&self, text: &mut String) {
        match self {
            Target::Return => text.push_str("-j RETURN"),
            Target::Drop => text.push_str("-j DROP"),
            Target::Accept => text.push_str("-j ACCEPT"),
            Target::TcpReset => text.push_str("-j REJECT --reject-with tcp-reset"),
            Target::TellDenied => {
                put(text, format_args!("-j NFLOG --nflog-prefix {DENY_PREFIX} --nflog-group {DENY_GROUP}"));
            }
            Target::Jump(chain) => text.extend(["-j ", chain.as_str()]),
            Target::Goto(chain) => text.extend(["-g ", chain.as_str()]),
        }
    }
}

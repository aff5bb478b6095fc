//! A rule's words, as `iptables-save` prints them back, so that what the kernel holds compares as text.

use std::fmt::{self, Write as _};

use chainmail_contract::{DENY_GROUP, DENY_PREFIX, Family, KernelAddress, SetKind};
use chainmail_model::{InterfacePattern, LogLimit};
use ipnet::IpNet;

use super::{ConnState, Match, PortRange, Ports, Protocol, Rule, SetRef, Side, SideOrder, Target};

impl Rule {
    /// Adds the rule's text after `-A CHAIN`, with a leading space. Chains are named by a digest of it, which is why
    /// it is spelled here.
    pub fn write_spec(&self, text: &mut String, family: Family) {
        spec(text, family, self);
    }
}

fn word(text: &mut String, what: fmt::Arguments<'_>) {
    text.push(' ');
    text.write_fmt(what).expect("writing to a String cannot fail");
}

fn spec(text: &mut String, family: Family, rule: &Rule) {
    for condition in &rule.matches {
        condition_spec(text, family, condition);
    }
    if let Some(comment) = &rule.comment {
        word(text, format_args!("-m comment --comment \"{comment}\""));
    }
    match &rule.target {
        Target::Return => word(text, format_args!("-j RETURN")),
        Target::Drop => word(text, format_args!("-j DROP")),
        Target::Accept => word(text, format_args!("-j ACCEPT")),
        Target::TcpReset => word(text, format_args!("-j REJECT --reject-with tcp-reset")),
        Target::Jump(chain) => word(text, format_args!("-j {chain}")),
        Target::Goto(chain) => word(text, format_args!("-g {chain}")),
        Target::TellDenied => {
            word(text, format_args!("-j NFLOG --nflog-prefix {DENY_PREFIX} --nflog-group {DENY_GROUP}"));
        }
    }
}

fn condition_spec(text: &mut String, family: Family, condition: &Match) {
    match condition {
        Match::Source(net) => word(text, format_args!("-s {}", Network(net))),
        Match::NotSource(net) => word(text, format_args!("! -s {}", Network(net))),
        Match::Destination(net) => word(text, format_args!("-d {}", Network(net))),
        Match::Within(name) => word(text, format_args!("-i {name} -o {name}")),
        Match::InInterface(pattern) => word(text, format_args!("-i {}", InterfaceWord(pattern))),
        Match::OutInterface(pattern) => word(text, format_args!("-o {}", InterfaceWord(pattern))),
        Match::Protocol(protocol) => word(text, format_args!("-p {}", protocol_word(family, *protocol))),
        Match::NotProtocol(protocol) => word(text, format_args!("! -p {}", protocol_word(family, *protocol))),
        Match::DestinationPorts(transport, ports) => match ports.ranges() {
            [range] => word(text, format_args!("-m {} --dport {}", transport.as_str(), PortWord(*range))),
            _ => word(text, format_args!("-m multiport --dports {}", PortList(ports))),
        },
        Match::NotTcpSyn => word(text, format_args!("-m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN")),
        Match::Icmpv6Type(kind) => word(text, format_args!("-m icmp6 --icmpv6-type {kind}")),
        Match::HopLimit(limit) => word(text, format_args!("-m hl --hl-eq {limit}")),
        Match::ToMany => word(text, format_args!("-m addrtype --dst-type BROADCAST,MULTICAST")),
        Match::State(state) => word(text, format_args!("-m conntrack --ctstate {}", state_word(*state))),
        Match::InSet(set) => word(text, format_args!("-m set --match-set {}", SetWords(set))),
        Match::NotInSet(set) => word(text, format_args!("-m set ! --match-set {}", SetWords(set))),
        Match::Limit(limit) => word(text, format_args!("-m limit --limit {}", LimitWord(*limit))),
    }
}

fn protocol_word(family: Family, protocol: Protocol) -> &'static str {
    match (protocol, family) {
        (Protocol::Transport(transport), _) => transport.as_str(),
        (Protocol::Icmp, Family::V4) => "icmp",
        (Protocol::Icmp, Family::V6) => "ipv6-icmp",
    }
}

fn state_word(state: ConnState) -> &'static str {
    match state {
        ConnState::Established => "ESTABLISHED",
        ConnState::Related => "RELATED",
        ConnState::Invalid => "INVALID",
    }
}

/// iptables keeps the time between two packets in ten thousandths of a second, and prints it back by the second where
/// that is as exact as by the minute (`print_rate` of libxt_limit).
struct LimitWord(LogLimit);

impl fmt::Display for LimitWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: u32 = 10_000;
        let number = self.0.per_minute();
        let between = 60 * SECOND / u32::from(number);
        if between <= SECOND && SECOND / between >= SECOND % between {
            write!(f, "{}/sec", SECOND / between)
        } else {
            write!(f, "{number}/min")
        }
    }
}

/// iptables marks the beginning of a name by `+`.
struct InterfaceWord<'a>(&'a InterfacePattern);

impl fmt::Display for InterfaceWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            InterfacePattern::Name(name) => f.write_str(name.as_str()),
            InterfacePattern::Prefix(prefix) => write!(f, "{}+", prefix.as_str()),
        }
    }
}

/// iptables prints the prefix length always, ipset only below a host's.
struct Network<'a>(&'a IpNet);

impl fmt::Display for Network<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", KernelAddress(self.0.addr()), self.0.prefix_len())
    }
}

struct PortWord(PortRange);

impl fmt::Display for PortWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PortRange { first, last } = self.0;
        if first == last { write!(f, "{first}") } else { write!(f, "{first}:{last}") }
    }
}

struct PortList<'a>(&'a Ports);

impl fmt::Display for PortList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.ranges().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", PortWord(*range))?;
        }
        Ok(())
    }
}

struct SetWords<'a>(&'a SetRef);

impl fmt::Display for SetWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SetRef::Content { name, kind, side } => {
                let side = match side {
                    Side::Src => "src",
                    Side::Dst => "dst",
                };
                match kind {
                    SetKind::HashIp | SetKind::HashNet => write!(f, "{name} {side}"),
                    SetKind::HashIpPort => write!(f, "{name} {side},{side}"),
                }
            }
            SetRef::Cut { name, order: SideOrder::FromClient } => write!(f, "{name} src,src,dst"),
            SetRef::Cut { name, order: SideOrder::ToClient } => write!(f, "{name} dst,dst,src"),
        }
    }
}

//! Which rules stand in which chain: the forms of `compiler/lower`, an arm each.

use chainmail_contract::{ChainName, DENY_CHAIN, Family, INGRESS_CHAIN, SetKind, Transport};
use chainmail_verdict::End;
use ipnet::IpNet;

use super::condition::{Condition as C, Interface, Protocol, SetMatch, State, Target};
use super::role::{Direction, EGRESS_CHAIN, INVALID_CHAIN, Role};
use super::{Refused, Rule};

const TCP: Protocol = Protocol::Transport(Transport::Tcp);
const UDP: Protocol = Protocol::Transport(Transport::Udp);

/// The parts of CM-FORWARD, in the order in which a packet meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    /// Known connections pass.
    Established,
    /// Neighbour discovery passes.
    Discovery,
    /// ICMP errors pass.
    Related,
    /// Flows that were cut end.
    Cut,
    /// Between the ports of a bridge only packets of the node's pods to one host pass.
    Bridge,
    /// Addresses of no known pod are denied: in the node's networks, and on the interfaces of its pods.
    Unknown,
    /// What conntrack cannot place is judged apart.
    Invalid,
    /// Egress of isolated pods is judged.
    Egress,
    /// Ingress of isolated pods is judged.
    Ingress,
    /// What is left and is of a pod passes the host's other rules.
    Local,
}

/// A chain while its rules are checked.
pub(super) struct Chain<'a> {
    family: Family,
    name: &'a ChainName,
    role: Role,
    section: Section,
    rules: usize,
    /// Whether the last rule is for all packets.
    is_ended: bool,
}

impl<'a> Chain<'a> {
    pub(super) fn new(family: Family, name: &'a ChainName, role: Role) -> Self {
        Self { family, name, role, section: Section::Established, rules: 0, is_ended: false }
    }

    /// The next rule of the chain.
    pub(super) fn take(&mut self, rule: &Rule) -> Result<(), Refused> {
        let (conditions, target) = (&rule.conditions[..], &rule.target);
        let fits = match self.role {
            Role::Forward => {
                let section = forward(self.family, conditions, target);
                let follows = section.is_some_and(|section| section >= self.section);
                self.section = section.unwrap_or(self.section);
                follows
            }
            Role::Invalid => invalid(conditions, target),
            Role::Dispatch(direction) => dispatch(self.name, direction, conditions, target),
            Role::Class(direction) => class(direction, conditions, target),
            Role::Deny => deny(self.rules, conditions, target),
        };
        // Only what a policy allows says which policy that is.
        let may_comment = matches!(self.role, Role::Class(_)) && *target == Target::Return;
        if !fits || (rule.comment.is_some() && !may_comment) {
            return Err(Refused::Misplaced(self.role));
        }
        if self.is_ended {
            return Err(Refused::Open(self.role));
        }
        self.is_ended = self.role != Role::Forward && conditions.is_empty();
        self.rules += 1;
        Ok(())
    }

    /// Behind the last rule: what comes to the end of a class or of a dispatch chain would be allowed.
    pub(super) fn end(&self) -> Result<(), Refused> {
        match self.role {
            Role::Forward | Role::Invalid => Ok(()),
            Role::Dispatch(_) | Role::Class(_) | Role::Deny if self.is_ended => Ok(()),
            Role::Dispatch(_) | Role::Class(_) | Role::Deny => Err(Refused::Open(self.role)),
        }
    }
}

/// `lower/base.rs`, `forward_rules`.
fn forward(family: Family, conditions: &[C], target: &Target) -> Option<Section> {
    match (conditions, target) {
        ([C::Protocol(TCP), C::NotTcpSyn, C::InSet(SetMatch::Cut { .. })], Target::TcpReset)
        | ([C::NotProtocol(TCP), C::InSet(SetMatch::Cut { .. })], Target::Drop) => Some(Section::Cut),
        ([C::State(State::Invalid)] | [C::NotProtocol(UDP), C::State(State::Invalid)], target)
            if is_jump(target, INVALID_CHAIN) || is_goto(target, INVALID_CHAIN) =>
        {
            Some(Section::Invalid)
        }
        ([C::InSet(set)], target) if asks(set, End::Src) && is_jump(target, EGRESS_CHAIN) => {
            Some(Section::Egress)
        }
        ([C::InSet(set)], target)
            if asks(set, End::Dst) && (is_jump(target, INGRESS_CHAIN) || is_goto(target, INGRESS_CHAIN)) =>
        {
            Some(Section::Ingress)
        }
        ([C::InSet(set)], Target::Accept) if asks_addresses(set) => Some(Section::Local),
        ([passed @ .., C::InSet(set)], Target::Accept) if asks_addresses(set) => passes(family, passed),
        (passed, Target::Return) => passes(family, passed),
        (denied, target) if denies(target) || is_jump(target, DENY_CHAIN) => refused(family, denied),
        _ => None,
    }
}

/// What passes whatever the policies say.
fn passes(family: Family, conditions: &[C]) -> Option<Section> {
    match (family, conditions) {
        (_, [C::State(State::Established)]) => Some(Section::Established),
        (Family::V6, [C::Protocol(Protocol::Icmp), C::Icmpv6Type(133..=137), C::FirstHop]) => {
            Some(Section::Discovery)
        }
        (_, [C::Protocol(Protocol::Icmp), C::State(State::Related)]) => Some(Section::Related),
        _ => None,
    }
}

/// What CM-FORWARD itself denies.
fn refused(family: Family, conditions: &[C]) -> Option<Section> {
    let (condition, is_within) = match conditions {
        [C::In(Interface::Name(from)), C::Out(Interface::Name(to)), rest @ ..] if from == to => (rest, true),
        [first, C::In(Interface::Name(from)), C::Out(Interface::Name(to))] if from == to => {
            (std::slice::from_ref(first), true)
        }
        other => (other, false),
    };
    match (family, condition) {
        (_, [] | [C::NotSource(_)]) | (Family::V4, [C::ToMany]) if is_within => Some(Section::Bridge),
        (Family::V6, [C::Source(net)]) if is_within && is_link_local(*net) => Some(Section::Bridge),
        (Family::V6, [C::Destination(net)]) if is_within && (is_link_local(*net) || is_multicast(*net)) => {
            Some(Section::Bridge)
        }
        (_, [C::NotInSet(set)]) if is_within && asks(set, End::Src) => Some(Section::Bridge),
        _ if is_within => None,
        (_, [C::Source(_) | C::Destination(_) | C::In(_) | C::Out(_)]) => Some(Section::Unknown),
        (_, [C::Source(_) | C::In(_), C::NotInSet(set)]) if asks_addresses(set) && asks(set, End::Src) => {
            Some(Section::Unknown)
        }
        (_, [C::Destination(_) | C::Out(_), C::NotInSet(set)])
            if asks_addresses(set) && asks(set, End::Dst) =>
        {
            Some(Section::Unknown)
        }
        _ => None,
    }
}

/// `lower/base.rs`, `invalid_rules`.
fn invalid(conditions: &[C], target: &Target) -> bool {
    matches!(conditions, [C::InSet(set)] if asks_addresses(set)) && denies(target)
}

/// `lower/dispatch.rs`. A chain leads to classes of its direction, and to chains below it alone, so that there is no loop.
fn dispatch(chain: &ChainName, direction: Direction, conditions: &[C], target: &Target) -> bool {
    let is_leaf = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
    let at = match conditions {
        [C::Source(source), C::Destination(destination)] => {
            return source == destination && is_leaf(source) && *target == Target::Return;
        }
        [] => None,
        [C::Source(net)] if direction == Direction::Egress => Some(net),
        [C::Destination(net)] if direction == Direction::Ingress => Some(net),
        _ => return false,
    };
    let Target::Goto(to) = target else { return at.is_none() && denies(target) };
    match Role::of(to) {
        Some(Role::Class(of)) => of == direction && at.is_some_and(is_leaf),
        Some(Role::Dispatch(_)) => {
            to.as_str().strip_prefix(chain.as_str()).is_some_and(|rest| rest.starts_with('-'))
        }
        _ => at.is_none() && denies(target),
    }
}

/// `lower/class.rs`. A class allows by RETURN, its peers being sources of ingress and destinations of egress.
fn class(direction: Direction, conditions: &[C], target: &Target) -> bool {
    if *target != Target::Return {
        return conditions.is_empty() && denies(target);
    }
    let peer = match direction {
        Direction::Egress => End::Dst,
        Direction::Ingress => End::Src,
    };
    let (has_network, rest) = match conditions {
        [C::Source(_), rest @ ..] if direction == Direction::Ingress => (true, rest),
        [C::Destination(_), rest @ ..] if direction == Direction::Egress => (true, rest),
        rest => (false, rest),
    };
    let rest = match rest {
        [C::Protocol(Protocol::Transport(transport)), C::Ports(of, _), rest @ ..] if transport == of => rest,
        [C::Protocol(Protocol::Transport(_)), rest @ ..] => rest,
        rest => rest,
    };
    match rest {
        [] => true,
        // A set of services has the ports, and is of peers that are destinations.
        [C::InSet(SetMatch::Content { kind: SetKind::HashIpPort, end, .. })] => {
            conditions.len() == 1 && *end == peer && peer == End::Dst
        }
        [C::InSet(set)] => !has_network && asks(set, peer),
        _ => false,
    }
}

/// `lower/base.rs`, `deny_chain`: a mark, and behind it what becomes of all.
fn deny(index: usize, conditions: &[C], target: &Target) -> bool {
    matches!(
        (index, conditions, target),
        (0, [C::Limit(_)], Target::TellDenied) | (1, [], Target::Drop | Target::Return)
    )
}

/// How chains end for packets that they deny.
fn denies(target: &Target) -> bool {
    *target == Target::Drop || is_goto(target, DENY_CHAIN)
}

fn is_jump(target: &Target, chain: &str) -> bool {
    matches!(target, Target::Jump(to) if to.as_str() == chain)
}

fn is_goto(target: &Target, chain: &str) -> bool {
    matches!(target, Target::Goto(to) if to.as_str() == chain)
}

/// A set of addresses or networks, asked about an end.
fn asks(set: &SetMatch, about: End) -> bool {
    matches!(set, SetMatch::Content { kind: SetKind::HashIp | SetKind::HashNet, end, .. } if *end == about)
}

/// A set of single addresses.
fn asks_addresses(set: &SetMatch) -> bool {
    matches!(set, SetMatch::Content { kind: SetKind::HashIp, .. })
}

/// RFC 4291 §2.5.6.
fn is_link_local(net: IpNet) -> bool {
    net.prefix_len() == 10 && matches!(net, IpNet::V6(net) if net.addr().is_unicast_link_local())
}

/// RFC 4291 §2.7.
fn is_multicast(net: IpNet) -> bool {
    net.prefix_len() == 8 && matches!(net, IpNet::V6(net) if net.addr().is_multicast())
}

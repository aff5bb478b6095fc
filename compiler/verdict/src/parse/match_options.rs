//! The matches of `iptables-extensions(8)` that rules of ours may load with `-m`, and their options.

use chainmail_contract::{Family, MULTIPORT_SLOTS, Transport};

use super::rule::{Draft, RuleNames};
use super::tokens::Tokens;
use super::values;
use crate::error::{ParseError, Place, Reason};
use crate::{End, MultiportEnd, PortRange, Protocol, RateLimit, Sense, Test};

/// A match by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Module {
    Transport(Transport),
    Multiport,
    Set,
    Conntrack,
    Icmp,
    Icmp6,
    HopLimit,
    AddrType,
    PktType,
    Comment,
    Limit,
}

/// The options that stand in one place already; iptables refuses most a second time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen(u16);

impl Seen {
    pub(super) fn once(&mut self, place: Place, word: &str, option: u8) -> Result<(), ParseError> {
        if self.has(option) {
            return Err(place.error(word, Reason::Twice));
        }
        self.0 |= 1 << option;
        Ok(())
    }

    fn has(self, option: u8) -> bool {
        self.0 & (1 << option) != 0
    }

    fn any(self) -> bool {
        self.0 != 0
    }
}

impl Module {
    fn named(place: Place, family: Family, name: &str) -> Result<Self, ParseError> {
        Ok(match (name, family) {
            ("tcp", _) => Module::Transport(Transport::Tcp),
            ("udp", _) => Module::Transport(Transport::Udp),
            ("sctp", _) => Module::Transport(Transport::Sctp),
            ("multiport", _) => Module::Multiport,
            ("set", _) => Module::Set,
            ("conntrack", _) => Module::Conntrack,
            ("icmp", Family::V4) => Module::Icmp,
            ("icmp6", Family::V6) => Module::Icmp6,
            ("hl", Family::V6) => Module::HopLimit,
            ("addrtype", _) => Module::AddrType,
            ("pkttype", _) => Module::PktType,
            ("comment", _) => Module::Comment,
            ("limit", _) => Module::Limit,
            _ => return Err(place.error(name, Reason::UnknownModule)),
        })
    }

    /// How a rule loads the match.
    fn option_name(self) -> &'static str {
        match self {
            Module::Transport(Transport::Tcp) => "-m tcp",
            Module::Transport(Transport::Udp) => "-m udp",
            Module::Transport(Transport::Sctp) => "-m sctp",
            Module::Multiport => "-m multiport",
            Module::Set => "-m set",
            Module::Conntrack => "-m conntrack",
            Module::Icmp => "-m icmp",
            Module::Icmp6 => "-m icmp6",
            Module::HopLimit => "-m hl",
            Module::AddrType => "-m addrtype",
            Module::PktType => "-m pkttype",
            Module::Comment => "-m comment",
            Module::Limit => "-m limit",
        }
    }

    /// The `-p` that the kernel demands in the same rule, if this one does not do.
    fn lacks(self, protocol: Option<Protocol>) -> Option<&'static str> {
        let (fits, wanted) = match self {
            Module::Transport(transport) => {
                let wanted = match transport {
                    Transport::Tcp => "-p tcp",
                    Transport::Udp => "-p udp",
                    Transport::Sctp => "-p sctp",
                };
                (protocol == Some(transport.into()), wanted)
            }
            Module::Multiport => {
                (protocol.and_then(Protocol::transport).is_some(), "-p tcp, -p udp or -p sctp")
            }
            Module::Icmp => (protocol == Some(Protocol::ICMP), "-p icmp"),
            Module::Icmp6 => (protocol == Some(Protocol::ICMPV6), "-p ipv6-icmp"),
            Module::Set
            | Module::Conntrack
            | Module::HopLimit
            | Module::AddrType
            | Module::PktType
            | Module::Comment
            | Module::Limit => return None,
        };
        (!fits).then_some(wanted)
    }
}

/// A match that a rule has loaded, and those of its options that have been read.
#[derive(Debug)]
pub(super) struct Loaded {
    module: Module,
    seen: Seen,
}

impl Loaded {
    /// Loads a match. What it needs of `-p` must stand before it, as iptables-save prints it.
    pub(super) fn load(
        place: Place,
        family: Family,
        name: &str,
        protocol: Option<Protocol>,
    ) -> Result<Self, ParseError> {
        let module = Module::named(place, family, name)?;
        match module.lacks(protocol) {
            Some(wanted) => Err(place.error(module.option_name(), Reason::Needs { wanted })),
            None => Ok(Self { module, seen: Seen::default() }),
        }
    }

    /// Ends the match's options. One without any says nothing, or something that its name does not show, as limit does
    /// (3/hour); only the transport matches stand alone.
    pub(super) fn close(self, place: Place) -> Result<(), ParseError> {
        match self.module {
            Module::Transport(_) => Ok(()),
            _ if self.seen.any() => Ok(()),
            module => Err(place.error(module.option_name(), Reason::MissingValue)),
        }
    }

    /// Reads one option of the match with its values.
    pub(super) fn option(
        &mut self,
        names: &mut RuleNames<'_>,
        tokens: &mut Tokens<'_>,
        sense: Sense,
        word: &str,
        draft: &mut Draft,
    ) -> Result<(), ParseError> {
        let place = tokens.place();
        let Self { module, seen } = self;
        let never_inverted = || match sense {
            Sense::Is => Ok(()),
            Sense::Not => Err(place.error(word, Reason::NotInvertible)),
        };
        let test = match (*module, word) {
            (Module::Transport(transport), "--sport" | "--dport") => {
                let end = if word == "--sport" { End::Src } else { End::Dst };
                seen.once(place, word, end as u8)?;
                let ports = values::port_range(place, &tokens.value_of(word)?)?;
                Test::Port { transport, end, ports }
            }
            (Module::Transport(Transport::Tcp), "--tcp-flags") => {
                seen.once(place, word, 2)?;
                let mask = values::tcp_flags(place, &tokens.value_of(word)?)?;
                let set = values::tcp_flags(place, &tokens.value_of(word)?)?;
                Test::TcpFlags { mask, set }
            }
            (Module::Multiport, "--sports" | "--dports" | "--ports") => {
                // One match has room for one list, whichever end it is of.
                seen.once(place, word, 0)?;
                let end = match word {
                    "--sports" => MultiportEnd::One(End::Src),
                    "--dports" => MultiportEnd::One(End::Dst),
                    _ => MultiportEnd::Either,
                };
                Test::Multiport { end, ranges: port_list(place, &tokens.value_of(word)?)? }
            }
            (Module::Set, "--match-set") => {
                seen.once(place, word, 0)?;
                let set = names.set(place, &tokens.value_of(word)?)?;
                let list = tokens.value_of(word)?;
                let ends = list.split(',').map(|item| end(place, item)).collect::<Result<_, _>>()?;
                Test::Set { set, ends }
            }
            (Module::Conntrack, "--ctstate") => {
                seen.once(place, word, 0)?;
                Test::State(values::conn_states(place, &tokens.value_of(word)?)?)
            }
            (Module::Icmp, "--icmp-type") | (Module::Icmp6, "--icmpv6-type") => {
                seen.once(place, word, 0)?;
                Test::Icmp(values::icmp_pattern(place, names.family(), &tokens.value_of(word)?)?)
            }
            (Module::HopLimit, "--hl-eq") => {
                seen.once(place, word, 0)?;
                Test::HopLimit(values::number(place, &tokens.value_of(word)?, "a hop limit")?)
            }
            (Module::AddrType, "--dst-type") => {
                seen.once(place, word, 0)?;
                Test::DstKind(values::address_types(place, names.family(), &tokens.value_of(word)?)?)
            }
            (Module::PktType, "--pkt-type") => {
                seen.once(place, word, 0)?;
                Test::DstKind(values::packet_type(place, &tokens.value_of(word)?)?)
            }
            (Module::Comment, "--comment") => {
                never_inverted()?;
                if draft.comment.is_some() {
                    return Err(place.error(word, Reason::Twice));
                }
                seen.once(place, word, 0)?;
                draft.comment = Some(tokens.value_of(word)?.into());
                return Ok(());
            }
            (Module::Limit, "--limit") => {
                never_inverted()?;
                seen.once(place, word, 0)?;
                // The burst that iptables takes unless --limit-burst follows.
                Test::RateLimit(RateLimit { rate: tokens.value_of(word)?.into(), burst: 5 })
            }
            (Module::Limit, "--limit-burst") => {
                never_inverted()?;
                seen.once(place, word, 1)?;
                let value = tokens.value_of(word)?;
                let last = draft.matches.last_mut().filter(|_| seen.has(0));
                let Some(Test::RateLimit(limit)) = last.map(|last| &mut last.test) else {
                    return Err(place.error(word, Reason::Needs { wanted: "--limit before it" }));
                };
                limit.burst = values::number(place, &value, "a burst")?;
                return Ok(());
            }
            _ => return Err(place.error(word, Reason::UnknownOption { of: module.option_name() })),
        };
        draft.push(sense, test);
        Ok(())
    }
}

fn port_list(place: Place, list: &str) -> Result<Vec<PortRange>, ParseError> {
    let ranges: Vec<PortRange> =
        list.split(',').map(|item| values::port_range(place, item)).collect::<Result<_, _>>()?;
    let slots = ranges.iter().map(|range| if range.first() == range.last() { 1 } else { 2 }).sum();
    if slots > MULTIPORT_SLOTS {
        return Err(place.error(list, Reason::MultiportSlots { slots }));
    }
    Ok(ranges)
}

fn end(place: Place, word: &str) -> Result<End, ParseError> {
    match word {
        "src" => Ok(End::Src),
        "dst" => Ok(End::Dst),
        _ => Err(place.not(word, "src or dst")),
    }
}

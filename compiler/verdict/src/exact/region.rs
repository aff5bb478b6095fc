//! What a rule's conditions hold for, once one end of the packets is known.

use std::rc::Rc;
use std::sync::Arc;

use chainmail_contract::is_cut_set;

use super::summary::SetContents;
use super::{AddressSet, ModeSet, Modes, ServiceSet, Traffic};
use crate::{End, IcmpPattern, Kernel, Match, MultiportEnd, Sense, Set, SetType, Test};

/// Packets of one subject: some modes of some traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What else the packets are.
    pub modes: ModeSet,
    /// The other end, and the service.
    pub traffic: Rc<Traffic>,
}

impl Part {
    /// Whether all of it is in another part.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.modes.is_subset(&other.modes)
            && (Rc::ptr_eq(&self.traffic, &other.traffic) || self.traffic.is_subset(&other.traffic))
    }

    fn and(&self, other: &Self) -> Option<Self> {
        let modes = self.modes.intersection(&other.modes);
        if modes.is_empty() {
            return None;
        }
        let traffic = if Rc::ptr_eq(&self.traffic, &other.traffic) || self.traffic.is_subset(&other.traffic) {
            Rc::clone(&self.traffic)
        } else {
            Rc::new(self.traffic.intersection(&other.traffic))
        };
        (!traffic.is_empty()).then_some(Self { modes, traffic })
    }

    /// What of this part is not in another, in parts that have no traffic in common: rules ask for few services in few
    /// modes, so that such parts stay few.
    fn without(&self, other: &Self) -> Vec<Self> {
        let modes = self.modes.difference(&other.modes);
        let all_modes = self.modes == modes;
        if all_modes || self.traffic.is_disjoint(&other.traffic) {
            return vec![self.clone()];
        }
        let (inside, outside) = if self.traffic.is_subset(&other.traffic) {
            (Rc::clone(&self.traffic), None)
        } else {
            let outside = self.traffic.difference(&other.traffic);
            (Rc::new(self.traffic.intersection(&other.traffic)), Some(Rc::new(outside)))
        };
        let inside = (!modes.is_empty()).then_some(Self { modes, traffic: inside });
        let outside = outside.map(|traffic| Self { modes: self.modes.clone(), traffic });
        inside.into_iter().chain(outside).collect()
    }
}

/// What of some parts is in others, and what is not. Neither of the lists has packets twice.
#[must_use]
pub fn split(parts: &[Part], by: &[Part]) -> (Vec<Part>, Vec<Part>) {
    let within = parts.iter().flat_map(|part| by.iter().filter_map(|other| part.and(other))).collect();
    let without = by
        .iter()
        .fold(parts.to_vec(), |left, other| left.iter().flat_map(|part| part.without(other)).collect());
    (within, without)
}

/// What a test says of packets whose subject is in a set of addresses.
pub(super) enum Holding {
    /// It holds of all their packets.
    Always,
    /// It holds of none.
    Never,
    /// For all of these subjects and in all modes alike it holds of this traffic.
    Traffic(Rc<Traffic>),
    /// For all of these subjects alike it holds of packets in one of these parts, which have nothing in common.
    Of(Vec<Part>),
    /// It is another answer for these subjects than for the rest.
    Split(AddressSet),
}

/// A test that no walk of sets can judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unjudged;

/// What tests are asked of.
pub(super) struct Asked<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) modes: &'k Modes,
    /// Everything: all modes of all traffic.
    pub(super) all: Part,
    /// The end that is known.
    pub(super) subject: End,
}

impl Asked<'_> {
    /// What a condition holds for.
    pub(super) fn holding(
        &self,
        condition: &Match,
        subjects: &AddressSet,
        contents: &mut SetContents,
    ) -> Result<Holding, Unjudged> {
        let holding = self.test(&condition.test, subjects, contents)?;
        Ok(match (condition.sense, holding) {
            (Sense::Is, holding) | (Sense::Not, holding @ Holding::Split(_)) => holding,
            (Sense::Not, Holding::Always) => Holding::Never,
            (Sense::Not, Holding::Never) => Holding::Always,
            (Sense::Not, Holding::Traffic(traffic)) => Holding::Traffic(Rc::new(traffic.complement())),
            (Sense::Not, Holding::Of(parts)) => Holding::Of(split(std::slice::from_ref(&self.all), &parts).1),
        })
    }

    fn test(
        &self,
        test: &Test,
        subjects: &AddressSet,
        contents: &mut SetContents,
    ) -> Result<Holding, Unjudged> {
        let family = subjects.family();
        let holding = match test {
            Test::Address { end, net } => {
                let net = AddressSet::of_nets(family, [net]);
                if *end == self.subject { among(subjects, &net) } else { self.peers(Rc::new(net)) }
            }
            Test::Protocol(protocol) => self.services(&ServiceSet::protocol(*protocol)),
            Test::Port { transport, end: End::Dst, ports } => {
                self.services(&ServiceSet::ports(*transport, [*ports]))
            }
            Test::Port { transport, end: End::Src, .. } => {
                self.mode_of(test, &ServiceSet::protocol((*transport).into()))
            }
            Test::TcpFlags { .. } => self.mode_of(test, &ServiceSet::protocol(crate::Protocol::TCP)),
            Test::Multiport { end: MultiportEnd::One(End::Dst), ranges } => self.services(&any_port(ranges)),
            Test::Multiport { end: MultiportEnd::One(End::Src), .. } => {
                self.mode_of(test, &ServiceSet::with_ports())
            }
            Test::Multiport { end: MultiportEnd::Either, ranges } => {
                let by_source = self.part_of(test, &ServiceSet::with_ports());
                let by_destination = self.services_part(&any_port(ranges));
                let rest = split(&[by_destination], std::slice::from_ref(&by_source)).1;
                Holding::Of([by_source].into_iter().chain(rest).collect())
            }
            Test::Set { set, ends } => {
                let set = self.kernel.set(family, *set);
                return self.member(test, set, ends, subjects, contents);
            }
            Test::Icmp(IcmpPattern::Any) => self.services(&ServiceSet::icmp_types(family, 0, u8::MAX)),
            Test::Icmp(IcmpPattern::Type(kind)) => {
                self.services(&ServiceSet::icmp_types(family, *kind, *kind))
            }
            Test::Icmp(IcmpPattern::TypeCode(kind, code)) => {
                self.services(&ServiceSet::icmp_message(family, *kind, *code))
            }
            Test::State(_) | Test::HopLimit(_) | Test::DstKind(_) | Test::InIface(_) | Test::OutIface(_) => {
                self.mode_of(test, &ServiceSet::all())
            }
            Test::RateLimit(_) => Holding::Always,
        };
        Ok(holding)
    }

    fn member(
        &self,
        test: &Test,
        set: &Arc<Set>,
        ends: &[End],
        subjects: &AddressSet,
        contents: &mut SetContents,
    ) -> Result<Holding, Unjudged> {
        match (set.set_type(), ends) {
            (SetType::HashIp | SetType::HashNet, &[end]) => {
                let addresses = contents.addresses(set);
                Ok(if end == self.subject { among(subjects, &addresses) } else { self.peers(addresses) })
            }
            (SetType::HashIpPort, &[end, End::Dst]) if end != self.subject => {
                Ok(Holding::Traffic(contents.services(set)))
            }
            (SetType::HashIpPort, &[_, End::Dst]) => {
                // Each member's address has services of its own.
                let services = contents.services(set);
                let members = services.runs().map(|(_, peers)| peers.clone());
                let members = members.fold(AddressSet::none(subjects.family()), |all, some| all.union(&some));
                let inside = subjects.intersection(&members);
                Ok(match (inside.first(), inside.single()) {
                    (None, _) => Holding::Never,
                    (Some(_), Some(subject)) if subjects.single() == Some(subject) => {
                        let theirs = services.runs().filter(|(_, peers)| peers.contains(subject));
                        let theirs = theirs.fold(ServiceSet::none(), |all, (some, _)| all.union(&some));
                        self.services(&theirs)
                    }
                    (Some(first), _) => Holding::Split(AddressSet::one(first)),
                })
            }
            // ICMP members are never added: flows without ports are ended by deleting their entries.
            (SetType::HashIpPortIp, _) if is_cut_set(set.name()) => {
                Ok(self.mode_of(test, &ServiceSet::with_ports()))
            }
            _ => Err(Unjudged),
        }
    }

    fn peers(&self, addresses: Rc<AddressSet>) -> Holding {
        Holding::Traffic(Rc::new(Traffic::of(addresses, &ServiceSet::all())))
    }

    fn services(&self, services: &ServiceSet) -> Holding {
        Holding::Traffic(self.services_part(services).traffic)
    }

    fn services_part(&self, services: &ServiceSet) -> Part {
        let everyone = Rc::new(AddressSet::all(self.all.traffic.family()));
        Part { traffic: Rc::new(Traffic::of(everyone, services)), ..self.all.clone() }
    }

    /// The modes that a test holds of, for the services that it can be asked of.
    fn mode_of(&self, test: &Test, services: &ServiceSet) -> Holding {
        Holding::Of(self.some(self.part_of(test, services)))
    }

    fn part_of(&self, test: &Test, services: &ServiceSet) -> Part {
        Part { modes: self.modes.matching(|mode| test.holds_in(mode)), ..self.services_part(services) }
    }

    fn some(&self, part: Part) -> Vec<Part> {
        let empty = part.modes.is_empty() || part.traffic.is_empty();
        if empty { Vec::new() } else { vec![part] }
    }
}

/// Whether subjects are among some addresses.
fn among(subjects: &AddressSet, addresses: &AddressSet) -> Holding {
    if subjects.is_subset(addresses) {
        Holding::Always
    } else if subjects.is_disjoint(addresses) {
        Holding::Never
    } else {
        Holding::Split(subjects.intersection(addresses))
    }
}

fn any_port(ranges: &[crate::PortRange]) -> ServiceSet {
    let of = |transport| ServiceSet::ports(transport, ranges.iter().copied());
    chainmail_contract::Transport::ALL
        .into_iter()
        .fold(ServiceSet::none(), |all, transport| all.union(&of(transport)))
}

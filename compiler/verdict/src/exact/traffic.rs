//! Sets of (peer, service) pairs.

use std::net::IpAddr;
use std::rc::Rc;

use chainmail_snapshot::{Family, Transport};

use super::services::{PLACES, place_of, service_at};
use super::{AddressSet, Service, ServiceSet};
use crate::{Members, PortRange, Set};

/// What one end may send or get: for each service the addresses of the other end.
///
/// One set has one form: runs of services, each with another set of addresses than the run before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    family: Family,
    /// Where each run begins on the line of services, and the peers from there on; the first run begins at 0.
    runs: Vec<(u32, Rc<AddressSet>)>,
}

impl Traffic {
    /// Nothing.
    #[must_use]
    pub fn none(family: Family) -> Self {
        Self { family, runs: vec![(0, Rc::new(AddressSet::none(family)))] }
    }

    /// Everything of a family.
    #[must_use]
    pub fn all(family: Family) -> Self {
        Self { family, runs: vec![(0, Rc::new(AddressSet::all(family)))] }
    }

    /// These services with these peers.
    #[must_use]
    pub fn of(peers: Rc<AddressSet>, services: &ServiceSet) -> Self {
        let family = peers.family();
        let nobody = Rc::new(AddressSet::none(family));
        let mut runs = Vec::with_capacity(services.places().len() * 2 + 1);
        if peers.is_empty() || services.places().first().is_none_or(|&(first, _)| first > 0) {
            runs.push((0, Rc::clone(&nobody)));
        }
        if !peers.is_empty() {
            for &(first, last) in services.places() {
                runs.push((first, Rc::clone(&peers)));
                runs.extend((last + 1 < PLACES).then(|| (last + 1, Rc::clone(&nobody))));
            }
        }
        Self { family, runs }
    }

    /// The services that a `hash:ip,port` holds: its addresses are the peers. `None` for sets of other types.
    #[must_use]
    pub fn of_set(set: &Set) -> Option<Self> {
        let Members::IpPort(members) = set.members() else { return None };
        let mut by_service: Vec<(Transport, u16, IpAddr)> =
            members.iter().map(|&(address, transport, port)| (transport, port, address)).collect();
        by_service.sort_unstable();
        let groups = by_service.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
        let family = set.family();
        let traffic = groups.fold(Self::none(family), |traffic, group| {
            let (transport, port, _) = group[0];
            let peers = AddressSet::of(family, group.iter().map(|&(_, _, address)| address));
            let service = ServiceSet::ports(transport, PortRange::new(port, port));
            traffic.union(&Self::of(Rc::new(peers), &service))
        });
        Some(traffic)
    }

    /// The family of the peers.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The peers of each run of services; the empty set where a run has none.
    pub fn peer_sets(&self) -> impl Iterator<Item = &AddressSet> {
        self.runs.iter().map(|(_, peers)| &**peers)
    }

    /// Runs of services with the peers of each, sorted; runs without peers too.
    pub fn runs(&self) -> impl Iterator<Item = (ServiceSet, &AddressSet)> {
        let ends = self.runs.iter().skip(1).map(|(start, _)| start - 1).chain([PLACES - 1]);
        self.runs.iter().zip(ends).map(|((start, peers), end)| {
            let services = ServiceSet::of_places([(*start, end)]);
            (services, &**peers)
        })
    }

    /// The runs of both sets cut at each other's starts: services with the peers that either set has for them.
    pub fn beside<'t>(
        &'t self,
        other: &'t Self,
    ) -> impl Iterator<Item = (ServiceSet, &'t Rc<AddressSet>, &'t Rc<AddressSet>)> {
        let mut cells = self.cells(other).peekable();
        std::iter::from_fn(move || {
            let (start, ours, theirs) = cells.next()?;
            let end = cells.peek().map_or(PLACES, |next| next.0) - 1;
            Some((ServiceSet::of_places([(start, end)]), ours, theirs))
        })
    }

    /// The services of a peer.
    #[must_use]
    pub fn services(&self, peer: IpAddr) -> ServiceSet {
        let having = self.runs().filter(|(_, peers)| peers.contains(peer));
        ServiceSet::of_places(having.flat_map(|(services, _)| services.places().to_vec()))
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.runs[..], [(_, peers)] if peers.is_empty())
    }

    /// Whether a peer's service is in the set.
    #[must_use]
    pub fn contains(&self, peer: IpAddr, service: Service) -> bool {
        let place = place_of(self.family, service);
        let after = self.runs.partition_point(|(start, _)| *start <= place);
        self.runs[after - 1].1.contains(peer)
    }

    /// The peers of a service.
    #[must_use]
    pub fn peers(&self, service: Service) -> &AddressSet {
        let place = place_of(self.family, service);
        let after = self.runs.partition_point(|(start, _)| *start <= place);
        &self.runs[after - 1].1
    }

    /// A pair of the set: the first service that has peers, and the lowest of them.
    #[must_use]
    pub fn witness(&self) -> Option<(IpAddr, Service)> {
        self.runs.iter().find_map(|(start, peers)| Some((peers.first()?, service_at(self.family, *start))))
    }

    /// What is in either set. Both are of one family, as in all that follow.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |a, b| {
            if a.is_subset(b) {
                Rc::clone(b)
            } else if b.is_subset(a) {
                Rc::clone(a)
            } else {
                Rc::new(a.union(b))
            }
        })
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |a, b| {
            if a.is_subset(b) {
                Rc::clone(a)
            } else if b.is_subset(a) {
                Rc::clone(b)
            } else {
                Rc::new(a.intersection(b))
            }
        })
    }

    /// What of this set is not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |a, b| if a.is_disjoint(b) { Rc::clone(a) } else { Rc::new(a.difference(b)) })
    }

    /// What is not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self::all(self.family).difference(self)
    }

    /// Whether all of it is in the other set too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.cells(other).all(|(_, a, b)| Rc::ptr_eq(a, b) || a.is_subset(b))
    }

    /// Whether nothing is in the other set.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.cells(other).all(|(_, a, b)| a.is_disjoint(b))
    }

    /// Combines the peers of each service; what one pair of sets gave serves again where the pair comes again.
    fn zip(
        &self,
        other: &Self,
        combine: impl Fn(&Rc<AddressSet>, &Rc<AddressSet>) -> Rc<AddressSet>,
    ) -> Self {
        let mut known: Vec<(&Rc<AddressSet>, &Rc<AddressSet>, Rc<AddressSet>)> = Vec::new();
        let mut runs: Vec<(u32, Rc<AddressSet>)> = Vec::with_capacity(self.runs.len() + other.runs.len());
        for (start, a, b) in self.cells(other) {
            let again = known.iter().find(|(x, y, _)| Rc::ptr_eq(x, a) && Rc::ptr_eq(y, b));
            let peers = match again {
                Some((_, _, peers)) => Rc::clone(peers),
                None => {
                    let peers = combine(a, b);
                    known.push((a, b, Rc::clone(&peers)));
                    peers
                }
            };
            if runs.last().is_none_or(|(_, last)| !Rc::ptr_eq(last, &peers) && **last != *peers) {
                runs.push((start, peers));
            }
        }
        Self { family: self.family, runs }
    }

    /// The runs of both sets cut at each other's starts: where each begins, and the peers of either.
    fn cells<'t>(
        &'t self,
        other: &'t Self,
    ) -> impl Iterator<Item = (u32, &'t Rc<AddressSet>, &'t Rc<AddressSet>)> {
        let (mut at, mut other_at) = (0, 0);
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let start = next?;
            let cell = (start, &self.runs[at].1, &other.runs[other_at].1);
            let (ours, theirs) = (self.runs.get(at + 1), other.runs.get(other_at + 1));
            next = [ours, theirs].into_iter().flatten().map(|(start, _)| *start).min();
            at += usize::from(ours.is_some_and(|(start, _)| Some(*start) == next));
            other_at += usize::from(theirs.is_some_and(|(start, _)| Some(*start) == next));
            Some(cell)
        })
    }
}

//! Sets of (peer, service) pairs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;

use chainmail_contract::{Family, Transport};

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
    runs: Vec<Run>,
}

/// Where a run begins, and its peers.
type Run = (u32, Rc<AddressSet>);

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
        let mut traffic = Self::none(family);
        for group in groups {
            let (transport, port, _) = group[0];
            let peers = AddressSet::of(family, group.iter().map(|&(_, _, address)| address));
            let service = ServiceSet::ports(transport, PortRange::new(port, port));
            traffic.add(&Self::of(Rc::new(peers), &service));
        }
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
        self.placed_runs().map(|(places, peers)| (ServiceSet::of_places([places]), &**peers))
    }

    /// As [`Self::runs`], each with its first and last place on the line of services.
    pub(super) fn placed_runs(&self) -> impl Iterator<Item = ((u32, u32), &Rc<AddressSet>)> {
        let ends = self.runs.iter().skip(1).map(|(start, _)| start - 1).chain([PLACES - 1]);
        self.runs.iter().zip(ends).map(|((start, peers), end)| ((*start, end), peers))
    }

    /// The runs of both sets cut at each other's starts: services with the peers that either set has for them.
    #[cfg(test)]
    pub(super) fn beside<'t>(
        &'t self,
        other: &'t Self,
    ) -> impl Iterator<Item = (ServiceSet, &'t Rc<AddressSet>, &'t Rc<AddressSet>)> {
        let mut cells = cells(&self.runs, &other.runs, 0).peekable();
        std::iter::from_fn(move || {
            let (start, ours, theirs) = cells.next()?;
            let end = cells.peek().map_or(PLACES, |next| next.0) - 1;
            Some((ServiceSet::of_places([(start, end)]), ours, theirs))
        })
    }

    /// The services of a peer.
    #[must_use]
    pub fn services(&self, peer: IpAddr) -> ServiceSet {
        let having = self.placed_runs().filter(|(_, peers)| peers.contains(peer));
        ServiceSet::of_places(having.map(|(places, _)| places))
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

    /// The first and last of the services that have peers, as numbers in their order, and the lowest and highest of all
    /// peers; nothing where there is nothing. What lies in another set has its own within the other's.
    #[must_use]
    pub fn hull(&self) -> Option<([u32; 2], [IpAddr; 2])> {
        let Span { from, end, runs } = self.span()?;
        let first = runs.iter().filter_map(|(_, peers)| peers.first()).min()?;
        let last = runs.iter().filter_map(|(_, peers)| peers.last()).max()?;
        Some(([from, end - 1], [first, last]))
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
        let mut union = self.clone();
        union.add(other);
        union
    }

    /// Adds what is in the other set.
    pub fn add(&mut self, other: &Self) {
        self.change(other, |a, b| {
            if a.is_subset(b) {
                Rc::clone(b)
            } else if b.is_subset(a) {
                Rc::clone(a)
            } else {
                Rc::new(a.union(b))
            }
        });
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (few, many) = if self.runs.len() < other.runs.len() { (self, other) } else { (other, self) };
        let mut runs = Runs::default();
        let nobody = Rc::new(AddressSet::none(self.family));
        runs.push(0, &nobody);
        if let Some(Span { from, end, runs: few }) = few.span() {
            let mut both = Memory::new(|a: &Rc<AddressSet>, b: &Rc<AddressSet>| {
                if a.is_subset(b) {
                    Rc::clone(a)
                } else if b.is_subset(a) {
                    Rc::clone(b)
                } else {
                    Rc::new(a.intersection(b))
                }
            });
            for (start, a, b) in cells(few, &many.runs[many.within(from, end)], from) {
                runs.push(start, &both.of(a, b));
            }
            if end < PLACES {
                runs.push(end, &nobody);
            }
        }
        Self { family: self.family, runs: runs.0 }
    }

    /// What of this set is not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.remove(other);
        rest
    }

    /// Takes away what is in the other set.
    pub fn remove(&mut self, other: &Self) {
        self.change(other, |a, b| if a.is_disjoint(b) { Rc::clone(a) } else { Rc::new(a.difference(b)) });
    }

    /// As [`Self::remove`]; of one pair of peers the difference is worked out once for all chains.
    pub(super) fn remove_known(&mut self, other: &Self, known: &mut Differences) {
        self.change(other, |a, b| known.of(a, b));
    }

    /// What is not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self::all(self.family).difference(self)
    }

    /// Whether all of it is in the other set too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        cells(&self.runs, &other.runs, 0).all(|(_, a, b)| Rc::ptr_eq(a, b) || a.is_subset(b))
    }

    /// Whether nothing is in the other set.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        cells(&self.runs, &other.runs, 0).all(|(_, a, b)| a.is_disjoint(b))
    }

    /// Combines the peers of each service for which the other set has some. What it has none for stays untouched: a rule
    /// is about few services, and what thousands of rules before it were about need not be looked at.
    fn change(
        &mut self,
        other: &Self,
        combine: impl FnMut(&Rc<AddressSet>, &Rc<AddressSet>) -> Rc<AddressSet>,
    ) {
        let Some(Span { from, end, runs: others }) = other.span() else { return };
        let within = self.within(from, end);
        // With one run on either side, which what changes may be the same as.
        let replaced = within.start.saturating_sub(1)..self.runs.len().min(within.end + 1);
        let mut runs = Runs::default();
        for (start, peers) in &self.runs[replaced.start..=within.start] {
            if *start < from {
                runs.push(*start, peers);
            }
        }
        let mut memory = Memory::new(combine);
        for (start, a, b) in cells(&self.runs[within.clone()], others, from) {
            runs.push(start, &memory.of(a, b));
        }
        if end < PLACES {
            runs.push(end, &self.runs[within.end - 1].1);
        }
        for (start, peers) in &self.runs[within.end..replaced.end] {
            runs.push(*start, peers);
        }
        self.runs.splice(replaced, runs.0);
    }

    /// All that has peers lies in it; `None` where nothing has.
    fn span(&self) -> Option<Span<'_>> {
        // Of two runs side by side one at least has peers.
        let first = self.runs.iter().position(|(_, peers)| !peers.is_empty())?;
        let last = self.runs.iter().rposition(|(_, peers)| !peers.is_empty())?;
        let end = self.runs.get(last + 1).map_or(PLACES, |(start, _)| *start);
        Some(Span { from: self.runs[first].0, end, runs: &self.runs[first..=last] })
    }

    /// Which runs have services from a place to before another one.
    fn within(&self, from: u32, end: u32) -> Range<usize> {
        let first = self.runs.partition_point(|(start, _)| *start <= from) - 1;
        first..self.runs.partition_point(|(start, _)| *start < end)
    }
}

/// Runs side by side, up to a place.
struct Span<'t> {
    from: u32,
    end: u32,
    runs: &'t [Run],
}

/// Runs as they are made: one that has the peers of the run before is a part of it.
#[derive(Default)]
struct Runs(Vec<Run>);

impl Runs {
    fn push(&mut self, start: u32, peers: &Rc<AddressSet>) {
        // What began at the same place had no service.
        if self.0.last().is_some_and(|(last, _)| *last == start) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|(_, last)| !Rc::ptr_eq(last, peers) && **last != **peers) {
            self.0.push((start, Rc::clone(peers)));
        }
    }
}

/// Combines peers; what one pair of sets gave serves again where the pair comes again.
struct Memory<Combine> {
    combine: Combine,
    known: BTreeMap<[*const AddressSet; 2], Rc<AddressSet>>,
}

impl<Combine: FnMut(&Rc<AddressSet>, &Rc<AddressSet>) -> Rc<AddressSet>> Memory<Combine> {
    fn new(combine: Combine) -> Self {
        Self { combine, known: BTreeMap::new() }
    }

    /// Both live as long as the memory does, so that their places tell them apart.
    fn of(&mut self, a: &Rc<AddressSet>, b: &Rc<AddressSet>) -> Rc<AddressSet> {
        let known = self.known.entry([Rc::as_ptr(a), Rc::as_ptr(b)]);
        Rc::clone(known.or_insert_with(|| (self.combine)(a, b)))
    }
}

/// Differences of peers, by the one copy that each set has in memory. A class's chain takes its peers away from all
/// addresses, and classes have the same peers: apart, what is left would be in memory once for each class.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// With both sets, so that no other takes their places in memory.
    known: BTreeMap<[*const AddressSet; 2], [Rc<AddressSet>; 3]>,
    ranges: usize,
}

impl Differences {
    /// How many ranges of addresses are remembered before all are forgotten: 32 bytes each.
    const RANGES: usize = 1 << 20;

    fn of(&mut self, a: &Rc<AddressSet>, b: &Rc<AddressSet>) -> Rc<AddressSet> {
        let pair = [Rc::as_ptr(a), Rc::as_ptr(b)];
        if let Some([_, _, rest]) = self.known.get(&pair) {
            return Rc::clone(rest);
        }
        let rest = if a.is_disjoint(b) { Rc::clone(a) } else { Rc::new(a.difference(b)) };
        if self.ranges > Self::RANGES {
            *self = Self::default();
        }
        self.ranges += rest.ranges().len() + 1;
        self.known.insert(pair, [Rc::clone(a), Rc::clone(b), Rc::clone(&rest)]);
        rest
    }
}

/// Runs side by side cut at each other's starts: where each begins, and the peers of either. Each of the two has the
/// place from which on they are taken in its first run.
fn cells<'t>(
    ours: &'t [Run],
    theirs: &'t [Run],
    from: u32,
) -> impl Iterator<Item = (u32, &'t Rc<AddressSet>, &'t Rc<AddressSet>)> {
    let (mut at, mut other_at) = (0, 0);
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let start = next?;
        let cell = (start, &ours[at].1, &theirs[other_at].1);
        let (our_next, their_next) = (ours.get(at + 1), theirs.get(other_at + 1));
        next = [our_next, their_next].into_iter().flatten().map(|(start, _)| *start).min();
        at += usize::from(our_next.is_some_and(|(start, _)| Some(*start) == next));
        other_at += usize::from(their_next.is_some_and(|(start, _)| Some(*start) == next));
        Some(cell)
    })
}

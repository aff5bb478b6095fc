//! What two classes both admit: the traffic of an address that pods of both claim.
//!
//! Between two neighbouring ports at which a term of either begins or ends, each class admits the same peers. So there are
//! no more terms in the result than such ports, however many pairs of terms there are.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::Transport;
use chainmail_model::{AddressRanges, Cluster};
use range_set_blaze::RangeSetBlaze;

use super::term::{Payload, Peers, Term, Terms, admits, reduced, simplified};
use crate::policy::{Origin, PodSets, Service};

/// What a class admits at one port, or of what has none.
#[derive(Clone)]
struct Admitted {
    peers: Peers,
    origins: BTreeSet<Origin>,
}

/// The traffic that both of two classes admit, in canonical form.
pub(super) fn meet(cluster: &Cluster, sets: &mut PodSets, one: &Terms, other: &Terms) -> Terms {
    let mut terms = Vec::new();
    let mut add = |sets: &mut PodSets, [a, b]: [Option<Admitted>; 2], payload: Payload| {
        if let (Some(a), Some(b)) = (a, b)
            && let Some(peers) = both(cluster, sets, &a.peers, &b.peers)
        {
            terms.push(Term { peers, payload, origins: a.origins.union(&b.origins).copied().collect() });
        }
    };
    for transport in Transport::ALL {
        let stretches = stretches(transport, one, other);
        let mut last: BTreeMap<[Vec<usize>; 2], RangeSetBlaze<u16>> = BTreeMap::new();
        for (range, covering) in stretches {
            last.entry(covering).or_default().ranges_insert(range);
        }
        for (covering, ports) in last {
            let admitted = [(one, &covering[0]), (other, &covering[1])]
                .map(|(of, places)| united(cluster, sets, places.iter().map(|place| &of.terms[*place])));
            add(sets, admitted, Payload::Ports(transport, ports));
        }
    }
    let whatever = [one, other]
        .map(|of| united(cluster, sets, of.terms.iter().filter(|term| term.payload == Payload::Any)));
    add(sets, whatever, Payload::Any);
    reduced(cluster, sets, terms, services(cluster, sets, one, other))
}

/// The stretches of ports between those at which a term of either class begins or ends, each with the terms of both that
/// hold there, by their places; those with none of one class are left out.
fn stretches(
    transport: Transport,
    one: &Terms,
    other: &Terms,
) -> Vec<(std::ops::RangeInclusive<u16>, [Vec<usize>; 2])> {
    // Where terms begin and end: the first port that is otherwise.
    let mut edges: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
    for (side, of) in [one, other].into_iter().enumerate() {
        for (place, term) in of.terms.iter().enumerate() {
            match &term.payload {
                Payload::Any => edges.entry(0).or_default().push((side, place)),
                Payload::Ports(own, ports) if *own == transport => {
                    for range in ports.ranges() {
                        edges.entry(u32::from(*range.start())).or_default().push((side, place));
                        edges.entry(u32::from(*range.end()) + 1).or_default().push((side, place));
                    }
                }
                Payload::Ports(..) => {}
            }
        }
    }
    let mut holding = [BTreeSet::new(), BTreeSet::new()];
    let mut stretches = Vec::new();
    let mut edges = edges.into_iter().peekable();
    while let Some((first, turns)) = edges.next() {
        for (side, place) in turns {
            if !holding[side].remove(&place) {
                holding[side].insert(place);
            }
        }
        let end = edges.peek().map_or(u32::from(u16::MAX) + 1, |(next, _)| *next);
        let within = |port: u32| u16::try_from(port).ok();
        if let (Some(first), Some(last)) = (within(first), end.checked_sub(1).and_then(within))
            && holding.iter().all(|terms| !terms.is_empty())
        {
            let covering = holding.each_ref().map(|terms| terms.iter().copied().collect());
            stretches.push((first..=last, covering));
        }
    }
    stretches
}

/// The peers of any of some terms; nothing where there is none.
fn united<'t>(
    cluster: &Cluster,
    sets: &mut PodSets,
    terms: impl Iterator<Item = &'t Term>,
) -> Option<Admitted> {
    terms.fold(None, |all: Option<Admitted>, term| {
        let Some(Admitted { peers, mut origins }) = all else {
            return Some(Admitted { peers: term.peers.clone(), origins: term.origins.clone() });
        };
        origins.extend(&term.origins);
        let peers = match (&peers, &term.peers) {
            (Peers::Any, _) | (_, Peers::Any) => Peers::Any,
            (Peers::OneOf { pods: a, blocks: x }, Peers::OneOf { pods: b, blocks: y }) => {
                let blocks = AddressRanges::union(x.family(), [x, y]);
                let pods = sets.union(*a, *b);
                simplified(cluster, sets, pods, blocks)
            }
        };
        Some(Admitted { peers, origins })
    })
}

/// The peers that are among both; nothing where there is none.
fn both(cluster: &Cluster, sets: &mut PodSets, one: &Peers, other: &Peers) -> Option<Peers> {
    let peers = match (one, other) {
        (Peers::Any, peers) | (peers, Peers::Any) => peers.clone(),
        (Peers::OneOf { pods: a, blocks: x }, Peers::OneOf { pods: b, blocks: y }) => {
            let within = |id, blocks: &AddressRanges| {
                cluster.addresses_of(id).of(blocks.family()).is_some_and(|address| blocks.contains(address))
            };
            let in_both = sets.intersection(*a, *b);
            let [of_one, of_other] =
                [(*a, y), (*b, x)].map(|(pods, blocks)| sets.filter(pods, |id| within(id, blocks)));
            let mixed = sets.union(of_one, of_other);
            let pods = sets.union(in_both, mixed);
            simplified(cluster, sets, pods, x.intersection(y))
        }
    };
    let is_nobody = |peers: &Peers| matches!(peers, Peers::OneOf { pods, blocks } if *pods == PodSets::EMPTY && blocks.is_empty());
    (!is_nobody(&peers)).then_some(peers)
}

/// The services by themselves that one class has and the other admits, each with the rules that they come from.
fn services(cluster: &Cluster, sets: &PodSets, one: &Terms, other: &Terms) -> Vec<(Service, Origin)> {
    let mut services = Vec::new();
    for (of, by) in [(one, other), (other, one)] {
        for service in &of.services {
            let terms: Vec<&Term> =
                by.terms.iter().filter(|term| admits(cluster, sets, term, service)).collect();
            let listed = by.services.contains(service);
            if listed || !terms.is_empty() {
                let by_terms = terms.iter().flat_map(|term| &term.origins);
                let by_list = by.service_origins.iter().filter(|_| listed);
                let origins = of.service_origins.iter().chain(by_terms).chain(by_list);
                services.extend(origins.map(|origin| (*service, *origin)));
            }
        }
    }
    services
}

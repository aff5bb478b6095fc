//! A class's traffic in canonical form: one term for each thing that may be said at once about peers and ports.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::{Family, Transport};
use chainmail_model::enclosing::Enclosing;
use chainmail_model::{AddressRanges, Cluster};
use range_set_blaze::RangeSetBlaze;

use crate::policy::{Allow, Origin, PeerSet, PodSetId, PodSets, PortSet, Service, Traffic};

/// The other end, in one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peers {
    /// Every address.
    Any,
    /// These pods, none of whose addresses are in `blocks`, and the addresses of `blocks`.
    OneOf { pods: PodSetId, blocks: AddressRanges },
}

/// What of a packet's payload is admitted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payload {
    /// These ports of a protocol.
    Ports(Transport, RangeSetBlaze<u16>),
    /// Everything, also what has no ports.
    Any,
}

impl Payload {
    fn is_subset(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Payload::Any) => true,
            (Payload::Any, Payload::Ports(..)) => false,
            (Payload::Ports(a, ports), Payload::Ports(b, others)) => a == b && ports.is_subset(others),
        }
    }

    /// The lowest and the highest port.
    fn ends(&self) -> (u16, u16) {
        match self {
            Payload::Ports(_, ports) => (ports.first().unwrap_or(0), ports.last().unwrap_or(u16::MAX)),
            Payload::Any => (0, u16::MAX),
        }
    }

    /// The order of rules: TCP, UDP, SCTP, everything.
    fn order(&self) -> (u8, Vec<(u16, u16)>) {
        match self {
            Payload::Ports(transport, ports) => {
                (*transport as u8, ports.ranges().map(std::ops::RangeInclusive::into_inner).collect())
            }
            Payload::Any => (u8::MAX, Vec::new()),
        }
    }
}

/// Traffic of one payload with some peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) peers: Peers,
    pub(super) payload: Payload,
    pub(super) origins: BTreeSet<Origin>,
}

/// The canonical form of a class in one family.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// No two of equal peers and one protocol, no two of equal payload, none inside another; in order of payload.
    pub(super) terms: Vec<Term>,
    /// Services that no term admits.
    pub(super) services: BTreeSet<Service>,
    /// The rules that the services come from.
    pub(super) service_origins: BTreeSet<Origin>,
}

/// Brings a class's admissions into canonical form.
pub(super) fn canonical(cluster: &Cluster, sets: &mut PodSets, family: Family, allows: &[Allow]) -> Terms {
    let mut terms: Vec<Term> = Vec::new();
    let mut services: Vec<(Service, Origin)> = Vec::new();
    for Allow { traffic, origin } in allows {
        match traffic {
            Traffic::Peers { peers, ports } => {
                let Some(peers) = peers_of_family(cluster, sets, family, peers) else { continue };
                let term =
                    |payload| Term { peers: peers.clone(), payload, origins: BTreeSet::from([*origin]) };
                match ports {
                    PortSet::Any => terms.push(term(Payload::Any)),
                    PortSet::OneOf(ports) => {
                        terms.extend(ports.iter().map(|(t, ports)| term(Payload::Ports(*t, ports.clone()))));
                    }
                }
            }
            Traffic::Services(all) => {
                let of_family = all.iter().filter(|service| Family::of(service.address) == family);
                services.extend(of_family.map(|service| (*service, *origin)));
            }
        }
    }
    reduced(cluster, sets, terms, services)
}

/// Terms in canonical form, and of the services those that no term admits.
pub(super) fn reduced(
    cluster: &Cluster,
    sets: &mut PodSets,
    mut terms: Vec<Term>,
    mut services: Vec<(Service, Origin)>,
) -> Terms {
    loop {
        let before = terms.len();
        terms = merge_equal_peers(terms);
        terms = merge_equal_payload(cluster, sets, terms);
        if terms.len() == before {
            break;
        }
    }
    terms = without_subsumed(cluster, sets, terms);
    terms.sort_by_cached_key(|term| term.payload.order());
    services.retain(|(service, _)| !terms.iter().any(|term| admits(cluster, sets, term, service)));
    Terms {
        terms,
        services: services.iter().map(|(service, _)| *service).collect(),
        service_origins: services.iter().map(|(_, origin)| *origin).collect(),
    }
}

/// The peers that have an address in the family; nothing where none has.
fn peers_of_family(cluster: &Cluster, sets: &mut PodSets, family: Family, peers: &PeerSet) -> Option<Peers> {
    let PeerSet::OneOf { pods, blocks } = peers else { return Some(Peers::Any) };
    let addresses = AddressRanges::union(family, blocks.iter().filter(|block| block.family() == family));
    let peers = simplified(cluster, sets, *pods, addresses);
    (!matches!(&peers, Peers::OneOf { pods, blocks } if *pods == PodSets::EMPTY && blocks.is_empty()))
        .then_some(peers)
}

/// Pods without an address in the family, or with one that a block has already, say nothing new.
pub(super) fn simplified(
    cluster: &Cluster,
    sets: &mut PodSets,
    pods: PodSetId,
    blocks: AddressRanges,
) -> Peers {
    if blocks.is_everything() {
        return Peers::Any;
    }
    if blocks.is_empty() {
        return Peers::OneOf { pods: sets.with_address(cluster, pods, blocks.family()), blocks };
    }
    let new = |address: Option<IpAddr>| address.is_some_and(|address| !blocks.contains(address));
    let pods = sets.filter(pods, |id| new(cluster.addresses_of(id).of(blocks.family())));
    Peers::OneOf { pods, blocks }
}

/// Groups terms that are equal by an order, each group in order and the groups in order of their first terms.
fn groups(terms: Vec<Term>, order: impl Fn(&Term, &Term) -> Ordering) -> Vec<Vec<Term>> {
    let mut numbered: Vec<(usize, Term)> = terms.into_iter().enumerate().collect();
    numbered.sort_by(|(_, a), (_, b)| order(a, b));
    let mut groups: Vec<(usize, Vec<Term>)> = Vec::new();
    for (number, term) in numbered {
        match groups.last_mut() {
            Some((_, group)) if order(&group[0], &term).is_eq() => group.push(term),
            _ => groups.push((number, vec![term])),
        }
    }
    groups.sort_by_key(|(number, _)| *number);
    groups.into_iter().map(|(_, group)| group).collect()
}

fn merge_equal_peers(terms: Vec<Term>) -> Vec<Term> {
    let transport = |term: &Term| match &term.payload {
        Payload::Ports(transport, _) => Some(*transport),
        Payload::Any => None,
    };
    let order = |a: &Term, b: &Term| transport(a).cmp(&transport(b)).then_with(|| a.peers.cmp(&b.peers));
    let merged = groups(terms, order).into_iter().map(|group| {
        let all = group.into_iter().reduce(|mut known, term| {
            if let (Payload::Ports(_, ports), Payload::Ports(_, more)) = (&mut known.payload, &term.payload) {
                *ports |= more;
            }
            known.origins.extend(term.origins);
            known
        });
        all.expect("a group has at least the term that it was made for")
    });
    merged.collect()
}

fn merge_equal_payload(cluster: &Cluster, sets: &mut PodSets, terms: Vec<Term>) -> Vec<Term> {
    let groups = groups(terms, |a, b| a.payload.cmp(&b.payload));
    groups.into_iter().map(|group| union(cluster, sets, group)).collect()
}

/// Terms of equal payload as one.
fn union(cluster: &Cluster, sets: &mut PodSets, mut group: Vec<Term>) -> Term {
    if group.len() == 1 {
        return group.remove(0);
    }
    let (mut all_pods, mut all_blocks, mut any) = (PodSets::EMPTY, Vec::new(), false);
    for term in &group {
        match &term.peers {
            Peers::Any => any = true,
            Peers::OneOf { pods, blocks } => {
                all_pods = sets.union(all_pods, *pods);
                all_blocks.push(blocks);
            }
        }
    }
    let peers = match all_blocks.first() {
        Some(first) if !any => {
            let blocks = AddressRanges::union(first.family(), all_blocks.iter().copied());
            simplified(cluster, sets, all_pods, blocks)
        }
        _ => Peers::Any,
    };
    let origins = group.iter().flat_map(|term| term.origins.iter().copied()).collect();
    Term { peers, payload: group.swap_remove(0).payload, origins }
}

fn without_subsumed(cluster: &Cluster, sets: &PodSets, terms: Vec<Term>) -> Vec<Term> {
    // Most pairs are told apart by their lowest and highest ports or addresses, which are at hand.
    let ends: Vec<(u16, u16)> = terms.iter().map(|term| term.payload.ends()).collect();
    let hulls: Vec<(u128, u128)> = terms.iter().map(|term| hull(&term.peers)).collect();
    let within = |(first, last): (u128, u128), hull: (u128, u128)| hull.0 <= first && last <= hull.1;
    let inside = |i: usize, j: usize| {
        let (a, b) = (&terms[i], &terms[j]);
        within(hulls[i], hulls[j])
            && a.payload.is_subset(&b.payload)
            && is_peers_subset(cluster, sets, &a.peers, &b.peers)
    };
    let holders = Enclosing::new(&ends);
    let keep: Vec<bool> = (0..terms.len())
        .map(|i| {
            // Of two that say the same the first stays.
            let other = |j: usize| j != i && inside(i, j) && (j < i || !inside(j, i));
            !holders.any(ends[i], other)
        })
        .collect();
    terms.into_iter().zip(keep).filter_map(|(term, keep)| keep.then_some(term)).collect()
}

/// The lowest and the highest address of networks that peers name, by their numbers; of none a range that lies in every
/// other.
fn hull(peers: &Peers) -> (u128, u128) {
    match peers {
        Peers::Any => (0, u128::MAX),
        Peers::OneOf { blocks, .. } => blocks.hull().unwrap_or((u128::MAX, 0)),
    }
}

/// Whether the peers of one term are among another's: its networks in the other's, and each pod in the other's pods or
/// networks.
fn is_peers_subset(cluster: &Cluster, sets: &PodSets, a: &Peers, b: &Peers) -> bool {
    match (a, b) {
        (_, Peers::Any) => true,
        (Peers::Any, Peers::OneOf { .. }) => false,
        (Peers::OneOf { pods: a, blocks: x }, Peers::OneOf { pods: b, blocks: y }) => {
            let in_blocks =
                |id| cluster.addresses_of(id).of(y.family()).is_none_or(|address| y.contains(address));
            let in_either = |id| in_blocks(id) || sets.contains(*b, id);
            x.is_subset(y) && (sets.is_subset(*a, *b) || (!y.is_empty() && sets.pods(*a).all(in_either)))
        }
    }
}

/// Whether a term admits a service.
pub(super) fn admits(cluster: &Cluster, sets: &PodSets, term: &Term, service: &Service) -> bool {
    let payload = match &term.payload {
        Payload::Any => true,
        Payload::Ports(transport, ports) => *transport == service.protocol && ports.contains(service.port),
    };
    payload
        && match &term.peers {
            Peers::Any => true,
            Peers::OneOf { pods, blocks } => {
                blocks.contains(service.address)
                    || cluster.holder_of(service.address).is_some_and(|holder| sets.contains(*pods, holder))
            }
        }
}

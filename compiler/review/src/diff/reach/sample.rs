//! Packets that stand for a flow: one of each way in which its ends may be judged, as far as few can.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::{Family, Transport};
use chainmail_model::Direction;
use chainmail_model::semantics::{Packet, Service};
use chainmail_verdict::exact::AddressSet;
use roaring::RoaringBitmap;

use super::outside;
use super::pods::{At, Pods};
use super::sides::Sides;
use crate::diff::Side;
use crate::query::Allowed;

/// How many ends of a group are asked for.
const FEW: usize = 4;
/// How many services.
const SERVICES: usize = 6;
/// Services that stand for others best.
const USUAL: [Service; 3] = [
    Service::Port(Transport::Tcp, 80),
    Service::Port(Transport::Tcp, 443),
    Service::Port(Transport::Udp, 53),
];
/// Of addresses outside, which policies rarely tell apart by more than their networks.
const RANGES: usize = 16;

/// The ends of a packet on both sides; a side where an end is missing has none.
pub(super) type Ends = [Option<(IpAddr, IpAddr)>; 2];

/// Pairs of pods of a block.
pub(super) fn pairs(
    sides: Sides<'_, '_>,
    pods: &Pods<'_>,
    family: Family,
    sources: &RoaringBitmap,
    destinations: &RoaringBitmap,
) -> Vec<(At, At, Ends)> {
    let few_sources = few(sides, pods, Direction::Egress, sources);
    let few_destinations = few(sides, pods, Direction::Ingress, destinations);
    let mut pairs = Vec::new();
    for &source in &few_sources {
        for &destination in few_destinations.iter().filter(|&&destination| destination != source) {
            let ends = Side::ALL.map(|side| {
                let [from, to] = [source, destination].map(|pod| pods.get(pod).address(side, family));
                from.zip(to)
            });
            // Two that claim one address are no pair.
            if ends.iter().flatten().all(|(from, to)| from != to) {
                pairs.push((source, destination, ends));
            }
        }
    }
    pairs
}

/// Pods with addresses outside.
pub(super) fn outer(
    sides: Sides<'_, '_>,
    pods: &Pods<'_>,
    direction: Direction,
    group: &RoaringBitmap,
    addresses: &AddressSet,
) -> Vec<(At, IpAddr, Ends)> {
    let family = addresses.family();
    let example = outside::example(addresses).into_iter();
    let firsts = addresses.ranges().map(|(first, _)| first).take(RANGES);
    let strangers: BTreeSet<IpAddr> = example.clone().chain(firsts).collect();
    // The one that stands best for all is the first.
    let strangers: Vec<IpAddr> = example
        .clone()
        .chain(strangers.into_iter().filter(|address| example.clone().all(|first| first != *address)))
        .collect();
    let mut packets = Vec::new();
    for pod in few(sides, pods, direction, group) {
        for &stranger in &strangers {
            let ends = Side::ALL.map(|side| {
                let own = pods.get(pod).address(side, family)?;
                Some(match direction {
                    Direction::Ingress => (stranger, own),
                    Direction::Egress => (own, stranger),
                })
            });
            packets.push((pod, stranger, ends));
        }
    }
    packets
}

/// Services that stand for others.
pub(super) fn services(allowed: &Allowed) -> Vec<Service> {
    let usual = USUAL.into_iter().filter(|service| allowed.contains(*service)).take(1);
    usual.chain(allowed.firsts()).take(SERVICES).collect()
}

/// The packets of some ends for a service.
pub(super) fn packets(ends: &Ends, service: Service) -> [Option<Packet>; 2] {
    ends.map(|ends| ends.map(|(source, destination)| Packet { source, destination, service }))
}

/// Pods whose policies differ first, then others.
fn few(sides: Sides<'_, '_>, pods: &Pods<'_>, direction: Direction, group: &RoaringBitmap) -> Vec<At> {
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    for pod in group {
        let both = pods.get(pod);
        let says = Side::ALL.map(|side| {
            let (id, _) = both.on(side)?;
            Some(sides.meanings[side.index()].hangs_on(direction, id.into())?.0)
        });
        if seen.insert(says) {
            chosen.push(pod);
        }
        if chosen.len() == FEW {
            return chosen;
        }
    }
    let others: Vec<At> = group.iter().filter(|pod| !chosen.contains(pod)).take(FEW - chosen.len()).collect();
    chosen.extend(others);
    chosen
}

//! How large what policies come to may be. A short text can name much: 8,000 policies, each of which admits all pods but
//! one, come to 64 million members of sets.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_findings::{Code, Diagnostic, FieldPath, Places};
use chainmail_model::{Cluster, number};

use super::{
    Admits, Allow, AllowedTraffic, Class, PeerSet, PodSetId, PodSets, PortSet, Traffic, allowed_traffic,
};

/// The most pods of all sets that policies make, each set counted once: about 20 bytes of text each, and 60 in a kernel.
const MEMBERS: u64 = 8_000_000;

/// The most pieces of allowed traffic: for each range of ports that policies tell apart, the ranges of addresses that they
/// allow there. The proof has all of them in memory, 32 bytes each.
const PIECES: u64 = 8_000_000;

/// The most steps of the proof: it adds one admission after the other, and each passes the ranges that were there at its
/// ports. A step takes about 5 ns, and twice that on a busy machine.
const STEPS: u64 = 500_000_000;

/// What is to be said of policies that come to more than is compiled.
pub fn check(cluster: &Cluster, places: &dyn Places) -> Option<Diagnostic> {
    let mut sets = PodSets::default();
    let traffic = allowed_traffic(cluster, &mut sets);
    let (members, widest) = members(&traffic, &sets);
    let (what, found) = if members > MEMBERS {
        (format!("sets of more than {MEMBERS} pods"), widest)
    } else {
        let (all, largest) = pieces(cluster, &traffic, &sets);
        let what = if all.pieces > PIECES {
            format!("more than {PIECES} ranges of addresses and ports")
        } else {
            format!("more than {STEPS} steps of proof")
        };
        (what, largest.filter(|_| all.pieces > PIECES || all.steps > STEPS))
    };
    let policy = &cluster.policies()[found?.isolating.first()?.policy_index()];
    let place = places.place(policy.at, &FieldPath::root().key("spec"));
    let message =
        format!("all policies together come to {what}, and those of the pods of this one to the most");
    let help = "name fewer pods, or the same ones with the same ports";
    Some(Diagnostic::new(Code::TooComplex, Some(place), message).help(help))
}

/// What a class admits; what several of them admit together has no more parts than all of these.
fn allows<'t>(traffic: &'t AllowedTraffic, class: &'t Class) -> Vec<&'t Allow> {
    match &class.admits {
        Admits::AnyOf(allows) => allows.iter().collect(),
        Admits::AllOf(classes) => {
            let classes = classes.iter().map(|id| traffic.class(class.direction, *id));
            classes.flat_map(|class| allows(traffic, class)).collect()
        }
    }
}

/// What allowed traffic comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    steps: u64,
    pieces: u64,
}

/// How many members all sets of pods have, and the class that has the most of them.
fn members<'t>(traffic: &'t AllowedTraffic, sets: &PodSets) -> (u64, Option<&'t Class>) {
    // What classes say of one range of ports becomes one set.
    let mut known: BTreeSet<Vec<PodSetId>> = BTreeSet::new();
    let (mut all, mut most, mut widest) = (0u64, 0, None);
    for class in traffic.classes.values().flatten() {
        let mut of_ports: Vec<(&PortSet, PodSetId)> = Vec::new();
        for allow in allows(traffic, class) {
            if let Traffic::Peers { peers: PeerSet::OneOf { pods, .. }, ports } = &allow.traffic {
                of_ports.push((ports, *pods));
            }
        }
        of_ports.sort();
        of_ports.dedup();
        let mut own = 0u64;
        for group in of_ports.chunk_by(|a, b| a.0 == b.0) {
            let pods: Vec<PodSetId> = group.iter().map(|(_, pods)| *pods).collect();
            let size = pods.iter().map(|pods| sets.len(*pods)).sum::<u64>();
            if known.insert(pods) {
                own = own.saturating_add(size);
            }
        }
        all = all.saturating_add(own);
        if own > most {
            (most, widest) = (own, Some(class));
        }
    }
    (all, widest)
}

/// What all classes come to, at the most, and the class that takes the most steps.
fn pieces<'t>(cluster: &Cluster, traffic: &'t AllowedTraffic, sets: &PodSets) -> (Size, Option<&'t Class>) {
    let mut ranges = Ranges { cluster, sets, of_pods: BTreeMap::new() };
    let (mut all, mut most, mut largest) = (Size::default(), Size::default(), None);
    for class in traffic.classes.values().flatten() {
        let own = ranges.size(&allows(traffic, class));
        all.steps = all.steps.saturating_add(own.steps);
        all.pieces = all.pieces.saturating_add(own.pieces);
        if own > most {
            (most, largest) = (own, Some(class));
        }
    }
    (all, largest)
}

/// How many ranges of addresses peers come to.
struct Ranges<'c> {
    cluster: &'c Cluster,
    sets: &'c PodSets,
    of_pods: BTreeMap<PodSetId, u64>,
}

/// How many ports each transport has, and one place more, so that no two meet.
const PLACES: u32 = 1 << 17;

impl Ranges<'_> {
    fn size(&mut self, allows: &[&Allow]) -> Size {
        // Where an admission begins and ends on the line of ports, how many ranges it has, and whether it begins.
        let mut edges: Vec<(u32, u64, bool)> = Vec::new();
        let mut services = 0;
        for allow in allows {
            let (peers, ports) = match &allow.traffic {
                Traffic::Peers { peers, ports } => (peers, ports),
                Traffic::Services(all) => {
                    services += all.len() as u64;
                    continue;
                }
            };
            // With everyone all others are one set.
            let PeerSet::OneOf { pods, blocks } = peers else { continue };
            let weight =
                blocks.iter().map(|block| block.range_count() as u64).sum::<u64>() + self.of_pods(*pods);
            match ports {
                PortSet::Any => edges.push((0, weight, true)),
                PortSet::OneOf(ports) => {
                    for (transport, ports) in ports {
                        for range in ports.ranges() {
                            let place = |port: u16| *transport as u32 * PLACES + u32::from(port);
                            edges.push((place(*range.start()), weight, true));
                            edges.push((place(*range.end()) + 1, weight, false));
                        }
                    }
                }
            }
        }
        edges.sort_unstable();
        let mut size = Size { pieces: services, steps: services };
        let (mut open, mut weight) = (0u64, 0u64);
        for cell in edges.chunk_by(|a, b| a.0 == b.0) {
            for (_, ranges, begins) in cell {
                if *begins {
                    (open, weight) = (open + 1, weight + ranges);
                } else {
                    (open, weight) = (open - 1, weight - ranges);
                }
            }
            // Peers that stand alone are in memory once, wherever they are named.
            size.pieces += if open > 1 { weight } else { 1 };
            size.steps = size.steps.saturating_add(open.saturating_mul(weight));
        }
        size
    }

    /// Of pods: addresses one after the other are one range.
    fn of_pods(&mut self, pods: PodSetId) -> u64 {
        if let Some(known) = self.of_pods.get(&pods) {
            return *known;
        }
        let addresses = self.sets.pods(pods).flat_map(|id| self.cluster.addresses_of(id).iter());
        let mut numbers: Vec<(bool, u128)> =
            addresses.map(|address| (address.is_ipv6(), number(address))).collect();
        numbers.sort_unstable();
        let joins = |pair: &[(bool, u128)]| pair[0].0 == pair[1].0 && pair[1].1 - pair[0].1 <= 1;
        let ranges = (numbers.len() - numbers.windows(2).filter(|pair| joins(pair)).count()) as u64;
        self.of_pods.insert(pods, ranges);
        ranges
    }
}

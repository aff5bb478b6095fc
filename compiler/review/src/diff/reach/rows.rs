//! What differs, as flows: named ends, a cause, a packet.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::{Family, NodeName, Sha256Hex};
use chainmail_model::semantics::{self, Service};
use chainmail_model::{Direction, PodState, Policy};
use chainmail_verdict::exact::AddressSet;
use roaring::RoaringBitmap;

use super::causes::Why;
use super::pairs::Block;
use super::pods::{At, Pods};
use super::sides::Sides;
use super::words::Words;
use super::{Change, Found, Outer, outside, sample};
use crate::diff::{Cause, Ends, EndsKind, Flow, FlowChange, Mixed, NodeCount, Presence, Side, Witness};
use crate::effort::{Effort, TooLong};

/// How many nodes a flow names.
const SAMPLE: usize = 5;
/// How many packets are asked for causes, all flows together; each flow has one at least.
const PACKETS: usize = 5_000;

/// Makes flows of what was found.
pub(super) struct Rows<'s, 'm, 'a> {
    pub(super) pods: &'s Pods<'a>,
    pub(super) why: Why<'a>,
    pub(super) sides: Sides<'m, 'a>,
}

/// A change and who it is between.
struct Row {
    change: Change,
    families: Vec<Family>,
    between: Between,
}

enum Between {
    Pods(Block),
    /// By family.
    Outer {
        direction: Direction,
        pods: RoaringBitmap,
        addresses: Vec<AddressSet>,
        everyone: bool,
    },
}

/// A block that is the same in some families.
type Alike<'f> = (Vec<Family>, &'f Block);

/// What is asked again for each flow.
struct Evidence {
    causes: Vec<Cause>,
    witness: Witness,
}

impl Rows<'_, '_, '_> {
    /// All flows, the most dangerous first.
    ///
    /// # Errors
    /// When that takes more steps than it may.
    pub(super) fn flows(&self, found: &Found, effort: &mut Effort) -> Result<Vec<Flow>, TooLong> {
        let words = Words::new(self.pods, self.sides.clusters);
        let rows = self.rows(found);
        let packets = (PACKETS / rows.len().max(1)).max(1);
        effort.spend(rows.len().saturating_mul(packets).saturating_mul(self.steps_a_packet()))?;
        let mut flows: Vec<Flow> = rows.iter().filter_map(|row| self.flow(row, packets, &words)).collect();
        flows.sort_by(|a, b| {
            let rank =
                |flow: &Flow| (flow.pods, !flow.world, flow.change, flow.to.clone(), flow.from.clone());
            rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
        });
        Ok(flows)
    }

    /// Returns how many steps a packet takes: on both sides it is judged and explained by all policies.
    fn steps_a_packet(&self) -> usize {
        let rules = |policy: &Policy| {
            let rules = Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction));
            1 + rules.map(<[_]>::len).sum::<usize>()
        };
        let each = self.sides.clusters.iter().flat_map(|cluster| cluster.policies());
        2 * each.map(rules).sum::<usize>()
    }

    fn rows(&self, found: &Found) -> Vec<Row> {
        let mut outer = self.outer(found);
        let mut blocks: BTreeMap<(Change, [Vec<At>; 2]), Alike<'_>> = BTreeMap::new();
        for (change, family, block) in &found.pairs {
            let ends = [&block.sources, &block.destinations].map(|pods| pods.iter().collect());
            let key = (change.clone(), ends);
            blocks.entry(key).or_insert_with(|| (Vec::new(), block)).0.push(*family);
        }
        let mut rows = Vec::new();
        for ((change, _), (families, block)) in blocks {
            let meets = |row: &Row| self.is_rest_of(row, &change, &families, block);
            match outer.iter_mut().find(|row| meets(row)) {
                Some(row) => {
                    if let Between::Outer { everyone, .. } = &mut row.between {
                        *everyone = true;
                    }
                }
                None => rows.push(Row { change, families, between: Between::Pods(block.clone()) }),
            }
        }
        rows.extend(outer);
        rows
    }

    /// Changes with the outside; those of both families are one where it is all of the outside in each.
    fn outer(&self, found: &Found) -> Vec<Row> {
        let mut alike: BTreeMap<(Change, Direction, Vec<At>), Vec<&Outer>> = BTreeMap::new();
        for (change, outer) in &found.outer {
            let key = (change.clone(), outer.direction, outer.pods.iter().collect());
            alike.entry(key).or_default().push(outer);
        }
        let mut rows = Vec::new();
        for ((change, direction, _), outers) in alike {
            let (whole, parts): (Vec<&Outer>, Vec<&Outer>) =
                outers.into_iter().partition(|outer| self.is_everything(&outer.addresses));
            let together = Some(whole).filter(|whole| !whole.is_empty());
            for group in together.into_iter().chain(parts.into_iter().map(|part| vec![part])) {
                let Some(first) = group.first() else { continue };
                let pods = self.beyond_their_nodes(first);
                if pods.is_empty() {
                    continue;
                }
                let addresses: Vec<AddressSet> = group.iter().map(|outer| outer.addresses.clone()).collect();
                rows.push(Row {
                    change: change.clone(),
                    families: addresses.iter().map(AddressSet::family).collect(),
                    between: Between::Outer { direction, pods, addresses, everyone: false },
                });
            }
        }
        rows
    }

    fn is_everything(&self, addresses: &AddressSet) -> bool {
        outside::is_everything(addresses, &self.pods.addresses(addresses.family()))
    }

    /// The pods to which some of the addresses are not their own node's, which always may.
    fn beyond_their_nodes(&self, outer: &Outer) -> RoaringBitmap {
        let cluster = self.sides.clusters[Side::Head.index()];
        let family = outer.addresses.family();
        let nodes = cluster.nodes().flat_map(|node| node.addresses.iter().copied());
        if !outer.addresses.is_subset(&AddressSet::of(family, nodes)) {
            return outer.pods.clone();
        }
        let others = |pod: At| {
            let pod = self.pods.get(pod).latest();
            let holder = pod.addresses.of(family).and_then(|address| cluster.holder_of(address));
            let nodes = holder.map_or_else(|| pod.node.iter().collect(), |holder| cluster.nodes_of(holder));
            let own = |name| {
                let node = cluster.node(name).into_iter();
                AddressSet::of(family, node.flat_map(|node| node.addresses.iter().copied()))
            };
            // Each node that it may be on lets its own traffic through, and no other.
            nodes.is_empty() || nodes.into_iter().any(|name| !outer.addresses.is_subset(&own(name)))
        };
        outer.pods.iter().filter(|pod| others(*pod)).collect()
    }

    /// Whether pods are all those that, with the outside of a row, are everyone.
    fn is_rest_of(&self, row: &Row, change: &Change, families: &[Family], block: &Block) -> bool {
        let Between::Outer { direction, pods, addresses, .. } = &row.between else { return false };
        let (own, others) = match direction {
            Direction::Ingress => (&block.destinations, &block.sources),
            Direction::Egress => (&block.sources, &block.destinations),
        };
        let everyone = |pod: At| match change.presence {
            Presence::Stay => self.pods.get(pod).presence() == Presence::Stay,
            Presence::Appear => self.pods.get(pod).presence() != Presence::Vanish,
            Presence::Vanish => self.pods.get(pod).presence() != Presence::Appear,
        };
        let all = || self.pods.iter().map(|(at, _)| at).filter(|at| everyone(*at));
        row.change == *change
            && row.families == families
            && own == pods
            && addresses.iter().all(|addresses| self.is_everything(addresses))
            && all().all(|pod| others.contains(pod) || (own.len() == 1 && own.contains(pod)))
    }

    fn flow(&self, row: &Row, packets: usize, words: &Words<'_, '_>) -> Option<Flow> {
        let Change { presence, before, after } = &row.change;
        let change = match (before.is_none(), after.is_none()) {
            (true, _) => FlowChange::Opened,
            (_, true) => FlowChange::Closed,
            _ if before.without(after).is_none() => FlowChange::Widened,
            _ if after.without(before).is_none() => FlowChange::Narrowed,
            _ => FlowChange::Altered,
        };
        let services = if change.opens() { after.without(before) } else { before.without(after) };
        let evidence = self.evidence(row, packets, &sample::services(&services))?;
        let (from, to) = self.ends(row, words);
        let world = match &row.between {
            Between::Outer { direction: Direction::Ingress, addresses, .. } => {
                change.opens() && addresses.iter().any(outside::is_world)
            }
            Between::Outer { direction: Direction::Egress, .. } | Between::Pods(_) => false,
        };
        let families: Vec<String> = row.families.iter().map(ToString::to_string).collect();
        let identity =
            format!("{change:?} {presence:?} {:?} {:?} {families:?} {before} {after}", from.ends, to.ends);
        Some(Flow {
            id: Sha256Hex::of(identity).short(16).to_owned(),
            change,
            world,
            pods: *presence,
            from,
            to,
            families: row.families.clone(),
            before: before.clone(),
            after: after.clone(),
            nodes: self.nodes(row, &evidence.causes),
            causes: evidence.causes,
            witness: evidence.witness,
            waived: None,
        })
    }

    fn ends(&self, row: &Row, words: &Words<'_, '_>) -> (Ends, Ends) {
        let presence = row.change.presence;
        match &row.between {
            Between::Pods(Block { sources, destinations }) => {
                (words.of(sources, destinations, presence), words.of(destinations, sources, presence))
            }
            Between::Outer { direction, pods, addresses, everyone } => {
                let own = words.of(pods, &RoaringBitmap::new(), presence);
                let other = if *everyone {
                    let ends = vec!["*".to_owned(), "outside".to_owned()];
                    Ends { kind: EndsKind::Any, count: ends.len(), ends }
                } else {
                    let ranges = addresses
                        .iter()
                        .flat_map(|set| outside::words(set, &self.pods.addresses(set.family())));
                    let ends: Vec<String> = ranges.collect();
                    Ends { kind: EndsKind::Outside, count: ends.len(), ends }
                };
                match direction {
                    Direction::Ingress => (other, own),
                    Direction::Egress => (own, other),
                }
            }
        }
    }

    /// Why, and a packet that shows it: the first of so many whose verdicts differ.
    fn evidence(&self, row: &Row, packets: usize, services: &[Service]) -> Option<Evidence> {
        let samples = self.samples(row);
        let asked = samples.iter().flat_map(|sample| services.iter().map(move |&service| (sample, service)));
        let telling = asked.filter_map(|((from, to, ends), service)| {
            let packets = sample::packets(ends, service);
            let verdicts = Side::ALL.map(|side| {
                let packet = packets[side.index()].as_ref()?;
                Some(semantics::judge(self.sides.clusters[side.index()], packet))
            });
            let [before, after] = verdicts;
            let packet = packets[1].or(packets[0]).filter(|_| before != after)?;
            let witness = Witness {
                from: from.clone(),
                to: to.clone(),
                source: packet.source,
                destination: packet.destination,
                service,
                before,
                after,
            };
            Some((packets, witness))
        });
        let mut evidence: Option<Evidence> = None;
        for (packets, witness) in telling.take(packets) {
            let evidence = evidence.get_or_insert(Evidence { causes: Vec::new(), witness });
            for cause in self.why.causes(&packets) {
                if !evidence.causes.contains(&cause) {
                    evidence.causes.push(cause);
                }
            }
        }
        evidence
    }

    /// Packets of a row, with how the command line calls their ends.
    fn samples(&self, row: &Row) -> Vec<(String, String, sample::Ends)> {
        let name = |pod: At| self.pods.get(pod).latest().pod_ref().to_string();
        match &row.between {
            Between::Pods(Block { sources, destinations }) => {
                let families = row.families.iter();
                let pairs = families
                    .flat_map(|&family| sample::pairs(self.sides, self.pods, family, sources, destinations));
                pairs.map(|(from, to, ends)| (name(from), name(to), ends)).collect()
            }
            Between::Outer { direction, pods, addresses, .. } => {
                let each = addresses
                    .iter()
                    .flat_map(|set| sample::outer(self.sides, self.pods, *direction, pods, set));
                each.map(|(pod, stranger, ends)| match direction {
                    Direction::Ingress => (stranger.to_string(), name(pod), ends),
                    Direction::Egress => (name(pod), stranger.to_string(), ends),
                })
                .collect()
            }
        }
    }

    /// The nodes of the pods whose policies decide.
    fn nodes(&self, row: &Row, causes: &[Cause]) -> NodeCount {
        let decides =
            |direction| causes.is_empty() || causes.iter().any(|cause| cause.direction == direction);
        let mut pods = RoaringBitmap::new();
        match &row.between {
            Between::Outer { pods: own, .. } => pods |= own,
            Between::Pods(Block { sources, destinations }) => {
                for (direction, own) in [(Direction::Egress, sources), (Direction::Ingress, destinations)] {
                    if decides(direction) {
                        pods |= own;
                    }
                }
            }
        }
        let real = pods.iter().filter(|pod| self.pods.get(*pod).latest().state != PodState::Assumed);
        let nodes: BTreeSet<&NodeName> = real.flat_map(|pod| self.nodes_of(pod)).collect();
        let sample = nodes.iter().take(SAMPLE).map(ToString::to_string).collect();
        NodeCount { count: nodes.len(), sample }
    }

    /// The nodes that a pod may be on: those of all that claim one of its addresses.
    fn nodes_of(&self, pod: At) -> BTreeSet<&NodeName> {
        let both = self.pods.get(pod);
        let side = if both.head.is_some() { Side::Head } else { Side::Base };
        let (cluster, pod) = (self.sides.clusters[side.index()], both.latest());
        let own = pod.node.iter();
        if cluster.contested().is_empty() {
            return own.collect();
        }
        let holders = pod.addresses.iter().filter_map(|address| cluster.holder_of(address));
        own.chain(holders.flat_map(|holder| cluster.nodes_of(holder))).collect()
    }

    /// What only nodes of different revisions let through together; on one node both ends change at once.
    pub(super) fn mixed(&self, found: &Found) -> Vec<Mixed> {
        let words = Words::new(self.pods, self.sides.clusters);
        let mut alike: BTreeMap<_, Alike<'_>> = BTreeMap::new();
        for (ahead, services, family, block) in &found.mixed {
            let ends: [Vec<At>; 2] = [&block.sources, &block.destinations].map(|pods| pods.iter().collect());
            let key = (ahead, services, ends);
            alike.entry(key).or_insert_with(|| (Vec::new(), block)).0.push(*family);
        }
        let apart = |block: &Block| {
            // Pods that are on no node are apart from all that are on one.
            let nodes = |pod: At| {
                let nodes = self.nodes_of(pod);
                if nodes.is_empty() { vec![None] } else { nodes.into_iter().map(Some).collect() }
            };
            let on: BTreeSet<Option<&NodeName>> =
                block.sources.iter().chain(&block.destinations).flat_map(nodes).collect();
            on.len() > 1
        };
        let mut rows = Vec::new();
        for ((ahead, services, _), (families, block)) in alike {
            if !apart(block) {
                continue;
            }
            let from = words.of(&block.sources, &block.destinations, Presence::Stay);
            let to = words.of(&block.destinations, &block.sources, Presence::Stay);
            let identity = format!("{ahead:?} {:?} {:?} {services}", from.ends, to.ends);
            let id = Sha256Hex::of(identity).short(16).to_owned();
            rows.push(Mixed { id, from, to, services: services.clone(), families, ahead: *ahead });
        }
        rows.sort_by(|a, b| {
            (&a.to, &a.from, a.ahead, &a.services).cmp(&(&b.to, &b.from, b.ahead, &b.services))
        });
        rows
    }
}

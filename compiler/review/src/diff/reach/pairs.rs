//! Which pairs of pods have other services than before, in one family.
//!
//! A pair differs only if one of its pods has something else to say, or is at another address. So those pods are gone
//! through kind by kind, each against the pods that it says something else of and those that themselves change; all
//! other pairs are never looked at.

use std::collections::BTreeMap;

use chainmail_contract::Family;
use chainmail_model::Direction;
use chainmail_verdict::exact::{AddressSet, ServiceSet};
use roaring::RoaringBitmap;

use super::pods::{At, Pods};
use super::say::{KindId, Says};
use crate::diff::{Ahead, Presence, Side};
use crate::effort::{Effort, TooLong};

/// Services before and after, of pods that stay or do not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shift {
    pub(super) presence: Presence,
    pub(super) before: ServiceSet,
    pub(super) after: ServiceSet,
}

/// All pairs of some sources and some destinations, but for a pod with itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) sources: RoaringBitmap,
    pub(super) destinations: RoaringBitmap,
}

/// The pairs that differ; each is in one block.
#[derive(Default)]
pub(super) struct Pairs {
    pub(super) shifts: BTreeMap<Shift, Vec<Block>>,
    /// What only nodes of different revisions let through together.
    pub(super) mixed: BTreeMap<(Ahead, ServiceSet), Vec<Block>>,
}

/// What both directions of a family say.
pub(super) struct Directions<'s, 'm, 'a> {
    pub(super) pods: &'s Pods<'a>,
    pub(super) family: Family,
    pub(super) egress: &'s Says<'m, 'a>,
    pub(super) ingress: &'s Says<'m, 'a>,
}

/// Pods of one kind, those apart that are at another address than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    kind: KindId,
    moves: bool,
}

/// Services before and after, as one end says.
type Said = [ServiceSet; 2];

impl<'m, 'a> Directions<'_, 'm, 'a> {
    /// # Errors
    /// When that takes more steps than it may.
    pub(super) fn pairs(&self, effort: &mut Effort) -> Result<Pairs, TooLong> {
        let mut pairs = Pairs::default();
        for direction in Direction::ALL {
            self.direction(direction, &mut pairs, effort)?;
        }
        Ok(pairs)
    }

    fn says(&self, direction: Direction) -> &Says<'m, 'a> {
        match direction {
            Direction::Egress => self.egress,
            Direction::Ingress => self.ingress,
        }
    }

    fn moves(&self, pod: At) -> bool {
        !self.pods.get(pod).stays_put(self.family)
    }

    /// The pods that have to be gone through as the ones who say something in a direction.
    fn changing(&self, direction: Direction) -> RoaringBitmap {
        let says = self.says(direction);
        self.pods.iter().map(|(at, _)| at).filter(|&at| says.is_changed(at) || self.moves(at)).collect()
    }

    fn direction(&self, direction: Direction, pairs: &mut Pairs, effort: &mut Effort) -> Result<(), TooLong> {
        let opposite = match direction {
            Direction::Egress => Direction::Ingress,
            Direction::Ingress => Direction::Egress,
        };
        let (subjects, others) = (self.changing(direction), self.changing(opposite));
        let mut groups: BTreeMap<Group, RoaringBitmap> = BTreeMap::new();
        for pod in &subjects {
            let group = Group { kind: self.says(direction).kind(pod), moves: self.moves(pod) };
            groups.entry(group).or_default().insert(pod);
        }
        for (group, subjects) in &groups {
            let mut peers = if group.moves {
                self.meant(direction, group.kind)
            } else {
                self.told_otherwise(direction, group.kind)
            };
            match direction {
                Direction::Ingress => peers |= &others,
                // Those were the subjects of the other direction, with all of their peers.
                Direction::Egress => peers -= &others,
            }
            self.group(direction, *group, subjects, &peers, pairs, effort)?;
        }
        Ok(())
    }

    /// The pods with which a kind allows anything on a side. With all others it allows nothing on either.
    fn meant(&self, direction: Direction, kind: KindId) -> RoaringBitmap {
        let on = |side: Side| {
            let traffic = self.says(direction).traffic(kind, side);
            let peers = AddressSet::of_sets(self.family, traffic.peer_sets());
            self.pods.within(side, &peers).collect::<RoaringBitmap>()
        };
        Side::ALL.into_iter().map(on).fold(RoaringBitmap::new(), |all, some| all | some)
    }

    /// The pods of which a kind says something else than before.
    fn told_otherwise(&self, direction: Direction, kind: KindId) -> RoaringBitmap {
        let [base, head] = Side::ALL.map(|side| self.says(direction).traffic(kind, side));
        let differing = AddressSet::of_sets(self.family, base.differing(&head).values());
        Side::ALL.into_iter().flat_map(|side| self.pods.within(side, &differing)).collect()
    }

    fn group(
        &self,
        direction: Direction,
        group: Group,
        subjects: &RoaringBitmap,
        peers: &RoaringBitmap,
        pairs: &mut Pairs,
        effort: &mut Effort,
    ) -> Result<(), TooLong> {
        let (says, opposite) = match direction {
            Direction::Egress => (self.egress, self.ingress),
            Direction::Ingress => (self.ingress, self.egress),
        };
        effort.spend(says.steps(group.kind, peers))?;
        let mut cells: BTreeMap<(Said, Group), RoaringBitmap> = BTreeMap::new();
        for peer in peers {
            let both = self.pods.get(peer);
            let said = Side::ALL.map(|side| says.services(group.kind, side, both.address(side, self.family)));
            let other = Group { kind: opposite.kind(peer), moves: self.moves(peer) };
            cells.entry((said, other)).or_default().insert(peer);
        }
        for ((said, other), peers) in cells {
            if said.iter().all(ServiceSet::is_empty) {
                continue;
            }
            effort.spend(opposite.steps(other.kind, subjects))?;
            let mut parts: BTreeMap<Said, RoaringBitmap> = BTreeMap::new();
            for subject in subjects {
                let both = self.pods.get(subject);
                let answer = Side::ALL
                    .map(|side| opposite.services(other.kind, side, both.address(side, self.family)));
                parts.entry(answer).or_default().insert(subject);
            }
            let presence = [subjects, &peers].map(|pods| {
                let first = pods.min().expect("groups are never empty");
                self.pods.get(first).presence()
            });
            for (answer, subjects) in parts {
                let (block, egress, ingress) = match direction {
                    Direction::Egress => {
                        (Block { sources: subjects, destinations: peers.clone() }, &said, &answer)
                    }
                    Direction::Ingress => {
                        (Block { sources: peers.clone(), destinations: subjects }, &answer, &said)
                    }
                };
                // At another address a pod is another end, so that no packet meets one of each.
                if !group.moves && !other.moves {
                    pairs.mix(egress, ingress, &block);
                }
                pairs.shift(presence[0].max(presence[1]), egress, ingress, block);
            }
        }
        Ok(())
    }
}

/// The services that both ends allow, each by its own side.
fn both([egress, ingress]: [&Said; 2], source: Side, destination: Side) -> ServiceSet {
    egress[source.index()].intersection(&ingress[destination.index()])
}

impl Pairs {
    fn shift(&mut self, presence: Presence, egress: &Said, ingress: &Said, block: Block) {
        let [before, after] = Side::ALL.map(|side| both([egress, ingress], side, side));
        if before != after {
            self.shifts.entry(Shift { presence, before, after }).or_default().push(block);
        }
    }

    fn mix(&mut self, egress: &Said, ingress: &Said, block: &Block) {
        let [before, after] = Side::ALL.map(|side| both([egress, ingress], side, side));
        let ways = [(Ahead::Source, Side::Head, Side::Base), (Ahead::Destination, Side::Base, Side::Head)];
        for (ahead, source, destination) in ways {
            let only = both([egress, ingress], source, destination).difference(&before.union(&after));
            if !only.is_empty() {
                self.mixed.entry((ahead, only)).or_default().push(block.clone());
            }
        }
    }
}

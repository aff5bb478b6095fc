//! Sets of pods, each distinct one kept once.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::cluster::PodId;

/// A set of pods; equal sets have equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodSetId(u32);

/// All sets of pods that were ever asked for.
#[derive(Debug, Clone)]
pub struct PodSets {
    sets: Vec<RoaringBitmap>,
    ids: BTreeMap<Vec<u32>, PodSetId>,
    unions: BTreeMap<(PodSetId, PodSetId), PodSetId>,
}

impl Default for PodSets {
    fn default() -> Self {
        let mut sets = Self { sets: Vec::new(), ids: BTreeMap::new(), unions: BTreeMap::new() };
        let empty = sets.intern(RoaringBitmap::new());
        debug_assert_eq!(empty, Self::EMPTY);
        sets
    }
}

impl PodSets {
    /// The set of no pods.
    pub const EMPTY: PodSetId = PodSetId(0);

    /// The id of a set.
    pub(crate) fn intern(&mut self, set: RoaringBitmap) -> PodSetId {
        let next = PodSetId(u32::try_from(self.sets.len()).expect("fewer than 2^32 sets fit in memory"));
        let id = *self.ids.entry(set.iter().collect()).or_insert(next);
        if id == next {
            self.sets.push(set);
        }
        id
    }

    /// The pods of a set, in order.
    pub fn pods(&self, id: PodSetId) -> impl Iterator<Item = PodId> {
        self.sets[id.0 as usize].iter().map(PodId)
    }

    /// How many pods a set has.
    #[must_use]
    pub fn len(&self, id: PodSetId) -> u64 {
        self.sets[id.0 as usize].len()
    }

    /// Whether all pods of `part` are in `whole`.
    #[must_use]
    pub fn is_subset(&self, part: PodSetId, whole: PodSetId) -> bool {
        part == whole || self.sets[part.0 as usize].is_subset(&self.sets[whole.0 as usize])
    }

    /// Whether a set has a pod.
    #[must_use]
    pub fn contains(&self, id: PodSetId, pod: PodId) -> bool {
        self.sets[id.0 as usize].contains(pod.0)
    }

    /// The pods of both sets.
    pub fn union(&mut self, a: PodSetId, b: PodSetId) -> PodSetId {
        if a == b {
            return a;
        }
        let key = (a.min(b), a.max(b));
        if let Some(id) = self.unions.get(&key) {
            return *id;
        }
        let union = &self.sets[a.0 as usize] | &self.sets[b.0 as usize];
        let id = self.intern(union);
        self.unions.insert(key, id);
        id
    }

    /// The pods of a set that meet a condition.
    pub fn filter(&mut self, id: PodSetId, keep: impl Fn(PodId) -> bool) -> PodSetId {
        let set = &self.sets[id.0 as usize];
        // Mostly all do, and then nothing need be built.
        if set.iter().all(|pod| keep(PodId(pod))) {
            return id;
        }
        let kept = set.iter().filter(|pod| keep(PodId(*pod))).collect();
        self.intern(kept)
    }
}

//! Sets of holders of addresses, each distinct one kept once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};

use chainmail_contract::Family;
use chainmail_model::{Cluster, HolderId};
use roaring::RoaringBitmap;

/// A set of holders, which are pods but for contested addresses; equal sets have equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodSetId(u32);

/// All sets of pods that were ever asked for.
#[derive(Debug, Clone)]
pub struct PodSets {
    sets: Vec<RoaringBitmap>,
    /// By a hash of their pods: a copy of each set as a key would be far larger than the set.
    ids: BTreeMap<u64, Vec<PodSetId>>,
    unions: BTreeMap<(PodSetId, PodSetId), PodSetId>,
    with_address: BTreeMap<(PodSetId, Family), PodSetId>,
}

impl Default for PodSets {
    fn default() -> Self {
        let mut sets = Self {
            sets: Vec::new(),
            ids: BTreeMap::new(),
            unions: BTreeMap::new(),
            with_address: BTreeMap::new(),
        };
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
        // With fixed keys: one set has one hash.
        let mut hasher = DefaultHasher::new();
        set.iter().for_each(|pod| hasher.write_u32(pod));
        let alike = self.ids.entry(hasher.finish()).or_default();
        if let Some(known) = alike.iter().find(|id| self.sets[id.0 as usize] == set) {
            return *known;
        }
        let id = PodSetId(u32::try_from(self.sets.len()).expect("fewer than 2^32 sets fit in memory"));
        alike.push(id);
        self.sets.push(set);
        id
    }

    /// The pods of a set, in order.
    pub fn pods(&self, id: PodSetId) -> impl Iterator<Item = HolderId> {
        self.sets[id.0 as usize].iter().map(HolderId)
    }

    /// How many pods a set has.
    #[must_use]
    pub fn len(&self, id: PodSetId) -> u64 {
        self.sets[id.0 as usize].len()
    }

    /// Whether all pods of `part` are in `whole`.
    #[must_use]
    pub fn is_subset(&self, part: PodSetId, whole: PodSetId) -> bool {
        // Two that differ and have as many pods are not within each other.
        part == whole
            || self.len(part) < self.len(whole)
                && self.sets[part.0 as usize].is_subset(&self.sets[whole.0 as usize])
    }

    /// Whether a set has a pod.
    #[must_use]
    pub fn contains(&self, id: PodSetId, pod: HolderId) -> bool {
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

    /// The pods of a set that have an address of a family. Classes have the same sets again and again.
    pub fn with_address(&mut self, cluster: &Cluster, id: PodSetId, family: Family) -> PodSetId {
        if let Some(known) = self.with_address.get(&(id, family)) {
            return *known;
        }
        let having = self.filter(id, |pod| cluster.addresses_of(pod).of(family).is_some());
        self.with_address.insert((id, family), having);
        having
    }

    /// The pods that are in both sets.
    pub fn intersection(&mut self, a: PodSetId, b: PodSetId) -> PodSetId {
        if a == b {
            return a;
        }
        let both = &self.sets[a.0 as usize] & &self.sets[b.0 as usize];
        self.intern(both)
    }

    /// The pods of a set that meet a condition.
    pub fn filter(&mut self, id: PodSetId, keep: impl Fn(HolderId) -> bool) -> PodSetId {
        let set = &self.sets[id.0 as usize];
        // Mostly all do, and then nothing need be built.
        if set.iter().all(|pod| keep(HolderId(pod))) {
            return id;
        }
        let kept = set.iter().filter(|pod| keep(HolderId(*pod))).collect();
        self.intern(kept)
    }
}

//! What the policies of each pod say, before and after.
//!
//! Pods of one *kind* have the same to say on both sides. Whether a kind changes is known without its traffic where its
//! policies are the same and mean the same pods, so that what a small change leaves alone costs nothing.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::Family;
use chainmail_model::{ContainerPort, Direction, Holder, semantics};
use chainmail_verdict::exact::{AddressSet, ServiceSet, Traffic};
use roaring::RoaringBitmap;

use super::guards::Guards;
use super::pods::{At, Both, Pods};
use super::sides::Sides;
use super::touched::Touched;
use crate::diff::{Presence, Side};

/// A kind's place among [`Says`].
pub(super) type KindId = u32;

/// What a pod has to say on one side, in one direction and family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Say<'m> {
    /// It is not there, or has no address of the family.
    Absent,
    /// Everything is allowed.
    Free,
    /// These policies together, by their places, for a pod with these ports.
    Policies { places: &'m [usize], ports: &'m [ContainerPort] },
    /// What all that claim this address are allowed, of which one at least is isolated.
    Contested(IpAddr),
}

/// Everything that a kind is told from others by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'m> {
    presence: Presence,
    says: [Say<'m>; 2],
    refused: [usize; 2],
}

struct Kind<'m, 'a> {
    key: Key<'m>,
    /// A pod of it.
    example: Both<'a>,
    changes: bool,
    traffic: [OnceCell<Rc<Traffic>>; 2],
}

/// What all pods say in one direction and family.
pub(super) struct Says<'m, 'a> {
    direction: Direction,
    family: Family,
    sides: Sides<'m, 'a>,
    kinds: Vec<Kind<'m, 'a>>,
    of_pod: Vec<KindId>,
    /// Sets of peers that guards refuse, by what keys have of them.
    refused: Vec<AddressSet>,
}

impl<'m, 'a> Says<'m, 'a> {
    pub(super) fn new(
        sides: Sides<'m, 'a>,
        pods: &Pods<'a>,
        guards: &[Guards<'_>; 2],
        touched: &Touched,
        direction: Direction,
        family: Family,
    ) -> Self {
        let mut says =
            Self { direction, family, sides, kinds: Vec::new(), of_pod: Vec::new(), refused: Vec::new() };
        let mut known: BTreeMap<Key<'m>, KindId> = BTreeMap::new();
        let mut refusals: BTreeMap<AddressSet, usize> = BTreeMap::new();
        for (_, both) in pods.iter() {
            let refused = Side::ALL.map(|side| {
                let refused = both.on(side).map(|(_, pod)| guards[side.index()].refused(direction, pod));
                let refused = refused.unwrap_or_else(|| AddressSet::none(family));
                let next = refusals.len();
                *refusals.entry(refused).or_insert(next)
            });
            let key =
                Key { presence: both.presence(), says: Side::ALL.map(|side| says.say(both, side)), refused };
            let next = KindId::try_from(says.kinds.len()).expect("at most one kind a pod");
            let id = *known.entry(key).or_insert(next);
            if id == next {
                says.kinds.push(Kind {
                    key,
                    example: *both,
                    changes: false,
                    traffic: [OnceCell::new(), OnceCell::new()],
                });
            }
            says.of_pod.push(id);
        }
        says.refused = vec![AddressSet::none(family); refusals.len()];
        for (set, place) in refusals {
            says.refused[place] = set;
        }
        for id in 0..says.kinds.len() {
            says.kinds[id].changes = says.changes(id, touched);
        }
        says
    }

    fn say(&self, both: &Both<'a>, side: Side) -> Say<'m> {
        let cluster = self.sides.clusters[side.index()];
        let Some(address) = both.address(side, self.family) else { return Say::Absent };
        let Some(holder) = cluster.holder_of(address) else { return Say::Absent };
        if !semantics::is_enforced(cluster, address) {
            return Say::Free;
        }
        match (self.sides.meanings[side.index()].hangs_on(self.direction, holder), cluster.holder(holder)) {
            (None, _) => Say::Free,
            (Some((places, ports)), Holder::Pod(..)) => Say::Policies { places, ports },
            (Some(_), Holder::Contested(_)) => Say::Contested(address),
        }
    }

    fn changes(&self, id: usize, touched: &Touched) -> bool {
        let Key { presence: _, says: [base, head], refused: [refused_base, refused_head] } =
            self.kinds[id].key;
        if refused_base == refused_head {
            match (base, head) {
                (Say::Absent, Say::Absent) | (Say::Free, Say::Free) => return false,
                (
                    Say::Policies { places: old, ports: old_ports },
                    Say::Policies { places: new, ports: new_ports },
                ) => {
                    if old_ports == new_ports && touched.leaves(old, new) {
                        return false;
                    }
                }
                (Say::Absent | Say::Free | Say::Policies { .. } | Say::Contested(_), _) => {}
            }
        }
        let id = KindId::try_from(id).expect("at most one kind a pod");
        *self.traffic(id, Side::Base) != *self.traffic(id, Side::Head)
    }

    /// What a kind allows on a side, that is no pod's own affair included.
    pub(super) fn traffic(&self, id: KindId, side: Side) -> Rc<Traffic> {
        let kind = &self.kinds[id as usize];
        let at = side.index();
        Rc::clone(kind.traffic[at].get_or_init(|| {
            let allowed = match kind.key.says[at] {
                Say::Absent => return Rc::new(Traffic::none(self.family)),
                Say::Free => Rc::new(Traffic::all(self.family)),
                Say::Policies { .. } | Say::Contested(_) => {
                    let address = kind.example.address(side, self.family);
                    let holder = address.and_then(|address| self.sides.clusters[at].holder_of(address));
                    let holder = holder.expect("what is absent has no policies");
                    let allowed = self.sides.meanings[at].allowed(self.direction, self.family, holder);
                    allowed.expect("policies isolate the pod")
                }
            };
            let refused = &self.refused[kind.key.refused[at]];
            if refused.is_empty() {
                return allowed;
            }
            let refused = Traffic::of(Rc::new(refused.clone()), &ServiceSet::all());
            Rc::new(allowed.difference(&refused))
        }))
    }

    pub(super) fn kind(&self, pod: At) -> KindId {
        self.of_pod[pod as usize]
    }

    /// Whether what a pod says changes.
    pub(super) fn is_changed(&self, pod: At) -> bool {
        self.kinds[self.kind(pod) as usize].changes
    }

    /// Returns how many steps it takes to ask a kind for its services with each of some pods: it looks at all runs of
    /// services on both sides.
    pub(super) fn steps(&self, id: KindId, peers: &RoaringBitmap) -> usize {
        /// A look at a run searches its addresses.
        const STEPS_A_RUN: usize = 8;
        let runs: usize = Side::ALL.into_iter().map(|side| self.traffic(id, side).peer_sets().count()).sum();
        let peers = usize::try_from(peers.len()).unwrap_or(usize::MAX);
        peers.saturating_mul(runs * STEPS_A_RUN)
    }

    /// The services that a kind allows with an address on a side; none where there is no address.
    pub(super) fn services(&self, id: KindId, side: Side, peer: Option<IpAddr>) -> ServiceSet {
        match (peer, self.kinds[id as usize].key.says[side.index()]) {
            (None, _) | (_, Say::Absent) => ServiceSet::none(),
            (Some(peer), Say::Free | Say::Policies { .. } | Say::Contested(_)) => {
                self.traffic(id, side).services(peer)
            }
        }
    }
}

//! What changes for packets: exactly, for all of them at once.
//!
//! ```text
//! policies of both sides ─► Says: what each kind of pods allows ─► Pairs, outside: what differs ─► fold ─► flows
//! ```
//!
//! [`Meaning`] tells what policies allow a pod, as sets; what differs between the two sides is differences of such sets.
//! Pods of one kind are gone through once, and what has nothing to say otherwise is not looked at.

mod causes;
mod fold;
mod guards;
mod isolation;
mod left;
mod outside;
mod pairs;
mod pods;
mod rows;
mod sample;
mod say;
mod sides;
mod touched;
mod words;

use std::collections::BTreeMap;

use chainmail_contract::Family;
use chainmail_model::{Cluster, Direction};
use chainmail_prove::Meaning;
use chainmail_verdict::exact::AddressSet;
use roaring::RoaringBitmap;

use super::{Ahead, Manifests, Presence, Reachability, Side};
use crate::effort::{Effort, TooLong};
use crate::query::Allowed;

use causes::Why;
use guards::Guards;
use pairs::Block;
use pods::Pods;
use say::Says;
use sides::Sides;
use touched::Touched;

/// What changes between pods of one presence: services before and after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    presence: Presence,
    before: Allowed,
    after: Allowed,
}

/// Pods and addresses outside between which something changes.
#[derive(Debug, Clone)]
struct Outer {
    /// Seen from the pods.
    direction: Direction,
    pods: RoaringBitmap,
    addresses: AddressSet,
}

/// Everything that differs, families apart.
#[derive(Default)]
struct Found {
    pairs: Vec<(Change, Family, Block)>,
    outer: Vec<(Change, Outer)>,
    mixed: Vec<(Ahead, Allowed, Family, Block)>,
}

/// Finds out what changes for packets between two clusters.
///
/// # Errors
/// When that takes more steps than it may.
pub(super) fn reachability(
    clusters: [&Cluster; 2],
    manifests: [&Manifests<'_>; 2],
    effort: &mut Effort,
) -> Result<Reachability, TooLong> {
    let meanings = clusters.map(Meaning::new);
    let sides = Sides { clusters, meanings: meanings.each_ref() };
    let pods = Pods::new(clusters[0], clusters[1]);
    let touched = Touched::new(sides, &pods);
    let mut found = Found::default();
    for family in Family::ALL {
        found.family(sides, &pods, &touched, family, effort)?;
    }
    let why = Why { clusters, manifests };
    let rows = rows::Rows { pods: &pods, why, sides };
    let mut isolation = isolation::changes(sides, why, &pods);
    isolation.extend(left::addresses(sides, why, &pods));
    Ok(Reachability {
        families: Family::ALL.into_iter().filter(|&family| !pods.addresses(family).is_empty()).collect(),
        flows: rows.flows(&found, effort)?,
        isolation,
        mixed: rows.mixed(&found),
    })
}

impl Found {
    fn family<'a>(
        &mut self,
        sides: Sides<'_, 'a>,
        pods: &Pods<'a>,
        touched: &Touched,
        family: Family,
        effort: &mut Effort,
    ) -> Result<(), TooLong> {
        let addresses = pods.addresses(family);
        let guards = sides.clusters.map(|cluster| Guards::new(cluster, family, &addresses));
        let [ingress, egress] =
            Direction::ALL.map(|direction| Says::new(sides, pods, &guards, touched, direction, family));
        let pairs = pairs::Directions { pods, family, egress: &egress, ingress: &ingress }.pairs(effort)?;
        let at_one = |at| pods.at_one_address(at, family);
        for (shift, blocks) in &pairs.shifts {
            let [before, after] = [&shift.before, &shift.after].map(|services| Allowed::of(services, family));
            let change = Change { presence: shift.presence, before, after };
            self.pairs.extend(
                fold::folded(blocks, at_one).into_iter().map(|block| (change.clone(), family, block)),
            );
        }
        for ((ahead, services), blocks) in &pairs.mixed {
            let services = Allowed::of(services, family);
            let blocks = fold::folded(blocks, at_one).into_iter();
            self.mixed.extend(blocks.map(|block| (*ahead, services.clone(), family, block)));
        }
        for (direction, says) in [(Direction::Ingress, &ingress), (Direction::Egress, &egress)] {
            self.outer(direction, says, pods, &addresses);
        }
        Ok(())
    }

    /// What changes between pods and the outside; there nobody else has a say.
    fn outer(&mut self, direction: Direction, says: &Says<'_, '_>, pods: &Pods<'_>, of_pods: &AddressSet) {
        let mut kinds: BTreeMap<say::KindId, RoaringBitmap> = BTreeMap::new();
        for (at, _) in pods.iter().filter(|(at, _)| says.is_changed(*at)) {
            kinds.entry(says.kind(at)).or_default().insert(at);
        }
        let mut alike: BTreeMap<(Change, AddressSet), RoaringBitmap> = BTreeMap::new();
        for (kind, subjects) in kinds {
            let [base, head] = Side::ALL.map(|side| says.traffic(kind, side));
            let first = subjects.min().expect("a kind has a pod");
            let presence = pods.get(first).presence();
            for ([before, after], addresses) in outside::shifts(&base, &head, of_pods) {
                let [before, after] =
                    [before, after].map(|services| Allowed::of(&services, of_pods.family()));
                *alike.entry((Change { presence, before, after }, addresses)).or_default() |= &subjects;
            }
        }
        self.outer.extend(
            alike
                .into_iter()
                .map(|((change, addresses), pods)| (change, Outer { direction, pods, addresses })),
        );
    }
}

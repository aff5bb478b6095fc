//! Pods that policies isolate from now on, or no longer.

use std::collections::BTreeMap;

use chainmail_contract::Sha256Hex;
use chainmail_model::Direction;
use roaring::RoaringBitmap;

use super::causes::Why;
use super::pods::{Both, Pods};
use super::sides::Sides;
use super::words::Words;
use crate::diff::{Isolation, IsolationChange, Presence, Role, Side};

/// All such changes of pods that stay, those that no longer are isolated first.
pub(super) fn changes(sides: Sides<'_, '_>, why: Why<'_>, pods: &Pods<'_>) -> Vec<Isolation> {
    let mut groups: BTreeMap<(IsolationChange, Direction, Vec<usize>), RoaringBitmap> = BTreeMap::new();
    for (at, both) in pods.iter() {
        for direction in Direction::ALL {
            let [base, head] = Side::ALL.map(|side| isolating(sides, both, side, direction));
            let group = match (base, head) {
                (None, Some(policies)) => (IsolationChange::NewlyIsolated, direction, policies.to_vec()),
                (Some(policies), None) => (IsolationChange::NoLongerIsolated, direction, policies.to_vec()),
                (None, None) | (Some(_), Some(_)) => continue,
            };
            if both.presence() == Presence::Stay {
                groups.entry(group).or_default().insert(at);
            }
        }
    }
    let words = Words::new(pods, sides.clusters);
    let row = |((change, direction, policies), group): ((_, _, Vec<usize>), RoaringBitmap)| {
        let side = match change {
            IsolationChange::NewlyIsolated => Side::Head,
            IsolationChange::NoLongerIsolated => Side::Base,
        };
        let pods = words.of(&group, &RoaringBitmap::new(), Presence::Stay);
        let all = sides.clusters[side.index()].policies();
        let causes =
            policies.iter().map(|&place| why.policy(Role::Isolate, direction, side, &all[place], &[]));
        let id = Sha256Hex::of(format!("{change:?} {direction} {:?}", pods.ends)).short(16).to_owned();
        Isolation {
            id,
            change,
            direction,
            causes: causes.collect(),
            pods,
            addresses: Vec::new(),
            waived: None,
        }
    };
    let mut rows: Vec<Isolation> = groups.into_iter().map(row).collect();
    rows.sort_by(|a, b| (a.change, a.direction, &a.pods).cmp(&(b.change, b.direction, &b.pods)));
    rows
}

/// The policies that isolate a pod on a side, where its node enforces them.
fn isolating<'m>(
    sides: Sides<'m, '_>,
    both: &Both<'_>,
    side: Side,
    direction: Direction,
) -> Option<&'m [usize]> {
    let (_, pod) = both.on(side)?;
    pod.addresses.iter().find_map(|address| sides.isolating(side, direction, address))
}

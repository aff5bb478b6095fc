//! Addresses for which two sets of traffic have different services.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::addresses::last;
use super::traffic::Traffic;
use super::{AddressSet, ServiceSet};

/// An address set of one side, and the places of the services that have it as their peers.
type Peers<'t> = (&'t Rc<AddressSet>, Vec<(u32, u32)>);

impl Traffic {
    /// Returns the addresses for which this set and the other have different services, grouped by those services: this
    /// set's first. Both sets are of one family.
    ///
    /// Walks the line of addresses once, from one boundary of a peer set to the next: between two boundaries all addresses
    /// have the same services.
    #[must_use]
    pub fn differing(&self, other: &Self) -> BTreeMap<[ServiceSet; 2], AddressSet> {
        let sides = [self, other].map(by_peers);
        let mut boundaries: Vec<(u128, usize, usize)> = Vec::new();
        for (side, sets) in sides.iter().enumerate() {
            for (at, (peers, _)) in sets.iter().enumerate() {
                for &(first, last) in peers.numbers() {
                    boundaries.push((first, side, at));
                    // After the last number of 128 bits nothing begins.
                    boundaries.extend(last.checked_add(1).map(|next| (next, side, at)));
                }
            }
        }
        boundaries.sort_unstable();
        let mut active: [BTreeSet<usize>; 2] = Default::default();
        let mut services = [ServiceSet::none(), ServiceSet::none()];
        let mut differing: BTreeMap<[ServiceSet; 2], Vec<(u128, u128)>> = BTreeMap::new();
        let mut from = 0;
        let mut note = |services: &[ServiceSet; 2], from: u128, to: u128| {
            if services[0] != services[1] {
                differing.entry(services.clone()).or_default().push((from, to));
            }
        };
        for crossed in boundaries.chunk_by(|one, other| one.0 == other.0) {
            let boundary = crossed[0].0;
            if let Some(to) = boundary.checked_sub(1).filter(|to| from <= *to) {
                note(&services, from, to);
            }
            let mut changed = [false; 2];
            for &(_, side, at) in crossed {
                changed[side] = true;
                // Ranges of one set never touch, so each boundary either begins a range or ends one.
                if !active[side].remove(&at) {
                    active[side].insert(at);
                }
            }
            for side in (0..2).filter(|&side| changed[side]) {
                let places = active[side].iter().flat_map(|&at| sides[side][at].1.iter().copied());
                services[side] = ServiceSet::of_places(places);
            }
            from = boundary;
        }
        let end = last(self.family());
        if from <= end {
            note(&services, from, end);
        }
        let sets = differing.into_iter();
        sets.map(|(services, ranges)| (services, AddressSet::of_numbers(self.family(), ranges))).collect()
    }
}

/// The peer sets of traffic, each with its services. Sets are told apart by their place in memory: of two equal sets each
/// counts, which costs time and changes nothing.
fn by_peers(traffic: &Traffic) -> Vec<Peers<'_>> {
    let mut known: BTreeMap<*const AddressSet, usize> = BTreeMap::new();
    let mut sets: Vec<Peers<'_>> = Vec::new();
    for (places, peers) in traffic.placed_runs() {
        let at = *known.entry(Rc::as_ptr(peers)).or_insert_with(|| {
            sets.push((peers, Vec::new()));
            sets.len() - 1
        });
        sets[at].1.push(places);
    }
    sets
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use chainmail_contract::{Family, Transport};
    use proptest::prelude::*;

    use super::*;
    use crate::PortRange;

    fn traffic(family: Family, rules: &[(u8, u8, u8, u8)]) -> Traffic {
        // The first addresses of the family and its last ones, so that both ends of the line are met.
        let address = |number: u8| -> IpAddr {
            match (family, number < 16) {
                (Family::V4, true) => [0, 0, 0, number].into(),
                (Family::V4, false) => [255, 255, 255, number | 240].into(),
                (Family::V6, true) => u128::from(number).to_be_bytes().into(),
                (Family::V6, false) => (u128::MAX - u128::from(31 - number)).to_be_bytes().into(),
            }
        };
        let mut all = Traffic::none(family);
        for &(first, last, port, to) in rules {
            let peers = AddressSet::range(address(first), address(last));
            let ports =
                ServiceSet::ports(Transport::Tcp, PortRange::new(port.min(to).into(), port.max(to).into()));
            all.add(&Traffic::of(Rc::new(peers), &ports));
        }
        all
    }

    fn rules() -> impl Strategy<Value = Vec<(u8, u8, u8, u8)>> {
        prop::collection::vec((0..32u8, 0..32u8, 0..8u8, 0..8u8), 0..6)
    }

    proptest! {
        #[test]
        fn each_address_is_where_its_services_are(v6 in any::<bool>(), old in rules(), new in rules()) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            let (old, new) = (traffic(family, &old), traffic(family, &new));
            let differing = old.differing(&new);
            let of = |address: IpAddr| [old.services(address), new.services(address)];
            // Each part says what its ends have, parts are apart, and all addresses outside them differ in nothing.
            let mut all = AddressSet::none(family);
            for (services, addresses) in &differing {
                prop_assert!(!addresses.is_empty() && addresses.is_disjoint(&all));
                for (first, last) in addresses.ranges() {
                    prop_assert_eq!(&of(first), services);
                    prop_assert_eq!(&of(last), services);
                }
                all = all.union(addresses);
            }
            let mut expected = AddressSet::none(family);
            for (_, old, new) in old.beside(&new) {
                expected = expected.union(&old.difference(new)).union(&new.difference(old));
            }
            prop_assert_eq!(all, expected);
        }
    }
}

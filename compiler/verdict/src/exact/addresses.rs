//! Sets of addresses of one family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chainmail_contract::Family;
use ipnet::IpNet;

use super::Intervals;
use crate::{Members, Set};

/// A set of addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressSet {
    family: Family,
    /// Addresses as numbers; those of IPv4 below 2^32.
    numbers: Intervals<u128>,
}

impl AddressSet {
    /// No address.
    #[must_use]
    pub fn none(family: Family) -> Self {
        Self { family, numbers: Intervals::default() }
    }

    /// Every address of a family.
    #[must_use]
    pub fn all(family: Family) -> Self {
        Self { family, numbers: Intervals::range(0, last(family)) }
    }

    /// One address.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        let at = number(address);
        Self { family: Family::of(address), numbers: Intervals::range(at, at) }
    }

    /// The addresses from a first to a last, both included; none where the first is the greater one.
    #[must_use]
    pub fn range(first: IpAddr, last: IpAddr) -> Self {
        Self { family: Family::of(first), numbers: Intervals::range(number(first), number(last)) }
    }

    /// The addresses of networks; those of the other family are left out.
    #[must_use]
    pub fn of_nets<'n>(family: Family, nets: impl IntoIterator<Item = &'n IpNet>) -> Self {
        let nets = nets.into_iter().filter(|net| Family::of_net(net) == family);
        Self { family, numbers: nets.map(|net| (number(net.network()), number(net.broadcast()))).collect() }
    }

    /// Some addresses; those of the other family are left out.
    #[must_use]
    pub fn of(family: Family, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let ours = addresses.into_iter().filter(|&address| Family::of(address) == family);
        let mut numbers: Vec<u128> = ours.map(number).collect();
        numbers.sort_unstable();
        Self { family, numbers: numbers.into_iter().map(|number| (number, number)).collect() }
    }

    /// Addresses as numbers, first and last of each range, in any order.
    pub(super) fn of_numbers(family: Family, ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        Self { family, numbers: ranges.into_iter().collect() }
    }

    /// The addresses that any of some sets has; those of the other family are left out.
    #[must_use]
    pub fn of_sets<'s>(family: Family, sets: impl IntoIterator<Item = &'s Self>) -> Self {
        let ours = sets.into_iter().filter(|set| set.family == family);
        Self::of_numbers(family, ours.flat_map(|set| set.numbers().iter().copied()))
    }

    /// The maximal ranges as numbers, sorted.
    pub(super) fn numbers(&self) -> &[(u128, u128)] {
        self.numbers.ranges()
    }

    /// The addresses that a set of one dimension holds; `None` for sets of services and flows.
    #[must_use]
    pub fn of_set(set: &Set) -> Option<Self> {
        match set.members() {
            Members::Ip(ips) => Some(Self::of(set.family(), ips.iter().copied())),
            Members::Net(nets) => {
                let ranges = nets.covered().iter().map(|&(first, last)| (number(first), number(last)));
                Some(Self { family: set.family(), numbers: ranges.collect() })
            }
            Members::IpPort(_) | Members::IpPortIp(_) => None,
        }
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The maximal ranges of addresses, first and last of each, sorted.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (IpAddr, IpAddr)> + '_ {
        self.numbers
            .ranges()
            .iter()
            .map(|&(first, last)| (address(self.family, first), address(self.family, last)))
    }

    /// How many addresses there are, as far as a number of 128 bits can tell.
    #[must_use]
    pub fn count(&self) -> u128 {
        let sizes = self.numbers.ranges().iter().map(|(first, last)| (last - first).saturating_add(1));
        sizes.fold(0, u128::saturating_add)
    }

    /// Whether there is no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Whether an address is in the set.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(address) == self.family && self.numbers.contains(number(address))
    }

    /// The lowest address.
    #[must_use]
    pub fn first(&self) -> Option<IpAddr> {
        self.numbers.ranges().first().map(|&(first, _)| address(self.family, first))
    }

    /// The highest address.
    #[must_use]
    pub fn last(&self) -> Option<IpAddr> {
        self.numbers.ranges().last().map(|&(_, last)| address(self.family, last))
    }

    /// The only address, where there is just one.
    #[must_use]
    pub fn single(&self) -> Option<IpAddr> {
        match self.numbers.ranges() {
            &[(first, last)] if first == last => Some(address(self.family, first)),
            _ => None,
        }
    }

    /// The addresses of either set. Both are of one family, as in all that follow.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.with(self.numbers.union(&other.numbers))
    }

    /// The addresses of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.with(self.numbers.intersection(&other.numbers))
    }

    /// The addresses of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.with(self.numbers.difference(&other.numbers))
    }

    /// The family's addresses that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self::all(self.family).difference(self)
    }

    /// Whether every address is in the other set too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.numbers.is_subset(&other.numbers)
    }

    /// Whether no address is in the other set.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.numbers.is_disjoint(&other.numbers)
    }

    fn with(&self, numbers: Intervals<u128>) -> Self {
        Self { family: self.family, numbers }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => {
            let bits = u32::try_from(number).expect("sets of IPv4 hold nothing above 2^32");
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        }
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

pub(super) fn last(family: Family) -> u128 {
    match family {
        Family::V4 => u32::MAX.into(),
        Family::V6 => u128::MAX,
    }
}

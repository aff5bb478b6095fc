//! Addresses: a pod's one or two, and exact sets of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use chainmail_contract::Family;
use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use range_set_blaze::{CheckSortedDisjoint, RangeSetBlaze, SortedDisjoint as _};

/// At most one address a family, as the API server allows a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Addresses {
    /// The IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// The address of one family.
    #[must_use]
    pub fn of(self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }

    /// Both, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        Family::ALL.into_iter().filter_map(move |family| self.of(family))
    }

    /// The same without one of them.
    #[must_use]
    pub(super) fn without(self, address: IpAddr) -> Self {
        let other = |own: IpAddr| own != address;
        Self {
            v4: self.v4.filter(|v4| other(IpAddr::V4(*v4))),
            v6: self.v6.filter(|v6| other(IpAddr::V6(*v6))),
        }
    }

    /// The same with one of its family instead of what was there.
    #[must_use]
    pub(super) fn with(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { v4: Some(v4), ..self },
            IpAddr::V6(v6) => Self { v6: Some(v6), ..self },
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

/// An exact set of addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRanges {
    family: Family,
    ranges: RangeSetBlaze<u128>,
}

/// An address as a number: of 32 bits or of 128, as its family has.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn v4(number: u128) -> Ipv4Addr {
    Ipv4Addr::from(u32::try_from(number).expect("an IPv4 set holds numbers of 32 bits only"))
}

impl AddressRanges {
    /// No address.
    #[must_use]
    pub fn empty(family: Family) -> Self {
        Self { family, ranges: RangeSetBlaze::new() }
    }

    /// The addresses of a network.
    #[must_use]
    pub fn of_net(net: &IpNet) -> Self {
        let range = number(net.network())..=number(net.broadcast());
        Self { family: Family::of_net(net), ranges: RangeSetBlaze::from_iter([range]) }
    }

    /// The addresses of those of some networks that are of a family.
    #[must_use]
    pub fn of_nets<'n>(family: Family, nets: impl IntoIterator<Item = &'n IpNet>) -> Self {
        let nets = nets.into_iter().filter(|net| Family::of_net(net) == family);
        Self::joined(family, nets.map(|net| (number(net.network()), number(net.broadcast()))).collect())
    }

    /// The addresses of all these sets, which are of one family.
    #[must_use]
    pub fn union<'s>(family: Family, sets: impl IntoIterator<Item = &'s Self>) -> Self {
        let ranges = sets.into_iter().flat_map(|set| set.ranges.ranges().map(RangeInclusive::into_inner));
        Self::joined(family, ranges.collect())
    }

    /// Joins ranges, both ends included, that come in any order: one pass for all, where adding one by one would be one
    /// each. Not by `|=` of the library: it counts elements before it merges, and panics above 2^128.
    fn joined(family: Family, mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        let sorted = joined.into_iter().map(|(first, last)| first..=last);
        Self { family, ranges: CheckSortedDisjoint::new(sorted).into_range_set_blaze() }
    }

    /// Those of some addresses that are of a family.
    #[must_use]
    pub fn of_addresses(family: Family, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let of_family = addresses.into_iter().filter(|address| Family::of(*address) == family);
        Self { family, ranges: of_family.map(number).collect() }
    }

    /// The lowest address.
    #[must_use]
    pub fn first(&self) -> Option<IpAddr> {
        self.ranges.first().map(|first| self.address(first))
    }

    /// The numbers of the lowest and of the highest address.
    pub fn hull(&self) -> Option<(u128, u128)> {
        self.ranges.first().zip(self.ranges.last())
    }

    /// How many ranges without a gap there are.
    pub fn range_count(&self) -> usize {
        self.ranges.ranges_len()
    }

    /// The lowest address whose number is this one or above it; else the lowest.
    pub(super) fn first_from(&self, number: u128) -> Option<IpAddr> {
        let above = self.ranges.ranges().find(|range| *range.end() >= number);
        above.map(|range| self.address(number.max(*range.start()))).or_else(|| self.first())
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(v4(number)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether it holds no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether it holds every address of its family.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let last = match self.family {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
        };
        self.ranges.ranges().eq([0..=last])
    }

    /// Whether it holds an address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(address) == self.family && self.ranges.contains(number(address))
    }

    /// Whether every address of it is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.is_empty() || (self.family == other.family && self.ranges.is_subset(&other.ranges))
    }

    /// Takes the addresses of `other` away; those of another family change nothing.
    pub fn remove(&mut self, other: &Self) {
        if self.family == other.family {
            self.ranges = &self.ranges - &other.ranges;
        }
    }

    /// The addresses that are in both; none where the families differ.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        if self.family != other.family {
            return Self::empty(self.family);
        }
        Self { family: self.family, ranges: &self.ranges & &other.ranges }
    }

    /// The fewest disjoint networks that hold exactly these addresses, in order.
    #[must_use]
    pub fn networks(&self) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for range in self.ranges.ranges() {
            let (first, last) = range.into_inner();
            match self.family {
                Family::V4 => {
                    networks
                        .extend(Ipv4Subnets::new(v4(first), v4(last), 0).map(|net: Ipv4Net| IpNet::V4(net)));
                }
                Family::V6 => {
                    let subnets = Ipv6Subnets::new(Ipv6Addr::from(first), Ipv6Addr::from(last), 0);
                    networks.extend(subnets.map(|net: Ipv6Net| IpNet::V6(net)));
                }
            }
        }
        networks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(plus: &[&str], minus: &[&str]) -> AddressRanges {
        let first: IpNet = plus[0].parse().unwrap();
        let family = Family::of_net(&first);
        let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<IpNet>>();
        let mut ranges = AddressRanges::of_nets(family, &nets(plus));
        let each: Vec<AddressRanges> = nets(plus).iter().map(AddressRanges::of_net).collect();
        assert_eq!(AddressRanges::union(family, &each), ranges, "{plus:?}");
        ranges.remove(&AddressRanges::of_nets(family, &nets(minus)));
        ranges
    }

    #[test]
    fn exceptions_become_disjoint_networks() {
        let rows: &[(&[&str], &[&str], &[&str])] = &[
            (&["10.0.0.0/8"], &[], &["10.0.0.0/8"]),
            (&["10.0.0.0/30"], &["10.0.0.1/32"], &["10.0.0.0/32", "10.0.0.2/31"]),
            (&["0.0.0.0/0"], &["128.0.0.0/1"], &["0.0.0.0/1"]),
            (&["10.0.0.0/31", "10.0.0.2/31"], &[], &["10.0.0.0/30"]),
            (&["10.0.0.0/8"], &["10.0.0.0/9", "10.128.0.0/9"], &[]),
            (&["::/0"], &["8000::/1"], &["::/1"]),
            (&["10.0.0.0/8"], &["fd00::/8"], &["10.0.0.0/8"]),
        ];
        for (plus, minus, expected) in rows {
            let networks: Vec<String> =
                ranges(plus, minus).networks().iter().map(ToString::to_string).collect();
            assert_eq!(networks, *expected, "{plus:?} except {minus:?}");
        }
    }

    #[test]
    fn nearly_everything_can_be_added_to() {
        let most = ranges(&["::/0"], &["::/128", "fd00::/64", "fd01::/64", "fd02::/64", "fd03::/64"]);
        let more = AddressRanges::union(Family::V6, [&most, &ranges(&["::/0"], &["::/128"])]);
        assert_eq!(more, ranges(&["::/0"], &["::/128"]));
    }

    #[test]
    fn everything_is_known_as_such() {
        assert!(ranges(&["0.0.0.0/1", "128.0.0.0/1"], &[]).is_everything());
        assert!(ranges(&["::/0"], &[]).is_everything());
        assert!(!ranges(&["0.0.0.0/0"], &["1.2.3.4/32"]).is_everything());
    }
}

//! Which addresses outside have other services than before.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chainmail_verdict::exact::{AddressSet, ServiceSet, Traffic};
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::query::EXAMPLES;

/// Of all addresses of a family, the part from which on somebody lets in the world: an eighth, which is what IPv6 has for
/// public addresses (2000::/3) and more than any one network or list of them has.
const WORLD: u32 = 8;

/// Parts of the outside by the services that they have before and after; those that have the same are left out.
pub(super) fn shifts(
    base: &Traffic,
    head: &Traffic,
    pods: &AddressSet,
) -> BTreeMap<[ServiceSet; 2], AddressSet> {
    let outside =
        base.differing(head).into_iter().map(|(said, addresses)| (said, addresses.difference(pods)));
    outside.filter(|(_, addresses)| !addresses.is_empty()).collect()
}

/// Addresses as networks and ranges, as few as they can be where those of pods do not matter: nobody outside has them.
pub(super) fn words(addresses: &AddressSet, pods: &AddressSet) -> Vec<String> {
    let filled = filled(addresses, pods);
    filled.ranges().map(|(first, last)| range(first, last)).collect()
}

/// With the addresses of pods between those of the set.
fn filled(addresses: &AddressSet, pods: &AddressSet) -> AddressSet {
    let reach = addresses.union(pods);
    let mut own = addresses.ranges().peekable();
    // Of a run of both, from the first address of the set to its last one.
    let runs = reach.ranges().filter_map(|(_, end)| {
        let inside: Vec<_> = std::iter::from_fn(|| own.next_if(|(_, last)| *last <= end)).collect();
        let (&(low, _), &(_, high)) = (inside.first()?, inside.last()?);
        Some(AddressSet::range(low, high))
    });
    let runs: Vec<AddressSet> = runs.collect();
    AddressSet::of_sets(addresses.family(), &runs)
}

fn range(first: IpAddr, last: IpAddr) -> String {
    let mut nets: Box<dyn Iterator<Item = IpNet>> = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Box::new(Ipv4Subnets::new(first, last, 0).map(IpNet::V4)),
        (IpAddr::V6(first), IpAddr::V6(last)) => Box::new(Ipv6Subnets::new(first, last, 0).map(IpNet::V6)),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return format!("{first}-{last}"),
    };
    match (nets.next(), nets.next()) {
        (Some(net), None) if net.prefix_len() == net.max_prefix_len() => first.to_string(),
        (Some(net), None) => net.to_string(),
        _ => format!("{first}-{last}"),
    }
}

/// Whether addresses are all that there are, but for pods'.
pub(super) fn is_everything(addresses: &AddressSet, pods: &AddressSet) -> bool {
    addresses.union(pods) == AddressSet::all(pods.family())
}

/// Whether addresses are practically all of the outside.
pub(super) fn is_world(addresses: &AddressSet) -> bool {
    addresses.count() >= AddressSet::all(addresses.family()).count() / u128::from(WORLD)
}

/// One of some addresses, that stands for the others best.
pub(super) fn example(addresses: &AddressSet) -> Option<IpAddr> {
    let mut examples = EXAMPLES.iter().filter_map(|text| text.parse().ok());
    examples.find(|example| addresses.contains(*example)).or_else(|| addresses.first())
}

#[cfg(test)]
mod tests {
    use chainmail_contract::Family;

    use super::*;

    fn set(nets: &[&str]) -> AddressSet {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
        AddressSet::of_nets(Family::V4, &nets)
    }

    #[test]
    fn networks_are_whole_though_pods_are_in_them() {
        let pods = set(&["10.1.0.5/32", "10.1.0.6/32", "10.2.0.1/32"]);
        let rows: [(&[&str], &[&str]); 4] = [
            (&["0.0.0.0/0"], &["0.0.0.0/0"]),
            (&["10.1.0.0/16"], &["10.1.0.0/16"]),
            (&["10.0.0.0/16", "10.1.0.0/24"], &["10.0.0.0-10.1.0.255"]),
            (&["192.0.2.1/32"], &["192.0.2.1"]),
        ];
        for (nets, expected) in rows {
            assert_eq!(words(&set(nets).difference(&pods), &pods), expected, "{nets:?}");
        }
    }

    #[test]
    fn the_world_is_most_of_it_not_a_long_list() {
        for (nets, world) in
            [(&["0.0.0.0/1"][..], true), (&["0.0.0.0/3"], true), (&["10.0.0.0/8", "172.16.0.0/12"], false)]
        {
            assert_eq!(is_world(&set(nets)), world, "{nets:?}");
        }
    }
}

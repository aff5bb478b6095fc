//! Addresses that are nobody's, in parts that nothing tells apart.
//!
//! Policies and settings speak of such an address only by the networks that hold it: ipBlocks, their exceptions, and
//! the networks for pods of nodes that guard them. Networks nest or are apart, so those that hold an address are known from the narrowest one:
//! all addresses with the same narrowest network are judged alike, and one of them can be asked for all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::Family;
use chainmail_model::{AddressRanges, Cluster, Node, Policy, UnknownPods};
use ipnet::IpNet;

/// Addresses that nothing tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    /// The narrowest network that is named somewhere and holds them; none where only the whole family does.
    pub(super) net: Option<IpNet>,
    /// One of them.
    pub(super) address: IpAddr,
}

/// No packet of a connection comes from or goes to these: this network, loopback, multicast, broadcast, link-local.
const NOBODYS: [&str; 8] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/127",
    "fe80::/10",
    "ff00::/8",
];

/// Addresses that stand for others best, being reserved for documentation (RFC 5737, RFC 3849).
pub(crate) const EXAMPLES: [&str; 4] = ["203.0.113.1", "198.51.100.1", "192.0.2.1", "2001:db8::1"];

/// All regions of both families.
pub(super) fn regions(cluster: &Cluster) -> Vec<Region> {
    let named = named_networks(cluster);
    Family::ALL.into_iter().flat_map(|family| split(cluster, &named, &everything(family))).collect()
}

/// The regions of one network.
pub(super) fn regions_of(cluster: &Cluster, net: &IpNet) -> Vec<Region> {
    let mut named = named_networks(cluster);
    named.insert(*net);
    split(cluster, &named, net)
}

fn everything(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
        Family::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

fn named_networks(cluster: &Cluster) -> BTreeSet<IpNet> {
    // What is in these networks of other nodes is to them any address outside.
    let guards =
        |node: &&Node| node.settings.unknown_pods == UnknownPods::Drop || node.settings.pod_bridge.is_some();
    let mut named: BTreeSet<IpNet> =
        cluster.nodes().filter(guards).flat_map(|node| node.pod_cidrs.iter().copied()).collect();
    named.extend(cluster.policies().iter().flat_map(Policy::networks));
    named
}

/// The regions of the named networks inside `whole`, and of `whole` itself. Sorted, what is inside a network follows it.
fn split(cluster: &Cluster, named: &BTreeSet<IpNet>, whole: &IpNet) -> Vec<Region> {
    let taken = taken(cluster, Family::of_net(whole));
    let mut all: BTreeSet<IpNet> = named.iter().filter(|net| whole.contains(*net)).copied().collect();
    all.insert(*whole);
    let region = |net: &IpNet| {
        let mut addresses = AddressRanges::of_net(net);
        addresses.remove(&taken);
        let inside = all.range(net..).skip(1).take_while(|inner| net.contains(*inner));
        addresses.remove(&AddressRanges::of_nets(addresses.family(), inside));
        let net = Some(*net).filter(|net| net.prefix_len() > 0);
        Some(Region { net, address: representative(&addresses)? })
    };
    all.iter().filter_map(region).collect()
}

/// The addresses that somebody has, and those that nobody can have.
fn taken(cluster: &Cluster, family: Family) -> AddressRanges {
    let pods = cluster.pods().flat_map(|(_, pod)| pod.addresses.iter());
    let nodes = cluster.nodes().flat_map(|node| node.addresses.iter().copied());
    let somebodys = AddressRanges::of_addresses(family, pods.chain(nodes));
    let nobodys = NOBODYS.map(|text| text.parse().expect("these are networks"));
    AddressRanges::union(family, [&somebodys, &AddressRanges::of_nets(family, &nobodys)])
}

fn representative(addresses: &AddressRanges) -> Option<IpAddr> {
    let examples = EXAMPLES.iter().map(|text| text.parse().expect("these are addresses"));
    examples.into_iter().find(|example| addresses.contains(*example)).or_else(|| addresses.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_what_narrower_networks_leave() {
        let named =
            ["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "172.17.0.0/16", "172.17.1.0/24", "fd00::/8"];
        let named: BTreeSet<IpNet> = named.iter().map(|net| net.parse().unwrap()).collect();
        let of = |whole: &str| -> Vec<(String, String)> {
            let regions = split(&Cluster::default(), &named, &whole.parse().unwrap());
            let text = |region: Region| {
                (region.net.map(|net| net.to_string()).unwrap_or_default(), region.address.to_string())
            };
            regions.into_iter().map(text).collect()
        };
        let rows = |rows: &[(&str, &str)]| -> Vec<(String, String)> {
            rows.iter().map(|(net, address)| ((*net).to_owned(), (*address).to_owned())).collect()
        };
        assert_eq!(
            of("0.0.0.0/0"),
            rows(&[
                ("", "203.0.113.1"),
                ("10.0.0.0/9", "10.0.0.0"),
                ("10.128.0.0/9", "10.128.0.0"),
                ("172.17.0.0/16", "172.17.0.0"),
                ("172.17.1.0/24", "172.17.1.0"),
            ])
        );
        assert_eq!(of("172.17.0.0/24"), rows(&[("172.17.0.0/24", "172.17.0.0")]));
        assert_eq!(of("::/0"), rows(&[("", "2001:db8::1"), ("fd00::/8", "fd00::")]));
    }
}

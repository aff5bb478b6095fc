//! By which interfaces this host reaches its pods and all others, and what the rules in force say of interfaces.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chainmail_contract::{FORWARD_CHAIN, Family};
use chainmail_verdict::{IfaceName, IfacePattern, Members, Ruleset, Sets, Test};

/// What the rules in force say of interfaces and local pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Bridges whose ports are guarded against each other.
    pub guarded: BTreeSet<String>,
    /// Interfaces that carry addresses of known pods only.
    pub closed: BTreeSet<IfacePattern>,
    /// Addresses of this node's pods: of all of them, or of the isolated ones where unknown pods pass.
    pub pods: BTreeSet<IpAddr>,
}

impl Said {
    /// Adds what one family's text says, as `lower` writes it: a guard asks for both interfaces, the rules that close
    /// one for it alone, and CM-FORWARD itself asks for no set of addresses but those of local pods.
    pub fn add(&mut self, family: Family, rules: &str, sets: &Sets) {
        let Ok(rules) = Ruleset::parse(family, rules) else { return };
        let Some(forward) = rules.find(FORWARD_CHAIN) else { return };
        for rule in &rules.chain(forward).rules {
            let (mut from, mut to) = (None, None);
            for condition in &rule.matches {
                match &condition.test {
                    Test::InIface(pattern) => from = Some(pattern),
                    Test::OutIface(pattern) => to = Some(pattern),
                    Test::Set { set, .. } => {
                        let set = sets.get(rules.set_name(*set));
                        if let Some(Members::Ip(addresses)) = set.map(|set| set.members()) {
                            self.pods.extend(addresses);
                        }
                    }
                    _ => {}
                }
            }
            match (from, to) {
                (Some(IfacePattern::Exact(bridge)), Some(_)) => {
                    self.guarded.insert(bridge.as_str().to_owned());
                }
                (Some(pattern), None) => {
                    self.closed.insert(pattern.clone());
                }
                _ => {}
            }
        }
    }

    /// Whether an interface carries addresses of known pods only.
    #[must_use]
    pub fn closes(&self, interface: &str) -> bool {
        let name = interface.parse::<IfaceName>().ok();
        self.closed.iter().any(|pattern| name.is_some() && pattern.fits(name.as_ref()))
    }
}

/// One way of the host to a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The network's address; host bits are zero.
    pub net: IpAddr,
    /// The length of its prefix.
    pub prefix: u8,
    /// The interface by which packets leave.
    pub interface: String,
    /// Whether the network is behind a router.
    pub is_far: bool,
}

impl Route {
    /// Reads `/proc/net/route`: numbers are hexadecimal, addresses in the host's order of bytes.
    #[must_use]
    pub fn all_v4(text: &str) -> Vec<Self> {
        let address = |word: &str| {
            let bits = u32::from_str_radix(word, 16).ok()?;
            Some(Ipv4Addr::from(bits.to_ne_bytes()))
        };
        let route = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [interface, net, router, _, _, _, _, mask, ..] = words[..] else { return None };
            Some(Self {
                net: address(net)?.into(),
                prefix: u8::try_from(u32::from(address(mask)?).leading_ones()).ok()?,
                interface: interface.to_owned(),
                is_far: !address(router)?.is_unspecified(),
            })
        };
        text.lines().skip(1).filter_map(route).filter(|route| route.interface != "*").collect()
    }

    /// Reads `/proc/net/ipv6_route`.
    #[must_use]
    pub fn all_v6(text: &str) -> Vec<Self> {
        let address = |word: &str| u128::from_str_radix(word, 16).ok().map(Ipv6Addr::from);
        let route = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [net, prefix, _, _, router, _, _, _, _, interface] = words[..] else { return None };
            Some(Self {
                net: address(net)?.into(),
                prefix: u8::from_str_radix(prefix, 16).ok()?,
                interface: interface.to_owned(),
                is_far: !address(router)?.is_unspecified(),
            })
        };
        text.lines().filter_map(route).filter(|route| route.interface != "lo").collect()
    }

    fn leads_to(&self, address: IpAddr) -> bool {
        let differing = match (self.net, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => (net.to_bits() ^ address.to_bits()).leading_zeros(),
            (IpAddr::V6(net), IpAddr::V6(address)) => (net.to_bits() ^ address.to_bits()).leading_zeros(),
            _ => return false,
        };
        differing >= u32::from(self.prefix)
    }
}

/// The interfaces by which pods are reached without a router: by the longest prefix that leads to each.
#[must_use]
pub fn to_pods<'p>(routes: &[Route], pods: impl IntoIterator<Item = &'p IpAddr>) -> BTreeSet<String> {
    let best = |pod: &IpAddr| {
        let routes = routes.iter().filter(|route| route.leads_to(*pod) && route.prefix > 0);
        routes.max_by_key(|route| route.prefix).filter(|route| !route.is_far)
    };
    pods.into_iter().filter_map(best).map(|route| route.interface.clone()).collect()
}

/// The interfaces by which everything is reached that no other route is for.
#[must_use]
pub fn to_others(routes: &[Route]) -> BTreeSet<String> {
    routes.iter().filter(|route| route.prefix == 0).map(|route| route.interface.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A default route, a veth to one pod, a bridge, a blackhole, and a network of another node.
    const V4: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100F00A\t0003\t0\t0\t0\t00000000\t0\t0\t0
cali1\t0A01F40A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
cni0\t0002F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t0001F40A\t00000000\t0205\t0\t0\t0\t00FFFFFF\t0\t0\t0
flannel.1\t0003F40A\t0003F40A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
    const V6: &str = "\
fd001024400010000000000000000011 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001    cali1
fd000010024400010000000000000010 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001    cali2
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000fe0001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    fn pods(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_longest_prefix_leads_to_a_pod() {
        let routes = [Route::all_v4(V4), Route::all_v6(V6)].concat();
        let rows = [
            ("10.244.1.10", Some("cali1")),
            ("10.244.2.7", Some("cni0")),
            ("10.244.1.11", None),
            ("10.244.3.7", None),
            ("fd00:10:244:1::10", Some("cali2")),
            ("fd00:10:244:1::11", None),
        ];
        for (pod, expected) in rows {
            let found: Vec<String> = to_pods(&routes, &pods(&[pod])).into_iter().collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{pod}");
        }
        assert_eq!(to_others(&routes).into_iter().collect::<Vec<_>>(), ["eth0"]);
    }

    #[test]
    fn what_rules_say_of_interfaces_is_read() {
        let rules = "*filter\n:CM-FORWARD - [0:0]\n:CM-I-0 - [0:0]\n\
                     -A CM-FORWARD -i br0 -o br0 -m addrtype --dst-type BROADCAST,MULTICAST -j DROP\n\
                     -A CM-FORWARD -s 10.8.0.0/24 -m set ! --match-set cm4-a src -j DROP\n\
                     -A CM-FORWARD -i cali+ -m set ! --match-set cm4-a src -j DROP\n\
                     -A CM-FORWARD -o cali+ -m set ! --match-set cm4-a dst -j DROP\n\
                     -A CM-FORWARD -i eni1 -j DROP\n\
                     -A CM-I-0 -m set --match-set cm4-b src -j RETURN\nCOMMIT\n";
        let sets = Sets::parse(
            "create cm4-a hash:ip family inet\nadd cm4-a 10.8.0.7\ncreate cm4-b hash:ip family inet\nadd cm4-b 10.9.0.1\n",
        )
        .unwrap();
        let mut said = Said::default();
        said.add(Family::V4, rules, &sets);
        assert_eq!(said.guarded, ["br0".to_owned()].into());
        assert_eq!(said.pods, pods(&["10.8.0.7"]).into_iter().collect());
        for (name, closed) in [
            ("cali", true),
            ("cali7", true),
            ("cal", false),
            ("eni1", true),
            ("eni12", false),
            ("br0", false),
        ] {
            assert_eq!(said.closes(name), closed, "{name}");
        }
    }
}

//! The namespaces of a measurement: the node, each pod that is an end, and one for all ends elsewhere. Pure.
//!
//! ```text
//! elsewhere: every remote address ── eth0 · up0 ── node: veth0, veth1, … ── eth0 ── pod
//! ```
//!
//! Nothing forwards but the node, so that what is measured is its rules, and no neighbour is ever asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::figure::Ends;
use super::pick::Picked;
use crate::layout::{NetnsName, Place, Script, Sysctl};
use crate::spec::LabName;

/// The gateway of every namespace but the node, and the node's own: addresses that no manifest has.
const GATEWAY: &str = "169.254.1.1";
const ELSEWHERE: &str = "169.254.254.1";

/// Which address is where.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) node: NetnsName,
    elsewhere: NetnsName,
    remote: BTreeSet<IpAddr>,
    pods: BTreeMap<IpAddr, NetnsName>,
}

/// Writes one line.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("writing to a String cannot fail")
    };
}

impl Wiring {
    /// Gives each end its place.
    pub(crate) fn of(lab: &LabName, picked: &Picked) -> Self {
        let (mut local, mut remote) = (BTreeSet::new(), BTreeSet::new());
        for ((ends, _), pairs) in &picked.allowed {
            for pair in pairs {
                let (pod, peer) = match ends {
                    Ends::IntoIsolated | Ends::IntoOpen => (pair.destination, pair.source),
                    Ends::OutOfIsolated => (pair.source, pair.destination),
                };
                local.insert(pod);
                remote.insert(peer);
            }
        }
        let netns = |(index, address)| (address, NetnsName::new(lab, &format!("pod-{index}")));
        Self {
            node: NetnsName::new(lab, "node"),
            elsewhere: NetnsName::new(lab, "elsewhere"),
            remote,
            pods: local.into_iter().enumerate().map(netns).collect(),
        }
    }

    pub(crate) fn namespaces(&self) -> Vec<&NetnsName> {
        [&self.node, &self.elsewhere].into_iter().chain(self.pods.values()).collect()
    }

    /// Where an end of a pair is.
    pub(crate) fn place(&self, address: IpAddr) -> Place<'_> {
        Place { netns: self.pods.get(&address).unwrap_or(&self.elsewhere), address }
    }

    /// What is run in each namespace; the node's comes first, since it makes the devices of the others.
    pub(crate) fn scripts(&self) -> Vec<Script<'_>> {
        let all = [&self.node, &self.elsewhere].into_iter().zip([self.node_lines(), self.elsewhere_lines()]);
        let pods =
            self.pods.iter().zip(0..).map(|((address, netns), index)| (netns, pod_lines(*address, index)));
        all.chain(pods).map(|(netns, ip)| Script { netns, sysctls: self.sysctls(netns), ip }).collect()
    }

    fn sysctls(&self, netns: &NetnsName) -> Vec<Sysctl> {
        let mut list = vec![("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/default/rp_filter", "0")];
        if *netns == self.node {
            list.push(("ipv4/ip_forward", "1"));
        }
        list.into_iter().map(|(path, value)| Sysctl { path, value }).collect()
    }

    fn node_lines(&self) -> String {
        let mut out = String::from("link set lo up\n");
        let (up, away) = (mac(Side::Node, 0), mac(Side::Leaf, 0));
        line!(
            out,
            "link add up0 address {up} type veth peer name eth0 address {away} netns {}",
            self.elsewhere
        );
        line!(out, "link set up0 up");
        line!(out, "neigh add {ELSEWHERE} lladdr {away} dev up0 nud permanent");
        line!(out, "route add default via {ELSEWHERE} dev up0 onlink");
        for ((address, netns), index) in self.pods.iter().zip(1..) {
            let (near, far) = (mac(Side::Node, index), mac(Side::Leaf, index));
            line!(
                out,
                "link add veth{index} address {near} type veth peer name eth0 address {far} netns {netns}"
            );
            line!(out, "link set veth{index} up");
            line!(out, "route add {} dev veth{index}", IpNet::from(*address));
            line!(out, "neigh add {address} lladdr {far} dev veth{index} nud permanent");
        }
        out
    }

    fn elsewhere_lines(&self) -> String {
        leaf_lines(self.remote.iter().copied(), 0)
    }
}

fn pod_lines(address: IpAddr, index: usize) -> String {
    leaf_lines([address], index + 1)
}

fn leaf_lines(addresses: impl IntoIterator<Item = IpAddr>, index: usize) -> String {
    let mut out = String::from("link set lo up\nlink set eth0 up\n");
    for address in addresses {
        line!(out, "addr add {} dev eth0", IpNet::from(address));
    }
    line!(out, "neigh add {GATEWAY} lladdr {} dev eth0 nud permanent", mac(Side::Node, index));
    line!(out, "route add default via {GATEWAY} dev eth0 onlink");
    out
}

/// Which end of a link.
#[derive(Debug, Clone, Copy)]
enum Side {
    Node,
    Leaf,
}

/// A link-layer address of our own choosing: 02 says locally administered, unicast.
fn mac(side: Side, index: usize) -> String {
    let [.., high, low] = index.to_be_bytes();
    let side = match side {
        Side::Node => 1,
        Side::Leaf => 2,
    };
    format!("02:00:00:{side:02x}:{high:02x}:{low:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::pick::Pair;
    use chainmail_contract::Transport;

    #[test]
    fn the_pod_has_a_namespace_and_its_peer_is_elsewhere() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let pair = |source: &str, destination: &str| Pair {
            source: address(source),
            destination: address(destination),
            transport: Transport::Tcp,
            port: 80,
        };
        let mut picked = Picked::default();
        picked.allowed.insert((Ends::IntoOpen, Transport::Tcp), vec![pair("10.1.0.1", "10.0.0.1")]);
        picked.allowed.insert((Ends::OutOfIsolated, Transport::Tcp), vec![pair("10.0.0.2", "10.1.0.1")]);
        let wiring = Wiring::of(&"lab".parse().unwrap(), &picked);
        let netns = |text| wiring.place(address(text)).netns.as_str();
        assert_eq!(
            [netns("10.0.0.1"), netns("10.0.0.2"), netns("10.1.0.1")],
            ["cml-lab-pod-0", "cml-lab-pod-1", "cml-lab-elsewhere"]
        );
        let scripts = wiring.scripts();
        let script = |name: &str| &scripts.iter().find(|script| script.netns.as_str() == name).unwrap().ip;
        assert!(script("cml-lab-elsewhere").contains("addr add 10.1.0.1/32 dev eth0\n"));
        assert!(script("cml-lab-node").contains("route add 10.0.0.2/32 dev veth2\n"));
        assert!(script("cml-lab-pod-1").contains("neigh add 169.254.1.1 lladdr 02:00:00:01:00:02 dev eth0"));
    }
}

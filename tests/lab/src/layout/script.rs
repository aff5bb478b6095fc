//! What is run in each namespace: sysctls, then lines for `ip -batch`. Later scripts use what earlier ones made.
//!
//! ```text
//! outside ── eth0 · out0 ── switch: br0 ── n0, n1, … · up0 ── node: veth0, veth1, … (or ports of cni0) · eth0 ── pod
//! ```
//!
//! Every address is a host address (/32, /128) and every next hop is on-link, so that it does not matter which networks
//! the manifests' addresses are of.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use chainmail_contract::Family;
use ipnet::IpNet;

use super::{Layout, NetnsName, NodeSite, PodSite};
use crate::spec::Topology;

/// A file below `/proc/sys/net` and what is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sysctl {
    pub(crate) path: &'static str,
    pub(crate) value: &'static str,
}

/// What is run in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script<'a> {
    pub(crate) netns: &'a NetnsName,
    pub(crate) sysctls: Vec<Sysctl>,
    /// Lines for `ip -batch`.
    pub(crate) ip: String,
}

/// The gateway of pods and of the outside: an address that nobody else has, as Calico does it.
const GATEWAY: [&str; 2] = ["169.254.1.1", "fe80::1:1"];
/// The gateway of nodes to the outside.
const SWITCH: [&str; 2] = ["169.254.254.1", "fe80::fe:1"];

fn of_family(texts: [&'static str; 2], family: Family) -> &'static str {
    match family {
        Family::V4 => texts[0],
        Family::V6 => texts[1],
    }
}

fn everything(family: Family) -> &'static str {
    of_family(["0.0.0.0/0", "::/0"], family)
}

/// Link-layer addresses of our own choosing, so that neighbours can be entered by hand.
#[derive(Debug, Clone, Copy)]
enum Mac {
    Outside,
    SwitchToOutside,
    Switch,
    Uplink(usize),
    Bridge(usize),
    Pod(usize),
    NodeToPod(usize),
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, index) = match *self {
            Mac::Outside => (0, 0),
            Mac::SwitchToOutside => (0, 1),
            Mac::Switch => (0, 2),
            Mac::Uplink(index) => (1, index),
            Mac::Bridge(index) => (2, index),
            Mac::Pod(index) => (3, index),
            Mac::NodeToPod(index) => (4, index),
        };
        let [.., a, b, c] = index.to_be_bytes();
        // 02: locally administered, unicast.
        write!(f, "02:00:{kind:02x}:{a:02x}:{b:02x}:{c:02x}")
    }
}

/// Writes one line.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("writing to a String cannot fail")
    };
}

impl Layout {
    /// The scripts, in the order in which they must run. Every script's sysctls come before the first script's lines,
    /// since new devices inherit them.
    pub(crate) fn scripts(&self) -> Vec<Script<'_>> {
        let switch =
            Script { netns: &self.switch, sysctls: self.sysctls(Role::Switch), ip: self.switch_lines() };
        let outside =
            Script { netns: &self.outside, sysctls: self.sysctls(Role::Leaf), ip: self.outside_lines() };
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| Script {
            netns: &node.netns,
            sysctls: self.sysctls(Role::Node),
            ip: self.node_lines(index, node),
        });
        let pods = self.pods.iter().enumerate().map(|(index, pod)| Script {
            netns: &pod.netns,
            sysctls: self.sysctls(Role::Leaf),
            ip: self.pod_lines(index, pod),
        });
        [switch, outside].into_iter().chain(nodes).chain(pods).collect()
    }

    fn sysctls(&self, role: Role) -> Vec<Sysctl> {
        // Packets must not be judged by the path they come on; that is not what is tested.
        let mut list = vec![("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/default/rp_filter", "0")];
        if role != Role::Leaf {
            list.push(("ipv4/ip_forward", "1"));
        }
        if self.has_v6() {
            // Duplicate address detection would keep every address unusable for a second.
            list.extend([
                ("ipv6/conf/all/disable_ipv6", "0"),
                ("ipv6/conf/default/disable_ipv6", "0"),
                ("ipv6/conf/all/accept_dad", "0"),
                ("ipv6/conf/default/accept_dad", "0"),
                ("ipv6/conf/default/accept_ra", "0"),
            ]);
            if role != Role::Leaf {
                list.push(("ipv6/conf/all/forwarding", "1"));
            }
        }
        if self.topology == Topology::Bridge && role == Role::Node {
            list.extend([("bridge/bridge-nf-call-iptables", "1"), ("bridge/bridge-nf-call-ip6tables", "1")]);
        }
        list.into_iter().map(|(path, value)| Sysctl { path, value }).collect()
    }

    fn families(&self) -> impl Iterator<Item = Family> + use<> {
        let has_v6 = self.has_v6();
        Family::ALL.into_iter().filter(move |family| has_v6 || *family == Family::V4)
    }

    fn pods_of<'a>(&'a self, node: &'a NodeSite) -> impl Iterator<Item = (usize, &'a PodSite)> + 'a {
        self.pods.iter().enumerate().filter(move |(_, pod)| pod.node == node.name)
    }

    /// The networks by which a node's pods are reached: its podCIDRs, and each pod that is not in them.
    fn pod_networks(&self, node: &NodeSite) -> Vec<IpNet> {
        let families: Vec<Family> = self.families().collect();
        let cidrs = node.pod_cidrs.iter().copied().filter(|net| families.contains(&Family::of_net(net)));
        let strays = self.pods_of(node).flat_map(|(_, pod)| pod.addresses.iter());
        cidrs.chain(strays.filter(|address| !node.covers(*address)).map(IpNet::from)).collect()
    }

    fn switch_lines(&self) -> String {
        let mut out = String::new();
        line!(out, "link set lo up");
        line!(out, "link add br0 address {} type bridge mcast_snooping 0", Mac::Switch);
        line!(out, "link set br0 up");
        for family in self.families() {
            line!(out, "addr add {} dev br0 nodad", IpNet::from(gateway_address(SWITCH, family)));
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let (peer, mac) = (&node.netns, Mac::Uplink(index));
            line!(out, "link add n{index} type veth peer name up0 address {mac} netns {peer}");
            line!(out, "link set n{index} master br0 up");
            for address in &node.addresses {
                line!(out, "route add {} dev br0", IpNet::from(*address));
            }
            self.routes_to_pods(&mut out, node, "br0");
        }
        let (outside, mac, peer_mac) = (&self.outside, Mac::SwitchToOutside, Mac::Outside);
        line!(out, "link add out0 address {mac} type veth peer name eth0 address {peer_mac} netns {outside}");
        line!(out, "link set out0 up");
        for address in &self.outside_addresses {
            line!(out, "route add {} dev out0", IpNet::from(*address));
            line!(out, "neigh add {address} lladdr {peer_mac} dev out0 nud permanent");
        }
        out
    }

    fn routes_to_pods(&self, out: &mut String, node: &NodeSite, device: &str) {
        for net in self.pod_networks(node) {
            if let Some(via) = node.address(Family::of_net(&net)) {
                line!(out, "route add {net} via {via} dev {device} onlink");
            }
        }
    }

    fn outside_lines(&self) -> String {
        let mut out = String::new();
        leaf_lines(&mut out, &self.outside_addresses, Some(Mac::SwitchToOutside));
        out
    }

    fn node_lines(&self, index: usize, node: &NodeSite) -> String {
        let mut out = String::new();
        line!(out, "link set lo up");
        line!(out, "link set up0 up");
        for address in &node.addresses {
            line!(out, "addr add {} dev up0 nodad", IpNet::from(*address));
        }
        for family in self.families() {
            let via = of_family(SWITCH, family);
            line!(out, "route add {} via {via} dev up0 onlink", everything(family));
        }
        for other in self.nodes.iter().filter(|other| other.name != node.name) {
            for address in &other.addresses {
                line!(out, "route add {} dev up0", IpNet::from(*address));
            }
            self.routes_to_pods(&mut out, other, "up0");
        }
        match self.topology {
            Topology::Routed => self.routed_pods(&mut out, node),
            Topology::Bridge => self.bridged_pods(&mut out, index, node),
        }
        out
    }

    fn routed_pods(&self, out: &mut String, node: &NodeSite) {
        for (index, pod) in self.pods_of(node) {
            pod_link(out, index, pod);
            line!(out, "link set veth{index} up");
            for address in pod.addresses.iter() {
                line!(out, "route add {} dev veth{index}", IpNet::from(address));
                line!(out, "neigh add {address} lladdr {} dev veth{index} nud permanent", Mac::Pod(index));
            }
        }
    }

    fn bridged_pods(&self, out: &mut String, node_index: usize, node: &NodeSite) {
        line!(out, "link add cni0 address {} type bridge mcast_snooping 0", Mac::Bridge(node_index));
        line!(out, "link set cni0 up");
        for family in self.families() {
            line!(out, "addr add {} dev cni0 nodad", IpNet::from(gateway_address(GATEWAY, family)));
        }
        for net in self.pod_networks(node) {
            line!(out, "route add {net} dev cni0");
        }
        for (index, pod) in self.pods_of(node) {
            pod_link(out, index, pod);
            line!(out, "link set veth{index} master cni0 up");
        }
    }

    fn pod_lines(&self, index: usize, pod: &PodSite) -> String {
        let mut out = String::new();
        let addresses: Vec<IpAddr> = pod.addresses.iter().collect();
        match self.topology {
            Topology::Routed => leaf_lines(&mut out, &addresses, Some(Mac::NodeToPod(index))),
            Topology::Bridge => {
                leaf_lines(&mut out, &addresses, None);
                let own = |net: &IpNet| addresses.iter().any(|address| IpNet::from(*address) == *net);
                let reachable = |net: &IpNet| addresses.iter().any(|a| Family::of(*a) == Family::of_net(net));
                let fellows =
                    self.nodes.iter().find(|node| node.name == pod.node).map(|node| self.pod_networks(node));
                for net in fellows.into_iter().flatten().filter(|net| reachable(net) && !own(net)) {
                    line!(out, "route add {net} dev eth0");
                }
            }
        }
        out
    }
}

fn gateway_address(texts: [&'static str; 2], family: Family) -> IpAddr {
    of_family(texts, family).parse().expect("the constants are addresses")
}

fn pod_link(out: &mut String, index: usize, pod: &PodSite) {
    let (mac, peer_mac, peer) = (Mac::NodeToPod(index), Mac::Pod(index), &pod.netns);
    line!(out, "link add veth{index} address {mac} type veth peer name eth0 address {peer_mac} netns {peer}");
}

/// A namespace with one device and one gateway, which is a neighbour entered by hand unless it answers for itself.
fn leaf_lines(out: &mut String, addresses: &[IpAddr], gateway: Option<Mac>) {
    line!(out, "link set lo up");
    line!(out, "link set eth0 up");
    for address in addresses {
        line!(out, "addr add {} dev eth0 nodad", IpNet::from(*address));
    }
    for family in Family::ALL {
        if !addresses.iter().any(|address| Family::of(*address) == family) {
            continue;
        }
        let via = of_family(GATEWAY, family);
        if let Some(mac) = gateway {
            line!(out, "neigh add {via} lladdr {mac} dev eth0 nud permanent");
        }
        line!(out, "route add {} via {via} dev eth0 onlink", everything(family));
    }
}

/// What a namespace does for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Switch,
    Node,
    Leaf,
}

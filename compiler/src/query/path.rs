//! Which nodes forward a packet: where FORWARD has a say.

use std::net::IpAddr;

use chainmail_verdict::IfaceName;

use crate::cluster::{Cluster, Node, Os, Whose};

/// The Linux nodes that forward a packet between two addresses, the source's node first. A node that is itself an end
/// does not forward: its own packets leave by OUTPUT and those for it arrive by INPUT.
#[must_use]
pub fn forwarding_nodes(cluster: &Cluster, source: IpAddr, destination: IpAddr) -> Vec<&Node> {
    let mut nodes: Vec<&Node> = Vec::new();
    for address in [source, destination] {
        let Some(node) = behind(cluster, address) else { continue };
        let is_end = node.addresses.contains(&source) || node.addresses.contains(&destination);
        if node.os == Os::Linux && !is_end && !nodes.iter().any(|known| known.name == node.name) {
            nodes.push(node);
        }
    }
    nodes
}

/// The interface by which a node knows an address, where it has a bridge for its pods: that one, or some other.
pub(super) fn interface(cluster: &Cluster, node: &Node, address: IpAddr) -> Option<IfaceName> {
    let bridge = node.settings.pod_bridge.as_ref()?;
    let local = behind(cluster, address).is_some_and(|known| known.name == node.name);
    let name = if local { bridge.as_str() } else { ELSEWHERE };
    Some(name.parse().expect("the name of an interface is one to the judge as well"))
}

/// Stands for every interface that is not the bridge: a name that no bridge of the configuration can have.
const ELSEWHERE: &str = "~";

/// The node behind which an address is: a pod's node, or the one whose networks for pods hold it.
fn behind(cluster: &Cluster, address: IpAddr) -> Option<&Node> {
    match cluster.whose(address) {
        Whose::Pod(_, pod) => cluster.node(pod.node.as_ref()?),
        Whose::Node(_) => None,
        Whose::Unknown => {
            cluster.nodes().find(|node| node.pod_cidrs.iter().any(|net| net.contains(&address)))
        }
    }
}

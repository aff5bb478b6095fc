//! Which nodes forward a packet: where FORWARD has a say.

use std::net::IpAddr;

use chainmail_model::{Cluster, Node, Os, Whose};
use chainmail_verdict::IfaceName;

/// The Linux nodes that forward a packet between two addresses, the source's node first. A node that is itself an end
/// does not forward: its own packets leave by OUTPUT and those for it arrive by INPUT.
#[must_use]
pub fn forwarding_nodes(cluster: &Cluster, source: IpAddr, destination: IpAddr) -> Vec<&Node> {
    let mut nodes: Vec<&Node> = Vec::new();
    for node in [source, destination].into_iter().flat_map(|address| behind(cluster, address)) {
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
    let local = behind(cluster, address).iter().any(|known| known.name == node.name);
    let name = if local { bridge.as_str() } else { ELSEWHERE };
    Some(name.parse().expect("the name of an interface is one to the judge as well"))
}

/// Stands for every interface that is not the bridge: a name that no bridge of the configuration can have.
const ELSEWHERE: &str = "~";

/// The nodes behind which an address may be: those of the pods that claim it, or the one whose networks for pods hold it.
fn behind(cluster: &Cluster, address: IpAddr) -> Vec<&Node> {
    match cluster.whose(address) {
        Whose::Pod(..) | Whose::Contested(_) => {
            let claimants = cluster.claimants(address).filter_map(|pod| pod.node.as_ref());
            claimants.filter_map(|node| cluster.node(node)).collect()
        }
        Whose::Node(_) => Vec::new(),
        Whose::Unknown => {
            let is_in = |node: &&Node| node.pod_cidrs.iter().any(|net| net.contains(&address));
            cluster.nodes().find(is_in).into_iter().collect()
        }
    }
}

//! ipBlocks that mean pods: an address is a pod's only for as long as it runs.

use chainmail_findings::Code;
use chainmail_model::{AddressRanges, IpBlock, Peer, Pod, PodState, Policy};
use ipnet::IpNet;

use super::context::{Context, peers, rules};

pub(super) fn check(context: &mut Context<'_>, policy: &Policy) {
    for (direction, path, rule) in rules(policy) {
        for (path, peer) in peers(direction, &path, rule) {
            let Peer::Block(block) = peer else { continue };
            // Who names everybody means pods too.
            if block.cidr.prefix_len() == 0 {
                continue;
            }
            let path = path.key("ipBlock").key("cidr");
            let help = "addresses of pods change; name them by podSelector and namespaceSelector";
            match meets_pods(context, block) {
                Some(Meets::Inside(whose)) => {
                    let message = format!("{} is {whose}", block.cidr);
                    context.report(Code::BlockInPodNetwork, policy, &path, message, help);
                }
                Some(Meets::Over(whose)) => {
                    let message = format!("{} has in it {whose}", block.cidr);
                    let help =
                        format!("{help}, and take their network out by `except` if they are not meant");
                    context.report(Code::BlockOverPods, policy, &path, message, help);
                }
                None => {}
            }
        }
    }
}

/// How a block meets addresses of pods.
enum Meets {
    /// It has none but theirs.
    Inside(String),
    /// It has theirs and others.
    Over(String),
}

fn meets_pods(context: &Context<'_>, block: &IpBlock) -> Option<Meets> {
    let addresses = block.addresses();
    let cluster = context.cluster;
    let networks = || cluster.nodes().flat_map(|node| node.pod_cidrs.iter().map(move |net| (node, net)));
    if let Some((node, net)) = networks().find(|(_, net)| net.contains(&block.cidr)) {
        return Some(Meets::Inside(format!("in the podCIDR {net} of node {}", node.name)));
    }
    if let Some((node, net)) = networks().find(|(_, net)| overlaps(net, &addresses)) {
        return Some(Meets::Over(format!("the podCIDR {net} of node {}", node.name)));
    }
    let owns = |pod: &Pod| {
        pod.state == PodState::Endpoint && pod.addresses.iter().any(|address| addresses.contains(address))
    };
    let (_, pod) = cluster.pods().find(|(_, pod)| owns(pod))?;
    let is_host = block.cidr.prefix_len() == block.cidr.max_prefix_len();
    Some(if is_host {
        Meets::Inside(format!("the address of pod {}", pod.pod_ref()))
    } else {
        Meets::Over(format!("the address of pod {}", pod.pod_ref()))
    })
}

fn overlaps(net: &IpNet, addresses: &AddressRanges) -> bool {
    let whole = AddressRanges::of_net(net);
    let mut rest = whole.clone();
    rest.remove(addresses);
    rest != whole
}

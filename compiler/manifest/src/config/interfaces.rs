//! What is to be said of `pod_interfaces`: where it closes nothing, and where it would close something.

use std::collections::BTreeMap;

use chainmail_findings::{Code, Diagnostic, Findings, Place};
use chainmail_model::{Cluster, InterfaceName, Node, UnknownPods};

use super::{ForNodes, and_others};

/// Why `pod_interfaces` closes nothing on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Idle {
    /// Unknown pods pass there.
    UnknownPodsPass,
    /// The node's pods are ports of this bridge, which no pattern names.
    BridgeUnnamed(InterfaceName),
}

/// The findings about nodes that have rules. Their settings are those of the configuration.
pub(super) fn findings(config: &ForNodes<'_>, cluster: &Cluster) -> Findings {
    let mut findings = Findings::default();
    let mut idle: BTreeMap<(&Place, Idle), Vec<&Node>> = BTreeMap::new();
    let mut unsaid: Vec<&Node> = Vec::new();
    for node in cluster.linux_nodes() {
        let said = config.of(&node.name).filter_map(|overrides| overrides.pod_interfaces.as_ref()).last();
        match said {
            Some((interfaces, place)) if !interfaces.is_empty() => {
                if let Some(why) = idle_on(node) {
                    idle.entry((place, why)).or_default().push(node);
                }
            }
            Some(_) => {}
            None if node.settings.unknown_pods == UnknownPods::Drop => unsaid.push(node),
            None => {}
        }
    }
    for ((place, why), nodes) in idle {
        let nodes = names(&nodes);
        let (message, help) = match why {
            Idle::UnknownPodsPass => (
                format!("pod_interfaces closes nothing on {nodes}: unknown_pods is not \"drop\" there"),
                "write unknown_pods = \"drop\", or pod_interfaces = [] for these nodes".to_owned(),
            ),
            Idle::BridgeUnnamed(bridge) => (
                format!(
                    "pod_interfaces does not name {bridge}, the pod_bridge of {nodes}: FORWARD sees a bridge, not its ports"
                ),
                format!("add \"{bridge}\" to pod_interfaces"),
            ),
        };
        findings.push(Diagnostic::new(Code::IdlePodInterfaces, Some(place.clone()), message).help(help));
    }
    if !unsaid.is_empty() {
        let message = format!(
            "unknown addresses outside of the podCIDR are not dropped on {}: a pod may give itself one",
            names(&unsaid)
        );
        let help = "name the host's ends of the pods' links in chainmail.toml, as in pod_interfaces = [\"cali*\"], \
                    or write [] to say that this is meant";
        findings.push(Diagnostic::new(Code::NoPodInterfaces, None, message).help(help));
    }
    findings
}

fn idle_on(node: &Node) -> Option<Idle> {
    let settings = &node.settings;
    if settings.unknown_pods == UnknownPods::Pass {
        return Some(Idle::UnknownPodsPass);
    }
    let bridge = settings.pod_bridge.as_ref()?;
    let named = settings.pod_interfaces.have(bridge.as_str());
    (!named).then(|| Idle::BridgeUnnamed(bridge.clone()))
}

/// The first node, and how many others there are.
fn names(nodes: &[&Node]) -> String {
    let (first, others) = nodes.split_first().expect("a finding is about a node");
    format!("{}{}", first.name, and_others(others.len()))
}

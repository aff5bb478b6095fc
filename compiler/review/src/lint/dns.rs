//! Pods that may connect to others but not ask for their addresses: the most common slip of who isolates egress.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::Transport;
use chainmail_findings::Code;
use chainmail_model::{NamespaceName, Peer, Peers, PodRef, Policy, PortMatch, Ports, Rule};

use super::context::{Context, is_selectable, spec};

/// The port of RFC 1035, over UDP and, for answers that do not fit, TCP.
const DNS: u16 = 53;

pub(super) fn check(context: &mut Context<'_>) {
    let mut isolating: BTreeMap<&NamespaceName, Vec<&Policy>> = BTreeMap::new();
    for policy in context.cluster.policies().iter().filter(|policy| policy.egress.is_some()) {
        isolating.entry(&policy.namespace).or_default().push(policy);
    }
    let mut said = BTreeSet::new();
    for (namespace, policies) in isolating {
        // Pods that the same policies isolate may do the same; of pods that are not known, that none may is certain.
        let mut alike: BTreeMap<Vec<usize>, Option<PodRef>> = BTreeMap::new();
        for pod in context.pods_of(namespace).iter().filter(|pod| is_selectable(pod)) {
            let selecting = (0..policies.len()).filter(|&at| policies[at].subject.matches(&pod.labels));
            alike.entry(selecting.collect()).or_insert_with(|| Some(pod.pod_ref()));
        }
        if !context.knows(namespace) {
            alike.insert((0..policies.len()).collect(), None);
        }
        for (selection, pod) in alike {
            let policies: Vec<&Policy> = selection.iter().map(|&at| policies[at]).collect();
            let rules = || policies.iter().flat_map(|policy| policy.egress.iter().flatten());
            if !rules().any(needs_names) {
                continue;
            }
            let lacking: Vec<&str> = [Transport::Udp, Transport::Tcp]
                .into_iter()
                .filter(|&transport| !rules().any(|rule| allows_dns(rule, transport)))
                .map(Transport::as_str)
                .collect();
            let first = policies.iter().find(|policy| policy.egress.iter().flatten().any(needs_names));
            let (Some(policy), false) = (first, lacking.is_empty()) else { continue };
            if said.insert(policy.policy_ref()) {
                let who = pod.map_or_else(
                    || format!("pods of namespace {namespace}"),
                    |pod| format!("pods like {pod}"),
                );
                let lacking = lacking.join(" or ");
                let message = format!(
                    "{who} may connect to others but not look up their names: no egress rule allows port 53 over {lacking}"
                );
                let help = "allow ports 53/UDP and 53/TCP to the cluster's DNS, for instance to namespace kube-system";
                context.report(Code::DnsForgotten, policy, &spec().key("egress"), message, help);
            }
        }
    }
}

/// Whether a rule allows what is mostly found by name: anything but fixed addresses.
fn needs_names(rule: &Rule) -> bool {
    match &rule.peers {
        Peers::Any => true,
        Peers::OneOf(peers) => peers.iter().any(|peer| matches!(peer, Peer::Pods { .. })),
    }
}

/// Whether a rule allows DNS to somewhere: resolvers are often not among the manifests.
fn allows_dns(rule: &Rule, transport: Transport) -> bool {
    let Ports::OneOf(ports) = &rule.ports else { return true };
    ports.iter().filter(|port| port.protocol == transport).any(|port| match &port.which {
        PortMatch::All => true,
        PortMatch::Range(range) => range.contains(DNS),
        // As CoreDNS calls its ports: dns and dns-tcp.
        PortMatch::Named(name) => name.as_str().contains("dns") || name.as_str() == "domain",
    })
}

//! Misreadings that are one replacement in the text of `compiler/model/src/semantics.rs`. The build makes a module of each.

/// A wrong reading as an edit of the right one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    /// A short name.
    pub(super) name: &'static str,
    /// The clause that it gets wrong.
    pub(super) clause: u8,
    /// What is believed.
    pub(super) belief: &'static str,
    /// Text that stands in the source exactly once.
    #[allow(dead_code, reason = "the build alone reads it")]
    pub(super) from: &'static str,
    /// What stands there instead.
    #[allow(dead_code, reason = "the build alone reads it")]
    pub(super) to: &'static str,
}

const fn edit(
    clause: u8,
    name: &'static str,
    belief: &'static str,
    from: &'static str,
    to: &'static str,
) -> Edit {
    Edit { name, clause, belief, from, to }
}

const ONLY_PODS: &str = "let at_address = pods_at(cluster, address);";
const OWN_NODE: &str = "let exempt = node.addresses.contains(&peer);";
const ALLOWS_BOTH: &str = "if egress && ingress &&";
const PEERS_AND_PORTS: &str =
    "peers_allow(cluster, policy, &rule.peers, peer) && ports_allow(cluster, &rule.ports, packet)";
const SAME_PROTOCOL: &str = "port.protocol == protocol";
const NAMED_HERE: &str = ".all(|pod| pod.named_ports(protocol, name).any(|named| named == number))";
const IN: &str = "labels.get(key).is_some_and(|value| values.contains(value)),";
const EXCEPT: &str = "!block.except.iter().any(|except| except.contains(&address))";
const IN_BLOCK: &str = "block.cidr.contains(&address) &&";

/// All of them, in order of clauses.
pub(super) const EDITS: [Edit; 47] = [
    edit(
        1,
        "subject-in-every-namespace",
        "spec.podSelector selects pods of all namespaces",
        "policy.namespace != pod.namespace || ",
        "",
    ),
    edit(
        3,
        "isolated-both-ways",
        "a policy isolates its pods in both directions, whatever its policyTypes",
        "let Some(rules) = policy.rules(direction) else { continue };",
        "let rules = policy.rules(direction).unwrap_or_default();",
    ),
    edit(
        3,
        "not-isolated-is-closed",
        "a pod that no policy selects gets nothing",
        "    !isolated",
        "    false",
    ),
    edit(
        4,
        "no-peers-is-nobody",
        "a rule without from or to admits nobody",
        "let Peers::OneOf(peers) = peers else { return true };",
        "let Peers::OneOf(peers) = peers else { return false };",
    ),
    edit(
        4,
        "no-ports-is-none",
        "a rule without ports admits no port",
        "let Ports::OneOf(ports) = ports else { return true };",
        "let Ports::OneOf(ports) = ports else { return false };",
    ),
    edit(
        5,
        "any-source-is-any-pod",
        "a rule without from admits pods only",
        "let Peers::OneOf(peers) = peers else { return true };",
        "let Peers::OneOf(peers) = peers else { return matches!(cluster.whose(address), Whose::Pod(..)) };",
    ),
    edit(
        5,
        "every-namespace-is-everyone",
        "namespaceSelector {} admits the outside too",
        ONLY_PODS,
        "let at_address = pods_at(cluster, address);
            if at_address.is_empty() {
                return matches!(namespaces, NamespaceScope::Matching(all) if all.requirements().next().is_none());
            }",
    ),
    edit(
        6,
        "peers-or-ports",
        "a rule admits its peers, and its ports from anybody",
        PEERS_AND_PORTS,
        "peers_allow(cluster, policy, &rule.peers, peer) || ports_allow(cluster, &rule.ports, packet)",
    ),
    edit(
        6,
        "first-policy-decides",
        "the first policy that selects a pod decides",
        "            return true;\n        }\n    }\n    !isolated",
        "            return true;\n        }\n        return false;\n    }\n    !isolated",
    ),
    edit(
        6,
        "every-policy-must-allow",
        "all policies that select a pod must allow",
        "        if rules.iter().any(|rule| rule_allows(cluster, policy, rule, packet, peer)) {
            return true;
        }
    }
    !isolated",
        "        if !rules.iter().any(|rule| rule_allows(cluster, policy, rule, packet, peer)) {
            return false;
        }
    }
    true || isolated",
    ),
    edit(
        6,
        "except-vetoes",
        "an except refuses what another peer of its rule admits",
        "    peers.iter().any(|peer| match peer {",
        "    let vetoed = |peer: &Peer| matches!(peer, Peer::Block(block)
            if block.except.iter().any(|except| except.contains(&address)));
    !peers.iter().any(vetoed) && peers.iter().any(|peer| match peer {",
    ),
    edit(7, "only-ingress", "only the destination's policies are asked", ALLOWS_BOTH, "if ingress &&"),
    edit(7, "only-egress", "only the source's policies are asked", ALLOWS_BOTH, "if egress &&"),
    edit(7, "either-end", "one end that allows is enough", ALLOWS_BOTH, "if (egress || ingress) &&"),
    edit(
        8,
        "not-in-needs-the-key",
        "NotIn is false of an object without the label",
        "labels.get(key).is_none_or(|value| !values.contains(value))",
        "labels.get(key).is_some_and(|value| !values.contains(value))",
    ),
    edit(
        8,
        "does-not-exist-is-empty",
        "DoesNotExist wants the label with the empty value",
        "labels.get(key).is_none(),",
        "labels.get(key) == Some(\"\"),",
    ),
    edit(
        8,
        "requirements-are-or-ed",
        "one requirement that is met is enough",
        "selector.requirements().all(|requirement| match requirement {",
        "selector.requirements().next().is_none() || selector.requirements().any(|requirement| match requirement {",
    ),
    edit(
        9,
        "empty-is-absent",
        "a label that is absent has the empty value",
        IN,
        "values.contains(labels.get(key).unwrap_or_default()),",
    ),
    edit(
        10,
        "selectors-are-or-ed",
        "podSelector and namespaceSelector of one item are two peers",
        "in_namespace && selects(pods, &pod.labels)",
        "match (namespaces, pods.requirements().next()) {
                (NamespaceScope::Matching(_), Some(_)) => {
                    in_namespace || (pod.namespace == policy.namespace && selects(pods, &pod.labels))
                }
                _ => in_namespace && selects(pods, &pod.labels),
            }",
    ),
    edit(
        11,
        "pods-of-every-namespace",
        "a podSelector alone selects pods of all namespaces",
        "NamespaceScope::Own => pod.namespace == policy.namespace,",
        "NamespaceScope::Own => true,",
    ),
    edit(
        14,
        "values-without-case",
        "label values are compared without case",
        IN,
        "labels.get(key).is_some_and(|value| values.iter().any(|v| v.eq_ignore_ascii_case(value))),",
    ),
    edit(15, "protocol-ignored", "a port is admitted for every protocol", SAME_PROTOCOL, "true"),
    edit(
        16,
        "end-port-excluded",
        "endPort itself is no longer admitted",
        "range.contains(number),",
        "number == range.first() || (range.contains(number) && number < range.last()),",
    ),
    edit(
        16,
        "end-port-ignored",
        "endPort is passed over",
        "range.contains(number),",
        "number == range.first(),",
    ),
    edit(
        17,
        "named-on-the-source",
        "a named port is the source pod's",
        "let at_address = pods_at(cluster, packet.destination);",
        "let at_address = pods_at(cluster, packet.source);",
    ),
    edit(
        18,
        "name-without-protocol",
        "a named port is that of the name, whatever its protocol",
        NAMED_HERE,
        ".all(|pod| pod.ports.iter().any(|p| p.name.as_ref() == Some(name) && p.number == number))",
    ),
    edit(
        19,
        "name-anywhere",
        "a named port admits what is no pod",
        "let at_address = pods_at(cluster, packet.destination);\n                    !at_address.is_empty()\n                        && at_address",
        "let at_address = pods_at(cluster, packet.destination);\n                    true\n                        && at_address",
    ),
    edit(
        20,
        "first-of-a-name",
        "of two ports of one name the first alone is meant",
        NAMED_HERE,
        ".all(|pod| pod.named_ports(protocol, name).take(1).any(|named| named == number))",
    ),
    edit(
        21,
        "only-declared-ports",
        "a number is admitted only where a container declares it",
        "range.contains(number),",
        "range.contains(number) && match cluster.whose(packet.destination) {
                    Whose::Pod(_, pod) => pod.ports.iter().any(|port| port.number == number),
                    _ => true,
                },",
    ),
    edit(
        22,
        "sctp-as-tcp",
        "a rule for SCTP is a rule for TCP",
        SAME_PROTOCOL,
        "(match port.protocol { Transport::Sctp => Transport::Tcp, other => other }) == protocol",
    ),
    edit(
        23,
        "blocks-without-family",
        "0.0.0.0/0 and ::/0 are every address of either family",
        IN_BLOCK,
        "(block.cidr.prefix_len() == 0 || block.cidr.contains(&address)) &&",
    ),
    edit(23, "except-ignored", "except is passed over", EXCEPT, "true"),
    edit(
        24,
        "blocks-are-outside",
        "an ipBlock matches no pod",
        IN_BLOCK,
        "!matches!(cluster.whose(address), Whose::Pod(..)) && block.cidr.contains(&address) &&",
    ),
    edit(
        25,
        "one-except",
        "only the first except counts",
        EXCEPT,
        "!block.except.iter().take(1).any(|except| except.contains(&address))",
    ),
    edit(
        27,
        "every-pod-is-everyone",
        "podSelector {} admits nodes and the outside",
        ONLY_PODS,
        "let at_address = pods_at(cluster, address);
            if at_address.is_empty() {
                return *namespaces == NamespaceScope::Own && pods.requirements().next().is_none();
            }",
    ),
    edit(
        28,
        "own-node-is-policed",
        "what a pod's own node sends it is policed",
        OWN_NODE,
        "let exempt = direction == Direction::Egress && node.addresses.contains(&peer);",
    ),
    edit(
        28,
        "every-node-is-exempt",
        "what any node sends a pod is exempt",
        OWN_NODE,
        "let exempt = node.addresses.contains(&peer)
            || (direction == Direction::Ingress && matches!(cluster.whose(peer), Whose::Node(_)));",
    ),
    edit(
        29,
        "egress-to-own-node-is-policed",
        "what a pod sends its own node is policed",
        OWN_NODE,
        "let exempt = direction == Direction::Ingress && node.addresses.contains(&peer);",
    ),
    edit(
        30,
        "self-is-policed",
        "what a pod sends itself is policed",
        "    if end == peer {\n        return true;\n    }",
        "",
    ),
    edit(
        31,
        "host-network-pods-are-peers",
        "pods on their node's network are selected, and their address is the node's",
        ONLY_PODS,
        "let on_node = |node: &Node| cluster.pods().map(|(_, pod)| pod).find(|pod| {
                pod.state == chainmail_model::PodState::HostNetwork
                    && pod.node.as_ref() == Some(&node.name)
            });
            let at_address = match cluster.whose(address) {
                Whose::Node(node) => on_node(node).into_iter().collect(),
                _ => pods_at(cluster, address),
            };",
    ),
    edit(
        34,
        "icmp-through-ports",
        "a rule with ports admits ICMP from its peers",
        "let Service::Port(protocol, number) = packet.service else { return false };",
        "let Service::Port(protocol, number) = packet.service else { return true };",
    ),
    edit(
        34,
        "icmp-never",
        "what has no ports is never admitted",
        "let Ports::OneOf(ports) = ports else { return true };",
        "let Ports::OneOf(ports) = ports else { return packet.service != Service::Portless };",
    ),
    edit(
        39,
        "contested-is-free",
        "an address that several claim is nobody's, and nothing is refused to it",
        "    enforcing_nodes(cluster, end).into_iter().all(|node| {",
        "    matches!(cluster.whose(end), Whose::Contested(_)) || enforcing_nodes(cluster, end).into_iter().all(|node| {",
    ),
    edit(
        39,
        "one-claimant-is-enough",
        "an address that several claim is allowed what one of them is",
        "&& cluster.claimants(end).all(|pod| pod_allowed(cluster, direction, pod, packet, peer))",
        "&& cluster.claimants(end).any(|pod| pod_allowed(cluster, direction, pod, packet, peer))",
    ),
    edit(
        39,
        "first-claimant-has-it",
        "an address that several claim is the first one's",
        "&& cluster.claimants(end).all(|pod| pod_allowed(cluster, direction, pod, packet, peer))",
        "&& cluster.claimants(end).take(1).all(|pod| pod_allowed(cluster, direction, pod, packet, peer))",
    ),
    edit(
        40,
        "any-claimant-is-the-peer",
        "an address is a peer if one of those that claim it is meant",
        "&& at_address.iter().all(|pod| {\n                    let in_namespace",
        "&& at_address.iter().any(|pod| {\n                    let in_namespace",
    ),
    edit(
        40,
        "a-node-changes-nothing",
        "that a node claims an address too changes nothing for pods that do",
        "Whose::Contested(contested) if contested.doubt == Doubt::Pods => cluster.claimants(address).collect(),",
        "Whose::Contested(_) => cluster.claimants(address).collect(),",
    ),
];

//! Doors left open, and one that is shut by a default: who may reach pods that nobody thought of.

use chainmail_contract::Family;
use chainmail_findings::{Code, Diagnostic, FieldPath};
use chainmail_model::{
    AddressRanges, Direction, Namespace, Peer, Peers, Policy, PolicyTypes, PortMatch, Ports, Rule,
};

use super::context::{Context, is_selectable, peers, rules, spec};

pub(super) fn check_policy(context: &mut Context<'_>, policy: &Policy) {
    for (direction, path, rule) in rules(policy) {
        if direction == Direction::Ingress && is_world(rule) {
            let message =
                format!("everybody, also outside the cluster, may connect to {}", ports(&rule.ports));
            let help =
                "name who may in `from`; where everybody is meant, agree on a [[waiver]] in chainmail.toml";
            context.report(Code::WorldOpen, policy, &path, message, help);
        }
    }
    implied_ingress(context, policy);
}

/// Whether a rule's peers are practically every address of a family: at least half of all of IPv4, or of the global
/// addresses of IPv6 (2000::/3, RFC 4291).
fn is_world(rule: &Rule) -> bool {
    if rule.peers == Peers::Any {
        return true;
    }
    Family::ALL.into_iter().any(|family| {
        let peers = peers(Direction::Ingress, &FieldPath::root(), rule).into_iter();
        let blocks: Vec<AddressRanges> = peers
            .filter_map(|(_, peer)| match peer {
                Peer::Block(block) if Family::of_net(&block.cidr) == family => Some(block.addresses()),
                Peer::Block(_) | Peer::Pods { .. } => None,
            })
            .collect();
        let addresses = AddressRanges::union(family, &blocks);
        let half_of = match family {
            Family::V4 => 0,
            Family::V6 => 3,
        };
        let share = |net: &ipnet::IpNet| 2f64.powi(half_of + 1 - i32::from(net.prefix_len()));
        addresses.networks().iter().map(share).sum::<f64>() >= 1.0
    })
}

/// Ports in words.
fn ports(ports: &Ports) -> String {
    let Ports::OneOf(ports) = ports else { return "any port".to_owned() };
    let each = ports.iter().map(|port| {
        let protocol = port.protocol.as_str();
        match &port.which {
            PortMatch::All => format!("any {protocol} port"),
            PortMatch::Named(name) => format!("{protocol}/{name}"),
            PortMatch::Range(range) if range.first() == range.last() => {
                format!("{protocol}/{}", range.first())
            }
            PortMatch::Range(range) => format!("{protocol}/{}-{}", range.first(), range.last()),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

/// "If no policyTypes are specified … Ingress will always be set" (API, policyTypes): a policy that only speaks of
/// egress isolates for ingress too, and admits nothing.
fn implied_ingress(context: &mut Context<'_>, policy: &Policy) {
    let has_egress = policy.egress.as_ref().is_some_and(|rules| !rules.is_empty());
    let path = spec().key("ingress");
    if policy.types == PolicyTypes::Defaulted && has_egress && !context.places.has(policy.at, &path) {
        let message = "the policy has egress rules only, but without policyTypes it also denies all ingress";
        let help = "write policyTypes: [Egress], or [Ingress, Egress] if this is meant";
        context.report(Code::ImpliedIngress, policy, &spec(), message, help);
    }
}

/// Namespaces in which a new pod is open until somebody writes a policy for it.
pub(super) fn check_namespaces(context: &mut Context<'_>) {
    for namespace in context.cluster.namespaces() {
        let first_policy =
            context.cluster.policies().iter().find(|policy| policy.namespace == namespace.name);
        let reviewed = namespace.at.filter(|at| !context.places.is_live(*at));
        let pods = context.pods_of(&namespace.name).iter().filter(|pod| is_selectable(pod)).count();
        // Where a repository has neither pods nor policies, what runs there is somebody else's.
        if first_policy.is_none() && (reviewed.is_none() || pods == 0) {
            continue;
        }
        let path = FieldPath::root().key("metadata").key("name");
        let place = match (reviewed, first_policy) {
            (Some(at), _) => context.places.place(at, &path),
            (None, Some(policy)) => context.places.place(policy.at, &path),
            (None, None) => continue,
        };
        for (direction, code) in
            [(Direction::Ingress, Code::NoDefaultDeny), (Direction::Egress, Code::NoEgressDefaultDeny)]
        {
            if let Some(message) = open(context, namespace, direction) {
                let kind = if direction == Direction::Ingress { "Ingress" } else { "Egress" };
                let help =
                    format!("add a policy with podSelector: {{}} and policyTypes: [{kind}], and no rule");
                let finding = Diagnostic::new(code, Some(place.clone()), message).help(help);
                context.findings.push(finding.about(format!("Namespace {}", namespace.name), ""));
            }
        }
    }
}

/// What stands open in a namespace, unless some policy isolates whatever runs there.
fn open(context: &Context<'_>, namespace: &Namespace, direction: Direction) -> Option<String> {
    let isolating: Vec<&Policy> = context
        .cluster
        .policies()
        .iter()
        .filter(|policy| policy.namespace == namespace.name && policy.rules(direction).is_some())
        .collect();
    if isolating.iter().any(|policy| policy.subject.requirements().next().is_none()) {
        return None;
    }
    let pods = context.pods_of(&namespace.name).iter().filter(|pod| is_selectable(pod));
    let is_open =
        |pod: &chainmail_model::Pod| !isolating.iter().any(|policy| policy.subject.matches(&pod.labels));
    let (all, open) = pods.fold((0, 0), |(all, open), pod| (all + 1, open + usize::from(is_open(pod))));
    let (of_all, of_new) = match direction {
        Direction::Ingress => ("accept connections from anyone", "accepts connections from anyone"),
        Direction::Egress => ("may connect to anything", "may connect to anything"),
    };
    let name = &namespace.name;
    Some(match open {
        0 => format!(
            "namespace {name} has no default deny for {direction}: a pod that no policy selects {of_new}"
        ),
        _ => {
            format!("namespace {name} has no default deny for {direction}: {open} of {all} pods {of_all}")
        }
    })
}

#[cfg(test)]
mod tests {
    use chainmail_model::IpBlock;

    use super::*;

    #[test]
    fn half_of_all_addresses_are_the_world() {
        let rows: &[(&[&str], bool)] = &[
            (&["0.0.0.0/0"], true),
            (&["::/0"], true),
            (&["0.0.0.0/1"], true),
            (&["0.0.0.0/2", "64.0.0.0/2"], true),
            (&["0.0.0.0/2", "0.0.0.0/3"], false),
            (&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], false),
            (&["2000::/3"], true),
            (&["2000::/5"], false),
            (&["fc00::/7"], false),
        ];
        for (nets, world) in rows {
            let block = |net: &&str| Peer::Block(IpBlock { cidr: net.parse().unwrap(), except: Vec::new() });
            let rule = Rule { peers: Peers::OneOf(nets.iter().map(block).collect()), ports: Ports::Any };
            assert_eq!(is_world(&rule), *world, "{nets:?}");
        }
    }
}

//! Ports that no container has. A port's number may be listened on without being declared, so that is only worth
//! knowing; a port's name means nothing where no container gives it.

use std::collections::BTreeSet;

use chainmail_contract::Transport;
use chainmail_findings::{Code, FieldPath, nearest};
use chainmail_model::{Direction, Peer, Peers, Pod, Policy, Port, PortMatch, Ports, Rule};

use super::context::{Context, peers, rules};

pub(super) fn check(context: &mut Context<'_>, policy: &Policy) {
    for (direction, path, rule) in rules(policy) {
        let Ports::OneOf(ports) = &rule.ports else { continue };
        let pods = destinations(context, policy, direction, rule);
        // That nobody is meant is said of the selector.
        if pods.is_empty() {
            continue;
        }
        for (index, port) in ports.iter().enumerate() {
            let path = path.key("ports").index(index).key("port");
            one(context, policy, &path, port, &pods);
        }
    }
}

/// The pods that a rule's ports are of; none where the manifests do not hold them all.
fn destinations<'a>(
    context: &Context<'a>,
    policy: &Policy,
    direction: Direction,
    rule: &Rule,
) -> Vec<&'a Pod> {
    if direction == Direction::Ingress {
        return context.select(&policy.namespace, &policy.subject);
    }
    let Peers::OneOf(_) = &rule.peers else { return Vec::new() };
    let mut pods = Vec::new();
    for (_, peer) in peers(direction, &FieldPath::root(), rule) {
        // What listens behind an address is not known.
        let Peer::Pods { namespaces, pods: selector } = peer else { return Vec::new() };
        let found = context.peer_pods(&policy.namespace, namespaces, selector);
        if !found.complete {
            return Vec::new();
        }
        pods.extend(found.pods);
    }
    pods
}

/// As the API writes a protocol.
fn api_name(transport: Transport) -> String {
    transport.as_str().to_uppercase()
}

fn one(context: &mut Context<'_>, policy: &Policy, path: &FieldPath, port: &Port, pods: &[&Pod]) {
    let declared = || pods.iter().flat_map(|pod| &pod.ports);
    let whose = match pods {
        [pod] => format!("pod {}", pod.pod_ref()),
        [pod, ..] => format!("any of the {} pods meant, such as {},", pods.len(), pod.pod_ref()),
        [] => return,
    };
    let protocol = port.protocol;
    match &port.which {
        PortMatch::All => {}
        PortMatch::Named(name) => {
            if pods.iter().any(|pod| pod.named_ports(protocol, name).next().is_some()) {
                return;
            }
            let called = |other: &&chainmail_model::ContainerPort| other.name.as_ref() == Some(name);
            if let Some(other) = declared().find(called) {
                let (wanted, found) = (api_name(protocol), api_name(other.protocol));
                let message =
                    format!("{name} is a port of {found}, and the rule is for {wanted}: it allows nothing");
                let help = format!("write protocol: {found}");
                return context.report(Code::PortNameProtocol, policy, path, message, help);
            }
            let may_advise = context.may_advise(declared().count());
            let names: BTreeSet<&str> = declared()
                .filter(|_| may_advise)
                .filter_map(|port| port.name.as_ref())
                .map(chainmail_model::PortName::as_str)
                .collect();
            let help = match nearest(name.as_str(), names) {
                Some(near) => format!("did you mean {near}?"),
                None => "name a port of a container, or write its number".to_owned(),
            };
            let message = format!("no container of {whose} has a port {name}: the rule allows nothing");
            context.report(Code::UnknownPortName, policy, path, message, help);
        }
        PortMatch::Range(range) => {
            // One pod that declares nothing may listen on anything.
            let silent =
                pods.iter().any(|pod| pod.ports.iter().all(|declared| declared.protocol != protocol));
            if silent || declared().any(|p| p.protocol == protocol && range.contains(p.number)) {
                return;
            }
            let numbers: BTreeSet<u16> =
                declared().filter(|port| port.protocol == protocol).map(|port| port.number).collect();
            let numbers: Vec<String> = numbers.iter().take(5).map(ToString::to_string).collect();
            let wanted = if range.first() == range.last() {
                format!("port {}", range.first())
            } else {
                format!("a port from {} to {}", range.first(), range.last())
            };
            let message = format!("no container of {whose} declares {wanted} of {}", api_name(protocol));
            let help = format!(
                "declared are {}; a rule names the port that the pod listens on, not its Service's",
                numbers.join(", ")
            );
            context.report(Code::UndeclaredPort, policy, path, message, help);
        }
    }
}

//! NetworkPolicies: defaults and validation.

use chainmail_findings::{Code, FieldPath};
use chainmail_model::{
    Direction, IpBlock, LabelSelector, NamespaceScope, Peer, Peers, Policy, PolicyName, PolicyTypes, Port,
    PortMatch, PortName, PortRange, Ports, Rule,
};

use super::ports::protocol;
use super::written::{self, Part};
use super::{Scope, cidr, name, selector};
use crate as manifest;
use crate::IntOrString;

/// The policy, if its names are some. Where a part of it was reported the rest is only there to be checked.
pub(super) fn admit(scope: &mut Scope<'_>, policy: &manifest::NetworkPolicy) -> Option<Policy> {
    let meta = policy.metadata.object_meta();
    let name = name::dns_subdomain(scope, "policy", &meta);
    let namespace = name::namespace(scope, &meta);
    super::label::labels(scope, meta.labels.as_ref());
    super::annotation::check(scope, policy.metadata.annotations());
    let default = manifest::NetworkPolicySpec::default();
    let spec = policy.spec.as_ref().unwrap_or(&default);
    let path = FieldPath::root().key("spec");
    let subject = match &spec.pod_selector {
        Some(selector) => selector::selector(scope, &path.key("podSelector"), selector),
        None => LabelSelector::default(),
    };
    let ingress = rules(scope, &path, Direction::Ingress, spec.ingress.as_deref());
    let egress = rules(scope, &path, Direction::Egress, spec.egress.as_deref());
    let types = types(scope, &path.key("policyTypes"), spec);
    Some(Policy {
        namespace: namespace?,
        name: PolicyName::admitted(name?),
        subject,
        ingress: types.contains(&Direction::Ingress).then_some(ingress),
        egress: types.contains(&Direction::Egress).then_some(egress),
        types: match spec.policy_types.as_deref() {
            None | Some([]) => PolicyTypes::Defaulted,
            Some(_) => PolicyTypes::Written,
        },
        at: scope.at,
    })
}

/// The directions in which the policy isolates. Where none is written the API server sets Ingress, and Egress if
/// there is an egress rule (`SetDefaults_NetworkPolicy`): a policy that only has egress rules isolates for both.
fn types(scope: &mut Scope<'_>, path: &FieldPath, spec: &manifest::NetworkPolicySpec) -> Vec<Direction> {
    let written = spec.policy_types.as_deref().unwrap_or_default();
    if written.is_empty() {
        let egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
        return if egress { Direction::ALL.to_vec() } else { vec![Direction::Ingress] };
    }
    if written.len() > 2 {
        scope.report(Code::BadPolicyType, path, "there are more than two policyTypes");
        return Vec::new();
    }
    let mut types = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match text.0.as_str() {
            "Ingress" => types.push(Direction::Ingress),
            "Egress" => types.push(Direction::Egress),
            other => {
                let message = format!("{other:?} is not a policy type");
                let help = "the types are Ingress and Egress";
                scope.report_with_help(Code::BadPolicyType, &path.index(index), message, help);
            }
        }
    }
    types
}

fn rules(
    scope: &mut Scope<'_>,
    spec: &FieldPath,
    direction: Direction,
    rules: Option<&[Option<manifest::NetworkPolicyRule>]>,
) -> Vec<Rule> {
    let list = spec.key(direction.to_string());
    let empty = manifest::NetworkPolicyRule::default();
    let each = rules.unwrap_or_default().iter().enumerate();
    each.map(|(index, written)| {
        rule(scope, &list.index(index), direction, written.as_ref().unwrap_or(&empty))
    })
    .collect()
}

fn rule(
    scope: &mut Scope<'_>,
    path: &FieldPath,
    direction: Direction,
    rule: &manifest::NetworkPolicyRule,
) -> Rule {
    let (field, written, other_field, other) = match direction {
        Direction::Ingress => ("from", &rule.from, "to", &rule.to),
        Direction::Egress => ("to", &rule.to, "from", &rule.from),
    };
    if other.is_some() {
        let message = format!("unknown field `{other_field}` in {path}");
        let help = format!("the fields here are {field}, ports");
        scope.report_key(Code::UnknownField, &path.key(other_field), message, help);
    }
    let mut ports = Vec::new();
    for (index, written) in rule.ports.iter().flatten().enumerate() {
        let written = written.clone().unwrap_or_default();
        ports.extend(port(scope, &path.key("ports").index(index), &written));
    }
    let mut peers = Vec::new();
    for (index, written) in written.iter().flatten().enumerate() {
        let written = written.clone().unwrap_or_default();
        peers.extend(peer(scope, &path.key(field).index(index), &written));
    }
    Rule {
        // By what was written: an entry that was refused must not turn "one of these" into "any".
        peers: if written.as_ref().is_none_or(Vec::is_empty) { Peers::Any } else { Peers::OneOf(peers) },
        ports: if rule.ports.as_ref().is_none_or(Vec::is_empty) { Ports::Any } else { Ports::OneOf(ports) },
    }
}

fn peer(scope: &mut Scope<'_>, path: &FieldPath, peer: &manifest::NetworkPolicyPeer) -> Option<Peer> {
    let manifest::NetworkPolicyPeer { pod_selector, namespace_selector, ip_block } = peer;
    let pods = pod_selector.as_ref().map(|s| selector::selector(scope, &path.key("podSelector"), s));
    let namespaces =
        namespace_selector.as_ref().map(|s| selector::selector(scope, &path.key("namespaceSelector"), s));
    let block = ip_block.as_ref().map(|block| ip_block_of(scope, &path.key("ipBlock"), block));
    match (pods, namespaces, block) {
        (None, None, None) => {
            let help = "an item names a podSelector, a namespaceSelector or an ipBlock; leave the list out for any peer";
            scope.report_with_help(Code::EmptyPeer, path, "the peer names nothing", help);
            None
        }
        (None, None, Some(block)) => block.map(Peer::Block),
        (_, _, Some(_)) => {
            let help = "put the ipBlock in an item of its own";
            scope.report_with_help(Code::MixedPeer, path, "the peer has an ipBlock and a selector", help);
            None
        }
        (pods, namespaces, None) => Some(Peer::Pods {
            namespaces: namespaces.map_or(NamespaceScope::Own, NamespaceScope::Matching),
            pods: pods.unwrap_or_default(),
        }),
    }
}

fn ip_block_of(scope: &mut Scope<'_>, path: &FieldPath, block: &manifest::IpBlock) -> Option<IpBlock> {
    let text = block.cidr.as_ref().map_or("", |text| text.0.as_str());
    let cidr = if text.is_empty() {
        scope.report(Code::Required, &path.key("cidr"), "the ipBlock has no cidr");
        None
    } else {
        cidr::network(scope, &path.key("cidr"), text)
    };
    let mut except = Vec::new();
    for (index, text) in block.except.iter().flatten().enumerate() {
        let path = path.key("except").index(index);
        let Some(net) = cidr::network(scope, &path, &text.0) else { continue };
        if let Some(cidr) = cidr
            && !(cidr.contains(&net) && net.prefix_len() > cidr.prefix_len())
        {
            let message = format!("{net} is not strictly inside {cidr}");
            scope.report(Code::ExceptOutside, &path, message);
        }
        except.push(net);
    }
    Some(IpBlock { cidr: cidr?, except })
}

fn port(scope: &mut Scope<'_>, path: &FieldPath, port: &manifest::NetworkPolicyPort) -> Option<Port> {
    let protocol = protocol(scope, &path.key("protocol"), port.protocol.as_ref());
    let which = match &port.port {
        None => {
            if port.end_port.is_some() {
                let message = "endPort needs a port to begin at";
                scope.report(Code::EndPortWithoutPort, &path.key("endPort"), message);
                return None;
            }
            PortMatch::All
        }
        Some(IntOrString::Int(first)) => PortMatch::Range(range(scope, path, *first, port.end_port)?),
        Some(IntOrString::String(name)) => {
            let problems = name::port_name_problems(name);
            if port.end_port.is_some() {
                let message = "endPort needs a port that is a number, not a name";
                scope.report(Code::EndPortWithoutPort, &path.key("endPort"), message);
            }
            written::check(scope, &path.key("port"), name, Part::Value);
            if !problems.is_empty() {
                let message = format!("{name:?} cannot be the name of a port: {}", problems.join("; "));
                if name.parse::<u16>().is_ok() {
                    let help = "write the number without quotes";
                    scope.report_with_help(Code::BadPortName, &path.key("port"), message, help);
                } else {
                    scope.report(Code::BadPortName, &path.key("port"), message);
                }
                return None;
            }
            PortMatch::Named(PortName::admitted(name.clone()))
        }
    };
    Some(Port { protocol: protocol?, which })
}

fn range(scope: &mut Scope<'_>, path: &FieldPath, first: i32, end: Option<i32>) -> Option<PortRange> {
    let mut number = |field: &'static str, number: i32| {
        let fits = u16::try_from(number).ok().filter(|number| *number > 0);
        if fits.is_none() {
            let message = format!("{field} {number} is not a number from 1 to 65535");
            scope.report(Code::BadPort, &path.key(field), message);
        }
        fits
    };
    let low = number("port", first);
    let high = match end {
        Some(end) => number("endPort", end),
        None => low,
    };
    if let Some(end) = end
        && end < first
    {
        let message = format!("endPort {end} is below port {first}");
        let help = "swap them, or remove endPort";
        scope.report_with_help(Code::PortRangeReversed, &path.key("endPort"), message, help);
        return None;
    }
    PortRange::new(low?, high?)
}

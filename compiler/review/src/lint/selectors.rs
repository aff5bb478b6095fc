//! Selectors that nobody meets, and namespaces that are not there.

use chainmail_findings::{Code, FieldPath, nearest};
use chainmail_model::{
    LabelSelector, Labels, Namespace, NamespaceName, NamespaceScope, Peer, Policy, Requirement,
};

use super::context::{Context, peers, rules, spec};
use super::typo;

/// Namespaces that every cluster has, with labels and pods that hardly any repository holds.
const SYSTEM: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

pub(super) fn check(context: &mut Context<'_>, policy: &Policy) {
    own_namespace(context, policy);
    subject(context, policy);
    for (direction, path, rule) in rules(policy) {
        for (path, peer) in peers(direction, &path, rule) {
            if let Peer::Pods { namespaces, pods } = peer {
                peer_of_pods(context, policy, &path, namespaces, pods);
            }
        }
    }
}

/// Whether the manifests say which namespaces there are.
fn declares_namespaces(context: &Context<'_>) -> bool {
    context.cluster.namespaces().any(|namespace| namespace.at.is_some())
}

/// A namespace that some object other than a policy speaks of.
fn is_there(context: &Context<'_>, namespace: &Namespace) -> bool {
    namespace.at.is_some() || context.knows(&namespace.name) || is_system(namespace.name.as_str())
}

fn is_system(name: &str) -> bool {
    SYSTEM.contains(&name)
}

fn own_namespace(context: &mut Context<'_>, policy: &Policy) {
    let own = context.cluster.namespace(&policy.namespace);
    if own.is_some_and(|own| is_there(context, own)) || !declares_namespaces(context) {
        return;
    }
    let message = format!("policy {} is in a namespace that no manifest describes", policy.policy_ref());
    let help = did_you_mean(context, policy.namespace.as_str());
    let path = FieldPath::root().key("metadata").key("namespace");
    context.report(Code::UnknownNamespace, policy, &path, message, help);
}

fn did_you_mean(context: &Context<'_>, name: &str) -> String {
    let fallback = || "correct the name, or add the Namespace".to_owned();
    if !context.may_advise(context.cluster.namespaces().count()) {
        return fallback();
    }
    let there = context.cluster.namespaces().filter(|namespace| is_there(context, namespace));
    match nearest(name, there.map(|namespace| namespace.name.as_str())) {
        Some(near) => format!("did you mean {near}?"),
        None => fallback(),
    }
}

fn subject(context: &mut Context<'_>, policy: &Policy) {
    let Policy { namespace, subject, .. } = policy;
    if !context.knows(namespace) {
        return context.pass_over([namespace.clone()]);
    }
    if !context.select(namespace, subject).is_empty() {
        return;
    }
    let path = spec().key("podSelector");
    let (message, help) = nobody(context, subject, &[namespace], &format!("namespace {namespace}"));
    context.report(
        Code::SelectsNothing,
        policy,
        &path,
        format!("the policy selects nothing: {message}"),
        help,
    );
}

fn peer_of_pods(
    context: &mut Context<'_>,
    policy: &Policy,
    path: &FieldPath,
    scope: &NamespaceScope,
    pods: &LabelSelector,
) {
    if let NamespaceScope::Matching(selector) = scope
        && !namespaces_are_there(context, policy, &path.key("namespaceSelector"), selector)
    {
        return;
    }
    let found = context.peer_pods(&policy.namespace, scope, pods);
    if !found.pods.is_empty() {
        return;
    }
    let namespaces = context.namespaces(&policy.namespace, scope);
    let unknown: Vec<NamespaceName> = namespaces
        .iter()
        .filter(|namespace| !context.knows(&namespace.name))
        .map(|namespace| namespace.name.clone())
        .collect();
    if !found.complete || namespaces.is_empty() {
        return context.pass_over(unknown);
    }
    // Said by the lint of dashes, which knows more.
    if super::dashes::is_missing(context, policy, scope, pods) {
        return;
    }
    let names: Vec<&NamespaceName> = namespaces.iter().map(|namespace| &namespace.name).collect();
    let place = match (&names[..], scope) {
        ([only], _) => format!("namespace {only}"),
        (all, NamespaceScope::Matching(selector)) if selector.requirements().next().is_some() => {
            format!("the {} namespaces with {selector}", all.len())
        }
        _ => "any namespace".to_owned(),
    };
    let (message, help) = nobody(context, pods, &names, &place);
    context.report(Code::PeerMatchesNothing, policy, path, format!("the peer is nobody: {message}"), help);
}

/// That nobody meets a selector, and what may be done about it.
fn nobody(
    context: &Context<'_>,
    selector: &LabelSelector,
    namespaces: &[&NamespaceName],
    place: &str,
) -> (String, String) {
    let pods: Vec<_> = namespaces.iter().flat_map(|name| context.pods_of(name)).collect();
    if pods.iter().any(|pod| selector.matches(&pod.labels)) {
        let message = format!("its pods in {place} are on their nodes' network");
        return (message, "no policy selects such pods; name the nodes' addresses by ipBlock".to_owned());
    }
    let labels: Vec<&Labels> = pods.iter().map(|pod| &pod.labels).collect();
    (format!("no pod of {place} has {selector}"), typo::advice(context, selector, &labels, "pod there"))
}

/// Whether a namespaceSelector means any namespace, or may; what is surely mistaken is reported.
fn namespaces_are_there(
    context: &mut Context<'_>,
    policy: &Policy,
    path: &FieldPath,
    selector: &LabelSelector,
) -> bool {
    if !declares_namespaces(context) {
        return true;
    }
    let mut named_wrongly = false;
    for requirement in selector.requirements() {
        let Requirement::In(key, names) = requirement else { continue };
        if key.as_str() != "kubernetes.io/metadata.name" {
            continue;
        }
        for name in names {
            let there = context.cluster.namespaces().filter(|known| is_there(context, known));
            if is_system(name) || there.into_iter().any(|known| known.name.as_str() == name) {
                continue;
            }
            named_wrongly = true;
            let message = format!("there is no namespace {name}");
            let help = did_you_mean(context, name);
            context.report(Code::UnknownNamespace, policy, path, message, help);
        }
    }
    if named_wrongly
        || !context.namespaces(&policy.namespace, &NamespaceScope::Matching(selector.clone())).is_empty()
    {
        return !named_wrongly;
    }
    // Labels of the system's own namespaces are given by whoever runs the cluster.
    let means_system = |requirement: &Requirement| matches!(requirement, Requirement::In(_, values) if values.iter().any(|value| is_system(value)));
    if !selector.requirements().any(means_system) {
        let labels: Vec<&Labels> = context.cluster.namespaces().map(|namespace| &namespace.labels).collect();
        let help = typo::advice(context, selector, &labels, "namespace");
        let message = format!("no namespace has {selector}");
        context.report(Code::UnknownNamespace, policy, path, message, help);
    } else {
        context.pass_over([]);
    }
    false
}

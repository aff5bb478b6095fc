//! "A `-` more or less changes the meaning": two selectors in one entry must both hold, in two entries either suffices.
//! Which one was meant shows where one reading means pods and the other nobody.

use chainmail_findings::Code;
use chainmail_model::{LabelSelector, NamespaceScope, Peer, Policy};

use super::context::{Context, peers, rules};

pub(super) fn check(context: &mut Context<'_>, policy: &Policy) {
    for (direction, path, rule) in rules(policy) {
        let entries = peers(direction, &path, rule);
        for (path, peer) in &entries {
            if let Peer::Pods { namespaces, pods } = peer
                && is_missing(context, policy, namespaces, pods)
            {
                let message = format!(
                    "no pod has {pods} in the namespaces meant, but pods of namespace {} have",
                    policy.namespace
                );
                let help = "one entry means pods that meet both selectors; a dash before the second one makes two of it";
                context.report(Code::MissingDash, policy, path, message, help);
            }
        }
        for pair in entries.windows(2) {
            let [(_, first), (path, second)] = pair else { continue };
            let (scope, pods) = match (alone(first), alone(second)) {
                (Some(Alone::Namespaces(scope)), Some(Alone::Pods(pods)))
                | (Some(Alone::Pods(pods)), Some(Alone::Namespaces(scope))) => (scope, pods),
                _ => continue,
            };
            if let Some(message) = is_too_many(context, policy, scope, pods) {
                let help =
                    "two entries mean either selector; without the second dash they mean pods that meet both";
                context.report(Code::ExtraDash, policy, path, message, help);
            }
        }
    }
}

/// Whether the selectors of one entry mean nobody together, but both mean somebody apart.
pub(super) fn is_missing(
    context: &Context<'_>,
    policy: &Policy,
    scope: &NamespaceScope,
    pods: &LabelSelector,
) -> bool {
    let own = &policy.namespace;
    let NamespaceScope::Matching(_) = scope else { return false };
    let namespaces = context.namespaces(own, scope);
    let both = context.peer_pods(own, scope, pods);
    !namespaces.is_empty()
        && both.complete
        && both.pods.is_empty()
        && namespaces.iter().all(|namespace| namespace.name != *own)
        && !context.select(own, pods).is_empty()
}

/// A peer with one selector; that of pods means not all of them.
enum Alone<'p> {
    Namespaces(&'p NamespaceScope),
    Pods(&'p LabelSelector),
}

fn alone(peer: &Peer) -> Option<Alone<'_>> {
    let is_empty = |selector: &LabelSelector| selector.requirements().next().is_none();
    match peer {
        Peer::Pods { namespaces: NamespaceScope::Own, pods } if !is_empty(pods) => Some(Alone::Pods(pods)),
        Peer::Pods { namespaces: scope @ NamespaceScope::Matching(_), pods } if is_empty(pods) => {
            Some(Alone::Namespaces(scope))
        }
        Peer::Pods { .. } | Peer::Block(_) => None,
    }
}

/// Why two entries were probably meant as one.
fn is_too_many(
    context: &Context<'_>,
    policy: &Policy,
    scope: &NamespaceScope,
    pods: &LabelSelector,
) -> Option<String> {
    let own = &policy.namespace;
    let namespaces = context.namespaces(own, scope);
    if namespaces.iter().any(|namespace| namespace.name == *own) {
        return Some(format!(
            "the entry adds nobody: the one beside it means every pod of namespace {own}, with {pods} or without"
        ));
    }
    let elsewhere = context.peer_pods(own, scope, pods).pods;
    (context.knows(own) && context.select(own, pods).is_empty() && !elsewhere.is_empty()).then(|| {
        format!(
            "no pod of namespace {own} has {pods}, but pods in the namespaces of the entry beside it have"
        )
    })
}

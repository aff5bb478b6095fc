//! Rules without effect: another rule, of pods that include theirs, allows all that they allow. Exact, for the pods that
//! there are now.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::Family;
use chainmail_findings::Code;
use chainmail_model::enclosing::Enclosing;
use chainmail_model::{
    Direction, NamespaceName, Peer, Peers, Pod, PodId, PodState, Policy, PortMatch, Ports, Rule, RuleRef,
};
use chainmail_prove::Meaning;
use chainmail_verdict::exact::Traffic;

use super::context::{Context, rule_path};

/// A policy's place in the cluster, with the pods that it selects.
struct Selected<'a> {
    place: usize,
    policy: &'a Policy,
    pods: BTreeMap<PodId, &'a Pod>,
}

/// One rule and what it allows to each kind of pod: what a port's name means to a pod hangs on its ports.
struct Admits<'a> {
    of: &'a Selected<'a>,
    index: usize,
    rule: &'a Rule,
    traffic: Rc<[Traffic; 2]>,
    /// Of each family's traffic.
    hulls: [Option<([u32; 2], [IpAddr; 2])>; 2],
}

impl Admits<'_> {
    /// The first and last service of both families.
    fn services(&self) -> (u32, u32) {
        let of_families = || self.hulls.iter().flatten().map(|(services, _)| services);
        let first = of_families().map(|[first, _]| *first).min();
        let last = of_families().map(|[_, last]| *last).max();
        first.zip(last).expect("a rule that allows nothing is not among them")
    }

    /// Whether another rule's traffic may be a part of this one's, as far as its ends tell.
    fn may_hold(&self, other: &Self) -> bool {
        let families = self.hulls.iter().zip(&other.hulls);
        families.into_iter().all(|pair| match pair {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some((ours, [first, last])), Some((theirs, [from, to]))) => {
                ours[0] <= theirs[0] && theirs[1] <= ours[1] && first <= from && to <= last
            }
        })
    }
}

pub(super) fn check(context: &mut Context<'_>) {
    let cluster = context.cluster;
    let meaning = Meaning::new(cluster);
    let mut by_namespace: BTreeMap<&NamespaceName, Vec<Selected<'_>>> = BTreeMap::new();
    let mut endpoints: BTreeMap<&NamespaceName, Vec<(PodId, &Pod)>> = BTreeMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
        endpoints.entry(&pod.namespace).or_default().push((id, pod));
    }
    for (place, policy) in cluster.policies().iter().enumerate() {
        let own = endpoints.get(&policy.namespace).into_iter().flatten().copied();
        let pods: BTreeMap<PodId, &Pod> =
            own.filter(|(_, pod)| policy.subject.matches(&pod.labels)).collect();
        if !pods.is_empty() {
            by_namespace.entry(&policy.namespace).or_default().push(Selected { place, policy, pods });
        }
    }
    // That a block has an address which is only assumed says nothing.
    let assumed = cluster.pods().any(|(_, pod)| pod.state == PodState::Assumed);
    for policies in by_namespace.values() {
        for direction in Direction::ALL {
            let rules: Vec<Admits<'_>> =
                policies.iter().flat_map(|of| admissions(&meaning, of, direction)).collect();
            let ends: Vec<(u32, u32)> = rules.iter().map(Admits::services).collect();
            let holders = Enclosing::new(&ends);
            for (rule, ends) in rules.iter().zip(&ends) {
                // The first one in order is named.
                let mut covering: Option<usize> = None;
                holders.any(*ends, |place| {
                    let other = &rules[place];
                    if covering.is_none_or(|first| place < first)
                        && other.may_hold(rule)
                        && !(assumed && names_a_block(other.rule))
                        && covers(&meaning, direction, other, rule)
                    {
                        covering = Some(place);
                    }
                    covering == Some(0)
                });
                if let Some(place) = covering {
                    report(context, direction, rule, &rules[place]);
                }
            }
        }
    }
}

/// The rules that allow something.
fn admissions<'a>(meaning: &Meaning<'a>, of: &'a Selected<'a>, direction: Direction) -> Vec<Admits<'a>> {
    let Some(any) = of.pods.values().next() else { return Vec::new() };
    let rules = of.policy.rules(direction).unwrap_or_default().iter().enumerate();
    let admits = rules.map(|(index, rule)| {
        let traffic =
            Rc::new(Family::ALL.map(|family| meaning.of_rule((of.place, direction, index), family, any)));
        let hulls = traffic.each_ref().map(Traffic::hull);
        Admits { of, index, rule, traffic, hulls }
    });
    admits.filter(|admits| admits.traffic.iter().any(|traffic| !traffic.is_empty())).collect()
}

/// Whether `other` allows all that `rule` allows, to at least the same pods. Of two that allow the same the first covers
/// the second.
fn covers(meaning: &Meaning<'_>, direction: Direction, other: &Admits<'_>, rule: &Admits<'_>) -> bool {
    let key = |admits: &Admits<'_>| (admits.of.place, admits.index);
    if key(other) == key(rule) || !allows_all(meaning, direction, other, rule) {
        return false;
    }
    key(other) < key(rule) || !allows_all(meaning, direction, rule, other)
}

fn allows_all(meaning: &Meaning<'_>, direction: Direction, other: &Admits<'_>, rule: &Admits<'_>) -> bool {
    let is_subset = |these: &[Traffic; 2], those: &[Traffic; 2]| {
        these.iter().zip(those).all(|(these, those)| these.is_subset(those))
    };
    if !is_subset(&rule.traffic, &other.traffic)
        || !rule.of.pods.keys().all(|pod| other.of.pods.contains_key(pod))
    {
        return false;
    }
    let asks_own_ports =
        direction == Direction::Ingress && [rule, other].iter().any(|admits| names_a_port(admits.rule));
    if !asks_own_ports {
        return true;
    }
    let mut seen = BTreeSet::new();
    rule.of.pods.values().filter(|pod| seen.insert(&pod.ports)).all(|pod| {
        let of = |admits: &Admits<'_>| {
            let place = (admits.of.place, direction, admits.index);
            Family::ALL.map(|family| meaning.of_rule(place, family, pod))
        };
        is_subset(&of(rule), &of(other))
    })
}

fn names_a_port(rule: &Rule) -> bool {
    let Ports::OneOf(ports) = &rule.ports else { return false };
    ports.iter().any(|port| matches!(port.which, PortMatch::Named(_)))
}

fn names_a_block(rule: &Rule) -> bool {
    let Peers::OneOf(peers) = &rule.peers else { return false };
    peers.iter().any(|peer| matches!(peer, Peer::Block(_)))
}

fn report(context: &mut Context<'_>, direction: Direction, rule: &Admits<'_>, other: &Admits<'_>) {
    let name = RuleRef { policy: other.of.policy.policy_ref(), direction, index: other.index };
    let place = context.places.place(other.of.policy.at, &rule_path(direction, other.index));
    let message = format!("the rule allows nothing that {name} does not allow");
    let help = format!("remove it, or narrow the other one at {}:{}", place.file, place.line);
    let path = rule_path(direction, rule.index);
    context.report(Code::CoveredRule, rule.of.policy, &path, message, help);
}

//! What several objects say of one pod. Where they agree, as far as each of them says anything, they are one pod; where
//! they contradict each other each stays, and all of them claim the pod's addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::Family;
use chainmail_findings::{Code, Findings, Places};
use chainmail_model::{Addresses, ContainerPort, Pod, PodState};

use super::{Scope, name_path, report_duplicate};
use crate as manifest;
use crate::source::Sources;

/// Whether a pod is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lifecycle {
    /// It stays.
    Running,
    /// It is live and `metadata.deletionTimestamp` is set: it counts until it is gone, but leaves its address to another
    /// that claims it.
    Terminating,
}

impl Lifecycle {
    pub(super) fn of(pod: &manifest::Located<manifest::Pod>, sources: &Sources) -> Self {
        match &pod.object.metadata.deletion_timestamp {
            // What was reviewed holds until something live says otherwise.
            Some(time) if !time.0.is_empty() && sources.is_live(pod.at) => Lifecycle::Terminating,
            Some(_) | None => Lifecycle::Running,
        }
    }
}

/// Whether an object says an address of its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    /// No.
    Nothing,
    /// Yes, perhaps one that was refused.
    Address,
}

/// What one object says of a pod.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) pod: Pod,
    pub(super) lifecycle: Lifecycle,
    pub(super) says: Says,
}

/// Puts together what objects say of one pod; the reviewed one is first, if there is one. Where more than one stays, all
/// of them are endpoints.
pub(super) fn put_together(
    first: Version,
    others: impl Iterator<Item = Version>,
    sources: &Sources,
    findings: &mut Findings,
) -> Vec<Version> {
    let first_at = first.pod.at;
    let mut first_place = None;
    let mut versions = vec![first];
    for other in others {
        let mut scope = Scope { sources, at: other.pod.at, findings };
        if !sources.is_live(scope.at) {
            report_duplicate(&mut scope, first_at, &format!("pod {}", other.pod.pod_ref()));
        } else if let Some((known, joined)) =
            versions.iter_mut().find_map(|known| joined(known, &other).map(|joined| (known, joined)))
        {
            *known = joined;
        } else {
            let differing = contradictions(&versions[0].pod, &other.pod).filter(|(_, differ)| *differ);
            let what = differing.map(|(what, _)| what).collect::<Vec<_>>().join(" and ");
            let place = first_place.get_or_insert_with(|| sources.place(first_at, &name_path()));
            let pod = other.pod.pod_ref();
            let message = format!(
                "the live pod {pod} is not the one at {place}: {what} differ; its addresses are isolated if either \
                 is, and only what both allow is allowed"
            );
            let help = "take the pod out of the repository, or correct the one that is wrong";
            scope.report_with_help(Code::ContestedAddress, &name_path(), message, help);
            versions.push(other);
        }
    }
    let addressed = versions.iter().find(|version| version.pod.state == PodState::Endpoint);
    let Some((addresses, at)) = addressed.map(|version| (version.pod.addresses, version.pod.at)) else {
        versions.truncate(1);
        return versions;
    };
    // What is said without an address is said of those that others know. One that is no endpoint claims nothing.
    for Version { pod, .. } in versions.iter_mut().filter(|version| version.pod.state == PodState::NoAddress)
    {
        (pod.state, pod.addresses) = (PodState::Endpoint, addresses);
        if !sources.is_live(pod.at) {
            pod.at = at;
        }
    }
    versions.retain(|version| version.pod.state == PodState::Endpoint);
    versions
}

/// What two objects say together, unless they contradict each other: one may leave open what the other says of the node,
/// the addresses and the phase. Labels and names of ports are never left open.
fn joined(one: &Version, other: &Version) -> Option<Version> {
    let (a, b) = (&one.pod, &other.pod);
    if contradictions(a, b).any(|(_, differ)| differ) {
        return None;
    }
    let state = match (a.state, b.state) {
        (PodState::NoAddress, state) => state,
        (state, _) => state,
    };
    let addresses =
        Addresses { v4: a.addresses.v4.or(b.addresses.v4), v6: a.addresses.v6.or(b.addresses.v6) };
    // An address that is live only is no mistake of the reviewed files, whichever other pod has it there.
    let adds = |address: IpAddr| a.addresses.of(Family::of(address)).is_none();
    let at = if b.addresses.iter().any(adds) { b.at } else { a.at };
    let node = a.node.clone().or_else(|| b.node.clone());
    let controller = a.controller.clone().or_else(|| b.controller.clone());
    let pod = Pod { node, addresses, state, controller, at, ..a.clone() };
    Some(Version { pod, lifecycle: one.lifecycle.max(other.lifecycle), says: one.says.max(other.says) })
}

/// Whether two objects say something otherwise of one pod.
type Differ = fn(&Pod, &Pod) -> bool;

/// What two objects may say otherwise of one pod, and whether they do; what is dear to compare is last.
fn contradictions<'a>(a: &'a Pod, b: &'a Pod) -> impl Iterator<Item = (&'static str, bool)> + use<'a> {
    fn differ<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
        matches!((a, b), (Some(a), Some(b)) if a != b)
    }
    let questions: [(&str, Differ); 5] = [
        ("labels", |a, b| a.labels != b.labels),
        ("addresses", |a, b| {
            differ(a.addresses.v4, b.addresses.v4) || differ(a.addresses.v6, b.addresses.v6)
        }),
        ("nodes", |a, b| differ(a.node.as_ref(), b.node.as_ref())),
        ("states", |a, b| match (a.state, b.state) {
            // A pod that has no address yet, or does not say it, may have come to either since.
            (PodState::NoAddress, PodState::Endpoint | PodState::Finished | PodState::NoAddress)
            | (PodState::Endpoint | PodState::Finished, PodState::NoAddress) => false,
            (a, b) => a != b,
        }),
        ("named ports", |a, b| named(a) != named(b)),
    ];
    questions.into_iter().map(move |(what, differ)| (what, differ(a, b)))
}

/// The ports that policies can name.
fn named(pod: &Pod) -> BTreeSet<&ContainerPort> {
    pod.ports.iter().filter(|port| port.name.is_some()).collect()
}

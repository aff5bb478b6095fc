//! The holder of each address. Two reviewed objects with one address are an error. Where one of the two is live, nothing
//! tells which of them is right, and the address is contested.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use chainmail_findings::{Code, FieldPath, Findings, ObjectRef, Places};
use chainmail_model::{CLAIMANTS_MAX, Cluster, Doubt, HolderId, PodId};

use super::Scope;
use super::pod::address_path;
use super::versions::{Lifecycle, Version};
use crate as manifest;
use crate::Manifests;
use crate::source::Sources;

/// A node's own address: which node's, and where that node stands.
pub(super) type NodeAddresses = BTreeMap<IpAddr, (String, ObjectRef)>;

/// How many claimants a finding names.
const TOLD: usize = 8;

/// Gives the cluster its pods, in order of names, and finds the holder of each of their addresses. `several` are the pods
/// of one name that contradict each other.
pub(super) fn settle(
    cluster: &mut Cluster,
    versions: Vec<Version>,
    several: &[Range<usize>],
    manifests: &Manifests,
    nodes: &NodeAddresses,
    sources: &Sources,
    findings: &mut Findings,
) {
    let (pods, lifecycles) = versions.into_iter().map(|version| (version.pod, version.lifecycle)).unzip();
    cluster.set_pods(pods);
    let claims = cluster.pods().flat_map(|(id, pod)| pod.addresses.iter().map(move |address| (address, id)));
    let mut claims: Vec<(IpAddr, PodId)> = claims.collect();
    claims.sort_unstable();
    let mut settling = Settling {
        cluster,
        lifecycles,
        several,
        manifests,
        nodes,
        sources,
        findings,
        places: OnceCell::new(),
    };
    let mut held = Vec::with_capacity(claims.len());
    let mut contested = Vec::new();
    let mut left = Vec::new();
    for claims in claims.chunk_by(|(one, _), (other, _)| one == other) {
        match claims {
            [(address, pod)] if !nodes.contains_key(address) && settling.versions(*pod).len() == 1 => {
                held.push((*address, HolderId::from(*pod)));
            }
            _ => {
                let claim = settling.claim(claims);
                left.extend(claim.left);
                match claim.holder {
                    Settled::Pod(pod) => held.push((claim.address, HolderId::from(pod))),
                    Settled::Node => {}
                    Settled::Contested(doubt, claimants) => contested.push((claim.address, doubt, claimants)),
                }
            }
        }
    }
    cluster.set_holders(held, contested);
    for (pod, address) in left {
        cluster.remove_address(pod, address);
    }
}

/// Whose an address is, that several claim.
struct Claim {
    address: IpAddr,
    holder: Settled,
    /// Pods that leave the address to others.
    left: Vec<(PodId, IpAddr)>,
}

enum Settled {
    /// One pod's after all.
    Pod(PodId),
    /// A node's.
    Node,
    /// It may be any of these pods'.
    Contested(Doubt, Vec<PodId>),
}

struct Settling<'a> {
    cluster: &'a Cluster,
    lifecycles: Vec<Lifecycle>,
    several: &'a [Range<usize>],
    manifests: &'a Manifests,
    nodes: &'a NodeAddresses,
    sources: &'a Sources,
    findings: &'a mut Findings,
    /// The manifests of pods by their places, once one is asked for.
    places: OnceCell<BTreeMap<ObjectRef, &'a manifest::Pod>>,
}

impl Settling<'_> {
    /// The places of all pods of a pod's name.
    fn versions(&self, pod: PodId) -> Range<usize> {
        let place = pod.0 as usize;
        let known = self.several.partition_point(|range| range.end <= place);
        let range = self.several.get(known).filter(|range| range.contains(&place));
        range.cloned().unwrap_or(place..place + 1)
    }

    /// Settles an address that is a node's too, of several pods, or of a pod of which objects say several things.
    fn claim(&mut self, claims: &[(IpAddr, PodId)]) -> Claim {
        let (address, first) = claims[0];
        let node = self.nodes.get(&address);
        let at = |pod: &PodId| self.cluster.pod(*pod).at;
        let is_live = |at: ObjectRef| self.sources.is_live(at);
        // Of what several objects say of one pod, one at most was reviewed.
        let has_live = |pod: &PodId| is_live(at(pod)) || self.versions(*pod).len() > 1;
        let live = claims.iter().any(|(_, pod)| has_live(pod)) || node.is_some_and(|(_, at)| is_live(*at));
        let reviewed: Vec<PodId> =
            claims.iter().map(|(_, pod)| *pod).filter(|pod| !is_live(at(pod))).collect();
        self.refuse_reviewed(address, &reviewed);
        if !live {
            return Claim { address, holder: Settled::Pod(first), left: Vec::new() };
        }
        // What objects say of one pod, they say of all its addresses.
        let mut claimants: Vec<PodId> = Vec::new();
        let mut doubt = if node.is_some() { Doubt::Node } else { Doubt::Pods };
        for (_, pod) in claims {
            let versions = self.versions(*pod);
            if versions.len() > CLAIMANTS_MAX {
                doubt = Doubt::Crowd;
                claimants.push(*pod);
            } else {
                claimants.extend(
                    versions.map(|place| {
                        PodId(u32::try_from(place).expect("fewer than 2^32 pods fit in memory"))
                    }),
                );
            }
        }
        claimants.sort_unstable();
        claimants.dedup();
        let stays = |pod: &PodId| self.lifecycles[pod.0 as usize] == Lifecycle::Running;
        if node.is_some() || claimants.iter().any(stays) {
            claimants.retain(stays);
        }
        let left = claims.iter().filter(|(_, pod)| claimants.binary_search(pod).is_err());
        let left = left.map(|(address, pod)| (*pod, *address)).collect();
        let claims_it = |pod: &PodId| claims.iter().any(|(_, claimant)| claimant == pod);
        let holder = match claimants[..] {
            [] => Settled::Node,
            [only] if doubt == Doubt::Pods && claims_it(&only) => Settled::Pod(only),
            _ => {
                if claimants.len() > CLAIMANTS_MAX {
                    doubt = Doubt::Crowd;
                }
                self.tell(address, doubt, &claimants);
                Settled::Contested(doubt, claimants)
            }
        };
        Claim { address, holder, left }
    }

    /// Two reviewed objects with one address are a mistake that a review can find.
    fn refuse_reviewed(&mut self, address: IpAddr, reviewed: &[PodId]) {
        let Some((first, others)) = reviewed.split_first() else { return };
        let cluster = self.cluster;
        let node = self.nodes.get(&address).filter(|(_, at)| !self.sources.is_live(*at));
        let mut is_also = |pod: &PodId, other: String| {
            let message = format!(
                "{address} is the address of pod {} and of {other}",
                self.cluster.pod(*pod).pod_ref()
            );
            let help = "a finished pod has phase Succeeded or Failed; a pod on its node's network has hostNetwork: true";
            let path = self.path(*pod, address);
            let at = self.cluster.pod(*pod).at;
            let mut scope = Scope { sources: self.sources, at, findings: self.findings };
            scope.report_with_help(Code::DuplicateAddress, &path, message, help);
        };
        if let Some((node, _)) = node {
            is_also(first, format!("node {node}"));
        }
        let owner = cluster.pod(*first).pod_ref();
        for other in others {
            is_also(other, format!("pod {owner}"));
        }
    }

    /// Names all claimants, since a false claim can cut off the pod that has the address.
    fn tell(&mut self, address: IpAddr, doubt: Doubt, claimants: &[PodId]) {
        let [first, .., last] = claimants else {
            return self.tell_of(address, doubt, claimants);
        };
        // What objects say of one pod was told already.
        if doubt != Doubt::Pods || self.versions(*first) != self.versions(*last) {
            self.tell_of(address, doubt, claimants);
        }
    }

    fn tell_of(&mut self, address: IpAddr, doubt: Doubt, claimants: &[PodId]) {
        let Some(last) = claimants.last() else { return };
        let place = |at: ObjectRef, path: &FieldPath| {
            let place = self.sources.place(at, path);
            format!("{}:{}", place.file, place.line)
        };
        let node = self.nodes.get(&address).map(|(node, at)| {
            let path = FieldPath::root().key("status").key("addresses");
            format!("node {node} ({})", place(*at, &path))
        });
        let pods = claimants.iter().take(TOLD).map(|id| {
            let pod = self.cluster.pod(*id);
            format!("pod {} ({})", pod.pod_ref(), place(pod.at, &self.path(*id, address)))
        });
        let told: Vec<String> = node.into_iter().chain(pods).collect();
        let more = claimants.len().saturating_sub(TOLD);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let so = match doubt {
            Doubt::Pods | Doubt::Node => {
                "it is isolated if any of them is, and only what all of them allow is allowed".to_owned()
            }
            Doubt::Crowd => format!("with more than {CLAIMANTS_MAX} claimants nothing is allowed"),
        };
        let message = format!("{address} is claimed by {}{more}; {so}", told.join(", "));
        let help = "correct what is false; a pod that is being deleted leaves its address to the others";
        let path = self.path(*last, address);
        let at = self.cluster.pod(*last).at;
        let mut scope = Scope { sources: self.sources, at, findings: self.findings };
        scope.report_with_help(Code::ContestedAddress, &path, message, help);
    }

    /// Where a pod says that it has an address. Only in files that were reviewed is it more exact than the object.
    fn path(&self, pod: PodId, address: IpAddr) -> FieldPath {
        let at = self.cluster.pod(pod).at;
        if self.sources.is_live(at) {
            return FieldPath::root();
        }
        let places = self.places.get_or_init(|| {
            self.manifests.pods.iter().map(|manifest| (manifest.at, &*manifest.object)).collect()
        });
        places.get(&at).map_or_else(FieldPath::root, |pod| address_path(pod, address))
    }
}

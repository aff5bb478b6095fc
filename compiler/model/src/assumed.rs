//! Pods that workloads will have: for review, where most repositories hold templates and no pods.
//!
//! Rules name addresses, so that no rule can be made of a template; what policies would say of its pods can be told all
//! the same. Every workload without pods gets one, with an address that its pods might have, on a node of its own. What
//! is compiled for nodes is the cluster as it is, and this other value is for questions only.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::{Family, NodeName, Sha256Hex};
use ipnet::IpNet;

use super::model::{Cluster, Node, Os, Pod, PodState};
use super::workload::{Controller, Owner, Workload};
use super::{AddressRanges, Addresses, NodeSettings, PodName, Policy, UnknownPods, WorkloadKind, number};

/// Where pods are where no node says it: the networks of kubeadm's documentation and of many clusters.
const USUAL: [&str; 2] = ["10.244.0.0/16", "fd00:10:244::/56"];

/// Among how many addresses one is chosen: a short one is easier to read.
const MANY: u128 = 1 << 16;

impl Cluster {
    /// The cluster with a pod for each workload that has none.
    ///
    /// Such a pod is called as its workload prints, `web (Deployment)`, which no real pod can be. Its state is
    /// [`PodState::Assumed`], and it runs on a node `assumed` that has no address, so that no pod counts as near it.
    #[must_use]
    pub fn with_assumed_pods(&self) -> Cow<'_, Cluster> {
        if self.workloads.is_empty() {
            return Cow::Borrowed(self);
        }
        let wanting: Vec<&Workload> = self.workloads_without_pods().collect();
        if wanting.is_empty() {
            return Cow::Borrowed(self);
        }
        let node = self.free_node_name();
        let mut pools: Vec<Pool> = self.families().map(|family| Pool::new(self, family)).collect();
        let mut cluster = self.clone();
        for workload in wanting {
            cluster.imply_namespace(workload.workload.namespace.clone());
            cluster.pods.push(assumed_pod(workload, &node, &mut pools));
        }
        cluster.nodes.insert(
            node.clone(),
            Node {
                name: node,
                addresses: Vec::new(),
                pod_cidrs: Vec::new(),
                os: Os::Linux,
                settings: NodeSettings::default(),
            },
        );
        cluster.put_in_order();
        Cow::Owned(cluster)
    }

    /// Workloads that nothing made and that have no pod to ask about. A CronJob whose pods have finished will have
    /// others; a Job will not.
    fn workloads_without_pods(&self) -> impl Iterator<Item = &Workload> {
        let counts = |pod: &Pod, kind| match pod.state {
            PodState::Endpoint | PodState::HostNetwork | PodState::Assumed => true,
            PodState::Finished => kind == WorkloadKind::Job,
            PodState::NoAddress => false,
        };
        let mut peopled = BTreeSet::new();
        for pod in &self.pods {
            if let Owner::Workload(workload) = self.workload_of(pod)
                && counts(pod, workload.kind)
            {
                peopled.insert(workload);
            }
        }
        self.workloads().filter(move |known| known.controller.is_none() && !peopled.contains(&known.workload))
    }

    /// The address families that pods have, as far as it is known: both where nothing is.
    fn families(&self) -> impl Iterator<Item = Family> {
        let of_nodes = self.nodes().flat_map(|node| &node.pod_cidrs).map(Family::of_net);
        let of_pods = self.pods().flat_map(|(_, pod)| pod.addresses.iter()).map(Family::of);
        let known: BTreeSet<Family> = of_nodes.chain(of_pods).collect();
        Family::ALL.into_iter().filter(move |family| known.is_empty() || known.contains(family))
    }

    fn free_node_name(&self) -> NodeName {
        let names =
            (1..).map(|number| if number == 1 { "assumed".to_owned() } else { format!("assumed-{number}") });
        let mut names = names.map(|name| name.parse().expect("a lowercase word is a node's name"));
        names.find(|name| !self.nodes.contains_key(name)).expect("a cluster has not every name")
    }
}

fn assumed_pod(workload: &Workload, node: &NodeName, pools: &mut [Pool]) -> Pod {
    let own = &workload.workload;
    let mut addresses = Addresses::default();
    if workload.state == PodState::Assumed {
        for pool in pools {
            match pool.take(&own.to_string()) {
                Some(IpAddr::V4(v4)) => addresses.v4 = Some(v4),
                Some(IpAddr::V6(v6)) => addresses.v6 = Some(v6),
                None => {}
            }
        }
    }
    Pod {
        namespace: own.namespace.clone(),
        name: PodName::admitted(format!("{} ({})", own.name, own.kind)),
        labels: workload.labels.clone(),
        node: Some(node.clone()),
        addresses,
        ports: workload.ports.clone(),
        state: if workload.state == PodState::Assumed && addresses.is_empty() {
            PodState::NoAddress
        } else {
            workload.state
        },
        controller: Some(Controller::Workload(own.kind, own.name.clone())),
        at: workload.at,
    }
}

/// Addresses of one family that pods might get, and nobody has.
struct Pool {
    /// The networks in order of preference, and what is free in each.
    networks: Vec<(IpNet, AddressRanges)>,
}

impl Pool {
    /// First what nodes have for their pods, then what lies around that, then what is usual.
    fn new(cluster: &Cluster, family: Family) -> Self {
        let taken = taken(cluster, family);
        let of_nodes: Vec<IpNet> = cluster.nodes().flat_map(|node| node.pod_cidrs.iter().copied()).collect();
        let around = of_nodes.iter().map(around);
        let usual = USUAL.iter().map(|text| text.parse().expect("these are networks"));
        let mut seen = BTreeSet::new();
        let networks = of_nodes
            .iter()
            .copied()
            .chain(around)
            .chain(usual)
            .filter(|net| Family::of_net(net) == family && seen.insert(*net))
            .map(|net| {
                let mut free = AddressRanges::of_net(&net);
                // The network itself, and in IPv4 its broadcast address, are no host's.
                free.remove(&AddressRanges::of_addresses(family, [net.network(), net.broadcast()]));
                free.remove(&taken);
                (net, free)
            });
        Self { networks: networks.collect() }
    }

    /// A free address, chosen by a name: others that come and go hardly ever change it.
    fn take(&mut self, name: &str) -> Option<IpAddr> {
        let digest = Sha256Hex::of(name);
        let digest = u64::from_str_radix(digest.short(16), 16).expect("a digest is hexadecimal");
        let (net, free) = self.networks.iter().find(|(_, free)| !free.is_empty())?;
        let size = (number(net.broadcast()) - number(net.network())).saturating_add(1);
        let address = free.first_from(number(net.network()) + u128::from(digest) % size.min(MANY))?;
        let taken = AddressRanges::of_addresses(Family::of(address), [address]);
        self.networks.iter_mut().for_each(|(_, free)| free.remove(&taken));
        Some(address)
    }
}

/// What no assumed pod may have: addresses of pods and nodes, those that an ipBlock means alone, and what a node drops
/// unless it comes from a pod of its own.
fn taken(cluster: &Cluster, family: Family) -> AddressRanges {
    let pods = cluster.pods().flat_map(|(_, pod)| pod.addresses.iter());
    let nodes = cluster.nodes().flat_map(|node| node.addresses.iter().copied());
    let blocks = cluster.policies().iter().flat_map(Policy::networks);
    let alone = blocks.filter(|net| net.prefix_len() == net.max_prefix_len()).map(IpNet::network);
    let taken = AddressRanges::of_addresses(family, pods.chain(nodes).chain(alone));
    let guarded = cluster.nodes().filter(|node| node.settings.unknown_pods == UnknownPods::Drop);
    let guarded = AddressRanges::of_nets(family, guarded.flat_map(|node| &node.pod_cidrs));
    AddressRanges::union(family, [&taken, &guarded])
}

/// A network around that of one node, as wide as those of clusters are.
fn around(net: &IpNet) -> IpNet {
    let width = match net {
        IpNet::V4(_) => 16,
        IpNet::V6(_) => 56,
    };
    let length = net.prefix_len().min(width);
    IpNet::new(net.network(), length).expect("a shorter prefix is one").trunc()
}

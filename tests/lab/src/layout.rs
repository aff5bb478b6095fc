//! Which network namespaces there are and which addresses they hold. Pure; recorded before anything is made.

mod addresses;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use chainmail_contract::{Family, NodeName, Transport};
use chainmail_model::{Cluster, Os, PodState, Whose};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::endpoint::{Endpoint, PodKey};
use crate::probe::Service;
use crate::spec::{LabName, LabSpec, Topology};

pub(crate) use addresses::Pair;
use addresses::{Claims, Inventor};
pub(crate) use script::{Script, Sysctl};

/// The longest name that `ip netns` takes is 255 bytes (NAME_MAX); pods of longer names are numbered.
const NETNS_NAME_MAX: usize = 255;

/// The name of a network namespace of a lab: `cml-<lab>-…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetnsName(String);

impl NetnsName {
    pub(crate) fn new(lab: &LabName, rest: &str) -> Self {
        Self(format!("cml-{lab}-{rest}"))
    }

    fn of_pod(lab: &LabName, pod: &PodKey, index: usize) -> Self {
        let full = Self::new(lab, &format!("pod-{}.{}", pod.namespace(), pod.name()));
        if full.0.len() <= NETNS_NAME_MAX { full } else { Self::new(lab, &format!("pod-{index}")) }
    }

    fn of_node(lab: &LabName, node: &NodeName, index: usize) -> Self {
        let full = Self::new(lab, &format!("node-{node}"));
        // No node's own name begins with a dash.
        if full.0.len() <= NETNS_NAME_MAX { full } else { Self::new(lab, &format!("node--{index}")) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the compiler makes a snapshot for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Snapshot {
    /// It is a Linux node of the manifests.
    Expected,
    /// It runs Windows, or only pods speak of it.
    None,
}

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeSite {
    pub(crate) name: NodeName,
    pub(crate) netns: NetnsName,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) pod_cidrs: Vec<IpNet>,
    pub(crate) snapshot: Snapshot,
}

impl NodeSite {
    /// The address by which other nodes reach it and its pods.
    pub(crate) fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }

    fn covers(&self, address: IpAddr) -> bool {
        self.pod_cidrs.iter().any(|net| net.contains(&address))
    }
}

/// A pod with a network namespace of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PodSite {
    pub(crate) key: Endpoint,
    pub(crate) node: NodeName,
    pub(crate) netns: NetnsName,
    pub(crate) addresses: Pair,
}

/// A pod in its node's network namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HostPodSite {
    pub(crate) key: Endpoint,
    pub(crate) node: NodeName,
}

/// Where packets of an endpoint start and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) netns: &'a NetnsName,
    pub(crate) address: IpAddr,
}

/// All of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) topology: Topology,
    pub(crate) switch: NetnsName,
    pub(crate) outside: NetnsName,
    pub(crate) outside_addresses: Vec<IpAddr>,
    pub(crate) nodes: Vec<NodeSite>,
    pub(crate) pods: Vec<PodSite>,
    pub(crate) host_pods: Vec<HostPodSite>,
    /// The containers' ports; 80/TCP where no container has any.
    pub(crate) services: Vec<Service>,
    /// What was left out or made up.
    pub(crate) notes: Vec<String>,
}

/// A cluster that cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Two owners of one address.
    #[error("{address} belongs to {first} and to {second}")]
    Taken {
        /// The address.
        address: IpAddr,
        /// Who had it first.
        first: Endpoint,
        /// Who wants it too.
        second: Endpoint,
    },
    /// Too many nodes without one.
    #[error("no address is left to make up for node {node}: give it one in status.addresses")]
    NoneLeft {
        /// The node.
        node: NodeName,
    },
}

impl Layout {
    /// Lays a cluster out.
    pub(crate) fn of(spec: &LabSpec, name: &LabName) -> Result<Self, LayoutError> {
        let mut notes = Vec::new();
        let mut nodes = nodes(&spec.cluster, name);
        let (pods, host_pods) = pods(&spec.cluster, name, &mut notes);
        let has_v6 = pods.iter().any(|pod| pod.addresses.v6.is_some())
            || nodes.iter().any(|node| node.address(Family::V6).is_some())
            || spec.outside.iter().any(IpAddr::is_ipv6);
        let outside_addresses = addresses::outside(&spec.outside, has_v6);
        let mut claims = Claims::default();
        for node in &nodes {
            claims.claim(&node.addresses, &Endpoint::Node(node.name.clone()))?;
        }
        for pod in &pods {
            claims.claim(&pod.addresses.iter().collect::<Vec<IpAddr>>(), &pod.key)?;
        }
        for address in &outside_addresses {
            claims.claim(&[*address], &Endpoint::Address(*address))?;
        }
        let mut inventor = Inventor::new(claims);
        for node in &mut nodes {
            for family in Family::ALL.into_iter().filter(|family| has_v6 || *family == Family::V4) {
                if node.address(family).is_none() {
                    let address = inventor.next(family, &node.name)?;
                    notes.push(format!(
                        "node {} has no ip{family} address in its manifest: {address} is made up",
                        node.name
                    ));
                    node.addresses.push(address);
                }
            }
        }
        Ok(Self {
            topology: spec.topology,
            switch: NetnsName::new(name, "switch"),
            outside: NetnsName::new(name, "outside"),
            outside_addresses,
            nodes,
            pods,
            host_pods,
            services: services(&spec.cluster),
            notes,
        })
    }

    /// Every namespace of the lab.
    pub(crate) fn namespaces(&self) -> Vec<&NetnsName> {
        let pods = self.pods.iter().map(|pod| &pod.netns);
        let nodes = self.nodes.iter().map(|node| &node.netns);
        [&self.switch, &self.outside].into_iter().chain(nodes).chain(pods).collect()
    }

    pub(crate) fn has_v6(&self) -> bool {
        self.nodes.iter().any(|node| node.address(Family::V6).is_some())
    }

    pub(crate) fn node(&self, name: &NodeName) -> Option<&NodeSite> {
        self.nodes.iter().find(|node| node.name == *name)
    }

    /// The namespace an endpoint is in, with its addresses.
    pub(crate) fn site(&self, endpoint: &Endpoint) -> Option<(&NetnsName, Vec<IpAddr>)> {
        let of_node = |name: &NodeName| self.node(name).map(|node| (&node.netns, node.addresses.clone()));
        match endpoint {
            Endpoint::Node(name) => of_node(name),
            Endpoint::Address(address) => {
                self.outside_addresses.contains(address).then(|| (&self.outside, vec![*address]))
            }
            Endpoint::Pod(_) => {
                if let Some(host) = self.host_pods.iter().find(|pod| pod.key == *endpoint) {
                    return of_node(&host.node);
                }
                let pod = self.pods.iter().find(|pod| pod.key == *endpoint)?;
                Some((&pod.netns, pod.addresses.iter().collect()))
            }
        }
    }

    /// Where an endpoint's packets of a family start and end.
    pub(crate) fn place(&self, endpoint: &Endpoint, family: Family) -> Option<Place<'_>> {
        let (netns, addresses) = self.site(endpoint)?;
        let address = addresses.into_iter().find(|address| Family::of(*address) == family)?;
        Some(Place { netns, address })
    }

    /// What packets show of an endpoint: a pod with its node's network is its node's address.
    pub(crate) fn has_own_address(&self, endpoint: &Endpoint) -> bool {
        self.pods.iter().any(|pod| pod.key == *endpoint)
    }

    /// Pods, then hostNetwork pods, then addresses outside.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        let pods = self.pods.iter().map(|pod| pod.key.clone());
        let host_pods = self.host_pods.iter().map(|pod| pod.key.clone());
        let outside = self.outside_addresses.iter().copied().map(Endpoint::Address);
        pods.chain(host_pods).chain(outside).collect()
    }
}

/// The nodes of manifests, and those that only pods speak of.
fn nodes(cluster: &Cluster, lab: &LabName) -> Vec<NodeSite> {
    let mut sites = BTreeMap::new();
    for node in cluster.nodes() {
        let snapshot = match node.os {
            Os::Linux => Snapshot::Expected,
            Os::Windows => Snapshot::None,
        };
        sites.insert(&node.name, (node.addresses.clone(), node.pod_cidrs.clone(), snapshot));
    }
    for name in cluster.pods().filter_map(|(_, pod)| pod.node.as_ref()) {
        sites.entry(name).or_insert((Vec::new(), Vec::new(), Snapshot::None));
    }
    let site = |(index, (name, (addresses, pod_cidrs, snapshot)))| {
        let name: &NodeName = name;
        let netns = NetnsName::of_node(lab, name, index);
        NodeSite { name: name.clone(), netns, addresses, pod_cidrs, snapshot }
    };
    sites.into_iter().enumerate().map(site).collect()
}

fn pods(cluster: &Cluster, lab: &LabName, notes: &mut Vec<String>) -> (Vec<PodSite>, Vec<HostPodSite>) {
    let (mut own, mut host) = (Vec::new(), Vec::new());
    let mut taken: BTreeSet<IpAddr> = cluster.nodes().flat_map(|node| node.addresses.clone()).collect();
    for (index, (_, pod)) in cluster.pods().enumerate() {
        let key = PodKey::from(pod.pod_ref());
        let Some(node) = pod.node.clone() else {
            notes.push(format!("{key} has no spec.nodeName: it is left out"));
            continue;
        };
        match pod.state {
            PodState::Endpoint => {
                let netns = NetnsName::of_pod(lab, &key, index);
                // One host has an address that several claim: the first of them, since any may be right.
                let mut free = |address: &IpAddr| {
                    let contested = matches!(cluster.whose(*address), Whose::Contested(_));
                    !contested || taken.insert(*address)
                };
                let v4 = pod.addresses.v4.filter(|address| free(&IpAddr::V4(*address)));
                let v6 = pod.addresses.v6.filter(|address| free(&IpAddr::V6(*address)));
                let key = Endpoint::Pod(key);
                if own.iter().any(|site: &PodSite| site.key == key) || (v4.is_none() && v6.is_none()) {
                    notes.push(format!("others claim what {key} claims: it is left out"));
                    continue;
                }
                own.push(PodSite { key, node, netns, addresses: Pair { v4, v6 } });
            }
            PodState::HostNetwork => host.push(HostPodSite { key: Endpoint::Pod(key), node }),
            PodState::Finished => notes.push(format!("{key} has finished: it is left out")),
            PodState::NoAddress | PodState::Assumed => {
                notes.push(format!("{key} has no address: it is left out"));
            }
        }
    }
    (own, host)
}

fn services(cluster: &Cluster) -> Vec<Service> {
    let ports = cluster.pods().flat_map(|(_, pod)| &pod.ports);
    let declared = ports.map(|port| Service::Port { transport: port.protocol, number: port.number });
    let all: BTreeSet<Service> = declared.collect();
    if all.is_empty() {
        return vec![Service::Port { transport: Transport::Tcp, number: 80 }];
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use chainmail_manifest::source::{SourceFile, Sources};

    use super::*;

    fn layout(manifests: &str, outside: &[&str]) -> Result<Layout, LayoutError> {
        let file = SourceFile { path: "all.yaml".to_owned(), bytes: manifests.as_bytes().to_vec() };
        let mut spec = LabSpec::from_sources(&Sources::new(vec![file])).unwrap();
        spec.outside = outside.iter().map(|address| address.parse().unwrap()).collect();
        Layout::of(&spec, &"lab".parse().unwrap())
    }

    fn pod(name: &str, node: &str, address: &str) -> String {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{nodeName: {node}}}, \
             status: {{podIP: '{address}'}}}}\n"
        )
    }

    #[test]
    fn namespaces_have_names_that_ip_takes() {
        let long = |last: &str| format!("{}.{last}", ["a"; 120].join("."));
        let manifests =
            [pod(&long("b"), &long("n"), "10.0.0.1"), pod(&long("c"), &long("m"), "10.0.0.2")].concat();
        let layout = layout(&manifests, &[]).unwrap();
        let names: Vec<&str> = layout.namespaces().into_iter().map(NetnsName::as_str).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 6);
        assert!(
            names.iter().all(|name| name.len() <= NETNS_NAME_MAX && name.starts_with("cml-lab-")),
            "{names:?}"
        );
        assert_eq!(names[4..], ["cml-lab-pod-0", "cml-lab-pod-1"]);
    }

    #[test]
    fn an_address_has_one_owner() {
        let error = layout(&pod("a", "n", "10.0.0.1"), &["10.0.0.1"]).unwrap_err();
        assert_eq!(error.to_string(), "10.0.0.1 belongs to default/a and to 10.0.0.1");
        let taken = layout(&pod("a", "n", "192.0.2.1"), &[]).unwrap();
        assert_eq!(
            taken.nodes[0].addresses,
            ["192.0.2.2".parse::<IpAddr>().unwrap()],
            "the first is the pod's"
        );
    }

    #[test]
    fn ipv6_is_there_only_where_it_is_used() {
        let without = layout(&pod("a", "n", "10.0.0.1"), &[]).unwrap();
        assert!(!without.has_v6());
        assert!(without.scripts().iter().all(|script| !script.ip.contains("::")));
        let with = layout(&pod("a", "n", "fd00::1"), &[]).unwrap();
        assert_eq!(with.outside_addresses.len(), 2);
        assert_eq!(with.nodes[0].addresses.len(), 2);
    }
}

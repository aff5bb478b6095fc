//! The ends that an endpoint of the command line means in a cluster.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use chainmail_contract::Family;
use chainmail_findings::nearest;
use chainmail_model::{Addresses, Cluster, Owner, Pod, PodRef, PodState, WorkloadRef};
use ipnet::IpNet;

use super::endpoint::{Endpoint, EndpointError};
use super::outside::{self, Region};

/// One end of traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// Who it is.
    pub who: Who,
    /// The addresses that its packets have, at most one a family.
    pub addresses: Addresses,
}

/// Who an end is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A pod with addresses of its own, or one that has its node's.
    Pod(PodRef),
    /// A workload without pods, by the pod that is assumed for it: that one is called as its workload.
    Assumed(PodRef),
    /// An address, as it was written.
    Address(IpAddr),
    /// Addresses that are nobody's, and that no policy tells apart; the end has one of them for all. With a network,
    /// they are in it, and in none of the narrower ones that are ends beside it.
    Outside(Option<IpNet>),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Pod(pod) | Who::Assumed(pod) => write!(f, "{pod}"),
            Who::Address(address) => write!(f, "{address}"),
            Who::Outside(None) => f.write_str("outside"),
            Who::Outside(Some(net)) => write!(f, "outside {net}"),
        }
    }
}

impl End {
    /// Whether both are the same end. Of addresses outside there may be several, and one may ask the other.
    #[must_use]
    pub fn is(&self, other: &End) -> bool {
        self.addresses == other.addresses && !matches!(self.who, Who::Outside(_))
    }

    /// The addresses of packets to another end, one pair a family that both have.
    #[must_use]
    pub fn pairs(&self, destination: &End) -> Vec<(Family, IpAddr, IpAddr)> {
        let pair = |family| Some((family, self.addresses.of(family)?, destination.addresses.of(family)?));
        Family::ALL.into_iter().filter_map(pair).collect()
    }
}

impl Endpoint {
    /// The one end that is meant; of `outside`, an address in no network that a policy names.
    ///
    /// # Errors
    /// When there is no such end, it is no end of any traffic, or there may be several.
    pub fn end(&self, cluster: &Cluster) -> Result<End, EndpointError> {
        match self {
            Endpoint::Outside => {
                let rest = outside::regions(cluster).into_iter().filter(|region| region.net.is_none());
                let end = outside_ends(rest).pop().ok_or(EndpointError::NoOutside)?;
                Ok(end)
            }
            // Of a pod there are several where objects contradict each other about its addresses.
            Endpoint::Pod { .. } | Endpoint::Address(_) | Endpoint::Workload { .. } => {
                match &self.ends(cluster)?[..] {
                    [end] => Ok(end.clone()),
                    _ => Err(EndpointError::Several(self.clone())),
                }
            }
            Endpoint::Labelled { .. }
            | Endpoint::Namespace(_)
            | Endpoint::EveryPod
            | Endpoint::Network(_) => Err(EndpointError::Several(self.clone())),
        }
    }

    /// All ends that are meant, in order: pods that policies see, addresses of nodes, and for addresses that are nobody's
    /// one end for all that no policy tells apart.
    ///
    /// # Errors
    /// When there is none.
    pub fn ends(&self, cluster: &Cluster) -> Result<Vec<End>, EndpointError> {
        let mut ends = match self {
            Endpoint::Address(address) => {
                vec![End { who: Who::Address(*address), addresses: first_of_each([*address]) }]
            }
            Endpoint::Pod { namespace, name } => pod_ends(cluster, namespace, name)?,
            Endpoint::Labelled { namespace, .. } | Endpoint::Namespace(namespace) => {
                if !cluster.namespaces().any(|known| known.name.as_str() == namespace) {
                    return Err(EndpointError::UnknownNamespace(namespace.clone()));
                }
                self.pods(cluster).filter(|pod| pod.is_endpoint()).map(end_of).collect()
            }
            Endpoint::Workload { .. } => {
                let (_, pods) = self.workload(cluster)?;
                pods.into_iter().filter(|pod| pod.is_endpoint()).map(end_of).collect()
            }
            Endpoint::EveryPod => self.pods(cluster).filter(|pod| pod.is_endpoint()).map(end_of).collect(),
            Endpoint::Network(net) => network_ends(cluster, net),
            Endpoint::Outside => outside_ends(outside::regions(cluster)),
        };
        // What several objects say of one pod may be of one address.
        ends.dedup();
        if ends.is_empty() { Err(EndpointError::Nobody(self.clone())) } else { Ok(ends) }
    }

    /// The pods that are named but are no end of their own: they have their node's network, have finished, or have no
    /// address yet.
    pub fn passed_over<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Pod> {
        self.pods(cluster).filter(|pod| !pod.is_endpoint())
    }

    /// The pods that a form for several pods selects.
    fn pods<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Pod> {
        let has = |pod: &Pod, key: &str, value: &str| {
            pod.labels.iter().any(|(label, given)| label.as_str() == key && given == value)
        };
        cluster.pods().map(|(_, pod)| pod).filter(move |pod| match self {
            Endpoint::EveryPod => true,
            Endpoint::Namespace(namespace) => pod.namespace.as_str() == namespace,
            Endpoint::Labelled { namespace, labels } => {
                pod.namespace.as_str() == namespace && labels.iter().all(|(key, value)| has(pod, key, value))
            }
            Endpoint::Workload { namespace, kind, name } => match cluster.workload_of(pod) {
                Owner::Workload(own) => {
                    own.kind == *kind && own.name.as_str() == name && own.namespace.as_str() == namespace
                }
                Owner::Itself(_) => false,
            },
            Endpoint::Pod { .. } | Endpoint::Address(_) | Endpoint::Network(_) | Endpoint::Outside => false,
        })
    }

    /// The workload that is meant, and its pods, of which there is at least one.
    ///
    /// # Errors
    /// When nothing has a pod that is meant: the endpoint is of another form, or there is no such workload.
    pub(crate) fn workload<'a>(
        &self,
        cluster: &'a Cluster,
    ) -> Result<(WorkloadRef, Vec<&'a Pod>), EndpointError> {
        let mut found = None;
        let mut pods = Vec::new();
        for (_, pod) in cluster.pods() {
            if let Owner::Workload(workload) = cluster.workload_of(pod)
                && Endpoint::from(&workload) == *self
            {
                found = Some(workload);
                pods.push(pod);
            }
        }
        found.map(|workload| (workload, pods)).ok_or_else(|| self.unknown_workload(cluster))
    }

    /// What to say of a workload without pods: which one of that name there is, perhaps of another kind.
    fn unknown_workload(&self, cluster: &Cluster) -> EndpointError {
        let text = self.to_string();
        let owners = cluster.pods().filter_map(|(_, pod)| match cluster.workload_of(pod) {
            Owner::Workload(own) => Some(Endpoint::from(&own).to_string()),
            Owner::Itself(_) => None,
        });
        let known: BTreeSet<String> = owners.collect();
        let of_that_name = |known: &&String| known.rsplit('/').next() == text.rsplit('/').next();
        let near = known
            .iter()
            .find(of_that_name)
            .map(String::as_str)
            .or_else(|| nearest(&text, known.iter().map(String::as_str)));
        let hint = near.map(|near| format!("; is it {near}?")).unwrap_or_default();
        EndpointError::UnknownWorkload(text, hint)
    }
}

fn end_of(pod: &Pod) -> End {
    let who = match pod.state {
        PodState::Assumed => Who::Assumed(pod.pod_ref()),
        PodState::Endpoint | PodState::HostNetwork | PodState::Finished | PodState::NoAddress => {
            Who::Pod(pod.pod_ref())
        }
    };
    End { who, addresses: pod.addresses }
}

fn first_of_each(addresses: impl IntoIterator<Item = IpAddr>) -> Addresses {
    let mut first = Addresses::default();
    for address in addresses {
        match address {
            IpAddr::V4(v4) => first.v4 = first.v4.or(Some(v4)),
            IpAddr::V6(v6) => first.v6 = first.v6.or(Some(v6)),
        }
    }
    first
}

/// A pod by name: with its own addresses, or its node's where it has that one's network.
fn pod_ends(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<End>, EndpointError> {
    let ends = cluster.pods_named(namespace, name).map(|(_, pod)| pod_end(cluster, pod));
    let ends = ends.collect::<Result<Vec<End>, EndpointError>>()?;
    if ends.is_empty() { Err(EndpointError::UnknownPod(format!("{namespace}/{name}"))) } else { Ok(ends) }
}

fn pod_end(cluster: &Cluster, pod: &Pod) -> Result<End, EndpointError> {
    let no_endpoint = |why| Err(EndpointError::NoEndpoint { pod: pod.pod_ref().to_string(), why });
    match pod.state {
        PodState::Endpoint | PodState::Assumed => Ok(end_of(pod)),
        PodState::HostNetwork => match pod.node.as_ref().and_then(|node| cluster.node(node)) {
            Some(node) if !node.addresses.is_empty() => {
                let addresses = first_of_each(node.addresses.iter().copied());
                Ok(End { who: Who::Pod(pod.pod_ref()), addresses })
            }
            _ => no_endpoint("is on its node's network, and no address of that node is known"),
        },
        PodState::Finished => {
            no_endpoint("has finished and has no address: policies neither select it nor mean it as a peer")
        }
        PodState::NoAddress => no_endpoint("has no address yet"),
    }
}

fn network_ends(cluster: &Cluster, net: &IpNet) -> Vec<End> {
    let within = |addresses: Addresses| first_of_each(addresses.iter().filter(|a| net.contains(a)));
    let pods = cluster.pods().map(|(_, pod)| End { addresses: within(pod.addresses), ..end_of(pod) });
    let mut ends: Vec<End> = pods.filter(|end| !end.addresses.is_empty()).collect();
    for address in cluster.nodes().flat_map(|node| &node.addresses).filter(|address| net.contains(*address)) {
        ends.push(End { who: Who::Address(*address), addresses: first_of_each([*address]) });
    }
    ends.extend(outside_ends(outside::regions_of(cluster, net)));
    ends
}

/// The ends that stand for regions; what is in no named network is one end of both families, and comes last.
fn outside_ends(regions: impl IntoIterator<Item = Region>) -> Vec<End> {
    let mut rest = Addresses::default();
    let mut ends = Vec::new();
    for Region { net, address } in regions {
        match net {
            Some(_) => ends.push(End { who: Who::Outside(net), addresses: first_of_each([address]) }),
            None => rest = first_of_each(rest.iter().chain([address])),
        }
    }
    ends.sort_by_key(|end| (end.addresses.v4.is_none(), end.clone()));
    if !rest.is_empty() {
        ends.push(End { who: Who::Outside(None), addresses: rest });
    }
    ends
}

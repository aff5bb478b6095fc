//! Ends of a connection as people name them.

use std::net::IpAddr;
use std::str::FromStr;

use chainmail_snapshot::Family;
use thiserror::Error;

use crate::cluster::{Cluster, PodState};

/// `namespace/pod`, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An address; of a Node, it is that node.
    Address(IpAddr),
}

/// An end that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// Neither form.
    #[error("{0:?} is neither NAMESPACE/POD nor an address")]
    Form(String),
    /// No such pod.
    #[error("there is no pod {0} in the manifests")]
    UnknownPod(String),
    /// A pod that no packet reaches.
    #[error("pod {pod} {why}")]
    NoEndpoint {
        /// The pod.
        pod: String,
        /// Why not.
        why: &'static str,
    },
    /// A pod without an address of the wanted family.
    #[error("{end} has no IP{family} address")]
    NoFamily {
        /// The end.
        end: String,
        /// `v4` or `v6`.
        family: Family,
    },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Ok(address) = text.parse() {
            return Ok(Endpoint::Address(address));
        }
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Endpoint::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(EndpointError::Form(text.to_owned())),
        }
    }
}

impl Endpoint {
    /// The addresses that packets of this end have: a pod's own, or its node's where it has that one's network.
    ///
    /// # Errors
    /// When there is no such pod, or it is no end of any traffic.
    pub fn addresses(&self, cluster: &Cluster) -> Result<Vec<IpAddr>, EndpointError> {
        let (namespace, name) = match self {
            Endpoint::Address(address) => return Ok(vec![*address]),
            Endpoint::Pod { namespace, name } => (namespace, name),
        };
        let text = format!("{namespace}/{name}");
        let Some((_, pod)) = cluster.find_pod(namespace, name) else {
            return Err(EndpointError::UnknownPod(text));
        };
        let no_endpoint = |why| EndpointError::NoEndpoint { pod: text.clone(), why };
        match pod.state {
            PodState::Endpoint => Ok(pod.addresses.iter().collect()),
            PodState::HostNetwork => match pod.node.as_ref().and_then(|node| cluster.node(node)) {
                Some(node) if !node.addresses.is_empty() => Ok(node.addresses.clone()),
                _ => Err(no_endpoint("is on its node's network, and no address of that node is known")),
            },
            PodState::Finished => Err(no_endpoint("has finished and has no address")),
            PodState::NoAddress => Err(no_endpoint("has no address yet")),
        }
    }
}

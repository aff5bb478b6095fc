//! The ends of traffic, as tables and command lines write them: `namespace/pod`, `node:NAME` or an address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chainmail_contract::NodeName;
use chainmail_model::PodRef;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A pod by namespace and name; prints as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodKey {
    namespace: String,
    name: String,
}

impl PodKey {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl From<PodRef> for PodKey {
    fn from(pod: PodRef) -> Self {
        Self { namespace: pod.namespace.as_str().to_owned(), name: pod.name.as_str().to_owned() }
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One end of traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Endpoint {
    /// A pod.
    Pod(PodKey),
    /// A node itself.
    Node(NodeName),
    /// An address outside the cluster.
    Address(IpAddr),
}

/// A text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no endpoint: write namespace/pod, node:NAME or an address")]
pub struct EndpointError {
    text: String,
}

/// Whether a text is made as the names of namespaces and pods are, so that it holds no space, `/` or `:`.
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    text.bytes().all(inner) && edge(text.as_bytes().first()) && edge(text.as_bytes().last())
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let bad = || EndpointError { text: text.to_owned() };
        if let Some(node) = text.strip_prefix("node:") {
            return node.parse().map(Endpoint::Node).map_err(|_| bad());
        }
        if let Ok(address) = text.parse() {
            return Ok(Endpoint::Address(address));
        }
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && !namespace.contains('.') && is_name(name) => {
                Ok(Endpoint::Pod(PodKey { namespace: namespace.to_owned(), name: name.to_owned() }))
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Pod(pod) => write!(f, "{pod}"),
            Endpoint::Node(node) => write!(f, "node:{node}"),
            Endpoint::Address(address) => write!(f, "{address}"),
        }
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_as_they_are_written() {
        for text in ["shop/web-0", "shop/web.v2", "node:n1.example.com", "198.51.100.7", "2001:db8::7"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "web",
            "shop/",
            "/web",
            "shop/web/0",
            "s.hop/web",
            "node:",
            "node:A B",
            "10.0.0.0/8",
            "Shop/web",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}

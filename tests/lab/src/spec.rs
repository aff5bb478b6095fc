//! What a lab is built from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chainmail_findings::{Style, render};
use chainmail_manifest::source::Sources;
use chainmail_model::Cluster;
use chainmail_pipeline::{Loaded, load};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a node joins its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// Each pod is a route to a device of its own, as Calico and the cloud networks do.
    #[default]
    Routed,
    /// Pods are ports of the bridge `cni0`, as flannel and kubenet do; frames between them pass iptables only because
    /// `bridge-nf-call-iptables` says so.
    Bridge,
}

/// Which iptables the nodes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `iptables-nft`.
    #[default]
    Nft,
    /// `iptables-legacy`.
    Legacy,
}

impl Backend {
    /// The word as command lines spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Nft => "nft",
            Backend::Legacy => "legacy",
        }
    }
}

/// A lab's name: at most 24 of `a-z`, `0-9` and `_`. It holds no `-`, so that no lab's prefix begins another's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LabName(String);

/// A text that cannot be a lab's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} cannot be a lab's name: at most 24 of a-z, 0-9 and _")]
pub struct LabNameError {
    text: String,
}

impl FromStr for LabName {
    type Err = LabNameError;

    fn from_str(text: &str) -> Result<Self, LabNameError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if text.is_empty() || text.len() > 24 || !text.bytes().all(fits) {
            return Err(LabNameError { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for LabName {
    type Error = LabNameError;

    fn try_from(text: String) -> Result<Self, LabNameError> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A cluster that is to stand in network namespaces.
#[derive(Debug, Clone)]
pub struct LabSpec {
    /// The lab's name; where there is none, one is made of the process id.
    pub name: Option<LabName>,
    /// Which manifests, for those who look for the lab later.
    pub origin: String,
    /// The nodes and pods.
    pub cluster: Cluster,
    /// How nodes join their pods.
    pub topology: Topology,
    /// Which iptables the nodes use.
    pub backend: Backend,
    /// The addresses outside the cluster; where there are none, 198.51.100.7, and 2001:db8:ffff::7 in a cluster with
    /// IPv6.
    pub outside: Vec<IpAddr>,
}

/// Manifests that the compiler would refuse too.
#[derive(Debug, Error)]
#[error("{findings}the manifests are refused")]
pub struct SpecError {
    findings: String,
}

impl LabSpec {
    /// A lab of this cluster, all else being the default.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self {
            name: None,
            origin: String::new(),
            cluster,
            topology: Topology::default(),
            backend: Backend::default(),
            outside: Vec::new(),
        }
    }

    /// A lab of the cluster that manifests describe.
    ///
    /// # Errors
    /// When the manifests have errors; all of them are in the message.
    pub fn from_sources(sources: &Sources) -> Result<Self, SpecError> {
        let Loaded { cluster, findings, .. } = load(sources);
        if findings.has_errors() {
            return Err(SpecError { findings: render(&findings, Style::Plain) });
        }
        Ok(Self::new(cluster))
    }
}

#[cfg(test)]
mod tests {
    use chainmail_manifest::source::SourceFile;
    use chainmail_model::InterfaceName;

    use super::*;

    #[test]
    fn nodes_have_what_the_repository_says_of_them() {
        let file =
            |path: &str, text: &str| SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() };
        let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDR: 10.0.0.0/24}\n";
        let with = |config: &str| {
            let sources = Sources::new(vec![file("node.yaml", node)]);
            LabSpec::from_sources(&sources.with_config(file("chainmail.toml", config)))
        };
        let spec = with("[[nodes]]\nmatch = \"n*\"\npod_bridge = \"cni0\"\n").unwrap();
        let bridge = spec.cluster.nodes().next().and_then(|node| node.settings.pod_bridge.as_ref());
        assert_eq!(bridge.map(InterfaceName::as_str), Some("cni0"));
        let refused = with("pod_bridge = 7\n").unwrap_err().to_string();
        assert!(refused.contains("chainmail.toml:1:14"), "{refused}");
    }
}

//! Ends of a connection as people name them. This is the one parser of that language, wherever it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chainmail_contract::Family;
use chainmail_model::{WorkloadKind, WorkloadRef};
use ipnet::IpNet;
use thiserror::Error;

/// What people write: one end, or several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `namespace/pod`.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// `namespace/kind/name`, or as it is printed `namespace/name (Kind)`: the workload's pods.
    Workload {
        /// Its namespace.
        namespace: String,
        /// Its kind.
        kind: WorkloadKind,
        /// Its name.
        name: String,
    },
    /// `namespace/key=value,…`: the namespace's pods with all of these labels.
    Labelled {
        /// The namespace.
        namespace: String,
        /// The labels.
        labels: BTreeMap<String, String>,
    },
    /// `namespace/*`: the namespace's pods.
    Namespace(String),
    /// `*`: every pod.
    EveryPod,
    /// An address; of a pod or node, it is that pod or node.
    Address(IpAddr),
    /// A network: all addresses in it, those of pods and nodes among them.
    Network(IpNet),
    /// `outside`: every address that is nobody's.
    Outside,
}

/// An end that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// None of the forms.
    #[error(
        "{0:?} is no end of traffic; write NAMESPACE/POD, NAMESPACE/KIND/NAME, NAMESPACE/KEY=VALUE,…, NAMESPACE/*, *, an \
         address, a network, or outside"
    )]
    Form(String),
    /// A network with bits set beyond its prefix: one address of it may have been meant.
    #[error("{text} has bits set beyond its prefix; the network is {network}")]
    HostBits {
        /// As written.
        text: String,
        /// The network.
        network: IpNet,
    },
    /// No such pod.
    #[error("there is no pod {0} in the manifests")]
    UnknownPod(String),
    /// No such workload.
    #[error("there is no workload {0} in the manifests{1}")]
    UnknownWorkload(String, String),
    /// No such namespace.
    #[error("there is no namespace {0} in the manifests")]
    UnknownNamespace(String),
    /// It names several, and none is there.
    #[error("{0} selects no pod that has an address")]
    Nobody(Endpoint),
    /// It may name several.
    #[error("{0} may be several ends; write one pod, one address, or outside")]
    Several(Endpoint),
    /// Each address that is nobody's is in a network that policies name.
    #[error("every address outside is in a network that a policy names; write the address that is meant")]
    NoOutside,
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
        let form = || EndpointError::Form(text.to_owned());
        match text {
            "*" => return Ok(Endpoint::EveryPod),
            "outside" => return Ok(Endpoint::Outside),
            _ => {}
        }
        if let Ok(address) = text.parse() {
            return Ok(Endpoint::Address(address));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            let network = net.trunc();
            let host_bits = EndpointError::HostBits { text: text.to_owned(), network };
            return if net == network { Ok(Endpoint::Network(net)) } else { Err(host_bits) };
        }
        let (namespace, rest) = text.split_once('/').ok_or_else(form)?;
        // No namespace is called so: this is a network with a wrong prefix.
        let is_namespace = !namespace.is_empty() && namespace != "*" && namespace.parse::<IpAddr>().is_err();
        let namespace = if is_namespace { namespace.to_owned() } else { return Err(form()) };
        if rest == "*" {
            Ok(Endpoint::Namespace(namespace))
        } else if rest.contains('=') {
            Ok(Endpoint::Labelled { namespace, labels: labels(rest).ok_or_else(form)? })
        } else if let Some((kind, name)) = workload(rest) {
            Ok(Endpoint::Workload { namespace, kind, name: name.to_owned() })
        } else if rest.is_empty() || rest.contains(['/', '*', ',', ' ']) {
            Err(form())
        } else {
            Ok(Endpoint::Pod { namespace, name: rest.to_owned() })
        }
    }
}

/// `kind/name`, with the kind as kubectl takes it, or `name (Kind)`.
fn workload(text: &str) -> Option<(WorkloadKind, &str)> {
    let (kind, name) = match text.strip_suffix(')').and_then(|text| text.split_once(" (")) {
        Some((name, kind)) => (kind, name),
        None => text.split_once('/')?,
    };
    let is_kind = |known: &WorkloadKind| {
        let short = match known {
            WorkloadKind::CronJob => "cj",
            WorkloadKind::DaemonSet => "ds",
            WorkloadKind::Deployment => "deploy",
            WorkloadKind::Job => "job",
            WorkloadKind::ReplicaSet => "rs",
            WorkloadKind::StatefulSet => "sts",
        };
        [known.as_str(), short].iter().any(|word| word.eq_ignore_ascii_case(kind))
    };
    let kind = WorkloadKind::ALL.into_iter().find(is_kind)?;
    (!name.is_empty() && !name.contains(['/', '*', ',', ' '])).then_some((kind, name))
}

impl From<&WorkloadRef> for Endpoint {
    fn from(workload: &WorkloadRef) -> Self {
        Endpoint::Workload {
            namespace: workload.namespace.to_string(),
            kind: workload.kind,
            name: workload.name.to_string(),
        }
    }
}

fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for label in text.split(',') {
        let (key, value) = label.split_once('=').filter(|(key, _)| !key.is_empty())?;
        // A label has one value: with two, nobody would be meant.
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return None;
        }
    }
    Some(labels)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Pod { namespace, name } => write!(f, "{namespace}/{name}"),
            Endpoint::Workload { namespace, kind, name } => {
                write!(f, "{namespace}/{}/{name}", kind.as_str().to_lowercase())
            }
            Endpoint::Labelled { namespace, labels } => {
                let labels: Vec<String> =
                    labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "{namespace}/{}", labels.join(","))
            }
            Endpoint::Namespace(namespace) => write!(f, "{namespace}/*"),
            Endpoint::EveryPod => f.write_str("*"),
            Endpoint::Address(address) => write!(f, "{address}"),
            Endpoint::Network(net) => write!(f, "{net}"),
            Endpoint::Outside => f.write_str("outside"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_printed_as_it_was() {
        let rows = [
            ("shop/db", Endpoint::Pod { namespace: "shop".to_owned(), name: "db".to_owned() }),
            ("shop/*", Endpoint::Namespace("shop".to_owned())),
            ("*", Endpoint::EveryPod),
            ("outside", Endpoint::Outside),
            ("10.0.0.9", Endpoint::Address("10.0.0.9".parse().unwrap())),
            ("fd00::9", Endpoint::Address("fd00::9".parse().unwrap())),
            ("10.0.0.0/8", Endpoint::Network("10.0.0.0/8".parse().unwrap())),
            ("fd00::/8", Endpoint::Network("fd00::/8".parse().unwrap())),
        ];
        for (text, endpoint) in rows {
            assert_eq!(text.parse(), Ok(endpoint), "{text}");
        }
        let web = |kind| Endpoint::Workload { namespace: "shop".to_owned(), kind, name: "web".to_owned() };
        for (text, kind) in [
            ("shop/deployment/web", WorkloadKind::Deployment),
            ("shop/deploy/web", WorkloadKind::Deployment),
            ("shop/web (Deployment)", WorkloadKind::Deployment),
            ("shop/sts/web", WorkloadKind::StatefulSet),
            ("shop/ds/web", WorkloadKind::DaemonSet),
            ("shop/rs/web", WorkloadKind::ReplicaSet),
            ("shop/Job/web", WorkloadKind::Job),
            ("shop/cj/web", WorkloadKind::CronJob),
        ] {
            assert_eq!(text.parse(), Ok(web(kind)), "{text}");
        }
        for text in [
            "shop/statefulset/web",
            "shop/db",
            "shop/*",
            "shop/a=b",
            "shop/a=,example.org/b=c",
            "fd00::/8",
            "outside",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "shop",
            "/db",
            "shop/",
            "shop/a/b",
            "shop/deploy/",
            "shop/deploy/*",
            "*/deploy/a",
            "shop/a (Web)",
            "*/db",
            "*/a=b",
            "shop/a=b,c",
            "shop/=b",
            "shop/a=b,a=c",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError::Form(text.to_owned())), "{text}");
        }
        assert_eq!("10.0.0.0/33".parse::<Endpoint>(), Err(EndpointError::Form("10.0.0.0/33".to_owned())));
        assert!(matches!("10.0.0.9/8".parse::<Endpoint>(), Err(EndpointError::HostBits { .. })));
    }
}

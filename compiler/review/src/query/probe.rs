//! One question: from where, to where, for what.

use chainmail_contract::{Family, Transport};
use chainmail_model::Cluster;
use chainmail_model::semantics::{Packet, Service};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::endpoint::{Endpoint, EndpointError};

/// A probe as it is written, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// `namespace/pod`, an address, or `outside`.
    pub src: String,
    /// `namespace/pod`, an address, or `outside`.
    pub dst: String,
    /// `TCP`, `UDP`, `SCTP` or `ICMP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// The destination's port; not for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// 4 or 6; by default that of an address that was given, else the first that both ends have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<u8>,
}

fn tcp() -> String {
    "TCP".to_owned()
}

/// A probe that asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// An end.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The protocol.
    #[error("{0:?} is not TCP, UDP, SCTP or ICMP")]
    Protocol(String),
    /// The port.
    #[error("a probe of {0} needs a port from 1 to 65535")]
    NoPort(String),
    /// ICMP with a port.
    #[error("ICMP has no ports")]
    PortOfIcmp,
    /// The family.
    #[error("{0} is no address family; 4 and 6 are")]
    Family(u8),
    /// Ends of different families.
    #[error("{src} and {dst} have no address family in common")]
    NoCommonFamily {
        /// One end.
        src: String,
        /// The other.
        dst: String,
    },
}

impl Probe {
    /// The packet that asks the probe's question.
    ///
    /// # Errors
    /// When an end is unknown, or the question makes no sense.
    pub fn packet(&self, cluster: &Cluster) -> Result<Packet, ProbeError> {
        let service = self.service()?;
        let wanted = match self.family {
            None => None,
            Some(4) => Some(Family::V4),
            Some(6) => Some(Family::V6),
            Some(other) => return Err(ProbeError::Family(other)),
        };
        let source = self.src.parse::<Endpoint>()?.end(cluster)?;
        let destination = self.dst.parse::<Endpoint>()?.end(cluster)?;
        if let Some(family) = wanted {
            let missing = |end: &str| EndpointError::NoFamily { end: end.to_owned(), family };
            let source = source.addresses.of(family).ok_or_else(|| missing(&self.src))?;
            let destination = destination.addresses.of(family).ok_or_else(|| missing(&self.dst))?;
            return Ok(Packet { source, destination, service });
        }
        match source.pairs(&destination).first() {
            Some(&(_, source, destination)) => Ok(Packet { source, destination, service }),
            None => Err(ProbeError::NoCommonFamily { src: self.src.clone(), dst: self.dst.clone() }),
        }
    }

    fn service(&self) -> Result<Service, ProbeError> {
        let transport = match self.protocol.as_str() {
            "TCP" => Transport::Tcp,
            "UDP" => Transport::Udp,
            "SCTP" => Transport::Sctp,
            "ICMP" if self.port.is_some() => return Err(ProbeError::PortOfIcmp),
            "ICMP" => return Ok(Service::Portless),
            other => return Err(ProbeError::Protocol(other.to_owned())),
        };
        match self.port {
            Some(port) if port > 0 => Ok(Service::Port(transport, port)),
            _ => Err(ProbeError::NoPort(self.protocol.clone())),
        }
    }
}

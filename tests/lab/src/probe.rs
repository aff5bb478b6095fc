//! Questions that packets answer.

use std::fmt;
use std::str::FromStr;

use chainmail_contract::{Family, Transport};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::endpoint::Endpoint;

/// What is asked of the destination; prints as `80/TCP` or `ICMP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Service {
    /// A port.
    Port {
        /// Of which protocol.
        transport: Transport,
        /// Its number, never 0.
        number: u16,
    },
    /// An ICMP or ICMPv6 echo.
    Echo,
}

/// A text that is no service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no service: write PORT/TCP, PORT/UDP, PORT/SCTP or ICMP")]
pub struct ServiceError {
    text: String,
}

impl Service {
    /// The protocol as Kubernetes spells it, and `ICMP`.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Service::Port { transport: Transport::Tcp, .. } => "TCP",
            Service::Port { transport: Transport::Udp, .. } => "UDP",
            Service::Port { transport: Transport::Sctp, .. } => "SCTP",
            Service::Echo => "ICMP",
        }
    }

    /// The port, where there is one.
    #[must_use]
    pub fn port(self) -> Option<u16> {
        match self {
            Service::Port { number, .. } => Some(number),
            Service::Echo => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port() {
            Some(number) => write!(f, "{number}/{}", self.protocol()),
            None => f.write_str(self.protocol()),
        }
    }
}

impl FromStr for Service {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        let bad = || ServiceError { text: text.to_owned() };
        if text == "ICMP" {
            return Ok(Service::Echo);
        }
        let (number, protocol) = text.split_once('/').ok_or_else(bad)?;
        let transport = match protocol {
            "TCP" => Transport::Tcp,
            "UDP" => Transport::Udp,
            "SCTP" => Transport::Sctp,
            _ => return Err(bad()),
        };
        // `parse` alone would take "+80" and "080", which no manifest may hold.
        let is_plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        match number.parse() {
            Ok(number) if is_plain => Ok(Service::Port { transport, number }),
            _ => Err(bad()),
        }
    }
}

impl From<Service> for String {
    fn from(service: Service) -> Self {
        service.to_string()
    }
}

impl TryFrom<String> for Service {
    type Error = ServiceError;

    fn try_from(text: String) -> Result<Self, ServiceError> {
        text.parse()
    }
}

/// Whether a source reaches a destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// What is asked.
    pub service: Service,
    /// With which kind of address.
    pub family: Family,
    /// Who sends first.
    pub source: Endpoint,
    /// Who answers.
    pub destination: Endpoint,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probe { service, family, source, destination } = self;
        write!(f, "{source} -> {destination} {service} ip{family}")
    }
}

/// What the packets of a probe met.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// The destination got them (and, except for SCTP, its answer came back).
    Allowed,
    /// Nothing came of them, twice.
    Denied,
    /// Something that no firewall of ours does: a refusal where a listener stands, no route, no permission.
    Broken(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_print_as_they_are_written() {
        for text in ["80/TCP", "53/UDP", "65535/SCTP", "ICMP"] {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        for text in
            ["", "80", "0/TCP", "+80/TCP", "080/TCP", "65536/TCP", "80/tcp", "80/ICMP", "/TCP", "icmp"]
        {
            assert!(text.parse::<Service>().is_err(), "{text:?}");
        }
    }
}

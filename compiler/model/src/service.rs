//! Services as people write them: `80`, `53/udp`, `icmp`; printed `tcp/80`, which is read as well.

use std::fmt;
use std::str::FromStr;

use chainmail_contract::Transport;
use thiserror::Error;

use crate::semantics::{Packet, Service};

/// A text that names no service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no service; write PORT, PORT/tcp, PORT/udp or PORT/sctp with a port from 1 to 65535, or icmp"
)]
pub struct ServiceError(String);

impl FromStr for Service {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        if text.eq_ignore_ascii_case("icmp") {
            return Ok(Service::Portless);
        }
        let (port, transport) = match text.split_once('/') {
            None => (text, Some(Transport::Tcp)),
            Some((port, name)) if transport(port).is_none() => (port, transport(name)),
            Some((name, port)) => (port, transport(name)),
        };
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        match (transport, port.parse()) {
            (Some(transport), Ok(port)) if digits && port > 0 => Ok(Service::Port(transport, port)),
            _ => Err(ServiceError(text.to_owned())),
        }
    }
}

fn transport(name: &str) -> Option<Transport> {
    Transport::ALL.into_iter().find(|transport| transport.as_str().eq_ignore_ascii_case(name))
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Port(transport, port) => write!(f, "{}/{port}", transport.as_str()),
            Service::Portless => f.write_str("icmp"),
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.source, self.destination, self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_and_printed() {
        let rows = [
            ("80", "tcp/80"),
            ("53/udp", "udp/53"),
            ("53/UDP", "udp/53"),
            ("sctp/7777", "sctp/7777"),
            ("65535/TCP", "tcp/65535"),
            ("ICMP", "icmp"),
        ];
        for (text, printed) in rows {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), printed, "{text}");
        }
        for text in ["", "0", "65536", "+80", "80/", "80/http", "tcp", "tcp/", "80/tcp/80", "http"] {
            assert!(text.parse::<Service>().is_err(), "{text}");
        }
    }
}

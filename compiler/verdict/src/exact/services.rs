//! What a packet asks for: protocol, and destination port or ICMP message.

use std::fmt;

use chainmail_contract::{Family, Transport};

use super::Intervals;
use crate::{PortRange, Protocol};

/// How many values the detail of a protocol has: a port, or type and code of an ICMP message.
const DETAILS: u32 = 1 << 16;
/// How many protocols an IP header can name.
const PROTOCOLS: u32 = 1 << 8;

/// A protocol with what tells its packets apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// A protocol with ports, and the destination's.
    Port(Transport, u16),
    /// The family's own ICMP, type and code.
    Icmp(u8, u8),
    /// Any other protocol.
    Other(Protocol),
}

impl Service {
    /// The service at a place on the line of them, as packets of a family mean it.
    fn at(family: Family, place: u32) -> Self {
        let [_, protocol, high, low] = place.to_be_bytes();
        let protocol = Protocol(protocol);
        match protocol.transport() {
            Some(transport) => Service::Port(transport, u16::from_be_bytes([high, low])),
            None if protocol == icmp(family) => Service::Icmp(high, low),
            None => Service::Other(protocol),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Port(transport, port) => write!(f, "{}/{port}", transport.as_str()),
            Service::Icmp(kind, code) => write!(f, "icmp type {kind} code {code}"),
            Service::Other(Protocol(number)) => write!(f, "protocol {number}"),
        }
    }
}

/// A set of services: places on one line, `protocol << 16 | detail`. A protocol without ports or messages fills all of
/// its places, or none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceSet(Intervals<u32>);

impl ServiceSet {
    /// Every service.
    #[must_use]
    pub fn all() -> Self {
        Self(Intervals::range(0, PROTOCOLS * DETAILS - 1))
    }

    /// No service.
    #[must_use]
    pub fn none() -> Self {
        Self(Intervals::default())
    }

    /// Everything of a protocol.
    #[must_use]
    pub fn protocol(protocol: Protocol) -> Self {
        let first = u32::from(protocol.0) * DETAILS;
        Self(Intervals::range(first, first + DETAILS - 1))
    }

    /// Everything that has ports.
    #[must_use]
    pub fn with_ports() -> Self {
        Transport::ALL
            .into_iter()
            .fold(Self::none(), |set, transport| set.union(&Self::protocol(transport.into())))
    }

    /// Ports of a protocol.
    #[must_use]
    pub fn ports(transport: Transport, ports: impl IntoIterator<Item = PortRange>) -> Self {
        let first = u32::from(Protocol::from(transport).0) * DETAILS;
        let places = |range: PortRange| (first + u32::from(range.first()), first + u32::from(range.last()));
        Self(ports.into_iter().map(places).collect())
    }

    /// Messages of a family's own ICMP: types from a first to a last, with any code.
    #[must_use]
    pub fn icmp_types(family: Family, first: u8, last: u8) -> Self {
        Self::messages(family, u16::from_be_bytes([first, 0]), u16::from_be_bytes([last, u8::MAX]))
    }

    /// One message of a family's own ICMP.
    #[must_use]
    pub fn icmp_message(family: Family, kind: u8, code: u8) -> Self {
        let at = u16::from_be_bytes([kind, code]);
        Self::messages(family, at, at)
    }

    fn messages(family: Family, first: u16, last: u16) -> Self {
        let base = u32::from(icmp(family).0) * DETAILS;
        Self(Intervals::range(base + u32::from(first), base + u32::from(last)))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The services of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    /// The services of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0))
    }

    /// The services of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0))
    }

    /// Whether every service is in the other set too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The services that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self(Self::all().0.difference(&self.0))
    }

    /// Maximal runs of services of one protocol, first and last of each, as packets of a family mean them.
    pub fn runs(&self, family: Family) -> impl Iterator<Item = (Service, Service)> + '_ {
        self.places().iter().flat_map(move |&(first, last)| {
            (first / DETAILS..=last / DETAILS).map(move |protocol| {
                let (start, end) = (protocol * DETAILS, protocol * DETAILS + DETAILS - 1);
                (Service::at(family, first.max(start)), Service::at(family, last.min(end)))
            })
        })
    }

    /// The places of its services, first and last of each run.
    pub(super) fn places(&self) -> &[(u32, u32)] {
        self.0.ranges()
    }

    /// The services from one place to another.
    pub(super) fn of_places(places: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self(places.into_iter().collect())
    }
}

/// How many places the line of services has.
pub(super) const PLACES: u32 = PROTOCOLS * DETAILS;

/// The protocol of a family's own ICMP.
fn icmp(family: Family) -> Protocol {
    match family {
        Family::V4 => Protocol::ICMP,
        Family::V6 => Protocol::ICMPV6,
    }
}

/// The service at a place.
pub(super) fn service_at(family: Family, place: u32) -> Service {
    Service::at(family, place)
}

/// The place of a service, where a family's packets have it.
pub(super) fn place_of(family: Family, service: Service) -> u32 {
    match service {
        Service::Port(transport, port) => u32::from(Protocol::from(transport).0) * DETAILS + u32::from(port),
        Service::Icmp(kind, code) => {
            u32::from(icmp(family).0) * DETAILS + u32::from(u16::from_be_bytes([kind, code]))
        }
        Service::Other(protocol) => u32::from(protocol.0) * DETAILS,
    }
}

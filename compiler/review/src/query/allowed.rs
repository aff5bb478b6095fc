//! All services that one address may ask another for, exactly.
//!
//! Policies compare a port with the ends of ranges and with container ports only, so between two neighbouring such
//! numbers one answer holds: the first and the last port between them are asked for all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chainmail_contract::{Family, Transport};
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_model::{Cluster, Direction, HolderId, Peers, PortMatch, PortName, Ports};
use chainmail_verdict::exact::{self, ServiceSet};
use range_set_blaze::RangeSetBlaze;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use thiserror::Error;

use super::{Engine, EngineError};
use crate::effort::Effort;

/// Services. Prints as `all`, `none`, or like `tcp/80,443 udp icmp`, where `icmp` is whatever has no ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowed {
    ports: BTreeMap<Transport, RangeSetBlaze<u16>>,
    portless: bool,
}

/// The ports that a packet can have; 0 is reserved.
const ALL_PORTS: std::ops::RangeInclusive<u16> = 1..=u16::MAX;

impl Allowed {
    /// The services of an exact set, as a family's packets mean them. What has no ports is one service to policies.
    #[must_use]
    pub fn of(services: &ServiceSet, family: Family) -> Self {
        let mut allowed = Self::default();
        for run in services.runs(family) {
            match run {
                (exact::Service::Port(transport, first), exact::Service::Port(_, last)) => {
                    let first = first.max(*ALL_PORTS.start());
                    if first <= last {
                        allowed.add(Service::Port(transport, first), last);
                    }
                }
                (exact::Service::Icmp(..) | exact::Service::Other(_) | exact::Service::Port(..), _) => {
                    allowed.portless = true;
                }
            }
        }
        allowed
    }

    /// The first service of each stretch of them.
    pub fn firsts(&self) -> impl Iterator<Item = Service> + '_ {
        let ports = self.ports.iter().flat_map(|(transport, ports)| {
            ports.ranges().map(|range| Service::Port(*transport, *range.start()))
        });
        ports.chain(self.portless.then_some(Service::Portless))
    }

    /// The services of these that the others do not have.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        let rest = |(transport, ports): (&Transport, &RangeSetBlaze<u16>)| match others.ports.get(transport) {
            Some(other) => (*transport, ports - other),
            None => (*transport, ports.clone()),
        };
        let ports = self.ports.iter().map(rest).filter(|(_, ports)| !ports.is_empty()).collect();
        Self { ports, portless: self.portless && !others.portless }
    }

    /// Whether it is no service at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        !self.portless && self.ports.values().all(RangeSetBlaze::is_empty)
    }

    /// Whether it is every service.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.portless && Transport::ALL.into_iter().all(|transport| self.is_whole(transport))
    }

    /// Whether a service is among them.
    #[must_use]
    pub fn contains(&self, service: Service) -> bool {
        match service {
            Service::Portless => self.portless,
            Service::Port(transport, port) => {
                self.ports.get(&transport).is_some_and(|ports| ports.contains(port))
            }
        }
    }

    /// The services that are in both.
    #[must_use]
    pub fn intersection(&self, others: &Self) -> Self {
        self.without(&self.without(others))
    }

    /// Whether some service is in both.
    #[must_use]
    pub fn meets(&self, others: &Self) -> bool {
        let meet = |(transport, ports): (&Transport, &RangeSetBlaze<u16>)| {
            others.ports.get(transport).is_some_and(|other| !(ports & other).is_empty())
        };
        self.portless && others.portless || self.ports.iter().any(meet)
    }

    /// Adds the services of others.
    pub fn add_all(&mut self, others: &Self) {
        for (transport, ports) in &others.ports {
            *self.ports.entry(*transport).or_default() |= ports;
        }
        self.portless |= others.portless;
    }

    fn is_whole(&self, transport: Transport) -> bool {
        self.ports.get(&transport).is_some_and(|ports| ports.ranges().eq([ALL_PORTS]))
    }

    fn add(&mut self, service: Service, last: u16) {
        match service {
            Service::Portless => self.portless = true,
            Service::Port(transport, first) => {
                self.ports.entry(transport).or_default().ranges_insert(first..=last);
            }
        }
    }

    fn ranges(&self, transport: Transport) -> Vec<String> {
        let ranges = self.ports.get(&transport).into_iter().flat_map(|ports| ports.ranges());
        ranges
            .map(|range| {
                let (first, last) = range.into_inner();
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            })
            .collect()
    }
}

/// A text that names no services.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} names no services; write tcp/80, udp/8000-8080, tcp/80,443, tcp (every port), icmp or all")]
pub struct ServicesError(String);

impl FromStr for Allowed {
    type Err = ServicesError;

    /// One word of those that are printed, but not `none`.
    fn from_str(text: &str) -> Result<Self, ServicesError> {
        let error = || ServicesError(text.to_owned());
        let mut services = Self::default();
        if text == "all" || text == "icmp" {
            services.portless = true;
        }
        for transport in Transport::ALL {
            if text == "all" || text == transport.as_str() {
                services.add(Service::Port(transport, *ALL_PORTS.start()), *ALL_PORTS.end());
            }
        }
        if services.is_none() {
            let (name, ports) = text.split_once('/').ok_or_else(error)?;
            let named = |transport: &Transport| transport.as_str() == name;
            let transport = Transport::ALL.into_iter().find(named).ok_or_else(error)?;
            for range in ports.split(',') {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (first, last) = (port(first).ok_or_else(error)?, port(last).ok_or_else(error)?);
                if first > last {
                    return Err(error());
                }
                services.add(Service::Port(transport, first), last);
            }
        }
        Ok(services)
    }
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && ALL_PORTS.contains(port))
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() || self.is_none() {
            return f.write_str(if self.is_all() { "all" } else { "none" });
        }
        let mut words = Vec::new();
        for transport in Transport::ALL {
            let ranges = self.ranges(transport);
            if self.is_whole(transport) {
                words.push(transport.as_str().to_owned());
            } else if !ranges.is_empty() {
                words.push(format!("{}/{}", transport.as_str(), ranges.join(",")));
            }
        }
        if self.portless {
            words.push("icmp".to_owned());
        }
        f.write_str(&words.join(" "))
    }
}

impl Serialize for Allowed {
    /// `{"tcp":["80","8000-8080"],"udp":["1-65535"],"icmp":true}`; what is not allowed is not there.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for transport in Transport::ALL {
            let ranges = self.ranges(transport);
            if !ranges.is_empty() {
                map.serialize_entry(transport.as_str(), &ranges)?;
            }
        }
        if self.portless {
            map.serialize_entry("icmp", &true)?;
        }
        map.end()
    }
}

/// Where the answer about a pod may change: the first port of a stretch with one answer, and names of ports, whose
/// numbers are the destination's.
#[derive(Debug, Clone, Default)]
struct Edges {
    firsts: BTreeSet<(Transport, u16)>,
    names: BTreeSet<(Transport, PortName)>,
    /// How many steps it takes at most to judge a packet by the rules.
    steps: usize,
}

impl Edges {
    fn add(&mut self, transport: Transport, first: u16, last: u16) {
        self.firsts.insert((transport, first));
        self.firsts.extend(last.checked_add(1).map(|next| (transport, next)));
    }
}

/// Finds the services that pairs of addresses may use, remembering what is asked of each pod again and again.
pub(super) struct Finder<'a, 'e> {
    cluster: &'a Cluster,
    engine: &'a Engine<'a>,
    effort: &'e mut Effort,
    /// How many policies there are, and how many ports the pod that has most of them has.
    policies: usize,
    most_ports: usize,
    edges: BTreeMap<(HolderId, Direction), Edges>,
}

impl<'a, 'e> Finder<'a, 'e> {
    pub(super) fn new(cluster: &'a Cluster, engine: &'a Engine<'a>, effort: &'e mut Effort) -> Self {
        let policies = cluster.policies().len();
        let most_ports = cluster.pods().map(|(_, pod)| pod.ports.len()).max().unwrap_or(0);
        Self { cluster, engine, effort, policies, most_ports, edges: BTreeMap::new() }
    }

    /// What of a service is allowed: it, or nothing.
    pub(super) fn one(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        service: Service,
    ) -> Result<Allowed, EngineError> {
        self.spend(source, destination, 1)?;
        self.judged(source, destination, service)
    }

    fn judged(&self, source: IpAddr, destination: IpAddr, service: Service) -> Result<Allowed, EngineError> {
        let mut allowed = Allowed::default();
        if self.engine.judge(&Packet { source, destination, service })? == Verdict::Allow {
            let last = if let Service::Port(_, port) = service { port } else { 0 };
            allowed.add(service, last);
        }
        Ok(allowed)
    }

    /// All services that are allowed.
    pub(super) fn all(&mut self, source: IpAddr, destination: IpAddr) -> Result<Allowed, EngineError> {
        let mut firsts: BTreeSet<(Transport, u16)> =
            Transport::ALL.into_iter().map(|transport| (transport, *ALL_PORTS.start())).collect();
        for (end, direction) in [(source, Direction::Egress), (destination, Direction::Ingress)] {
            if let Some(edges) = self.edges_of(end, direction) {
                firsts.extend(&edges.firsts);
                let names = edges.names.clone();
                firsts.extend(self.named(destination, &names).firsts);
            }
        }
        // The first port and the last one of each stretch, and what has no ports.
        self.spend(source, destination, 2 * firsts.len() + 1)?;
        let mut allowed = self.judged(source, destination, Service::Portless)?;
        let mut stretches = firsts.iter().peekable();
        while let Some(&(transport, first)) = stretches.next() {
            let last = match stretches.peek() {
                Some(&&(next, port)) if next == transport => port - 1,
                _ => u16::MAX,
            };
            // The policies answer both alike; the rules are asked both, since their ranges might end elsewhere.
            let [at_first, at_last] = [first, last].map(|port| {
                let packet = Packet { source, destination, service: Service::Port(transport, port) };
                self.engine.judge(&packet).map(|verdict| (packet, verdict))
            });
            let (at_first, at_last) = (at_first?, at_last?);
            if at_first.1 != at_last.1 {
                return Err(self.disagreement(at_first, at_last));
            }
            if at_first.1 == Verdict::Allow {
                allowed.add(Service::Port(transport, first), last);
            }
        }
        Ok(allowed)
    }

    /// Counts what it takes to judge some packets of a pair: the policies are gone through for each end, and of those that
    /// isolate it all rules.
    fn spend(&mut self, source: IpAddr, destination: IpAddr, packets: usize) -> Result<(), EngineError> {
        let mut steps = self.policies;
        for (end, direction) in [(source, Direction::Egress), (destination, Direction::Ingress)] {
            steps += self.edges_of(end, direction).map_or(0, |edges| edges.steps);
        }
        Ok(self.effort.spend(steps.saturating_mul(packets))?)
    }

    /// Of two answers to what is one question to the policies, the one that theirs is not.
    fn disagreement(&self, one: (Packet, Verdict), other: (Packet, Verdict)) -> EngineError {
        let policies = semantics::judge(self.cluster, &one.0);
        let (packet, rules) = if one.1 == policies { other } else { one };
        EngineError::Disagree { packet, rules, policies }
    }

    /// The edges of the policies that isolate a pod which claims an address.
    fn edges_of(&mut self, address: IpAddr, direction: Direction) -> Option<&Edges> {
        let (cluster, most_ports) = (self.cluster, self.most_ports);
        let holder = cluster.holder_of(address)?;
        Some(self.edges.entry((holder, direction)).or_insert_with(|| {
            let mut edges = Edges::default();
            let isolating = cluster.policies().iter().filter(|policy| {
                cluster.claimants(address).any(|pod| {
                    policy.namespace == pod.namespace && semantics::selects(&policy.subject, &pod.labels)
                })
            });
            for rule in isolating.filter_map(|policy| policy.rules(direction)).flatten() {
                if let Peers::OneOf(peers) = &rule.peers {
                    edges.steps += peers.len();
                }
                edges.steps += 1;
                let Ports::OneOf(ports) = &rule.ports else { continue };
                for port in ports {
                    edges.steps += if let PortMatch::Named(_) = port.which { 1 + most_ports } else { 1 };
                    match &port.which {
                        PortMatch::All => {}
                        PortMatch::Range(range) => edges.add(port.protocol, range.first(), range.last()),
                        PortMatch::Named(name) => drop(edges.names.insert((port.protocol, name.clone()))),
                    }
                }
            }
            edges
        }))
    }

    /// The numbers that pods which claim an address give to names.
    fn named(&self, address: IpAddr, names: &BTreeSet<(Transport, PortName)>) -> Edges {
        let mut edges = Edges::default();
        for pod in self.cluster.claimants(address) {
            for (transport, name) in names {
                for number in pod.named_ports(*transport, name) {
                    edges.add(*transport, number, number);
                }
            }
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_printed() {
        for text in ["all", "tcp", "udp/53", "tcp/80,443", "sctp/1-100", "tcp/80,8000-8080", "icmp"] {
            assert_eq!(text.parse::<Allowed>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "none",
            "80",
            "tcp/",
            "tcp/0",
            "tcp/+80",
            "tcp/80-",
            "tcp/90-80",
            "tcp/http",
            "TCP/80",
            "icmp/8",
            "tcp/65536",
        ] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }

    #[test]
    fn services_as_sets() {
        // The sets, what is in both, what is only in the first, and the first of that.
        let rows = [
            ("all", "tcp/80", "tcp/80", "tcp/1-79,81-65535 udp sctp icmp", Some("tcp/1")),
            ("tcp/80-90", "tcp/85-99", "tcp/85-90", "tcp/80-84", Some("tcp/80")),
            ("icmp", "tcp", "none", "icmp", Some("icmp")),
            ("udp/53", "all", "udp/53", "none", None),
        ];
        for (one, other, both, only, first) in rows {
            let [one, other]: [Allowed; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(one.intersection(&other).to_string(), both);
            let without = one.without(&other);
            assert_eq!(without.to_string(), only);
            assert_eq!(without.firsts().next().map(|service| service.to_string()).as_deref(), first);
        }
    }
}

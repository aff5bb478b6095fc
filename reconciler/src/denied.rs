//! Denied packets: which class refused them, and how many there were.
//!
//! The kernel tells of packets, not of rules. So each is walked through the rules in force, as FORWARD did; the rule that
//! leads to the chain for denied packets names the class.

mod header;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use chainmail_contract::{DENY_PREFIX, Family};
use chainmail_verdict::exact::Service;
use chainmail_verdict::{ConnState, IfaceName, Kernel, Packet};
use serde::Serialize;

use crate::nflog::Told;
use crate::provenance::Provenance;

/// Packets that were told of, by their ends and what they asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    kinds: BTreeMap<Kind, u64>,
    /// Messages that are no packets of ours: another prefix, or not to be read.
    pub others: u64,
    /// Whether the kernel told of more than could be read.
    pub lost: bool,
}

/// Packets alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    source: IpAddr,
    destination: IpAddr,
    service: Service,
    chains: BTreeSet<String>,
}

/// One line of what is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// How many packets were told of.
    pub packets: u64,
    /// Where they came from.
    pub source: IpAddr,
    /// Where they went.
    pub destination: IpAddr,
    /// What they asked for.
    pub service: String,
    /// What refuses them; nothing where the rules in force do not.
    pub by: Vec<Refusing>,
}

/// A chain that refuses packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refusing {
    /// The chain: a class of pods, or what stands before all classes.
    pub chain: String,
    /// The policies that have rules in it.
    pub policies: Vec<String>,
}

impl Tally {
    /// Adds a packet.
    pub fn add(&mut self, rules: &Kernel, told: &Told) {
        let read = (told.prefix == DENY_PREFIX).then(|| header::read(&told.bytes)).flatten();
        let Some((packet, service)) = read else {
            self.others += 1;
            return;
        };
        let [from, to] = &told.interfaces;
        let name = |name: &Option<String>| name.as_deref()?.parse::<IfaceName>().ok();
        let packet = match (name(from), name(to)) {
            (Some(from), Some(to)) => packet.between(from, to),
            _ => packet,
        };
        let (source, destination) =
            (packet.address(chainmail_verdict::End::Src), packet.address(chainmail_verdict::End::Dst));
        // The kernel does not say what conntrack made of it. Nearly all are new; the others are those it could not place.
        let states = [ConnState::New, ConnState::Invalid];
        let chains = states.into_iter().map(|state| refusing(rules, &packet.clone().in_state(state)));
        let chains = chains.into_iter().find(|chains| !chains.is_empty()).unwrap_or_default();
        *self.kinds.entry(Kind { source, destination, service, chains }).or_default() += 1;
    }

    /// What was told of, the most first.
    #[must_use]
    pub fn lines(&self, provenance: &Provenance) -> Vec<Denied> {
        let refusing = |family, chain: &String| Refusing {
            chain: chain.clone(),
            policies: provenance.policies(family, chain).into_iter().map(ToOwned::to_owned).collect(),
        };
        let mut lines: Vec<Denied> = self
            .kinds
            .iter()
            .map(|(kind, &packets)| Denied {
                packets,
                source: kind.source,
                destination: kind.destination,
                service: kind.service.to_string(),
                by: kind.chains.iter().map(|chain| refusing(Family::of(kind.source), chain)).collect(),
            })
            .collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.packets));
        lines
    }
}

/// The chains from which a packet is led to where denied packets end; two where rules are only observed.
fn refusing(rules: &Kernel, packet: &Packet) -> BTreeSet<String> {
    let Ok(walk) = rules.forward(packet) else { return BTreeSet::new() };
    let told = walk.matched().array_windows().filter(|[_, step]| step.chain.denial().is_some());
    told.filter(|[from, _]| from.chain.denial().is_none())
        .map(|[from, _]| from.chain.name.to_string())
        .collect()
}

/// The lines as people read them.
#[must_use]
pub fn text(lines: &[Denied]) -> String {
    let mut text = String::new();
    for Denied { packets, source, destination, service, by } in lines {
        let by: Vec<String> = by
            .iter()
            .map(|Refusing { chain, policies }| match &policies[..] {
                [] => chain.clone(),
                _ => format!("{chain} ({})", policies.join(", ")),
            })
            .collect();
        let by = if by.is_empty() { "no rule in force".to_owned() } else { by.join(" and ") };
        writeln!(text, "{packets:>7}  {source} -> {destination} {service}  {by}")
            .expect("a String takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use chainmail_verdict::{Ruleset, Sets};

    use super::*;

    const RULES: &str = "*filter\n:CM-DENY - [0:0]\n:CM-E-1 - [0:0]\n:CM-FORWARD - [0:0]\n:CM-I-1 - [0:0]\n\
        -A CM-DENY -m limit --limit 1/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 67\n-A CM-DENY -j RETURN\n\
        -A CM-E-1 -p udp -m udp --dport 53 -j RETURN\n-A CM-E-1 -g CM-DENY\n\
        -A CM-FORWARD ! -p udp -m conntrack --ctstate INVALID -j CM-DENY\n\
        -A CM-FORWARD -s 10.8.0.1/32 -j CM-E-1\n-A CM-FORWARD -d 10.8.0.2/32 -g CM-I-1\n\
        -A CM-I-1 -p tcp -m tcp --dport 443 -j RETURN\n-A CM-I-1 -g CM-DENY\nCOMMIT\n";

    fn syn(to: u16) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 63, 6, 0, 0, 10, 8, 0, 1, 10, 8, 0, 2];
        bytes.extend([0xc0, 0]);
        bytes.extend(to.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn a_packet_is_told_with_every_class_that_refuses_it() {
        let parse = |family, text| Ruleset::parse(family, text).unwrap();
        let sets = Sets::parse("").unwrap();
        let v6 = parse(Family::V6, "*filter\nCOMMIT\n");
        let rules = Kernel::new(parse(Family::V4, RULES), v6, sets).unwrap();
        let mut tally = Tally::default();
        let told = |prefix: &str, bytes| Told { prefix: prefix.to_owned(), bytes, interfaces: [None, None] };
        for bytes in [syn(80), syn(80), syn(443)] {
            tally.add(&rules, &told("cm-deny", bytes));
        }
        tally.add(&rules, &told("another", syn(80)));
        tally.add(&rules, &told("cm-deny", syn(80)[..10].to_vec()));
        assert_eq!(
            text(&tally.lines(&Provenance::default())),
            "      2  10.8.0.1 -> 10.8.0.2 tcp/80  CM-E-1 and CM-I-1\n      1  10.8.0.1 -> 10.8.0.2 tcp/443  CM-E-1\n"
        );
        assert_eq!(tally.others, 2);
    }
}

//! Translated addresses: policies see them after the destination was translated and before the source is.
//!
//! The services of `policies/nat` are set up in the nodes' nat tables, and each connection of `services.txt` is tried
//! with real packets; a counter before our chains says what FORWARD saw.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use chainmail_contract::Family;
use chainmail_lab::{Backend, Endpoint, Lab, LabSpec};

/// How long an answer may take; there is one SYN in it and one retransmission.
const PATIENCE: Duration = Duration::from_millis(1500);

/// One line `try SOURCE TARGET VERDICT node source>destination:port …`.
struct Try {
    source: Endpoint,
    target: SocketAddr,
    allowed: bool,
    seen: Vec<Seen>,
}

/// A packet as a node's FORWARD sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    node: String,
    source: String,
    destination: String,
    port: String,
}

#[test]
fn services_are_judged_by_what_forward_sees_nft() {
    services(Backend::Nft);
}

#[test]
fn services_are_judged_by_what_forward_sees_legacy() {
    services(Backend::Legacy);
}

fn services(backend: Backend) {
    if !support::may_use_kernel() {
        return;
    }
    let scenario = support::scenario::named("nat");
    let state = &scenario.states[0];
    let mut spec = LabSpec::new(support::scenario::loaded(state).cluster);
    spec.backend = backend;
    let lab = Lab::up(&spec).unwrap();
    let folder = tempfile::tempdir().unwrap();
    lab.compile_and_apply(&state.origin(folder.path()).unwrap()).unwrap();

    let text = std::fs::read_to_string(support::root().join("policies/nat/services.txt")).unwrap();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect();
    let tables = Tables { lab: &lab, iptables: format!("iptables-{}", backend.as_str()) };
    let mut tries = Vec::new();
    for line in &lines {
        match line[..] {
            ["dnat", from, to] => tables.dnat(from, to),
            ["masquerade", "origin-port", range] => tables.nat(&format!(
                "-A POSTROUTING -p tcp -m conntrack --ctstate DNAT --ctorigdstport {range} -j MASQUERADE"
            )),
            ["masquerade", "pair", source, destination] => {
                tables.nat(&format!("-A POSTROUTING -s {source} -d {destination} -j MASQUERADE"));
            }
            ["try", source, target, verdict, ref seen @ ..] => tries.push(Try {
                source: source.parse().unwrap(),
                target: target.parse().unwrap(),
                allowed: verdict == "+",
                seen: seen.chunks(2).map(seen_of).collect(),
            }),
            _ => panic!("services.txt: {line:?}"),
        }
    }
    assert!(
        tries.iter().any(|one| one.allowed) && tries.iter().any(|one| !one.allowed),
        "both verdicts are tried"
    );
    let _listeners: Vec<TcpListener> = ["shop/web", "shop/api"].map(|pod| listener(&lab, pod)).into();
    for one in &tries {
        tables.watch(&tries);
        let what = format!("{} to {} on {}", one.source, one.target, backend.as_str());
        let connect = || TcpStream::connect_timeout(&one.target, PATIENCE).map(drop);
        let result = lab.inside(&one.source, connect).unwrap();
        assert_eq!(result.is_ok(), one.allowed, "{what}: {result:?}");
        let mut expected = one.seen.clone();
        expected.sort();
        assert_eq!(tables.seen(), expected, "{what}: what FORWARD saw");
    }
    lab.down().unwrap();
}

fn seen_of(words: &[&str]) -> Seen {
    let (source, rest) = words[1].split_once('>').unwrap();
    let (destination, port) = rest.split_once(':').unwrap();
    let owned = str::to_owned;
    Seen { node: owned(words[0]), source: owned(source), destination: owned(destination), port: owned(port) }
}

fn listener(lab: &Lab, pod: &str) -> TcpListener {
    let pod: Endpoint = pod.parse().unwrap();
    let address = lab.address(&pod, Family::V4).unwrap();
    lab.inside(&pod, || TcpListener::bind((address, 8080))).unwrap().unwrap()
}

/// The nat and mangle tables of the lab's nodes.
struct Tables<'a> {
    lab: &'a Lab,
    iptables: String,
}

impl Tables<'_> {
    fn each_node(&self, arguments: &str) {
        for node in self.lab.nodes() {
            let argv: Vec<&str> = [self.iptables.as_str()].into_iter().chain(arguments.split(' ')).collect();
            let output = self.lab.exec(&node, &argv).unwrap();
            assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn nat(&self, rule: &str) {
        self.each_node(&format!("-t nat {rule}"));
    }

    fn dnat(&self, from: &str, to: &str) {
        let (address, rest) = from.split_once(':').unwrap();
        let port = rest.strip_suffix("/TCP").unwrap();
        for chain in ["PREROUTING", "OUTPUT"] {
            self.nat(&format!("-A {chain} -d {address} -p tcp --dport {port} -j DNAT --to-destination {to}"));
        }
    }

    /// Counts first packets in mangle's FORWARD, which comes after PREROUTING and just before ours: one rule for each
    /// that any line of the file speaks of, and one for all others.
    fn watch(&self, tries: &[Try]) {
        self.each_node("-t mangle -F FORWARD");
        let mut packets: Vec<&Seen> = tries.iter().flat_map(|one| &one.seen).collect();
        packets.sort_by_key(|seen| (&seen.source, &seen.destination, &seen.port));
        packets.dedup_by_key(|seen| (&seen.source, &seen.destination, &seen.port));
        for Seen { source, destination, port, .. } in packets {
            self.each_node(&format!(
                "-t mangle -A FORWARD -s {source} -d {destination} -p tcp --syn --dport {port} -j ACCEPT"
            ));
        }
        self.each_node("-t mangle -A FORWARD -p tcp --syn -j ACCEPT");
    }

    /// What was counted since.
    fn seen(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for node in self.lab.nodes() {
            let output =
                self.lab.exec(&node, &[&format!("{}-save", self.iptables), "-t", "mangle", "-c"]).unwrap();
            let Endpoint::Node(name) = &node else { panic!("{node} is no node") };
            for line in String::from_utf8(output.stdout).unwrap().lines() {
                let Some((counters, rule)) = line.split_once("] -A FORWARD ") else { continue };
                if counters.starts_with("[0:") {
                    continue;
                }
                let words: Vec<&str> = rule.split(' ').collect();
                let after = |option: &str| {
                    let at = words.iter().position(|word| *word == option);
                    at.map_or_else(|| "any".to_owned(), |at| words[at + 1].trim_end_matches("/32").to_owned())
                };
                seen.push(Seen {
                    node: name.to_string(),
                    source: after("-s"),
                    destination: after("-d"),
                    port: after("--dport"),
                });
            }
        }
        seen.sort();
        seen
    }
}

//! Labs with hand-loaded rules: what packets do is what the table says.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(
    clippy::disallowed_methods,
    reason = "the host's files are looked at, to see that they stay as they are"
)]

mod support;

use std::collections::BTreeMap;

use chainmail_contract::{Family, NodeName};
use chainmail_lab::{
    Backend, Cell, Counters, Endpoint, Lab, LabSpec, Observed, Probe, Service, Topology, TruthTable,
};
use chainmail_manifest::source::{SourceFile, Sources};

use support::{MANIFESTS, can_run, namespaces};

/// A lab of these manifests, not yet built.
fn spec(manifests: &str) -> LabSpec {
    let file = SourceFile { path: "all.yaml".to_owned(), bytes: manifests.as_bytes().to_vec() };
    LabSpec::from_sources(&Sources::new(vec![file])).expect("the manifests are valid")
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn node(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// Runs a program in an endpoint's namespace, which must succeed.
fn must(lab: &Lab, at: &str, argv: &[&str]) -> String {
    let output = lab.exec(&endpoint(at), argv).unwrap();
    assert!(output.status.success(), "{argv:?} in {at}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn services(texts: &[&str]) -> Vec<Service> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn all() -> Vec<Service> {
    services(&["80/TCP", "53/UDP", "3868/SCTP", "ICMP"])
}

/// The table with these pairs denied.
fn with_denied(table: &TruthTable, denied: impl Fn(&Probe) -> bool) -> TruthTable {
    table
        .answered(table.probes().iter().map(|probe| if denied(probe) { Cell::Denied } else { Cell::Allowed }))
}

#[track_caller]
fn assert_equal(expected: &TruthTable, observed: &TruthTable) {
    assert_eq!(expected, observed, "expected:\n{expected}\nobserved:\n{observed}");
}

fn everybody(lab: &Lab) -> TruthTable {
    let mut endpoints = lab.endpoints();
    endpoints.extend(lab.nodes());
    lab.questions(&endpoints, &all(), &Family::ALL)
}

fn build(topology: Topology, backend: Backend) -> Lab {
    let spec = LabSpec { topology, backend, ..spec(MANIFESTS) };
    Lab::up(&spec).unwrap()
}

#[test]
fn without_rules_everybody_reaches_everybody() {
    if !can_run() {
        return;
    }
    for topology in [Topology::Routed, Topology::Bridge] {
        let lab = build(topology, Backend::Nft);
        let questions = everybody(&lab);
        assert_eq!(questions.probes().len(), 4 * (7 * 6 + 7 * 6), "4 pods, 2 nodes and an address outside");
        assert_equal(&questions, &lab.observe(&questions).unwrap());
    }
}

#[test]
fn a_rule_denies_one_pair() {
    if !can_run() {
        return;
    }
    for (topology, backend) in [
        (Topology::Routed, Backend::Nft),
        (Topology::Routed, Backend::Legacy),
        (Topology::Bridge, Backend::Nft),
        (Topology::Bridge, Backend::Legacy),
    ] {
        let lab = build(topology, backend);
        for (tool, source, destination) in [
            ("iptables", "10.244.1.10", "10.244.1.11"),
            ("iptables", "10.244.1.10", "10.9.9.9"),
            ("ip6tables", "fd00:1::10", "fd00:1::11"),
            ("ip6tables", "fd00:1::10", "fd00:9::9"),
        ] {
            let tool = format!("{tool}-{}", backend.as_str());
            let state = ["-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"];
            let argv: Vec<&str> =
                [&tool, "-A", "FORWARD", "-s", source, "-d", destination].into_iter().chain(state).collect();
            must(&lab, "node:n1", &argv);
        }
        let questions = everybody(&lab);
        let (a, b, d) = (endpoint("shop/a"), endpoint("shop/b"), endpoint("shop/d"));
        let denied = |probe: &Probe| probe.source == a && (probe.destination == b || probe.destination == d);
        assert_equal(&with_denied(&questions, denied), &lab.observe(&questions).unwrap());
    }
}

#[test]
fn a_rule_denies_one_port_of_one_protocol() {
    if !can_run() {
        return;
    }
    let lab = build(Topology::Routed, Backend::Nft);
    for (protocol, port) in [("tcp", "80"), ("udp", "54"), ("sctp", "3868")] {
        let rule = ["-A", "FORWARD", "-p", protocol, "--dport", port, "-j", "DROP"];
        let argv: Vec<&str> = ["iptables-nft"].into_iter().chain(rule).collect();
        must(&lab, "node:n1", &argv);
    }
    let asked = services(&["80/TCP", "81/TCP", "53/UDP", "54/UDP", "3868/SCTP", "3869/SCTP", "ICMP"]);
    let questions = lab.questions(&[endpoint("shop/a"), endpoint("shop/c")], &asked, &Family::ALL);
    let denied_ports = services(&["80/TCP", "54/UDP", "3868/SCTP"]);
    let denied = |probe: &Probe| probe.family == Family::V4 && denied_ports.contains(&probe.service);
    assert_equal(&with_denied(&questions, denied), &lab.observe(&questions).unwrap());
}

/// conntrack remembers the flows of the first round; the second round must not be taken for them.
#[test]
fn a_second_round_is_not_taken_for_the_first() {
    if !can_run() {
        return;
    }
    let lab = build(Topology::Routed, Backend::Nft);
    let questions = lab.questions(&[endpoint("shop/a"), endpoint("shop/b")], &all(), &Family::ALL);
    for tool in ["iptables-nft", "ip6tables-nft"] {
        must(
            &lab,
            "node:n1",
            &[tool, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"],
        );
    }
    assert_equal(&questions, &lab.observe(&questions).unwrap());
    for tool in ["iptables-nft", "ip6tables-nft"] {
        must(&lab, "node:n1", &[tool, "-A", "FORWARD", "-j", "DROP"]);
    }
    // Neighbour discovery is not between pods here: their neighbours are entered by hand.
    assert_equal(&with_denied(&questions, |_| true), &lab.observe(&questions).unwrap());
}

#[test]
fn questions_ask_once() {
    if !can_run() {
        return;
    }
    let lab = build(Topology::Routed, Backend::Nft);
    let (a, b) = (endpoint("shop/a"), endpoint("198.51.100.7"));
    let services = services(&["80/TCP", "80/TCP"]);
    let questions = lab.questions(&[a.clone(), b, a], &services, &[Family::V4, Family::V6, Family::V4]);
    assert_eq!(questions.probes().len(), 2, "the address has no IPv6: {questions}");
    assert_eq!(questions.blocks().len(), 2);
}

#[test]
fn a_refusal_is_neither_allowed_nor_denied() {
    if !can_run() {
        return;
    }
    let lab = build(Topology::Routed, Backend::Nft);
    must(&lab, "node:n2", &["iptables-nft", "-A", "FORWARD", "-j", "REJECT"]);
    let questions =
        lab.questions(&[endpoint("shop/a"), endpoint("shop/c")], &services(&["80/TCP"]), &[Family::V4]);
    let observed = lab.probe(&questions.probes()).unwrap();
    assert_eq!(observed, vec![Observed::Broken("Connection refused (os error 111)".to_owned()); 2]);
    assert!(lab.observe(&questions).unwrap().to_string().contains("1 shop/a   . !"));
}

#[test]
fn pods_with_their_nodes_network_and_nodes_without_address() {
    if !can_run() {
        return;
    }
    let manifests = "\
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: n1}, status: {podIP: 10.1.1.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {nodeName: n2}, status: {podIP: 10.1.1.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: host}, spec: {nodeName: n2, hostNetwork: true}, status: {podIP: 10.1.1.3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: lost}, spec: {}, status: {podIP: 10.1.1.4}}
";
    let outside = vec!["203.0.113.9".parse().unwrap(), "203.0.113.10".parse().unwrap()];
    let lab = Lab::up(&LabSpec { outside, ..spec(manifests) }).unwrap();
    assert_eq!(
        lab.notes(),
        [
            "default/lost has no spec.nodeName: it is left out",
            "node n1 has no ipv4 address in its manifest: 192.0.2.1 is made up",
            "node n2 has no ipv4 address in its manifest: 192.0.2.2 is made up",
        ]
    );
    assert_eq!(lab.address(&endpoint("default/host"), Family::V4).unwrap().to_string(), "192.0.2.2");
    let table = "\
# rows send, columns receive: + allowed, - denied, . not asked
80/TCP
                 1 2 3 4 5 6
1 default/a      . + + + + +
2 default/b      + . + + + +
3 default/host   + + . + + .
4 203.0.113.9    + + + . + +
5 203.0.113.10   + + + + . +
6 node:n2        + + . + + .
";
    let mut endpoints = lab.endpoints();
    endpoints.push(endpoint("node:n2"));
    let questions = lab.questions(&endpoints, lab.services(), &Family::ALL);
    assert_eq!(questions.to_string(), table);
    assert_eq!(lab.observe(&questions).unwrap().to_string(), table);
}

#[test]
fn programs_run_in_namespaces_with_hosts_of_their_own() {
    if !can_run() {
        return;
    }
    let lab = build(Topology::Routed, Backend::Nft);
    let (a, c) = (endpoint("shop/a"), endpoint("shop/c"));
    assert!(must(&lab, "shop/a", &["ip", "-4", "addr", "show", "eth0"]).contains("10.244.1.10/32"));
    let hosts = BTreeMap::from([("backend".to_owned(), lab.address(&c, Family::V4).unwrap())]);
    let output = lab.exec_with_hosts(&a, &hosts, &["getent", "hosts", "backend"]).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>(),
        ["10.244.2.10", "backend"]
    );
    assert!(!std::fs::read_to_string("/etc/hosts").unwrap().contains("backend"));
    must(&lab, "node:n1", &["iptables-nft", "-A", "FORWARD", "-s", "10.244.1.10", "-j", "ACCEPT"]);
    must(&lab, "node:n1", &["ipset", "create", "pods", "hash:ip"]);
    lab.observe(&lab.questions(&[a, c], &services(&["80/TCP"]), &[Family::V4])).unwrap();
    let saved = lab.saved(&node("n1"), Counters::Hidden).unwrap();
    assert!(saved.v4.contains("\n-A FORWARD -s 10.244.1.10/32 -j ACCEPT\n"), "{}", saved.v4);
    assert!(saved.sets.starts_with("create pods hash:ip"), "{}", saved.sets);
    let counted = lab.saved(&node("n1"), Counters::Shown).unwrap();
    assert!(
        !counted.v4.contains("[0:0] -A FORWARD -s 10.244.1.10/32"),
        "packets were counted: {}",
        counted.v4
    );
}

#[test]
fn a_lab_is_gone_when_it_is_dropped_or_could_not_be_built() {
    if !can_run() {
        return;
    }
    let lab = build(Topology::Routed, Backend::Nft);
    let prefix = format!("cml-{}-", lab.name());
    assert_eq!(namespaces(&prefix).len(), lab.namespaces().len());
    // A program that still runs would keep its namespace alive without a name.
    let mut sleeper = lab.spawn(&endpoint("shop/a"), &["sleep", "600"]).unwrap();
    drop(lab);
    assert_eq!(namespaces(&prefix), Vec::<String>::new());
    assert!(!sleeper.wait().unwrap().success());

    let mut broken = spec(MANIFESTS);
    broken.name = Some("broken".parse().unwrap());
    // A multicast address is no host's: `ip` refuses it when all namespaces stand.
    broken.outside = vec!["ff02::1".parse().unwrap()];
    let error = Lab::up(&broken).unwrap_err().to_string();
    assert!(error.starts_with("ip -batch failed in cml-broken-"), "{error}");
    assert_eq!(namespaces("cml-broken-"), Vec::<String>::new());
}

//! What the specification leaves open, and what `docs/semantics.md` says Chainmail does: each choice on both engines.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_model::semantics::Verdict;
use chainmail_pipeline::{Compiler, load};
use chainmail_review::query::{Engine, Probe};

/// Two nodes; `x/a` on the first admits and may reach what `policy` says; `x/b` on the second names port 8080 and port
/// 8081 `web` in two containers.
fn cluster(policy: &str) -> Sources {
    let text = format!(
        "
apiVersion: v1
kind: Node
metadata: {{name: n1}}
spec: {{podCIDR: 10.244.1.0/24}}
status: {{addresses: [{{type: InternalIP, address: 10.240.0.1}}]}}
---
apiVersion: v1
kind: Node
metadata: {{name: n2}}
spec: {{podCIDR: 10.244.2.0/24}}
status: {{addresses: [{{type: InternalIP, address: 10.240.0.2}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: a, namespace: x, labels: {{app: a}}}}
spec: {{nodeName: n1}}
status: {{podIP: 10.244.1.10}}
---
apiVersion: v1
kind: Pod
metadata: {{name: b, namespace: x, labels: {{app: b}}}}
spec:
  nodeName: n2
  containers:
  - {{name: one, ports: [{{name: web, containerPort: 8080}}]}}
  - {{name: two, ports: [{{name: web, containerPort: 8081}}]}}
status: {{podIP: 10.244.2.10}}
---
apiVersion: v1
kind: Pod
metadata: {{name: host, namespace: x, labels: {{app: a}}}}
spec: {{nodeName: n1, hostNetwork: true}}
status: {{podIP: 10.240.0.1}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: x}}
spec: {policy}
"
    );
    Sources::new(vec![SourceFile { path: "all.yaml".to_owned(), bytes: text.into_bytes() }])
}

/// Holds both engines against rows of source, destination, protocol and port (0 for none), and the verdict.
fn check(policy: &str, rows: &[(&str, &str, &str, u16, Verdict)]) {
    let sources = cluster(policy);
    let loaded = load(&sources);
    assert!(!loaded.findings.has_errors(), "{:?}", loaded.findings.sorted());
    let mut compiler = Compiler::new(&loaded.cluster, &sources);
    let rules = compiler.engine(&loaded.cluster).unwrap();
    let engines = [("policy", Engine::Policy(&loaded.cluster)), ("rules", Engine::Rules(rules))];
    for (name, engine) in &engines {
        for (src, dst, protocol, port, verdict) in rows {
            let probe = Probe {
                src: (*src).to_owned(),
                dst: (*dst).to_owned(),
                protocol: (*protocol).to_owned(),
                port: (*port > 0).then_some(*port),
                family: None,
            };
            let packet = probe.packet(&loaded.cluster).unwrap();
            assert_eq!(engine.judge(&packet).unwrap(), *verdict, "{name}: {src} -> {dst} {port}/{protocol}");
        }
    }
}

use Verdict::{Allow, Deny};

#[test]
fn one_name_for_two_numbers_means_both() {
    let policy = "{podSelector: {matchLabels: {app: b}}, ingress: [{ports: [{port: web}]}]}";
    check(
        policy,
        &[
            ("x/a", "x/b", "TCP", 8080, Allow),
            ("x/a", "x/b", "TCP", 8081, Allow),
            ("x/a", "x/b", "TCP", 80, Deny),
        ],
    );
}

#[test]
fn a_named_port_in_an_ip_block_is_that_of_the_pods_in_it() {
    let policy = "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress],
        egress: [{to: [{ipBlock: {cidr: 10.244.2.0/24}}], ports: [{port: web}]}]}";
    let rows = [
        ("x/a", "x/b", "TCP", 8080, Allow),
        ("x/a", "x/b", "TCP", 80, Deny),
        ("x/a", "10.244.2.99", "TCP", 8080, Deny),
        ("x/a", "198.51.100.7", "TCP", 8080, Deny),
    ];
    check(policy, &rows);
}

#[test]
fn the_own_node_is_always_reachable_and_always_let_in() {
    let policy = "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress, Egress]}";
    let rows = [
        ("x/a", "10.240.0.1", "TCP", 80, Allow),
        ("10.240.0.1", "x/a", "TCP", 80, Allow),
        ("x/a", "10.240.0.2", "TCP", 80, Deny),
        ("10.240.0.2", "x/a", "TCP", 80, Deny),
    ];
    check(policy, &rows);
}

#[test]
fn a_pod_reaches_itself() {
    let policy = "{podSelector: {}, policyTypes: [Ingress, Egress]}";
    check(
        policy,
        &[
            ("x/a", "x/a", "TCP", 80, Allow),
            ("x/b", "x/b", "UDP", 53, Allow),
            ("x/a", "x/b", "TCP", 80, Deny),
        ],
    );
}

#[test]
fn a_pod_on_its_nodes_network_is_that_node() {
    // host has the label that the policy admits, and is no pod to it.
    let policy =
        "{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]}";
    check(policy, &[("x/a", "x/b", "TCP", 80, Allow), ("x/host", "x/b", "TCP", 80, Deny)]);
    let policy =
        "{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{ipBlock: {cidr: 10.240.0.1/32}}]}]}";
    check(policy, &[("x/host", "x/b", "TCP", 80, Allow), ("x/a", "x/b", "TCP", 80, Deny)]);
    // Never selected: a is isolated by this one, host is not.
    let policy = "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}";
    check(policy, &[("x/host", "x/b", "TCP", 80, Allow), ("x/a", "x/b", "TCP", 80, Deny)]);
}

#[test]
fn what_has_no_ports_needs_a_rule_without_ports() {
    let policy = "{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {}}], ports: [{}, {protocol: UDP}]}]}";
    check(
        policy,
        &[("x/a", "x/b", "TCP", 9, Allow), ("x/a", "x/b", "UDP", 9, Allow), ("x/a", "x/b", "ICMP", 0, Deny)],
    );
    let policy = "{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {}}]}]}";
    check(
        policy,
        &[
            ("x/a", "x/b", "SCTP", 9, Allow),
            ("x/a", "x/b", "ICMP", 0, Allow),
            ("198.51.100.7", "x/b", "ICMP", 0, Deny),
        ],
    );
}

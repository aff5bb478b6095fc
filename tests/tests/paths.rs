//! What a packet crosses: counted on the text's walk, and what matched confirmed by the kernel's own counters.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs, and may panic"
)]

mod support;

use std::fmt::Write as _;
use std::net::IpAddr;

use chainmail_contract::{Family, Transport};
use chainmail_lab::{Backend, Cell, Counters, Endpoint, Lab, LabSpec};
use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_pipeline::{Compiler, kernel_of, load};
use chainmail_verdict::{ConnState, Kernel, Packet, Verdict};

/// A node with this many pods, each isolated both ways by a policy of its own, so that every pod has its own class.
fn full_node(pods: u8) -> Sources {
    let mut text = String::from(
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDRs: [10.244.1.0/24, 'fd00:10:244:1::/64']}\n",
    );
    for i in 2..pods + 2 {
        write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{i}, namespace: a, labels: {{app: a{i}}}}}\n\
             spec: {{nodeName: n1}}\n\
             status: {{podIPs: [{{ip: 10.244.1.{i}}}, {{ip: 'fd00:10:244:1::{i:x}'}}]}}\n\
             ---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a{i}, namespace: a}}\n\
             spec:\n  podSelector: {{matchLabels: {{app: a{i}}}}}\n  policyTypes: [Ingress, Egress]\n\
             \x20 ingress: [{{ports: [{{port: {}}}]}}]\n  egress: [{{ports: [{{port: 80, endPort: {}}}]}}]\n",
            1000 + u16::from(i),
            2000 + u16::from(i),
        )
        .unwrap();
    }
    Sources::new(vec![SourceFile { path: "all.yaml".to_owned(), bytes: text.into_bytes() }])
}

fn kernel(sources: &Sources) -> Kernel {
    let loaded = load(sources);
    assert!(!loaded.findings.has_errors(), "{:?}", loaded.findings.sorted());
    let mut compiler = Compiler::new(&loaded.cluster, sources);
    let node = compiler.nodes().next().unwrap();
    kernel_of(&compiler.snapshot(node)).unwrap()
}

#[test]
fn a_full_node_keeps_the_bounds() {
    const PODS: u8 = 110;
    let kernel = kernel(&full_node(PODS));
    for family in Family::ALL {
        let path = kernel.longest_path(family);
        assert!(path.len() <= 12, "{family}: {} chains on the longest path", path.len());
        let mut most = (0, 0);
        for i in 2..PODS + 2 {
            let pod: IpAddr = match family {
                Family::V4 => format!("10.244.1.{i}").parse().unwrap(),
                Family::V6 => format!("fd00:10:244:1::{i:x}").parse().unwrap(),
            };
            let outside: IpAddr = match family {
                Family::V4 => "198.51.100.7".parse().unwrap(),
                Family::V6 => "2001:db8:ffff::7".parse().unwrap(),
            };
            let inwards = Packet::opening(outside, pod, Transport::Tcp, 1000 + u16::from(i)).unwrap();
            let outwards = Packet::opening(pod, outside, Transport::Tcp, 80).unwrap();
            for packet in [inwards, outwards] {
                let walk = kernel.forward(&packet).unwrap();
                assert_eq!(walk.verdict(), Verdict::Pass, "{packet:?}");
                most.0 = most.0.max(walk.rules_between("CM-INGRESS", "CM-I-"));
                most.1 = most.1.max(walk.rules_between("CM-EGRESS", "CM-E-"));
                let known = packet.with_state(ConnState::Established);
                let walk = kernel.forward(&known).unwrap();
                assert!(walk.rules_crossed() <= 2, "established: {} rules", walk.rules_crossed());
            }
        }
        assert!(most.0 > 2 && most.1 > 2, "dispatch was counted: {most:?}");
        assert!(most.0 <= 24 && most.1 <= 24, "{family}: {most:?} dispatch rules crossed");
        println!("{family}: at most {} rules to an ingress class, {} to an egress class", most.0, most.1);
    }
}

/// One connection through a node of the tutorial: the rules whose counters moved are those that the walk says matched.
#[test]
fn kernel_counters_confirm_the_walk() {
    if !support::may_use_kernel() {
        return;
    }
    let scenario = support::scenario::named("aks-tutorial");
    let state = scenario.states.iter().find(|state| state.name == "3-allow-frontend").unwrap();
    for backend in [Backend::Nft, Backend::Legacy] {
        let loaded = support::scenario::loaded(state);
        let node = loaded.cluster.nodes().next().unwrap();
        let mut compiler = Compiler::new(&loaded.cluster, &state.sources);
        let kernel = kernel_of(&compiler.snapshot(node)).unwrap();
        let name = node.name.clone();
        let mut spec = LabSpec::new(loaded.cluster.clone());
        spec.backend = backend;
        let lab = Lab::up(&spec).unwrap();
        for (source, answer) in
            [("development/frontend", Cell::Allowed), ("development/network-policy", Cell::Denied)]
        {
            lab.compile_and_apply(&state.origin(tempfile::tempdir().unwrap().path()).unwrap()).unwrap();
            let ends: [Endpoint; 2] = [source, "development/backend"].map(|end| end.parse().unwrap());
            let zero = format!("iptables-{}", backend.as_str());
            let reset = lab.exec(&Endpoint::Node(name.clone()), &[&zero, "-Z"]).unwrap();
            assert!(reset.status.success(), "{reset:?}");
            let question = lab
                .questions(&ends, &["80/TCP".parse().unwrap()], &[Family::V4])
                .probes()
                .into_iter()
                .find(|probe| probe.source == ends[0])
                .unwrap();
            let observed = lab.probe(std::slice::from_ref(&question)).unwrap();
            assert_eq!(Cell::from(&observed[0]), answer, "{question}");

            let address = |end: &Endpoint| lab.address(end, Family::V4).unwrap();
            let first = Packet::opening(address(&ends[0]), address(&ends[1]), Transport::Tcp, 80).unwrap();
            let mut expected: Vec<String> = Vec::new();
            for packet in [first.clone(), first.with_state(ConnState::Established)] {
                let walk = kernel.forward(&packet).unwrap();
                let passed = walk.verdict() == Verdict::Pass;
                expected.extend(walk.matched().iter().map(|step| step.rule.text.to_string()));
                // A connection that is refused has no second packet.
                if !passed {
                    break;
                }
            }
            expected.sort();
            expected.dedup();
            let saved = lab.saved(&name, Counters::Shown).unwrap();
            let mut moved: Vec<String> = saved.v4.lines().filter_map(counted).collect();
            moved.sort();
            assert_eq!(moved, expected, "{source} on {}", backend.as_str());
        }
        lab.down().unwrap();
    }
}

/// A rule of ours whose packet counter is not zero, without its counters.
fn counted(line: &str) -> Option<String> {
    let (counters, rule) = line.strip_prefix('[')?.split_once("] ")?;
    let packets = counters.split(':').next()?;
    (packets != "0" && rule.starts_with("-A CM-")).then(|| rule.to_owned())
}

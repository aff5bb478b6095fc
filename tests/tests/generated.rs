//! The rendered rules mean what the policies say, on clusters and packets made from a seed.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print what they counted, and may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chainmail_contract::Transport;
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_model::{
    AllowTarget, Cluster, Enforcement, InvalidPackets, Node, NodeSettings, Refusal, UnknownPods,
};
use chainmail_pipeline::{Compiler, kernel_of, load};
use chainmail_prove::Prover;
use chainmail_tests::agreement::{report, verdicts};
use chainmail_tests::misreadings;
use chainmail_tests::probes::Prober;
use chainmail_tests::seeded::Seeded;
use chainmail_tests::world::{Layout, World};
use chainmail_verdict as verdict;

const WORLDS: u64 = 420;
const PROBES_A_WORLD: usize = 250;

/// How often settings are unlike their defaults, and what that changes.
#[derive(Debug, Default)]
struct Settings {
    /// Nodes by setting.
    nodes: BTreeMap<&'static str, usize>,
    /// Worlds whose nodes differ in some setting.
    mixed: usize,
    /// Probes by the setting that decides them. The others decide nothing about whether the first packet of a
    /// connection is denied.
    decided: BTreeMap<&'static str, usize>,
}

impl Settings {
    fn count(&mut self, world: &World, cluster: &Cluster, judged: &[(Packet, Verdict)]) {
        for node in cluster.nodes() {
            let NodeSettings {
                unknown_pods,
                invalid,
                allow,
                pod_bridge,
                pod_interfaces,
                enforcement,
                log_denied,
            } = &node.settings;
            let unlike_default = [
                ("unknown_pods", *unknown_pods == UnknownPods::Drop),
                ("drop_invalid", *invalid == InvalidPackets::Judge),
                ("allow", *allow == AllowTarget::Accept),
                ("pod_bridge", pod_bridge.is_some()),
                ("pod_interfaces", !pod_interfaces.is_empty()),
                ("enforce", *enforcement == Enforcement::Observe),
                ("log_denied", log_denied.is_some()),
            ];
            for (key, unlike) in unlike_default {
                *self.nodes.entry(key).or_default() += usize::from(unlike);
            }
        }
        let distinct: BTreeSet<&NodeSettings> = cluster.nodes().map(|node| &node.settings).collect();
        self.mixed += usize::from(distinct.len() > 1);
        for key in ["unknown_pods", "pod_bridge"] {
            let without = load(&world.without_setting(key).sources(Layout::JsonList)).cluster;
            let decides = |(packet, right): &&(Packet, Verdict)| semantics::judge(&without, packet) != *right;
            *self.decided.entry(key).or_default() += judged.iter().filter(decides).count();
        }
    }
}

/// The clauses of the API that the first packet of a connection can tell. Of the others, 35 to 38 speak of replies, of
/// what happens to connections that are open, of traffic inside a pod and of manifests that are refused.
#[test]
fn rules_mean_what_policies_say() {
    let misreadings = misreadings::all();
    let mut denied = 0;
    let mut asked = 0;
    let mut settings = Settings::default();
    let mut decided: BTreeMap<u8, usize> = misreadings.iter().map(|m| (m.clause, 0)).collect();
    for seed in 0..WORLDS {
        let world = World::contradicted(seed);
        let layout = Layout::ALL[usize::try_from(seed).unwrap() % Layout::ALL.len()];
        let sources = world.sources(layout);
        let loaded = load(&sources);
        assert!(!loaded.findings.has_errors(), "world {seed}: {:#?}", loaded.findings.sorted());
        let mut prober = Prober::new(&loaded.cluster, &world.written_addresses(), Seeded::new(seed));
        let packets = prober.probes(PROBES_A_WORLD);
        let both = verdicts(&loaded.cluster, &sources, &packets).unwrap();
        for (packet, (policies, rules)) in packets.iter().zip(&both) {
            assert!(policies == rules, "world {seed}:\n{}", report(&world, packet));
        }
        asked += packets.len();
        denied += both.iter().filter(|(policies, _)| *policies == Verdict::Deny).count();
        let judged: Vec<(Packet, Verdict)> =
            packets.iter().zip(&both).map(|(packet, (right, _))| (*packet, *right)).collect();
        settings.count(&world, &loaded.cluster, &judged);
        let mut by_clause: BTreeMap<u8, Vec<bool>> = BTreeMap::new();
        for misreading in &misreadings {
            let noticed = misreading.noticed(&world, &loaded.cluster, &judged);
            let all = by_clause.entry(misreading.clause).or_insert_with(|| vec![false; packets.len()]);
            all.iter_mut().zip(noticed).for_each(|(known, now)| *known |= now);
        }
        for (clause, noticed) in by_clause {
            *decided.entry(clause).or_default() += noticed.iter().filter(|decided| **decided).count();
        }
    }
    println!("{asked} probes, {denied} denied; probes that each clause decides: {decided:?}");
    println!("{settings:?}");
    assert!(asked >= 100_000, "{asked} probes are too few");
    let percent = 100 * denied / asked;
    assert!((30..=70).contains(&percent), "{percent} % of the probes are denied");
    for (clause, count) in decided {
        assert!(count >= 50, "clause {clause} decides {count} probes only");
    }
    assert!(settings.mixed >= 50, "nodes of {} worlds differ in their settings", settings.mixed);
    for (key, count) in settings.nodes {
        assert!(count >= 100, "{key} is unlike its default on {count} nodes only");
    }
    for (key, count) in settings.decided {
        assert!(count >= 50, "{key} decides {count} probes only");
    }
}

/// Packets between interfaces: what the oracle says of them decides beside what becomes of the same packet elsewhere.
#[test]
fn interfaces_of_pods_carry_their_addresses_only() {
    let (mut decided, mut asked) = (0, 0);
    for seed in 0..150 {
        // Between two ports of a bridge other rules look at interfaces.
        let sources = World::generate(seed).without_setting("pod_bridge").sources(Layout::Documents);
        let cluster = load(&sources).cluster;
        let mut compiler = Compiler::new(&cluster, &sources);
        for node in compiler.nodes().collect::<Vec<_>>() {
            if node.settings.pod_interfaces.is_empty() {
                continue;
            }
            let kernel = kernel_of(&compiler.snapshot(node)).unwrap();
            let is_refused = |packet: &verdict::Packet| {
                let verdict = kernel.forward(packet).unwrap().verdict();
                !matches!(verdict, verdict::Verdict::Pass | verdict::Verdict::Accept)
            };
            for (source, destination) in pairs_of_ends(&cluster, node) {
                let plain = verdict::Packet::opening(source, destination, Transport::Tcp, 80).unwrap();
                let elsewhere = is_refused(&plain);
                let packet = Packet { source, destination, service: Service::Port(Transport::Tcp, 80) };
                for (from, to) in INTERFACES.iter().flat_map(|from| INTERFACES.map(|to| (*from, to))) {
                    let by_oracle = semantics::refuses_at_interfaces(node, &cluster, &packet, [from, to]);
                    let by_rules =
                        is_refused(&plain.clone().between(from.parse().unwrap(), to.parse().unwrap()));
                    assert_eq!(
                        by_rules,
                        by_oracle || elsewhere,
                        "world {seed}, {}: {source} by {from} to {destination} by {to}",
                        node.name
                    );
                    asked += 1;
                    decided += usize::from(by_oracle && !elsewhere);
                }
            }
        }
    }
    println!("of {asked} packets {decided} are refused for their interfaces alone");
    assert!(decided >= 10_000, "{decided}");
}

/// Names that the patterns of worlds mean, that only begin like them, and of other interfaces.
const INTERFACES: [&str; 9] = ["cali", "cali0", "cal", "veth3", "cni0", "cni01", "lxc1", "a", "eth0"];

/// Pairs of pods of a node and of others, unknown addresses in networks for pods, and addresses outside. FORWARD sees
/// none of the node's own.
fn pairs_of_ends(cluster: &Cluster, node: &Node) -> Vec<(IpAddr, IpAddr)> {
    let pods = cluster.pods().filter(|(_, pod)| pod.is_endpoint()).flat_map(|(_, pod)| pod.addresses.iter());
    let strangers = ["10.1.0.77", "10.1.1.77", "203.0.113.9", "fd00:10:1:0::77", "2001:db8::9"];
    let ends: Vec<IpAddr> = pods
        .step_by(3)
        .chain(strangers.map(|text| text.parse().unwrap()))
        .filter(|address| !node.addresses.contains(address))
        .collect();
    let pairs = ends.iter().flat_map(|source| ends.iter().map(|destination| (*source, *destination)));
    pairs.filter(|(source, destination)| source.is_ipv4() == destination.is_ipv4()).collect()
}

/// The proof of `compile`, on nodes of every setting: what they deny, what they say of it, and that nothing else is.
#[test]
fn nodes_are_proven_whatever_becomes_of_what_they_deny() {
    let mut proven: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..60 {
        let world = World::contradicted(seed);
        let sources = world.sources(Layout::Documents);
        let cluster = load(&sources).cluster;
        let mut compiler = Compiler::new(&cluster, &sources);
        let mut prover = Prover::new(&cluster, &sources);
        for node in compiler.nodes().collect::<Vec<_>>() {
            let flaws = prover.snapshot(node, &compiler.snapshot(node)).err().unwrap_or_default();
            assert!(flaws.is_empty(), "world {seed}, {}: {}", node.name, flaws[0]);
            let refusal = match node.settings.refusal() {
                Refusal::Drop => "drop",
                Refusal::Log(_) => "log",
                Refusal::Observe(_) => "observe",
            };
            *proven.entry(refusal).or_default() += 1;
        }
    }
    println!("{proven:?}");
    assert!(proven.len() == 3 && proven.values().all(|count| *count >= 10), "{proven:?}");
}

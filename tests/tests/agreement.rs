//! The proof, both engines and real packets say the same of clusters made from a seed.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests write files, print what they counted, and may panic"
)]

mod support;

use std::net::IpAddr;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use chainmail_contract::Family;
use chainmail_lab::{Backend, Cell, Endpoint, Lab, LabSpec, Origin, Topology, TruthTable};
use chainmail_manifest::source::Sources;
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_model::{Cluster, Direction, Node, Os, Pod, Whose};
use chainmail_pipeline::{Compiler, load};
use chainmail_prove::{Meaning, Prover};
use chainmail_review::query::Engine;
use chainmail_tests::breakpoints::packets;
use chainmail_tests::world::{Layout, World};
use chainmail_verdict::{Protocol, exact};

/// Other worlds than those on which only the engines are compared.
const WORLDS: Range<u64> = 30_000..30_050;
const MANY_WORLDS: Range<u64> = 30_000..30_500;
/// How many labs stand at a time: they mostly wait for packets that do not come.
const LABS: usize = 6;

#[test]
fn proof_and_engines_agree() {
    agree(WORLDS);
}

#[test]
#[ignore = "long: run by `make test-long`"]
fn proof_and_engines_agree_on_many_clusters() {
    agree(MANY_WORLDS);
}

fn agree(worlds: Range<u64>) {
    let (mut asked, mut denied, mut nodes, mut isolated, mut contested) = (0, 0, 0, 0, 0);
    for seed in worlds.clone() {
        let world = World::contradicted(seed);
        let sources = world.sources(Layout::JsonList);
        let cluster = loaded(&sources);
        let mut compiler = Compiler::new(&cluster, &sources);
        let mut prover = Prover::new(&cluster, &sources);
        for node in compiler.nodes().collect::<Vec<&Node>>() {
            if let Err(flaws) = prover.snapshot(node, &compiler.snapshot(node)) {
                panic!("world {seed}, node {}:\n{}", node.name, flaws[0]);
            }
            nodes += 1;
        }
        let both = Engine::Both(compiler.engine(&cluster).unwrap());
        // What these two drop, they drop whatever policies say.
        let bare = loaded(
            &world.without_setting("unknown_pods").without_setting("pod_bridge").sources(Layout::JsonList),
        );
        let meaning = Meaning::new(&bare);
        contested += bare.contested().len();
        for (_, pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
            for (direction, family) in Direction::ALL.into_iter().flat_map(|d| Family::ALL.map(|f| (d, f))) {
                let holder = pod.addresses.of(family).and_then(|address| bare.holder_of(address));
                isolated += usize::from(holder.is_some_and(|id| meaning.isolates(direction, id)));
                for packet in packets(&cluster, pod, direction, family) {
                    let verdict = both.judge(&packet).unwrap_or_else(|error| panic!("world {seed}: {error}"));
                    let (by_policies, by_proof) =
                        (semantics::judge(&bare, &packet), means(&meaning, &bare, &packet));
                    assert_eq!(by_policies, by_proof, "world {seed}: the proof's reading of {packet:?}");
                    asked += 1;
                    denied += usize::from(verdict == Verdict::Deny);
                }
            }
        }
    }
    println!(
        "{worlds:?}: {nodes} nodes proven, {isolated} isolated pods, {contested} contested addresses, {asked} packets of which {denied} are denied"
    );
    assert!((20..=80).contains(&(100 * denied / asked)), "{denied} of {asked} packets are denied");
    assert!(contested >= 20, "{contested} addresses are contested");
}

fn loaded(sources: &Sources) -> Cluster {
    let loaded = load(sources);
    assert!(!loaded.findings.has_errors(), "{:#?}", loaded.findings.sorted());
    loaded.cluster
}

/// The verdict by what the proof takes policies to mean, of a cluster where they alone decide.
fn means(meaning: &Meaning<'_>, cluster: &Cluster, packet: &Packet) -> Verdict {
    let allows = |direction, end: IpAddr, peer: IpAddr| {
        let Some(holder) = cluster.holder_of(end).filter(|_| end != peer) else { return true };
        let nodes = cluster.nodes_of(holder).into_iter().filter_map(|node| cluster.node(node));
        let service = match packet.service {
            Service::Port(transport, port) => exact::Service::Port(transport, port),
            Service::Portless => exact::Service::Other(Protocol(47)),
        };
        let allowed = meaning.allowed(direction, Family::of(end), holder);
        let is_allowed = allowed.is_none_or(|allowed| allowed.contains(peer, service));
        // What no policy can refuse is not the proof's to read from them.
        let mut enforcing = nodes.filter(|node| node.os == Os::Linux);
        enforcing.all(|node| node.addresses.contains(&peer) || is_allowed)
    };
    let Packet { source, destination, .. } = *packet;
    let passes =
        allows(Direction::Egress, source, destination) && allows(Direction::Ingress, destination, source);
    if passes { Verdict::Allow } else { Verdict::Deny }
}

#[test]
fn real_packets_agree() {
    observe(WORLDS);
}

#[test]
#[ignore = "long: run by `make test-long`"]
fn real_packets_agree_on_many_clusters() {
    observe(MANY_WORLDS);
}

/// Sends real packets between all pods, nodes and the outside, and holds what becomes of them against what the rules
/// say. Where these are wrong, they are not even compiled: compiling proves them.
fn observe(worlds: Range<u64>) {
    if !support::may_use_kernel() {
        return;
    }
    let next = AtomicU64::new(worlds.start);
    let counts: Vec<[usize; 2]> = std::thread::scope(|scope| {
        let work = || {
            let mut counts = [0, 0];
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if !worlds.contains(&seed) {
                    return counts;
                }
                let predicted = observe_one(seed);
                for (count, answer) in counts.iter_mut().zip([Cell::Allowed, Cell::Denied]) {
                    *count += predicted.cells().filter(|cell| *cell == answer).count();
                }
            }
        };
        let labs: Vec<_> = (0..LABS).map(|_| scope.spawn(work)).collect();
        labs.into_iter().map(|lab| lab.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let [passed, stopped] = [0, 1].map(|at| counts.iter().map(|counts| counts[at]).sum::<usize>());
    println!("{worlds:?}: {passed} packets passed and {stopped} did not");
    assert!((20..=80).contains(&(100 * stopped / (passed + stopped))), "{passed} passed, {stopped} did not");
}

fn observe_one(seed: u64) -> TruthTable {
    // The nodes of these labs join their pods by routes, and what is only observed passes in spite of its verdict.
    let world = World::contradicted(seed).without_setting("pod_bridge").without_setting("enforce");
    let folder = tempfile::tempdir().unwrap();
    let sources = world.sources(Layout::Folders);
    let origin = Origin::written(&sources, folder.path()).unwrap();
    let cluster = loaded(&sources);
    let mut spec = LabSpec::new(cluster.clone());
    spec.backend = if seed.is_multiple_of(2) { Backend::Nft } else { Backend::Legacy };
    spec.topology = Topology::Routed;
    let lab = Lab::up(&spec).unwrap();
    lab.compile_and_apply(&origin).unwrap();
    let mut endpoints = lab.endpoints();
    // A pod on the network of a node that no manifest describes: whose the address is, only the lab knows.
    // Of a contested address the lab knows on which node it is, and policies do not: what each node lets through itself,
    // and one that enforces nothing, would show which of the claims is true.
    let enforces = |pod: &Pod| {
        let node = pod.node.as_ref().and_then(|node| cluster.node(node));
        node.is_some_and(|node| node.os == Os::Linux)
    };
    let is_told = |at: IpAddr| match cluster.whose(at) {
        Whose::Pod(..) => true,
        Whose::Contested(_) => cluster.claimants(at).all(enforces),
        Whose::Node(_) => cluster.contested().is_empty(),
        Whose::Unknown => false,
    };
    // A name that objects give different addresses to is no single end of traffic.
    let is_one_end = |end: &Endpoint| match end {
        Endpoint::Pod(pod) => {
            let end = pod.to_string().parse::<chainmail_review::query::Endpoint>();
            end.is_ok_and(|end| end.end(&cluster).is_ok())
        }
        Endpoint::Node(_) | Endpoint::Address(_) => true,
    };
    endpoints.retain(is_one_end);
    endpoints.retain(|end| {
        let mut addresses = Family::ALL.into_iter().filter_map(|family| lab.address(end, family).ok());
        matches!(end, Endpoint::Address(_)) || addresses.all(is_told)
    });
    let services = ["80/TCP", "443/TCP", "53/UDP", "9100/TCP"].map(|service| service.parse().unwrap());
    let questions = lab.questions(&endpoints, &services, &Family::ALL);
    let predicted = lab.predict(&origin, &questions).unwrap();
    let observed = lab.observe(&questions).unwrap();
    assert_eq!(predicted.differences(&observed), [], "world {seed} on {}", spec.backend.as_str());
    lab.down().unwrap();
    predicted
}

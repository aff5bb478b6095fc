//! `diff` says exactly what changes for packets: held against the oracle, on pairs of generated clusters.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests print what they counted, and may panic"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chainmail_contract::{Family, NodeName};
use chainmail_manifest::source::Sources;
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_model::{Cluster, Direction, Node, Os, Pod, PodRef, Rule, UnknownPods, Whose};
use chainmail_pipeline::{Compiler, load};
use chainmail_review::diff::{
    Ahead, Ends, EndsKind, FleetText, Flow, FlowChange, Manifests, Mixed, Outcome, Presence, Reachability,
    Review, Revision, review,
};
use chainmail_review::effort::Effort;
use chainmail_review::query::{Endpoint, Who};
use chainmail_tests::breakpoints;
use chainmail_tests::world::{Layout, World};
use ipnet::IpNet;

const PAIRS: u64 = 80;
/// Pairs of worlds in which settings of nodes decide much.
const CROSSED: u64 = 20;
/// One in so many services is asked of each pair, in each world others.
const SERVICES: u64 = 3;

/// A world and what an edit makes of it. The live objects beside half of them contradict what was reviewed.
fn edited(seed: u64) -> [World; 2] {
    let world = World::contradicted(seed);
    let edited = world.edited(seed);
    [world, edited]
}

/// The same with pods at addresses that another node keeps for its own, and with other settings on each side: these refuse
/// much then, and what one node's refuse changes while the other's have not.
fn crossed(seed: u64) -> [World; 2] {
    let settings = [200_000, 300_000].map(|other| World::generate(other + seed).config);
    let [mut base, mut head] = edited(seed);
    for (world, config) in [&mut base, &mut head].into_iter().zip(settings) {
        for object in world.objects.iter_mut().filter(|object| object["kind"] == "Node") {
            let spec = object["spec"].to_string();
            let swaps = [("10.1.0.", "10.1.?."), ("10.1.1.", "10.1.0."), ("10.1.?.", "10.1.1.")];
            let spec = swaps.iter().fold(spec, |spec, (net, other)| spec.replace(net, other));
            object["spec"] = serde_json::from_str(&spec).unwrap();
        }
        world.config = config;
    }
    [base, head]
}

/// A side, read and compiled.
struct Loaded {
    sources: Sources,
    cluster: Cluster,
}

impl Loaded {
    fn new(world: &World) -> Option<Self> {
        let sources = world.sources(Layout::Documents);
        let loaded = load(&sources);
        (!loaded.findings.has_errors()).then_some(Self { cluster: loaded.cluster, sources })
    }

    fn revision(&self) -> Revision<'_> {
        let mut compiler = Compiler::new(&self.cluster, &self.sources);
        let mut fleet = FleetText::default();
        for node in compiler.nodes().collect::<Vec<_>>() {
            fleet.add_snapshot(compiler.snapshot(node));
        }
        let config = self.sources.config().map(|file| &*file.path);
        let files = self.sources.texts();
        let manifests = Manifests { cluster: &self.cluster, places: &self.sources, files, config };
        Revision { name: String::new(), commit: None, fleet, manifests: Some(manifests) }
    }
}

fn compare(base: &Loaded, head: &Loaded) -> Review {
    review(&base.revision(), &head.revision(), Effort::new(u64::MAX)).expect("that many steps are enough")
}

/// Who a flow means, as its words say.
#[derive(Default)]
struct Meant {
    pods: BTreeSet<String>,
    outside: Vec<(IpAddr, IpAddr)>,
    everyone_outside: bool,
}

impl Meant {
    fn new(ends: &Ends, presence: Presence, sides: [&Loaded; 2]) -> Self {
        let mut meant = Self::default();
        for word in &ends.ends {
            match (ends.kind, word.split_once('-').map(|(a, b)| (a.parse(), b.parse()))) {
                (EndsKind::Any, _) if word == "outside" => meant.everyone_outside = true,
                (EndsKind::Outside, Some((Ok(first), Ok(last)))) => meant.outside.push((first, last)),
                (EndsKind::Outside, _) => {
                    let net =
                        word.parse::<IpNet>().unwrap_or_else(|_| word.parse::<IpAddr>().unwrap().into());
                    meant.outside.push((net.network(), net.broadcast()));
                }
                (EndsKind::Any | EndsKind::Pods, _) => meant.pods.extend(named(word, presence, sides)),
            }
        }
        meant
    }

    fn has(&self, end: &End) -> bool {
        match end {
            End::Pod(name) => self.pods.contains(name),
            End::Outside(address) => {
                let within = |(first, last): &(IpAddr, IpAddr)| {
                    first.is_ipv4() == address.is_ipv4() && (first..=last).contains(&address)
                };
                self.everyone_outside || self.outside.iter().any(within)
            }
        }
    }
}

/// The pods of a word of the command line, among those that a flow of some presence may be of.
fn named(word: &str, presence: Presence, [base, head]: [&Loaded; 2]) -> BTreeSet<String> {
    let endpoint: Endpoint = word.parse().unwrap();
    let pods = |side: &Loaded| -> BTreeSet<String> {
        let ends = endpoint.ends(&side.cluster).unwrap_or_default();
        ends.into_iter()
            .map(|end| match end.who {
                Who::Pod(pod) | Who::Assumed(pod) => pod.to_string(),
                Who::Address(_) | Who::Outside(_) => panic!("{word} is no pod"),
            })
            .collect()
    };
    let is_there = |side: &Loaded, name: &String| {
        side.cluster.pods().any(|(_, pod)| pod.is_endpoint() && pod.pod_ref().to_string() == *name)
    };
    match presence {
        Presence::Stay => pods(head).into_iter().filter(|name| is_there(base, name)).collect(),
        Presence::Appear => pods(head),
        Presence::Vanish => pods(base),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Pod(String),
    Outside(IpAddr),
}

/// All ends that the policies of either side can tell apart; of an address that is a node's or a pod's on one side, the
/// other knows less. A name that objects give different addresses to is no single end, and its flows are told by that name.
fn ends(sides: [&Loaded; 2]) -> BTreeSet<End> {
    let mut ends = BTreeSet::new();
    let is_one = |name: &PodRef| {
        let addresses = |side: &Loaded| {
            let pods = side.cluster.pods_named(name.namespace.as_str(), name.name.as_str());
            pods.map(|(_, pod)| pod.addresses).collect::<BTreeSet<_>>()
        };
        sides.iter().all(|side| addresses(side).len() <= 1)
    };
    for side in sides {
        let pods = side.cluster.pods().filter(|(_, pod)| pod.is_endpoint());
        let names = pods.map(|(_, pod)| pod.pod_ref()).filter(is_one);
        ends.extend(names.map(|name| End::Pod(name.to_string())));
        let rules = rules(&side.cluster);
        for family in Family::ALL {
            let peers = breakpoints::peers(&side.cluster, &rules, family).into_iter();
            let strange = |address: &IpAddr| {
                sides.iter().all(|side| matches!(side.cluster.whose(*address), Whose::Unknown))
            };
            ends.extend(peers.filter(strange).map(End::Outside));
        }
    }
    ends
}

fn rules(cluster: &Cluster) -> Vec<&Rule> {
    let of =
        |direction| cluster.policies().iter().filter_map(move |policy| policy.rules(direction)).flatten();
    Direction::ALL.into_iter().flat_map(of).collect()
}

fn find<'c>(cluster: &'c Cluster, name: &str) -> Option<&'c Pod> {
    let (namespace, name) = name.split_once('/').unwrap();
    cluster.find_pod(namespace, name).map(|(_, pod)| pod).filter(|pod| pod.is_endpoint())
}

fn address(cluster: &Cluster, end: &End, family: Family) -> Option<IpAddr> {
    match end {
        End::Pod(name) => find(cluster, name)?.addresses.of(family),
        End::Outside(address) => Some(*address).filter(|address| Family::of(*address) == family),
    }
}

/// What is allowed of some services: `None` where an end is not there.
fn allowed(
    side: &Loaded,
    (from, to): (&End, &End),
    family: Family,
    services: &[Service],
) -> Option<Vec<bool>> {
    let (source, destination) = (address(&side.cluster, from, family)?, address(&side.cluster, to, family)?);
    let judge = |service: &Service| {
        let packet = Packet { source, destination, service: *service };
        semantics::judge(&side.cluster, &packet) == Verdict::Allow
    };
    Some(services.iter().map(judge).collect())
}

/// Every pair of ends has the one flow that tells what becomes of it, or none where nothing does.
fn check(seed: u64, sides: [&Loaded; 2], told: &Reachability, counts: &mut BTreeMap<String, usize>) {
    let services: BTreeSet<Service> = sides
        .iter()
        .flat_map(|side| breakpoints::services(&side.cluster, &rules(&side.cluster)))
        .filter(|service| !matches!(service, Service::Port(_, 0)))
        .collect();
    let asked = (seed..).zip(services).filter(|(place, _)| place % SERVICES == 0);
    let services: Vec<Service> = asked.map(|(_, service)| service).collect();
    let meant: Vec<(&Flow, Meant, Meant)> = told
        .flows
        .iter()
        .map(|flow| (flow, Meant::new(&flow.from, flow.pods, sides), Meant::new(&flow.to, flow.pods, sides)))
        .collect();
    let ends = ends(sides);
    for from in &ends {
        for to in ends.iter().filter(|to| *to != from) {
            if !matches!((from, to), (End::Pod(_), _) | (_, End::Pod(_))) {
                continue;
            }
            let other_family =
                |end: &End, family| matches!(end, End::Outside(address) if Family::of(*address) != family);
            for family in Family::ALL {
                if other_family(from, family) || other_family(to, family) {
                    continue;
                }
                let at = |end, side: &Loaded| address(&side.cluster, end, family);
                if sides.iter().any(|side| at(from, side).is_some() && at(from, side) == at(to, side)) {
                    // Two that claim one address are no pair.
                    continue;
                }
                let verdicts = sides.map(|side| allowed(side, (from, to), family, &services));
                let flows: Vec<&Flow> = meant
                    .iter()
                    .filter(|(flow, sources, destinations)| {
                        flow.families.contains(&family) && sources.has(from) && destinations.has(to)
                    })
                    .map(|(flow, ..)| *flow)
                    .collect();
                let none = || vec![false; services.len()];
                let [before, after] = verdicts.map(|verdicts| verdicts.unwrap_or_else(none));
                let place = format!("world {seed}: IP{family} {from:?} -> {to:?}: {flows:#?}");
                match &flows[..] {
                    [] => assert_eq!(before, after, "{place}"),
                    [flow] => {
                        let told = [&flow.before, &flow.after].map(|allowed| {
                            services.iter().map(|service| allowed.contains(*service)).collect::<Vec<_>>()
                        });
                        assert!(flow.before != flow.after, "{place}");
                        assert_eq!(told, [before, after], "{place}");
                        *counts.entry(format!("{:?} {:?}", flow.pods, flow.change)).or_default() += 1;
                    }
                    _ => panic!("{place}"),
                }
            }
        }
    }
}

#[test]
fn flows_are_the_difference_of_what_the_oracle_says() {
    let mut counts = BTreeMap::new();
    let mut flows = 0;
    let pairs = (0..PAIRS).map(|seed| (seed, edited(seed)));
    let pairs = pairs.chain((0..CROSSED).map(|seed| (seed, crossed(seed))));
    for (seed, pair) in pairs {
        let [Some(base), Some(head)] = pair.each_ref().map(Loaded::new) else { continue };
        let told = compare(&base, &head).reachability.unwrap();
        check(seed, [&base, &head], &told, &mut counts);
        flows += told.flows.len();
        for flow in &told.flows {
            assert!(!flow.causes.is_empty(), "world {seed}: no cause of {flow:#?}");
            assert!(flow.witness.before != flow.witness.after, "world {seed}: {flow:#?}");
        }
    }
    println!("{flows} flows; pairs: {counts:?}");
    assert!(flows >= 1_000, "{flows} flows are too few");
    for change in ["Opened", "Widened", "Altered", "Closed", "Narrowed"] {
        let pairs = counts.get(&format!("Stay {change}")).copied().unwrap_or_default();
        assert!(pairs >= 50, "{pairs} pairs are {change}: {counts:?}");
    }
}

/// The addresses whose isolation the oracle sees end: a policy selected a pod of the base that had it on a node that
/// enforces, no pod has it on the head, and nothing drops packets for that.
fn left([base, head]: [&Loaded; 2]) -> BTreeSet<(Direction, IpAddr)> {
    let mut left = BTreeSet::new();
    let addresses = base.cluster.pods().flat_map(|(_, pod)| pod.addresses.iter());
    for address in addresses.filter(|address| semantics::is_enforced(&base.cluster, *address)) {
        let is_closed = |node: &Node| {
            node.os == Os::Linux
                && node.settings.unknown_pods == UnknownPods::Drop
                && node.pod_cidrs.iter().any(|net| net.contains(&address))
        };
        let is_open = match head.cluster.whose(address) {
            Whose::Pod(..) | Whose::Contested(_) => false,
            Whose::Node(_) => true,
            Whose::Unknown => !head.cluster.nodes().any(is_closed),
        };
        for direction in Direction::ALL.into_iter().filter(|_| is_open) {
            let isolates = |pod: &Pod| {
                base.cluster.policies().iter().any(|policy| {
                    policy.namespace == pod.namespace
                        && policy.rules(direction).is_some()
                        && semantics::selects(&policy.subject, &pod.labels)
                })
            };
            if semantics::is_crowded(&base.cluster, address) || base.cluster.claimants(address).any(isolates)
            {
                left.insert((direction, address));
            }
        }
    }
    left
}

#[test]
fn addresses_that_isolated_pods_leave_are_those_of_the_oracle() {
    let mut counts = BTreeMap::new();
    let pairs = (0..PAIRS).map(edited).chain((0..CROSSED).map(crossed));
    for (place, pair) in pairs.enumerate() {
        let [Some(base), Some(head)] = pair.each_ref().map(Loaded::new) else { continue };
        for sides in [[&base, &head], [&head, &base]] {
            let review = compare(sides[0], sides[1]);
            let rows = &review.reachability.as_ref().unwrap().isolation;
            let rows = rows.iter().filter(|row| !row.addresses.is_empty());
            let told: Vec<(Direction, IpAddr)> =
                rows.flat_map(|row| row.addresses.iter().map(|address| (row.direction, *address))).collect();
            let wanted = left(sides);
            assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), wanted, "pair {place}");
            assert_eq!(told.len(), review.summary.addresses_freed, "pair {place}");
            if !wanted.is_empty() {
                assert_eq!(review.summary.outcome, Outcome::OtherTraffic, "pair {place}");
            }
            for (direction, _) in wanted {
                *counts.entry(direction).or_insert(0) += 1;
            }
        }
    }
    println!("{counts:?}");
    assert!(Direction::ALL.iter().all(|direction| counts.get(direction) >= Some(&20)), "{counts:?}");
}

/// The nodes that a pod may be on: several where others claim its address.
fn nodes<'c>(side: &'c Loaded, name: &str, family: Family) -> BTreeSet<&'c NodeName> {
    let address = find(&side.cluster, name).and_then(|pod| pod.addresses.of(family));
    let holder = address.and_then(|address| side.cluster.holder_of(address));
    holder.map(|holder| side.cluster.nodes_of(holder)).unwrap_or_default()
}

/// Whether a node of a pod drops a packet between it and another pod whatever policies say: one that is at an address
/// which the node keeps for its own, or strays on its bridge.
fn node_refuses(side: &Loaded, pod: &End, packet: &Packet) -> bool {
    let End::Pod(name) = pod else { return false };
    let nodes = nodes(side, name, Family::of(packet.source)).into_iter();
    let mut nodes = nodes.filter_map(|node| side.cluster.node(node)).filter(|node| node.os == Os::Linux);
    nodes.any(|node| one_refuses(&side.cluster, node, packet))
}

fn one_refuses(cluster: &Cluster, node: &Node, packet: &Packet) -> bool {
    let is_here = |address: &IpAddr| {
        cluster.holder_of(*address).is_some_and(|holder| cluster.nodes_of(holder).contains(&node.name))
    };
    let is_kept = |address: &IpAddr| node.pod_cidrs.iter().any(|net| net.contains(address));
    let ends = [packet.source, packet.destination];
    let odd = ends.iter().any(|end| is_kept(end) && !is_here(end));
    let keeps_any = node.pod_cidrs.iter().any(|net| Family::of_net(net) == Family::of(packet.source));
    let stray = (keeps_any && !is_kept(&packet.source))
        || packet.destination.is_multicast()
        || ends.iter().any(|end| matches!(end, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    (node.settings.unknown_pods == UnknownPods::Drop && odd)
        || (node.settings.pod_bridge.is_some() && ends.iter().all(is_here) && stray)
}

#[test]
fn between_revisions_opens_what_the_oracle_says() {
    let mut counts = [[0; 2]; 2];
    for seed in 0..PAIRS {
        for (pair, counts) in [edited(seed), crossed(seed)].iter().zip(&mut counts) {
            let [Some(base), Some(head)] = pair.each_ref().map(Loaded::new) else { continue };
            check_between(seed, [&base, &head], counts);
        }
    }
    println!("of packets some do not pass between revisions, and some do: {counts:?}");
    assert!(counts.iter().all(|[_, told]| *told >= 500), "{counts:?} are too few");
}

/// What neither side allows, and the source by the rules of one and the destination by those of the other do: by policies,
/// and by what their nodes refuse beside them.
fn check_between(seed: u64, sides: [&Loaded; 2], counts: &mut [usize; 2]) {
    let [base, head] = sides;
    let mixed = compare(base, head).reachability.unwrap().mixed;
    let meant: Vec<(&Mixed, Meant, Meant)> = mixed
        .iter()
        .map(|row| {
            let [from, to] = [&row.from, &row.to].map(|ends| Meant::new(ends, Presence::Stay, sides));
            (row, from, to)
        })
        .collect();
    let services: BTreeSet<Service> = sides
        .iter()
        .flat_map(|side| breakpoints::services(&side.cluster, &rules(&side.cluster)))
        .filter(|service| !matches!(service, Service::Port(_, 0)))
        .collect();
    let pods: Vec<End> = ends(sides).into_iter().filter(|end| matches!(end, End::Pod(_))).collect();
    for (from, to) in pods.iter().flat_map(|from| pods.iter().map(move |to| (from, to))) {
        for family in Family::ALL {
            // What may be on several nodes may be on another than the other end is.
            let on = |end: &End| match end {
                End::Pod(name) => nodes(head, name, family),
                End::Outside(_) => BTreeSet::new(),
            };
            if from == to || (on(from) == on(to) && on(from).len() < 2) {
                continue;
            }
            let at = |end| sides.map(|side| address(&side.cluster, end, family));
            let ([Some(source), old], [Some(destination), older]) = (at(from), at(to)) else { continue };
            if old != Some(source) || older != Some(destination) || source == destination {
                continue;
            }
            for ahead in [Ahead::Source, Ahead::Destination] {
                let rows: Vec<&Mixed> = meant
                    .iter()
                    .filter(|(row, sources, destinations)| {
                        row.ahead == ahead
                            && row.families.contains(&family)
                            && sources.has(from)
                            && destinations.has(to)
                    })
                    .map(|(row, ..)| *row)
                    .collect();
                let [of_source, of_destination] = match ahead {
                    Ahead::Source => [head, base],
                    Ahead::Destination => [base, head],
                };
                for service in &services {
                    let packet = Packet { source, destination, service: *service };
                    let refused = |side: &&Loaded| semantics::judge(&side.cluster, &packet) == Verdict::Deny;
                    let opens = sides.iter().all(refused)
                        && semantics::end_allows(&of_source.cluster, Direction::Egress, &packet)
                        && semantics::end_allows(&of_destination.cluster, Direction::Ingress, &packet)
                        && !node_refuses(of_source, from, &packet)
                        && !node_refuses(of_destination, to, &packet);
                    let says = rows.iter().any(|row| row.services.contains(*service));
                    let place = format!("world {seed}: {ahead:?} ahead, {packet:?}: {rows:#?}");
                    assert_eq!(says, opens, "{place}");
                    counts[usize::from(says)] += 1;
                }
            }
        }
    }
}

#[test]
fn flows_between_states_of_scenarios_are_exact() {
    let mut counts = BTreeMap::new();
    for scenario in support::scenario::all() {
        for pair in scenario.states.windows(2) {
            let [base, head] = [&pair[0], &pair[1]].map(|state| Loaded {
                cluster: support::scenario::loaded(state).cluster,
                sources: state.sources.clone(),
            });
            let told = compare(&base, &head).reachability.unwrap();
            check(0, [&base, &head], &told, &mut counts);
        }
    }
    println!("{counts:?}");
    assert!(counts["Stay Opened"] >= 20 && counts["Stay Closed"] >= 20, "{counts:?}");
}

/// What is told of a flow, whichever side is which.
type Told = (Presence, FlowChange, Vec<String>, Vec<String>, String, String);

fn told(flow: &Flow, mirrored: bool) -> Told {
    let Flow { change, pods, from, to, before, after, .. } = flow;
    let (from, to) = (from.ends.clone(), to.ends.clone());
    let (before, after) = (before.to_string(), after.to_string());
    if !mirrored {
        return (*pods, *change, from, to, before, after);
    }
    let change = match change {
        FlowChange::Opened => FlowChange::Closed,
        FlowChange::Closed => FlowChange::Opened,
        FlowChange::Widened => FlowChange::Narrowed,
        FlowChange::Narrowed => FlowChange::Widened,
        FlowChange::Altered => FlowChange::Altered,
    };
    let pods = match pods {
        Presence::Stay => Presence::Stay,
        Presence::Appear => Presence::Vanish,
        Presence::Vanish => Presence::Appear,
    };
    (pods, change, from, to, after, before)
}

#[test]
fn nothing_changes_to_itself_and_there_and_back_are_mirrors() {
    for seed in 1_000..1_060 {
        let world = World::contradicted(seed);
        let [Some(base), Some(head)] = [&world, &world.edited(seed)].map(Loaded::new) else { continue };
        let same = compare(&base, &base);
        let reach = same.reachability.as_ref().unwrap();
        assert!(
            reach.flows.is_empty()
                && reach.isolation.is_empty()
                && reach.mixed.is_empty()
                && same.rules.shapes.is_empty()
                && same.rules.sets.is_empty(),
            "world {seed}: {same:#?}"
        );
        let flows = |review: &Review, mirrored| -> BTreeSet<Told> {
            review
                .reachability
                .iter()
                .flat_map(|reach| &reach.flows)
                .map(|flow| told(flow, mirrored))
                .collect()
        };
        let (there, back) = (compare(&base, &head), compare(&head, &base));
        assert_eq!(flows(&there, false), flows(&back, true), "world {seed}");
        assert_eq!(there.summary.newly_isolated, back.summary.no_longer_isolated, "world {seed}");
        assert_eq!(there.summary.rules_added, back.summary.rules_removed, "world {seed}");
        assert_eq!(there.summary.members_added, back.summary.members_removed, "world {seed}");
    }
}

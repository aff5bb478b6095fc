//! Explanations hold on generated clusters: they come to the verdict of both engines, the rules that they name are the
//! ones that decide, and what they call nearest is what stands in the way. So do the answers about many ends.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print what they counted, and may panic")]

use std::collections::BTreeSet;

use chainmail_contract::{Family, Transport};
use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_model::{Cluster, Direction, RuleRef, Whose};
use chainmail_pipeline::{Compiler, load};
use chainmail_review::describe::{PeerDescription, describe};
use chainmail_review::effort::Effort;
use chainmail_review::explain::{Condition, Explanation, NearMiss, Side, explain};
use chainmail_review::query::{Answer, End, Endpoint, Engine, Question, RulesEngine, Who, matrix};
use chainmail_tests::probes::Prober;
use chainmail_tests::seeded::Seeded;
use chainmail_tests::world::{Layout, World};
use serde_json::{Value, json};

const WORLDS: u64 = 60;

/// Each probe of these compiles several edited worlds.
const EDITED_WORLDS: u64 = 24;
const EDITED_PROBES: usize = 40;

fn end(address: std::net::IpAddr, cluster: &Cluster) -> End {
    Endpoint::Address(address).end(cluster).unwrap()
}

/// The explanation of a packet, which must come to the verdict of both engines.
fn explained(cluster: &Cluster, sources: &Sources, packet: &Packet) -> Explanation {
    let mut compiler = Compiler::new(cluster, sources);
    let rules = compiler.engine(cluster).unwrap();
    explained_by(cluster, sources, &rules, packet)
}

fn explained_by(
    cluster: &Cluster,
    sources: &Sources,
    rules: &RulesEngine<'_>,
    packet: &Packet,
) -> Explanation {
    let ends = (&end(packet.source, cluster), &end(packet.destination, cluster));
    let mut all = explain(cluster, sources, rules, ends, packet.service).unwrap_or_else(|e| panic!("{e}"));
    let explanation = all.pop().unwrap();
    assert_eq!(explanation.verdict, semantics::judge(cluster, packet), "{packet}");
    assert_eq!(explanation.verdict, rules.judge(packet).unwrap(), "{packet}");
    explanation
}

fn side(explanation: &Explanation, direction: Direction) -> &Side {
    match direction {
        Direction::Ingress => &explanation.ingress,
        Direction::Egress => &explanation.egress,
    }
}

/// The object of a policy, its types written out so that edits of its rules change nothing else.
fn policy_of<'a>(objects: &'a mut [Value], cluster: &Cluster, rule: &RuleRef) -> &'a mut Value {
    let found = cluster.policies().iter().find(|policy| policy.policy_ref() == rule.policy).unwrap();
    let types: Vec<&str> = [(Direction::Ingress, "Ingress"), (Direction::Egress, "Egress")]
        .into_iter()
        .filter_map(|(direction, name)| found.rules(direction).map(|_| name))
        .collect();
    let object = objects
        .iter_mut()
        .find(|object| {
            object["kind"] == "NetworkPolicy"
                && object["metadata"]["name"] == rule.policy.name.as_str()
                && object["metadata"]["namespace"].as_str().unwrap_or("default")
                    == rule.policy.namespace.as_str()
        })
        .unwrap();
    object["spec"]["policyTypes"] = json!(types);
    object
}

fn without_rules(world: &World, cluster: &Cluster, rules: &[RuleRef]) -> World {
    let mut world = world.clone();
    // From the back, so that the places of those before stay.
    let mut rules = rules.to_vec();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.index));
    for rule in rules {
        let object = policy_of(&mut world.objects, cluster, &rule);
        object["spec"][rule.direction.to_string()].as_array_mut().unwrap().remove(rule.index);
    }
    world
}

fn is_about_ports(condition: Condition) -> bool {
    matches!(condition, Condition::Protocol | Condition::Port | Condition::NamedPort | Condition::HasPort)
}

/// The rule with no peers or no ports where it misses some; `peers` and `ports` say what may be given up.
fn relaxed(world: &World, cluster: &Cluster, nearest: &NearMiss, peers: bool, ports: bool) -> World {
    let mut world = world.clone();
    let rule = &nearest.rule.rule;
    let object = policy_of(&mut world.objects, cluster, rule);
    let rule_ = &mut object["spec"][rule.direction.to_string()][rule.index];
    for miss in &nearest.misses {
        match is_about_ports(miss.condition) {
            true if ports => drop(rule_.as_object_mut().unwrap().remove("ports")),
            false if peers => {
                let field = if rule.direction == Direction::Ingress { "from" } else { "to" };
                drop(rule_.as_object_mut().unwrap().remove(field));
            }
            _ => {}
        }
    }
    world
}

/// What another world's explanation says about a side.
fn side_allows(world: &World, packet: &Packet, direction: Direction) -> bool {
    let sources = world.sources(Layout::Documents);
    let loaded = load(&sources);
    assert!(!loaded.findings.has_errors(), "{:#?}", loaded.findings.sorted());
    side(&explained(&loaded.cluster, &sources, packet), direction).allows()
}

/// The nearest rule of a side that refuses, in another world.
fn refusal(world: &World, packet: &Packet, direction: Direction) -> Option<NearMiss> {
    let sources = world.sources(Layout::Documents);
    let loaded = load(&sources);
    match side(&explained(&loaded.cluster, &sources, packet), direction) {
        Side::Refused { nearest, .. } => nearest.clone(),
        Side::Exempt { .. } | Side::NotIsolated | Side::Allowed { .. } => None,
    }
}

/// How many objects claim the address whose side it is.
fn claimants(cluster: &Cluster, packet: &Packet, direction: Direction) -> usize {
    let end = match direction {
        Direction::Ingress => packet.destination,
        Direction::Egress => packet.source,
    };
    cluster.claimants(end).count()
}

/// All rules of the policies that isolate an end, but some.
fn others_of(
    cluster: &Cluster,
    explanation: &Explanation,
    direction: Direction,
    but: &[RuleRef],
) -> Vec<RuleRef> {
    let Side::Allowed { isolated_by, .. } = side(explanation, direction) else { return Vec::new() };
    let isolating = cluster.policies().iter().filter(|policy| {
        let policy = policy.policy_ref();
        isolated_by.iter().any(|at| at.policy == policy)
    });
    let rules = isolating.flat_map(|policy| {
        let count = policy.rules(direction).map_or(0, |rules| rules.len());
        (0..count).map(move |index| RuleRef { policy: policy.policy_ref(), direction, index })
    });
    rules.filter(|rule| !but.contains(rule)).collect()
}

#[test]
fn named_rules_decide() {
    let (mut allowed, mut refused, mut both, mut contested) = (0, 0, 0, 0);
    for seed in 0..EDITED_WORLDS {
        let world = World::contradicted(seed);
        let sources = world.sources(Layout::Documents);
        let loaded = load(&sources);
        let cluster = &loaded.cluster;
        let mut compiler = Compiler::new(cluster, &sources);
        let rules = compiler.engine(cluster).unwrap();
        let mut prober = Prober::new(cluster, &world.written_addresses(), Seeded::new(seed));
        for packet in prober.probes(EDITED_PROBES) {
            let explanation = explained_by(cluster, &sources, &rules, &packet);
            for direction in Direction::ALL {
                let context = format!("world {seed}, {packet}, {direction}: {explanation:#?}");
                match side(&explanation, direction) {
                    Side::Exempt { .. } | Side::NotIsolated => {}
                    Side::Allowed { allowed_by, .. } => {
                        let named: Vec<RuleRef> = allowed_by.iter().map(|at| at.rule.clone()).collect();
                        let none = without_rules(&world, cluster, &named);
                        assert!(!side_allows(&none, &packet, direction), "others allow it: {context}");
                        // Of several claimants each may need another rule.
                        let alone = if claimants(cluster, &packet, direction) > 1 { named.len() } else { 1 };
                        let others = others_of(cluster, &explanation, direction, &named[..alone]);
                        let only = without_rules(&world, cluster, &others);
                        assert!(side_allows(&only, &packet, direction), "these do not: {context}");
                        contested += usize::from(claimants(cluster, &packet, direction) > 1);
                        allowed += 1;
                    }
                    Side::Refused { nearest: None, .. } => refused += 1,
                    Side::Refused { nearest: Some(nearest), .. } => {
                        assert!(!nearest.misses.is_empty(), "{context}");
                        let mut open = relaxed(&world, cluster, nearest, true, true);
                        for _ in 1..claimants(cluster, &packet, direction) {
                            // Another claimant may refuse, too.
                            match refusal(&open, &packet, direction) {
                                Some(nearest) => open = relaxed(&open, cluster, &nearest, true, true),
                                None => break,
                            }
                        }
                        let is_open = side_allows(&open, &packet, direction);
                        let is_without_rule = refusal(&open, &packet, direction).is_none();
                        let is_contested = claimants(cluster, &packet, direction) > 1;
                        assert!(
                            is_open || (is_contested && is_without_rule),
                            "more is in the way: {context}"
                        );
                        contested += usize::from(is_contested);
                        let ports =
                            nearest.misses.iter().filter(|miss| is_about_ports(miss.condition)).count();
                        if ports > 0 && ports < nearest.misses.len() {
                            for (peers, ports) in [(true, false), (false, true)] {
                                let half = relaxed(&world, cluster, nearest, peers, ports);
                                assert!(!side_allows(&half, &packet, direction), "one was enough: {context}");
                            }
                            both += 1;
                        }
                        refused += 1;
                    }
                }
            }
        }
    }
    println!(
        "{allowed} sides allowed, {refused} refused, {both} of them for peer and port; {contested} of contested addresses"
    );
    assert!(allowed > 300 && refused > 300 && both > 30 && contested > 20);
}

const NEAR_MISSES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop, tier: gold}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: ops}}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.1.0.0/24}
status: {addresses: [{type: InternalIP, address: 10.9.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 10.9.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1, containers: [{ports: [{name: sql, containerPort: 5432}, {name: dns, protocol: UDP, containerPort: 53}]}]}
status: {podIP: 10.1.0.10}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1}
status: {podIP: 10.1.0.11}
---
apiVersion: v1
kind: Pod
metadata: {name: prom, namespace: ops, labels: {app: web}}
spec: {nodeName: n2}
status: {podIP: 10.1.1.10}
---
apiVersion: v1
kind: Pod
metadata: {name: stray, namespace: ops}
spec: {nodeName: n1}
status: {podIP: 10.5.0.5}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [RULES]
";

/// Each condition, as it is told; of several rules the one that fails by the fewest.
#[test]
fn near_misses_are_told() {
    let web = "podSelector: {matchLabels: {app: web}}";
    let gold = "namespaceSelector: {matchExpressions: [{key: tier, operator: Exists}, {key: team, operator: NotIn, values: [ops]}]}";
    let rows = [
        (
            format!("{{from: [{{{gold}}}]}}"),
            "ops/prom",
            "80",
            "[0] wants namespaces team notin (ops),tier, ops has team=ops and no tier",
        ),
        (
            format!("{{from: [{{{web}}}]}}"),
            "ops/prom",
            "80",
            "[0] wants pods of namespace shop, ops/prom is in ops",
        ),
        (
            "{from: [{podSelector: {matchLabels: {app: api}}}]}".to_owned(),
            "shop/web",
            "80",
            "[0] wants pods app=api, shop/web has app=web",
        ),
        (
            "{from: [{ipBlock: {cidr: 10.2.0.0/16}}]}".to_owned(),
            "10.3.0.1",
            "80",
            "[0] wants 10.2.0.0/16, 10.3.0.1 is not in it",
        ),
        (
            "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.3.0.0/16]}}]}".to_owned(),
            "10.3.0.1",
            "80",
            "[0] wants 10.0.0.0/8 except 10.3.0.0/16, 10.3.0.1 is in 10.3.0.0/16",
        ),
        ("{ports: [{protocol: UDP}]}".to_owned(), "shop/web", "80", "[0] wants protocol udp, tcp is asked"),
        (
            "{ports: [{port: 443}, {port: 8000, endPort: 8080}]}".to_owned(),
            "shop/web",
            "80",
            "[0] wants port 443 or 8000-8080, 80 is asked",
        ),
        (
            "{ports: [{port: sql}]}".to_owned(),
            "shop/web",
            "80",
            "[0] wants port sql, it is 5432 on shop/db and 80 is asked",
        ),
        (
            "{ports: [{port: dns}]}".to_owned(),
            "shop/web",
            "53",
            "[0] wants port dns, shop/db has no tcp port of that name",
        ),
        (
            "{ports: [{port: 80}, {port: dns, protocol: UDP}]}".to_owned(),
            "shop/web",
            "icmp",
            "[0] wants port tcp/80 or udp/dns, icmp has no ports",
        ),
        (
            format!("{{from: [{{{web}}}]}}"),
            "10.9.0.2",
            "80",
            "[0] wants pods, 10.9.0.2 is node n2 and no pod",
        ),
        (format!("{{from: [{{{web}}}]}}"), "10.3.0.1", "80", "[0] wants pods, 10.3.0.1 is no pod"),
        // Both, then one of them, then one that labels would not change.
        (
            format!("{{from: [{{{web}}}], ports: [{{port: 443}}]}}, {{from: [{{{web}}}]}}"),
            "ops/prom",
            "80",
            "[1] wants pods of namespace shop, ops/prom is in ops",
        ),
        (
            "{from: [{ipBlock: {cidr: 10.2.0.0/16}}]}, {ports: [{port: 443}]}".to_owned(),
            "ops/prom",
            "80",
            "[1] wants port 443, 80 is asked",
        ),
        (
            format!("{{from: [{{ipBlock: {{cidr: 10.2.0.0/16}}}}, {{{web}}}]}}"),
            "ops/prom",
            "80",
            "[0] from[1] wants pods of namespace shop, ops/prom is in ops",
        ),
        // Equally near: the first.
        (
            "{ports: [{port: 443}]}, {ports: [{port: 444}]}".to_owned(),
            "shop/web",
            "80",
            "[0] wants port 443, 80 is asked",
        ),
    ];
    for (rules, source, service, expected) in rows {
        let text = NEAR_MISSES.replace("RULES", &rules);
        let sources =
            Sources::new(vec![SourceFile { path: "all.yaml".to_owned(), bytes: text.into_bytes() }]);
        let loaded = load(&sources);
        assert!(!loaded.findings.has_errors(), "{rules}: {:#?}", loaded.findings.sorted());
        let cluster = &loaded.cluster;
        let mut compiler = Compiler::new(cluster, &sources);
        let engine = compiler.engine(cluster).unwrap();
        let [source, db] =
            [source, "shop/db"].map(|end| end.parse::<Endpoint>().unwrap().end(cluster).unwrap());
        let all = explain(cluster, &sources, &engine, (&source, &db), service.parse().unwrap()).unwrap();
        let Side::Refused { nearest: Some(nearest), .. } = &all[0].ingress else {
            panic!("{rules}: {all:#?}")
        };
        let misses: Vec<String> = nearest
            .misses
            .iter()
            .map(|miss| {
                let item = miss.item.as_ref().map(|item| format!("{item} ")).unwrap_or_default();
                format!("{item}wants {}, {}", miss.wants, miss.found)
            })
            .collect();
        assert_eq!(format!("[{}] {}", nearest.rule.rule.index, misses.join("; ")), expected, "{rules}");
    }
}

/// What a node refuses whatever policies say has a line of its own.
#[test]
fn settings_that_refuse_are_told() {
    let rows = [
        ("unknown_pods = \"drop\"\n", "10.1.0.99", "shop/db", "unknown_pods"),
        ("pod_bridge = \"cni0\"\n", "shop/web", "10.1.0.99", ""),
        ("pod_bridge = \"cni0\"\n", "ops/stray", "shop/db", "pod_bridge"),
        ("", "ops/stray", "shop/db", ""),
    ];
    for (config, source, destination, setting) in rows {
        let text = NEAR_MISSES.replace("RULES", "{}");
        let config = SourceFile { path: "chainmail.toml".to_owned(), bytes: config.as_bytes().to_vec() };
        let file = SourceFile { path: "all.yaml".to_owned(), bytes: text.into_bytes() };
        let sources = Sources::new(vec![file]).with_config(config);
        let loaded = load(&sources);
        assert!(!loaded.findings.has_errors(), "{:#?}", loaded.findings.sorted());
        let cluster = &loaded.cluster;
        let mut compiler = Compiler::new(cluster, &sources);
        let engine = compiler.engine(cluster).unwrap();
        let ends = [source, destination].map(|end| end.parse::<Endpoint>().unwrap().end(cluster).unwrap());
        let all = explain(cluster, &sources, &engine, (&ends[0], &ends[1]), Service::Portless).unwrap();
        let settings: Vec<&str> = all[0].guards.iter().map(|guard| guard.setting).collect();
        assert_eq!(settings.join(","), setting, "{source} -> {destination}");
        assert_eq!(all[0].verdict == Verdict::Deny, !setting.is_empty());
    }
}

/// Ports are compared one by one: nothing is taken from where rules begin and end.
#[test]
fn services_are_exact() {
    let mut partial = 0;
    for seed in 100..112 {
        let world = World::contradicted(seed);
        let sources = world.sources(Layout::Documents);
        let loaded = load(&sources);
        let cluster = &loaded.cluster;
        let mut compiler = Compiler::new(cluster, &sources);
        let engine = Engine::Both(compiler.engine(cluster).unwrap());
        let mut prober = Prober::new(cluster, &world.written_addresses(), Seeded::new(seed));
        for packet in prober.probes(6) {
            let ends = (vec![end(packet.source, cluster)], vec![end(packet.destination, cluster)]);
            let matrix =
                matrix(cluster, &engine, Question::Services, ends.0, ends.1, &mut Effort::new(u64::MAX))
                    .unwrap();
            let Answer::Allowed(by_family) = matrix.answer(0, 0) else { continue };
            let allowed = &by_family[&Family::of(packet.source)];
            let ports = (1..=u16::MAX).filter(|port| *port < 20_000 || *port > 65_000);
            let services =
                ports.flat_map(|port| Transport::ALL.map(|transport| Service::Port(transport, port)));
            for service in services.chain([Service::Portless]) {
                let verdict = semantics::judge(cluster, &Packet { service, ..packet });
                let says = if allowed.contains(service) { Verdict::Allow } else { Verdict::Deny };
                assert_eq!(says, verdict, "world {seed}: {packet}, {service} of {allowed}");
            }
            partial += usize::from(!allowed.is_all() && !allowed.is_none());
        }
    }
    assert!(partial > 5, "{partial} pairs had some services only");
}

/// An address that is nobody's is judged as the one that stands for its network.
#[test]
fn one_address_stands_for_its_network() {
    let mut asked = 0;
    for seed in 0..WORLDS {
        let world = World::contradicted(seed);
        let sources = world.sources(Layout::Documents);
        let loaded = load(&sources);
        let cluster = &loaded.cluster;
        let outside = Endpoint::Outside.ends(cluster).unwrap();
        let mut prober = Prober::new(cluster, &world.written_addresses(), Seeded::new(seed));
        for packet in prober.probes(400) {
            for (address, at_source) in [(packet.source, true), (packet.destination, false)] {
                let v6_scoped = matches!(address, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local());
                if !matches!(cluster.whose(address), Whose::Unknown) || address.is_loopback() || v6_scoped {
                    continue;
                }
                let family = Family::of(address);
                let width = |end: &&End| match end.who {
                    Who::Outside(Some(net)) if net.contains(&address) => Some(1 + net.prefix_len()),
                    Who::Outside(None) => Some(0),
                    _ => None,
                };
                let around =
                    outside.iter().filter(|end| width(end).is_some() && end.addresses.of(family).is_some());
                let Some(narrowest) = around.max_by_key(width) else { continue };
                let stand_in = narrowest.addresses.of(family).unwrap();
                let other = if at_source {
                    Packet { source: stand_in, ..packet }
                } else {
                    Packet { destination: stand_in, ..packet }
                };
                let verdicts = [packet, other].map(|packet| semantics::judge(cluster, &packet));
                assert_eq!(verdicts[0], verdicts[1], "world {seed}: {packet} and {other}");
                asked += 1;
            }
        }
    }
    assert!(asked > 1000, "{asked} addresses outside");
}

/// The pods that a description lists for an ingress rule are those that the rule lets in.
#[test]
fn described_pods_are_let_in() {
    let mut asked = 0;
    for seed in 0..WORLDS {
        let world = World::contradicted(seed);
        let sources = world.sources(Layout::Documents);
        let loaded = load(&sources);
        let cluster = &loaded.cluster;
        // The address of a pod that has one and no other; what claimants share is described of the address as a whole.
        let address = |pod: &str, family: Family| {
            let (namespace, name) = pod.split_once('/').unwrap();
            let all: BTreeSet<_> =
                cluster.pods_named(namespace, name).map(|(_, pod)| pod.addresses).collect();
            let mut all = all.into_iter();
            let addresses = all.next().filter(|_| all.next().is_none())?;
            let is_contested =
                addresses.iter().any(|address| matches!(cluster.whose(address), Whose::Contested(_)));
            addresses.of(family).filter(|_| !is_contested || addresses.iter().count() == 1)
        };
        for policy in cluster.policies() {
            let description = describe(cluster, &sources, policy);
            for rule in description.ingress.iter().flatten().filter(|rule| rule.ports.is_none()) {
                let Some(items) = &rule.peers else { continue };
                let listed: BTreeSet<&String> = items
                    .iter()
                    .flat_map(|item| match item {
                        PeerDescription::Selectors { resolved, .. } => &resolved.pods,
                        // Of a block only one address of the pod may be meant.
                        PeerDescription::IpBlock { .. } => const { &Vec::new() },
                    })
                    .collect();
                for (peer, subject) in listed.iter().flat_map(|peer| {
                    description
                        .selected
                        .pods
                        .iter()
                        .filter(move |pod| pod != peer)
                        .map(move |pod| (*peer, pod))
                }) {
                    for family in Family::ALL {
                        let ends = [address(peer, family), address(subject, family)];
                        let [Some(source), Some(destination)] = ends else { continue };
                        // Another claimant of it may not let in what this rule does.
                        if matches!(cluster.whose(destination), Whose::Contested(_)) {
                            continue;
                        }
                        let packet = Packet { source, destination, service: Service::Portless };
                        let rules = RulesEngine::new(cluster, std::collections::BTreeMap::new());
                        let ends = (&end(source, cluster), &end(destination, cluster));
                        let explained = explain(cluster, &sources, &rules, ends, packet.service);
                        // Without rules a denial by another side is no agreement; the side is what is looked at.
                        let Ok(explained) = explained else { continue };
                        match &explained[0].ingress {
                            Side::Allowed { allowed_by, .. } => {
                                assert!(
                                    allowed_by.contains(&rule.rule),
                                    "world {seed}: {packet}: {:?}",
                                    rule.rule
                                );
                                asked += 1;
                            }
                            Side::Exempt { .. } => {}
                            other => panic!("world {seed}: {packet}: {other:?} with {:?}", rule.rule),
                        }
                    }
                }
            }
        }
    }
    assert!(asked > 100, "{asked} pairs");
}

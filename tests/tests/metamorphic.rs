//! What must not change the output, and what may change only a part of it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "one test runs itself again and reads what it prints; tests may panic"
)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;

use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_model::Cluster;
use chainmail_model::semantics::{self, Packet, Verdict};
use chainmail_pipeline::{Compiler, Loaded, load};
use chainmail_tests::agreement::verdicts;
use chainmail_tests::misreadings::explicit;
use chainmail_tests::probes::Prober;
use chainmail_tests::seeded::Seeded;
use chainmail_tests::world::{Layout, World};
use serde_json::{Value, json};

const SEEDS: std::ops::Range<u64> = 20_000..20_040;

/// Every file of every node by path, `provenance.json` left out: it names files and lines, which may change.
type Files = BTreeMap<String, String>;

fn loaded(sources: &Sources) -> Loaded {
    let loaded = load(sources);
    assert!(!loaded.findings.has_errors(), "{:#?}", loaded.findings.sorted());
    loaded
}

fn compiled(sources: &Sources) -> Files {
    let loaded = loaded(sources);
    let mut compiler = Compiler::new(&loaded.cluster, sources);
    let mut files = Files::new();
    for node in compiler.nodes().collect::<Vec<_>>() {
        let snapshot = compiler.snapshot(node);
        let of_node = |file: &str| format!("nodes/{}/{file}", node.name);
        files.insert(of_node("rules.v4"), snapshot.rules_v4);
        files.insert(of_node("rules.v6"), snapshot.rules_v6);
        files.insert(of_node("manifest.json"), snapshot.manifest.to_json());
        files.insert(of_node("sets"), snapshot.sets.keys().map(|name| format!("{name}\n")).collect());
        files.extend(snapshot.sets.iter().map(|(name, text)| (format!("sets/{name}"), text.to_string())));
    }
    files
}

fn assert_equal(expected: &Files, found: &Files, what: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<String>>();
    assert_eq!(names(expected), names(found), "{what}");
    for (name, text) in expected {
        assert_eq!(text, &found[name], "{what}: {name}");
    }
}

#[test]
fn order_and_layout_of_files_change_nothing() {
    for seed in SEEDS {
        let mut world = World::generate(seed);
        let expected = compiled(&world.sources(Layout::Documents));
        let mut rng = Seeded::new(seed);
        for layout in Layout::ALL {
            rng.shuffle(&mut world.objects);
            assert_equal(
                &expected,
                &compiled(&world.sources(layout)),
                &format!("world {seed} as {layout:?}"),
            );
        }
    }
}

#[test]
fn a_list_read_in_pieces_changes_nothing() {
    for seed in SEEDS {
        let world = World::generate(seed);
        let expected = compiled(&world.sources(Layout::Documents));
        let (first, rest) = world.objects.split_at(world.objects.len() / 2);
        let mut files: Vec<SourceFile> = Vec::new();
        for (prefix, layout, part) in [("z/", Layout::List, first), ("a/b/", Layout::Json, rest)] {
            files.extend(layout.sources(part).iter().map(|(_, file)| SourceFile {
                path: format!("{prefix}{}", file.path),
                bytes: file.bytes.clone(),
            }));
        }
        assert_equal(&expected, &compiled(&world.with_config(Sources::new(files))), &format!("world {seed}"));
    }
}

#[test]
fn what_the_api_server_fills_in_may_be_written_out() {
    for seed in SEEDS {
        let mut world = World::generate(seed);
        let expected = compiled(&world.sources(Layout::Documents));
        world.objects.iter_mut().for_each(explicit);
        assert_equal(&expected, &compiled(&world.sources(Layout::Documents)), &format!("world {seed}"));
    }
}

#[test]
fn a_policy_that_selects_nothing_changes_nothing() {
    for seed in SEEDS {
        let mut world = World::generate(seed);
        let expected = compiled(&world.sources(Layout::Documents));
        world.objects.push(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "a-policy-of-nobody", "namespace": "shop"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "nobody-has-this"}},
                "ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": "http"}]}],
                "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 7, "endPort": 9}]}],
            },
        }));
        assert_equal(&expected, &compiled(&world.sources(Layout::Documents)), &format!("world {seed}"));
    }
}

/// Doubt closes: whatever claims an address that a pod has already, nothing is open that was not.
#[test]
fn a_claimant_opens_nothing() {
    let (mut asked, mut closed, mut claims) = (0, 0, 0);
    for seed in SEEDS.start..SEEDS.start + 200 {
        let world = World::contradicted(seed).without_setting("unknown_pods").without_setting("pod_bridge");
        let is_leaving = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
        // A pod that is being deleted leaves its address to others.
        let live: Vec<Value> = world.live.iter().filter(|object| !is_leaving(object)).cloned().collect();
        for at in 0..live.len() {
            let before = World { live: [&live[..at], &live[at + 1..]].concat(), ..world.clone() };
            let after = World { live: live.clone(), ..world.clone() };
            let [before, after] =
                [before, after].map(|world| loaded(&world.sources(Layout::JsonList)).cluster);
            let mut prober = Prober::new(&after, &world.written_addresses(), Seeded::new(seed));
            let is_pods = |cluster: &Cluster, address: IpAddr| cluster.holder_of(address).is_some();
            let alike = |address: IpAddr| is_pods(&before, address) == is_pods(&after, address);
            for packet in prober.probes(100) {
                if !alike(packet.source) || !alike(packet.destination) {
                    continue;
                }
                let [was, is] = [&before, &after].map(|cluster| semantics::judge(cluster, &packet));
                assert!(
                    was == Verdict::Allow || is == Verdict::Deny,
                    "world {seed}: {} opens {packet}",
                    live[at]["metadata"]["name"]
                );
                asked += 1;
                closed += usize::from(was != is);
            }
            claims += 1;
        }
    }
    println!("{claims} claims: {asked} packets, of which they close {closed}");
    assert!(claims >= 100 && closed >= 500, "{claims} claims close {closed} of {asked} packets only");
}

/// Names of pods order them, and only that; policies' names stand in comments.
#[test]
fn names_of_pods_change_nothing() {
    for seed in SEEDS {
        let mut world = World::generate(seed);
        let expected = compiled(&world.sources(Layout::Documents));
        let mut names: Vec<String> =
            (0..world.objects.len()).map(|number| format!("renamed-{number:03}")).collect();
        Seeded::new(seed).shuffle(&mut names);
        for (object, name) in world.objects.iter_mut().zip(names) {
            if object["kind"] == "Pod" {
                object["metadata"]["name"] = json!(name);
            }
        }
        assert_equal(&expected, &compiled(&world.sources(Layout::Documents)), &format!("world {seed}"));
    }
}

/// Rules are OR-ed as peers are, so that each peer may have a rule of its own. The text differs: comments count rules.
#[test]
fn a_rule_for_each_peer_changes_no_verdict() {
    let mut asked = 0;
    for seed in SEEDS {
        let mut world = World::generate(seed);
        let sources = world.sources(Layout::Documents);
        let whole = loaded(&sources);
        let packets: Vec<Packet> =
            Prober::new(&whole.cluster, &world.written_addresses(), Seeded::new(seed)).probes(100);
        let expected = verdicts(&whole.cluster, &sources, &packets).unwrap();
        world.objects.iter_mut().for_each(split_peers);
        let sources = world.sources(Layout::Documents);
        let split = loaded(&sources);
        assert_eq!(expected, verdicts(&split.cluster, &sources, &packets).unwrap(), "world {seed}");
        asked += packets.len();
    }
    assert!(asked > 1000, "{asked} probes are too few");
}

fn split_peers(policy: &mut Value) {
    for (section, peers) in [("ingress", "from"), ("egress", "to")] {
        let Some(rules) = policy.pointer_mut(&format!("/spec/{section}")).and_then(Value::as_array_mut)
        else {
            continue;
        };
        let with_one = |rule: &Value| match rule[peers].as_array().filter(|all| !all.is_empty()) {
            None => vec![rule.clone()],
            Some(all) => {
                let with = |peer: &Value| {
                    let mut rule = rule.clone();
                    rule[peers] = json!([peer]);
                    rule
                };
                all.iter().map(with).collect()
            }
        };
        *rules = rules.iter().flat_map(with_one).collect();
    }
}

/// Apps of three pods, one a node, and policies between apps. Each app keeps pods on two nodes whatever happens on the
/// third, and no two apps share a pod: so that which sets are equal, and which hold which, is the same before and after,
/// and rules that were one by equal content stay one.
struct Fleet {
    objects: Vec<Value>,
}

const FLEET_NODES: usize = 3;
const FLEET_APPS: usize = 6;

impl Fleet {
    fn new(seed: u64) -> Self {
        let mut rng = Seeded::new(seed);
        let mut objects: Vec<Value> = (0..FLEET_NODES)
            .map(|node| {
                json!({
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": format!("node-{node}")},
                    "spec": {"podCIDRs": [format!("10.0.{node}.0/24"), format!("fd00:0:0:{node}::/64")]},
                    "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.0.{}", node + 1)}]},
                })
            })
            .collect();
        for app in 0..FLEET_APPS {
            objects.extend((0..FLEET_NODES).map(|node| Self::pod(app, node, app + 1)));
            objects.push(Self::policy(&mut rng, app));
        }
        Self { objects }
    }

    fn pod(app: usize, node: usize, number: usize) -> Value {
        let [v4, v6] = [format!("10.0.{node}.{number}"), format!("fd00:0:0:{node}::{number}")];
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("app-{app}-{node}-{number}"), "labels": {"app": format!("app-{app}")}},
            "spec": {
                "nodeName": format!("node-{node}"),
                "containers": [{"ports": [{"name": "http", "containerPort": 8000 + app}]}],
            },
            "status": {"phase": "Running", "podIP": v4, "podIPs": [{"ip": v4}, {"ip": v6}]},
        })
    }

    fn policy(rng: &mut Seeded, app: usize) -> Value {
        let rule = |rng: &mut Seeded, peers: &str| {
            let mut apps: Vec<String> = (0..FLEET_APPS).map(|app| format!("app-{app}")).collect();
            rng.shuffle(&mut apps);
            apps.truncate(rng.between(1, 3));
            let selector = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": apps}]});
            // Outside, so that no pod goes by being in a block.
            let block = json!({"ipBlock": {"cidr": format!("203.0.{}.0/24", rng.below(4))}});
            let ports = rng.pick(&[json!([{"port": "http"}]), json!([{"port": 443}]), json!([])]).clone();
            json!({peers: [{"podSelector": selector}, block], "ports": ports})
        };
        let ingress = [rule(rng, "from"), rule(rng, "from")];
        let egress = [rule(rng, "to"), rule(rng, "to")];
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": format!("app-{app}")},
            "spec": {
                "podSelector": {"matchLabels": {"app": format!("app-{app}")}},
                "ingress": ingress,
                "egress": egress,
            },
        })
    }

    fn compiled(&self) -> Files {
        compiled(&Layout::Documents.sources(&self.objects))
    }
}

/// A pod that comes, goes or moves to another address on one node changes no more than sets on the others: their rules
/// are the same once names made from content are replaced by what they stand for.
///
/// Compared is, for each family, what CM-FORWARD's rules say line by line, with each chain's rules in the place of its
/// name where a rule leads to it, and with each set's name replaced by its number in the order of appearance.
#[test]
fn pods_of_one_node_change_only_sets_of_others() {
    const CHANGED: usize = 0;
    for seed in 0..20 {
        let before = Fleet::new(seed);
        let texts = before.compiled();
        let of_app = Seeded::new(seed).below(FLEET_APPS);
        let is_the_pod =
            |object: &Value| object["metadata"]["name"] == format!("app-{of_app}-{CHANGED}-{}", of_app + 1);
        let mut comes = before.objects.clone();
        comes.push(Fleet::pod(of_app, CHANGED, 77));
        let goes: Vec<Value> = before.objects.iter().filter(|object| !is_the_pod(object)).cloned().collect();
        let mut moves = goes.clone();
        moves.push(Fleet::pod(of_app, CHANGED, 99));
        for (what, objects) in [("comes", comes), ("goes", goes), ("moves", moves)] {
            let after = Fleet { objects }.compiled();
            assert_ne!(texts, after, "a pod of seed {seed} {what}");
            for node in (0..FLEET_NODES).filter(|node| *node != CHANGED) {
                for rules in ["rules.v4", "rules.v6"] {
                    let path = format!("nodes/node-{node}/{rules}");
                    let (was, is) = (structure(&texts[&path]), structure(&after[&path]));
                    assert_eq!(was, is, "a pod of seed {seed} {what}: {path}");
                }
            }
        }
    }
}

/// A rule text without names that are made from content.
fn structure(text: &str) -> String {
    let mut chains: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in text.lines().filter_map(|line| line.strip_prefix("-A ")) {
        let (chain, rest) = rule.split_once(' ').expect("a rule follows its chain");
        chains.entry(chain).or_default().push(rest);
    }
    let mut sets = BTreeMap::new();
    let mut out = String::new();
    expand(&chains, "CM-FORWARD", 0, &mut sets, &mut out);
    out
}

fn expand<'a>(
    chains: &BTreeMap<&'a str, Vec<&'a str>>,
    chain: &str,
    depth: usize,
    sets: &mut BTreeMap<&'a str, usize>,
    out: &mut String,
) {
    for rule in &chains[chain] {
        let mut below = None;
        let mut line = "  ".repeat(depth);
        for word in rule.split(' ') {
            if word.starts_with("cm4-") || word.starts_with("cm6-") {
                let next = sets.len();
                line.push_str(&format!("set{} ", sets.entry(word).or_insert(next)));
            } else if chains.contains_key(word) {
                below = Some(word);
                line.push_str("… ");
            } else {
                line.push_str(word);
                line.push(' ');
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
        if let Some(chain) = below {
            expand(chains, chain, depth + 1, sets, out);
        }
    }
}

/// What [`surroundings_change_nothing`] runs again; by itself it says nothing.
#[test]
#[ignore = "run by another test"]
fn print_everything() {
    let world = World::generate(SEEDS.start);
    println!("{:?}", compiled(&world.sources(Layout::Folders)));
}

#[test]
fn surroundings_change_nothing() {
    let print = |variables: &[(&str, &str)], folder: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "print_everything", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env_clear().envs(variables.iter().copied()).current_dir(folder);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.contains("rules.v4")).expect("the files are printed").to_owned()
    };
    let expected = print(&[], "/");
    let turkish = [("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu")];
    assert_eq!(expected, print(&turkish, "/tmp"));
    let threads =
        [("RAYON_NUM_THREADS", "7"), ("TOKIO_WORKER_THREADS", "7"), ("HOME", "/nowhere"), ("USER", "x")];
    assert_eq!(expected, print(&threads, "/usr"));
}

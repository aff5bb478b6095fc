//! The applying half takes every snapshot that the compiler writes, and of any other text only what it would write itself.
//!
//! `chainmaild` reads a snapshot into values and writes its text anew; what is not the same byte for byte is refused. So
//! each form of rule that `lower` has must be one that `reconciler/src/rules` knows, in all places where it stands.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, print what they counted, and may panic"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_contract::{Family, Joined, Manifest, NodeSnapshot, Parts, SetName, Sha256Hex, is_cut_set};
use chainmail_manifest::source::{CONFIG_PATH, SourceFile, Sources};
use chainmail_model::Node;
use chainmail_pipeline::{Compiler, load};
use chainmail_reconciler::desired::Desired;
use chainmail_tests::mutation::{Text, mutants};
use chainmail_tests::world::{Layout, World};

use support::kernel;

/// Settings under which every scenario is tried: those that put rules into CM-FORWARD or turn what is denied.
const SETTINGS: [&str; 4] = [
    "",
    "allow = \"accept\"\nunknown_pods = \"drop\"\ndrop_invalid = false\npod_bridge = \"cni0\"\nlog_denied = 10\n",
    "enforce = false\npod_bridge = \"cni0\"\nunknown_pods = \"drop\"\npod_interfaces = [\"cali*\", \"vc\"]\n",
    "log_denied = 600\nallow = \"accept\"\n",
];
/// Other worlds than those of other tests.
const WORLDS: std::ops::Range<u64> = 14_000..14_300;
/// Worlds whose texts get slips.
const SLIPPED: usize = 2;

/// A snapshot with right digests, whatever its texts say: who writes the spool can compute them.
fn joined(node: &str, rules: [String; 2], sets: BTreeMap<SetName, String>) -> Joined {
    let [rules_v4, rules_v6] = rules;
    let parts = Parts { rules_v4: Sha256Hex::of(&rules_v4), rules_v6: Sha256Hex::of(&rules_v6) };
    let digests = sets.iter().filter(|(name, _)| !is_cut_set(name));
    let digests = digests.map(|(name, text)| (name.clone(), Sha256Hex::of(text))).collect();
    let manifest = Manifest::new(node.parse().unwrap(), parts, digests);
    Joined::new(manifest, rules_v4, rules_v6, sets).unwrap()
}

fn sets(snapshot: &NodeSnapshot) -> BTreeMap<SetName, String> {
    snapshot.sets.iter().map(|(name, text)| (name.clone(), text.to_string())).collect()
}

/// Every node of some sources, as the compiler writes it.
fn snapshots(name: &str, sources: &Sources) -> Vec<(String, NodeSnapshot)> {
    let loaded = load(sources);
    assert!(!loaded.findings.has_errors(), "{name}: {:?}", loaded.findings.sorted());
    let mut compiler = Compiler::new(&loaded.cluster, sources);
    let nodes: Vec<&Node> = compiler.nodes().collect();
    nodes.into_iter().map(|node| (format!("{name}/{}", node.name), compiler.snapshot(node))).collect()
}

/// Every node of every scenario under every setting, and of generated clusters.
fn all() -> Vec<(String, NodeSnapshot)> {
    let mut all = Vec::new();
    for scenario in support::scenario::all() {
        for state in scenario.states {
            for (number, setting) in SETTINGS.iter().enumerate() {
                let config = SourceFile { path: CONFIG_PATH.to_owned(), bytes: setting.as_bytes().to_vec() };
                let sources = if number == 0 {
                    state.sources.clone()
                } else {
                    state.sources.clone().with_config(config)
                };
                all.extend(snapshots(&format!("{}/{} {number}", scenario.name, state.name), &sources));
            }
        }
    }
    for seed in WORLDS {
        let world = World::generate(seed).sources(Layout::JsonList);
        all.extend(snapshots(&format!("world {seed}"), &world));
    }
    all
}

#[test]
fn what_the_compiler_writes_is_applied() {
    let all = all();
    let (mut rules, mut with_accept, mut with_deny) = (0, 0, 0);
    for (name, snapshot) in &all {
        let texts = [snapshot.rules_v4.clone(), snapshot.rules_v6.clone()];
        let whole = joined("n", texts, sets(snapshot));
        let desired = Desired::of_snapshot(&whole)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", snapshot.rules_v4));
        rules += desired.tables.values().flat_map(|table| table.chains.values()).map(Vec::len).sum::<usize>();
        with_accept += usize::from(snapshot.rules_v4.contains("-j ACCEPT"));
        with_deny += usize::from(snapshot.rules_v4.contains("CM-DENY"));
    }
    println!("{} nodes, {rules} rules; {with_accept} accept and {with_deny} tell", all.len());
    assert!(with_accept > 20 && with_deny > 20, "both kinds of ends must come up");
}

/// One text with one slip: it is refused, or it is another text that this program writes, and then each kernel holds exactly
/// what it says.
#[test]
fn a_slip_is_refused_or_is_what_the_kernel_then_holds() {
    let worlds: Vec<_> =
        support::scenario::all().into_iter().filter(|scenario| scenario.name == "dual-stack").collect();
    let mut units = Vec::new();
    for state in worlds.into_iter().flat_map(|scenario| scenario.states).take(SLIPPED) {
        for setting in &SETTINGS[1..3] {
            let config = SourceFile { path: CONFIG_PATH.to_owned(), bytes: setting.as_bytes().to_vec() };
            units.extend(snapshots(&state.name, &state.sources.clone().with_config(config)));
        }
    }
    let (mut refused, mut seen) = (0, BTreeSet::new());
    let mut accepted: Vec<(Family, String, Rc<String>)> = Vec::new();
    for (_, snapshot) in &units {
        let rules = [snapshot.rules_v4.clone(), snapshot.rules_v6.clone()];
        let of_sets: Rc<String> = Rc::new(snapshot.sets.values().map(Rc::as_ref).collect());
        for mutant in mutants(rules.each_ref().map(String::as_str), &of_sets) {
            let mut texts = rules.clone();
            let family = match mutant.text {
                Text::Rules(family) => family,
                Text::Sets => continue,
            };
            let index = usize::from(family == Family::V6);
            texts[index] = mutant.apply(&rules[index]);
            let whole = joined("n", texts.clone(), sets(snapshot));
            match Desired::of_snapshot(&whole) {
                Err(_) => refused += 1,
                Ok(_) if seen.insert((family, texts[index].clone())) => {
                    accepted.push((family, texts[index].clone(), Rc::clone(&of_sets)));
                }
                Ok(_) => {}
            }
        }
    }
    println!("{refused} refused, {} are other snapshots", accepted.len());
    assert!(refused > accepted.len() && accepted.len() > 100, "slips of both kinds must come up");
    if kernel::skipped() {
        return;
    }
    for backend in kernel::BACKENDS {
        kernel::load_each(backend, &accepted);
    }
}

/// The text of a set is of one content in one way.
#[test]
fn a_slip_in_a_set_is_refused() {
    let scenario =
        support::scenario::all().into_iter().find(|scenario| scenario.name == "dual-stack").unwrap();
    let state = scenario.states.into_iter().next().unwrap();
    let mut refused = 0;
    for (name, snapshot) in snapshots("dual-stack", &state.sources) {
        let rules = [snapshot.rules_v4.clone(), snapshot.rules_v6.clone()];
        let right = sets(&snapshot);
        let text: String = right.values().map(String::as_str).collect();
        for mutant in mutants(rules.each_ref().map(String::as_str), &text) {
            if mutant.text != Text::Sets {
                continue;
            }
            let Ok(slipped) = Joined::split_ipsets(&mutant.apply(&text)) else {
                refused += 1;
                continue;
            };
            if slipped != right {
                assert!(
                    Desired::of_snapshot(&joined("n", rules.clone(), slipped)).is_err(),
                    "{name}: {mutant}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused} are too few");
}

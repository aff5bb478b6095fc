//! Every state of every scenario: its truth table, written by hand, against both engines, the goldens in `snapshots/`,
//! what real kernels make of those, and real packets.
//!
//! Tests are made from the folders of `policies/`: `<scenario>_<state>` for engines and goldens,
//! `kernel_<scenario>_<backend>` for kernels, `lab_<scenario>_<backend>_<topology>` for packets.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use chainmail_contract::{Family, NodeSnapshot};
use chainmail_lab::{Backend, Cell, Endpoint, Lab, LabSpec, Topology, TruthTable};
use chainmail_model::semantics::Verdict;
use chainmail_pipeline::{Compiler, Loaded};
use chainmail_review::query::{Engine, Probe, RulesEngine};
use chainmail_verdict::{Kernel, Ruleset, Sets};
use libtest_mimic::{Arguments, Failed, Trial};

use support::scenario::{Scenario, State, loaded};

/// The files of a node that are kept as goldens.
const FILES: [&str; 5] = ["ipsets", "rules.v4", "rules.v6", "manifest.json", "provenance.json"];

fn main() {
    let arguments = Arguments::from_args();
    let scenarios = support::scenario::all();
    let mut trials = vec![Trial::test("goldens_have_no_orphans", no_orphans)];
    for scenario in &scenarios {
        let name = word(&scenario.name);
        for state in &scenario.states {
            let (of, at) = (scenario.name.clone(), state.name.clone());
            let trial = format!("{name}_{}", word(&state.name));
            trials.push(Trial::test(trial, move || with_state(&of, &at, engines_and_goldens)));
        }
        for backend in support::kernel::BACKENDS {
            let of = scenario.name.clone();
            trials.push(Trial::test(format!("kernel_{name}_{backend}"), move || {
                kernel(&support::scenario::named(&of), backend)
            }));
        }
        for (backend, topology) in labs(&scenario.name) {
            let of = scenario.name.clone();
            let trial = format!("lab_{name}_{}_{}", backend.as_str(), topology_word(topology));
            trials.push(Trial::test(trial, move || lab(&support::scenario::named(&of), backend, topology)));
        }
    }
    drop(scenarios);
    libtest_mimic::run(&arguments, trials).exit();
}

/// In which labs a scenario is tried: routed on both backends, and the tutorial bridged as well.
fn labs(scenario: &str) -> Vec<(Backend, Topology)> {
    let mut labs = vec![(Backend::Nft, Topology::Routed), (Backend::Legacy, Topology::Routed)];
    if scenario == "aks-tutorial" {
        labs.extend([(Backend::Nft, Topology::Bridge), (Backend::Legacy, Topology::Bridge)]);
    }
    labs
}

fn topology_word(topology: Topology) -> &'static str {
    match topology {
        Topology::Routed => "routed",
        Topology::Bridge => "bridge",
    }
}

fn word(name: &str) -> String {
    name.replace('-', "_")
}

fn with_state(
    scenario: &str,
    state: &str,
    test: fn(&Scenario, &State) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let scenario = support::scenario::named(scenario);
    let state = scenario.states.iter().find(|known| known.name == state).ok_or("the state is gone")?;
    test(&scenario, state)
}

fn snapshots(loaded: &Loaded, state: &State) -> Vec<NodeSnapshot> {
    let mut compiler = Compiler::new(&loaded.cluster, &state.sources);
    let nodes: Vec<_> = compiler.nodes().collect();
    nodes.into_iter().map(|node| compiler.snapshot(node)).collect()
}

/// What an engine says of every cell that the truth table asks about.
fn answers(engine: &Engine<'_>, loaded: &Loaded, truth: &TruthTable) -> Result<TruthTable, Failed> {
    let mut cells = Vec::new();
    for probe in truth.probes() {
        let name = |end: &Endpoint| match end {
            Endpoint::Node(node) => {
                let node = loaded.cluster.node(node).ok_or_else(|| format!("no node {node}"))?;
                let of_family = node.addresses.iter().find(|a| Family::of(**a) == probe.family);
                Ok::<_, Failed>(of_family.ok_or_else(|| format!("{} has no address", node.name))?.to_string())
            }
            Endpoint::Pod(_) | Endpoint::Address(_) => Ok(end.to_string()),
        };
        let question = Probe {
            src: name(&probe.source)?,
            dst: name(&probe.destination)?,
            protocol: probe.service.protocol().to_owned(),
            port: probe.service.port(),
            family: Some(match probe.family {
                Family::V4 => 4,
                Family::V6 => 6,
            }),
        };
        let packet = question.packet(&loaded.cluster).map_err(|e| format!("{probe}: {e}"))?;
        cells.push(match engine.judge(&packet).map_err(|e| format!("{probe}: {e}"))? {
            Verdict::Allow => Cell::Allowed,
            Verdict::Deny => Cell::Denied,
        });
    }
    Ok(truth.answered(cells))
}

fn must_be_true(what: &str, truth: &TruthTable, found: &TruthTable) -> Result<(), Failed> {
    let differences = truth.differences(found);
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences
        .iter()
        .map(|d| format!("{}: {:?} expected, {:?} found", d.probe, d.expected, d.found))
        .collect();
    Err(format!("{what} differs from the truth table:\n{}\n\n{found}", lines.join("\n")).into())
}

fn engines_and_goldens(scenario: &Scenario, state: &State) -> Result<(), Failed> {
    let loaded = loaded(state);
    let policy = Engine::Policy(&loaded.cluster);
    must_be_true("the policy engine", &state.truth, &answers(&policy, &loaded, &state.truth)?)?;
    let mut compiler = Compiler::new(&loaded.cluster, &state.sources);
    let rules = compiler.engine(&loaded.cluster).map_err(|e| e.to_string())?;
    must_be_true("the rules engine", &state.truth, &answers(&Engine::Rules(rules), &loaded, &state.truth)?)?;
    for snapshot in snapshots(&loaded, state) {
        for (file, text) in files(&snapshot) {
            golden(
                &golden_folder(&scenario.name, &state.name, snapshot.manifest.node.as_str()),
                file,
                &text,
            )?;
        }
    }
    Ok(())
}

fn files(snapshot: &NodeSnapshot) -> [(&'static str, String); 5] {
    let ipsets: String = snapshot.sets.values().map(Rc::as_ref).collect();
    let texts = [
        ipsets,
        snapshot.rules_v4.clone(),
        snapshot.rules_v6.clone(),
        snapshot.manifest.to_json(),
        snapshot.provenance.clone(),
    ];
    let mut texts = texts.into_iter();
    FILES.map(|file| (file, texts.next().expect("there are as many texts as files")))
}

fn golden_folder(scenario: &str, state: &str, node: &str) -> PathBuf {
    support::root().join("snapshots").join(scenario).join(state).join(node)
}

/// Holds a file against its golden. insta keeps the golden; it compares without regard to line ends, so the bytes are
/// compared once more.
fn golden(folder: &Path, file: &str, text: &str) -> Result<(), Failed> {
    support::goldens(folder).bind(|| insta::assert_snapshot!(file, text));
    let path = folder.join(format!("{file}.snap"));
    if body(&path)? == text {
        return Ok(());
    }
    Err(format!("{} does not hold the exact bytes of {file}", path.display()).into())
}

/// A golden without insta's header: the exact bytes of the file.
fn body(path: &Path) -> Result<String, Failed> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let rest = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    Ok(rest.ok_or_else(|| format!("{} has no header", path.display()))?.1.to_owned())
}

/// Loads every golden on a real kernel, and judges by what that kernel prints back.
fn kernel(scenario: &Scenario, backend: &str) -> Result<(), Failed> {
    if !support::may_use_kernel() {
        return Ok(());
    }
    for state in &scenario.states {
        let loaded = loaded(state);
        let mut kernels = BTreeMap::new();
        for node in Compiler::new(&loaded.cluster, &state.sources).nodes() {
            let folder = golden_folder(&scenario.name, &state.name, node.name.as_str());
            let load = tempfile::tempdir()?;
            for file in ["ipsets", "rules.v4", "rules.v6"] {
                std::fs::write(load.path().join(file), body(&folder.join(format!("{file}.snap")))?)?;
            }
            let saved = support::kernel::load_and_save(load.path(), backend);
            for (file, back) in [("rules.v4", &saved.rules_v4), ("rules.v6", &saved.rules_v6)] {
                let sent = std::fs::read_to_string(load.path().join(file))?;
                let (sent, back) = (support::kernel::our_lines(&sent), support::kernel::our_lines(back));
                let at = format!("{}/{} {file} on {backend}", state.name, node.name);
                if sent != back {
                    let both = sent.iter().zip(&back).find(|(a, b)| a != b);
                    return Err(format!("{at} comes back changed, first: {both:?}").into());
                }
            }
            let v4 = Ruleset::parse(Family::V4, &saved.rules_v4).map_err(|e| e.to_string())?;
            let v6 = Ruleset::parse(Family::V6, &saved.rules_v6).map_err(|e| e.to_string())?;
            let sets = Sets::parse(&saved.ipsets).map_err(|e| e.to_string())?;
            let kernel = Kernel::new(v4, v6, sets).map_err(|problems| format!("{problems:?}"))?;
            kernels.insert(node.name.clone(), kernel);
        }
        let engine = Engine::Rules(RulesEngine::new(&loaded.cluster, kernels));
        must_be_true(&state.name, &state.truth, &answers(&engine, &loaded, &state.truth)?)?;
    }
    Ok(())
}

/// Sends real packets, in one lab that goes through all states of one cluster.
fn lab(scenario: &Scenario, backend: Backend, topology: Topology) -> Result<(), Failed> {
    if !support::may_use_kernel() {
        return Ok(());
    }
    let mut standing: Option<Lab> = None;
    for (index, state) in scenario.states.iter().enumerate() {
        let folder = tempfile::tempdir()?;
        let loaded = loaded(state);
        let lab = match standing.take() {
            Some(lab) => lab,
            None => {
                let mut spec = LabSpec::new(loaded.cluster);
                spec.backend = backend;
                spec.topology = topology;
                spec.outside = outside(scenario);
                Lab::up(&spec)?
            }
        };
        lab.compile_and_apply(&state.origin(&folder.path().join(index.to_string()))?)?;
        must_be_true(&format!("{}: real packets", state.name), &state.truth, &lab.observe(&state.truth)?)?;
        standing = Some(lab);
    }
    standing.map_or(Ok(()), |lab| Ok(lab.down()?))
}

/// The addresses of the truth tables that are nobody's in the cluster.
fn outside(scenario: &Scenario) -> Vec<std::net::IpAddr> {
    let probes = scenario.states.iter().flat_map(|state| state.truth.probes());
    let ends = probes.flat_map(|probe| [probe.source, probe.destination]);
    let address = |end| match end {
        Endpoint::Address(address) => Some(address),
        Endpoint::Pod(_) | Endpoint::Node(_) => None,
    };
    ends.filter_map(address).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Every file of `snapshots/` is some test's golden.
fn no_orphans() -> Result<(), Failed> {
    let mut expected = BTreeSet::new();
    for scenario in support::scenario::all() {
        for state in &scenario.states {
            let loaded = loaded(state);
            for node in Compiler::new(&loaded.cluster, &state.sources).nodes() {
                let folder = golden_folder(&scenario.name, &state.name, node.name.as_str());
                expected.extend(FILES.map(|file| folder.join(format!("{file}.snap"))));
            }
        }
    }
    let folder = support::root().join("snapshots");
    let found: BTreeSet<PathBuf> = support::tree(&folder).keys().map(|name| folder.join(name)).collect();
    let orphans: Vec<_> = found.difference(&expected).collect();
    if orphans.is_empty() { Ok(()) } else { Err(format!("goldens of no test: {orphans:?}").into()) }
}

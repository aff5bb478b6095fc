//! Equal objects, equal bytes: whatever the order and layout of files, the machine's settings and the way in.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_pipeline::{Compiler, load};

use support::scenario::{self, State};
use support::tree;

/// Every file of a compiled fleet by name, but what names source lines.
fn fleet(sources: &Sources) -> BTreeMap<String, String> {
    let loaded = load(sources);
    assert!(!loaded.findings.has_errors(), "{:?}", loaded.findings.sorted());
    let mut compiler = Compiler::new(&loaded.cluster, sources);
    let mut files = BTreeMap::new();
    for node in compiler.nodes().collect::<Vec<_>>() {
        let snapshot = compiler.snapshot(node);
        let name = |file: &str| format!("{}/{file}", node.name);
        files.insert(name("manifest.json"), snapshot.manifest.to_json());
        files.insert(name("rules.v4"), snapshot.rules_v4);
        files.insert(name("rules.v6"), snapshot.rules_v6);
        files.extend(snapshot.sets.iter().map(|(set, text)| (set.to_string(), text.to_string())));
    }
    files
}

fn state() -> State {
    let mut scenario = scenario::named("aks-tutorial");
    scenario.states.swap_remove(2)
}

/// The documents of a state's files, each as a text of its own.
fn documents(state: &State) -> Vec<String> {
    let texts = state.sources.iter().filter(|(_, file)| file.path.ends_with(".yaml"));
    texts
        .flat_map(|(_, file)| {
            let text = String::from_utf8(file.bytes.clone()).unwrap();
            text.split("\n---\n").map(ToOwned::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

#[test]
fn layout_and_order_of_files_change_nothing() {
    let mut compared = 0;
    for scenario in scenario::all() {
        for state in &scenario.states {
            let what = format!("{}/{}", scenario.name, state.name);
            let expected = fleet(&state.sources);
            let documents = documents(state);
            let backwards: Vec<&str> = documents.iter().rev().map(String::as_str).collect();
            let beside = |files: Vec<SourceFile>| {
                let live = state.sources.inventories().map(|(_, live)| live.clone());
                let sources = Sources::new(files).with_inventories(live.collect::<Vec<_>>());
                match state.sources.config() {
                    Some(config) => sources.with_config(config.clone()),
                    None => sources,
                }
            };
            let one_file = beside(vec![file("all.yml", &backwards.join("\n---\n"))]);
            assert_eq!(fleet(&one_file), expected, "{what}: one file, backwards");

            let place = |i: usize| format!("{}/{i}.yaml", 9 - i % 3);
            let scattered = documents.iter().rev().enumerate().map(|(i, text)| file(&place(i), text));
            assert_eq!(
                fleet(&beside(scattered.collect())),
                expected,
                "{what}: a file each, in three folders"
            );
            compared += documents.len();
        }
    }
    assert!(compared > 200, "there was something to rearrange: {compared} documents");
}

#[test]
fn environment_path_and_way_in_change_nothing() {
    let state = state();
    let temp = tempfile::tempdir().unwrap();
    let manifests = temp.path().join("an other place");
    chainmail_lab::Origin::written(&state.sources, &manifests).unwrap();
    let chainmail = support::program("chainmail");
    let plain = temp.path().join("plain");
    support::run(Command::new(&chainmail).arg("compile").arg(&manifests).arg("--out").arg(&plain));
    let expected = tree(&plain);
    assert!(expected.keys().any(|name| name.ends_with("rules.v4")), "{:?}", expected.keys());

    let rows: [(&str, &[(&str, &str)]); 3] = [
        ("locale", &[("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8")]),
        ("time zone", &[("TZ", "Pacific/Kiritimati")]),
        ("home and host", &[("HOME", "/nowhere"), ("HOSTNAME", "else"), ("USER", "nobody")]),
    ];
    for (what, environment) in rows {
        let out = temp.path().join(what);
        let mut command = Command::new(&chainmail);
        command.current_dir(&manifests).envs(environment.iter().copied());
        support::run(command.arg("compile").arg(".").arg("--out").arg(&out));
        assert_eq!(tree(&out), expected, "{what}");
    }

    let chainmail_lab::Origin::Revision { repo, rev } = scenario_origin(&state) else { panic!("a revision") };
    let out = temp.path().join("revision");
    let mut command = Command::new(&chainmail);
    support::run(command.arg("compile").arg("--repo").arg(repo).arg("--rev").arg(rev).arg("--out").arg(&out));
    assert_eq!(tree(&out), expected, "a revision");
}

/// The repository is gone with the scenario that made it, so it is made once more.
fn scenario_origin(state: &State) -> chainmail_lab::Origin {
    let made = Box::leak(Box::new(scenario::named("aks-tutorial")));
    let same = made.states.iter().find(|known| known.name == state.name).unwrap();
    same.revision.clone().unwrap()
}

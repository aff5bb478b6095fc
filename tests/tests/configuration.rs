//! `chainmail.toml`: where it is read from, and what it does.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use chainmail_findings::Code;
use chainmail_manifest::source::{SourceFile, Sources, from_folder};
use chainmail_model::{AllowTarget, InvalidPackets, LogLimit, NodeSettings, Refusal, UnknownPods};
use chainmail_pipeline::load;

use support::{git, program, write};

const CLUSTER: &str = "\
apiVersion: v1
kind: Node
metadata: {name: edge-1}
spec: {podCIDR: 10.1.0.0/24}
---
apiVersion: v1
kind: Node
metadata: {name: edge-2}
spec: {podCIDR: 10.2.0.0/24}
---
apiVersion: v1
kind: Node
metadata: {name: core}
spec: {podCIDR: 10.3.0.0/24}
---
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {nodeName: core}
status: {podIP: 10.3.0.1}
";

fn sources(config: Option<&str>) -> Sources {
    let sources =
        Sources::new(vec![SourceFile { path: "all.yaml".to_owned(), bytes: CLUSTER.as_bytes().to_vec() }]);
    match config {
        Some(text) => sources
            .with_config(SourceFile { path: "chainmail.toml".to_owned(), bytes: text.as_bytes().to_vec() }),
        None => sources,
    }
}

/// Each node's settings, of a configuration without errors.
fn settings(config: Option<&str>) -> BTreeMap<String, NodeSettings> {
    let loaded = load(&sources(config));
    assert!(!loaded.findings.has_errors(), "{:?}", loaded.findings);
    loaded.cluster.nodes().map(|node| (node.name.to_string(), node.settings.clone())).collect()
}

fn codes(config: Option<&str>) -> Vec<Code> {
    load(&sources(config)).findings.sorted().iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    for config in [None, Some(""), Some("# nothing\n")] {
        let settings = settings(config);
        assert_eq!(settings.len(), 3);
        for (node, settings) in settings {
            assert_eq!(settings, NodeSettings::default(), "{node}");
            assert_eq!(settings.unknown_pods, UnknownPods::Pass);
            assert_eq!(settings.invalid, InvalidPackets::Drop);
            assert_eq!(settings.allow, AllowTarget::Return);
            assert_eq!(settings.pod_bridge, None);
            assert!(settings.pod_interfaces.is_empty());
            assert_eq!(settings.refusal(), Refusal::Drop);
        }
    }
}

#[test]
fn sections_override_in_order_and_key_by_key() {
    let settings = settings(Some(
        "unknown_pods = \"drop\"\npod_bridge = \"cni0\"\n\
         [[nodes]]\nmatch = \"edge-*\"\nallow = \"accept\"\nunknown_pods = \"pass\"\n\
         [[nodes]]\nmatch = \"{edge-2,core}\"\nunknown_pods = \"drop\"\ndrop_invalid = false\npod_bridge = \"br0\"\n",
    ));
    let row = |node: &str| {
        let NodeSettings { unknown_pods, invalid, allow, pod_bridge, .. } = &settings[node];
        (*unknown_pods, *invalid, *allow, pod_bridge.as_ref().unwrap().to_string())
    };
    let cni0 = "cni0".to_owned();
    let br0 = "br0".to_owned();
    assert_eq!(row("edge-1"), (UnknownPods::Pass, InvalidPackets::Drop, AllowTarget::Accept, cni0));
    assert_eq!(row("edge-2"), (UnknownPods::Drop, InvalidPackets::Judge, AllowTarget::Accept, br0.clone()));
    assert_eq!(row("core"), (UnknownPods::Drop, InvalidPackets::Judge, AllowTarget::Return, br0));
}

#[test]
fn what_becomes_of_denied_packets_is_said_by_two_keys() {
    let settings = settings(Some(
        "log_denied = 600\n\
         [[nodes]]\nmatch = \"edge-*\"\nenforce = false\nlog_denied = 0\n\
         [[nodes]]\nmatch = \"edge-2\"\nenforce = true\n",
    ));
    assert_eq!(settings["core"].refusal(), Refusal::Log(LogLimit::try_from(600).unwrap()));
    // Rules that drop nothing must tell of something, or nobody would know what they mean.
    assert_eq!(settings["edge-1"].refusal(), Refusal::Observe(LogLimit::OBSERVING));
    assert_eq!(settings["edge-2"].refusal(), Refusal::Drop);
}

#[test]
fn passing_unknown_pods_by_default_is_noted_and_by_choice_is_not() {
    let rows = [
        (None, vec![Code::UnknownPodsPass]),
        (Some("unknown_pods = \"pass\""), vec![]),
        (Some("unknown_pods = \"drop\""), vec![]),
        (Some("[[nodes]]\nmatch = \"edge-*\"\nunknown_pods = \"drop\""), vec![Code::UnknownPodsPass]),
        (Some("[[nodes]]\nmatch = \"*\"\nunknown_pods = \"drop\""), vec![]),
        (Some("unknown_pods = \"drop\"\n[[nodes]]\nmatch = \"x\""), vec![Code::UnmatchedNodes]),
    ];
    for (config, expected) in rows {
        let mut codes = codes(config);
        codes.retain(|code| *code != Code::NoPodInterfaces);
        assert_eq!(codes, expected, "{config:?}");
    }
}

/// Of three nodes `edge-1`, `edge-2` and `core`.
#[test]
fn what_pod_interfaces_leave_open_is_told() {
    let drop = "unknown_pods = \"drop\"\n";
    let rows = [
        ("", "", vec![(Code::UnknownPodsPass, "")]),
        (drop, "", vec![(Code::NoPodInterfaces, "core and 2 other nodes")]),
        (drop, "pod_interfaces = []", vec![]),
        (drop, "pod_interfaces = [\"cali*\"]", vec![]),
        (
            drop,
            "[[nodes]]\nmatch = \"edge-*\"\npod_interfaces = [\"cali*\"]",
            vec![(Code::NoPodInterfaces, "on core:")],
        ),
        (
            "unknown_pods = \"pass\"\n",
            "pod_interfaces = [\"cali*\"]",
            vec![(Code::IdlePodInterfaces, "on core and 2 other nodes: unknown_pods")],
        ),
        (
            drop,
            "pod_interfaces = [\"cali*\"]\n[[nodes]]\nmatch = \"core\"\nunknown_pods = \"pass\"",
            vec![(Code::IdlePodInterfaces, "on core: unknown_pods")],
        ),
        (
            drop,
            "pod_interfaces = [\"cali*\"]\n[[nodes]]\nmatch = \"core\"\nunknown_pods = \"pass\"\npod_interfaces = []",
            vec![],
        ),
        (
            drop,
            "pod_bridge = \"cni0\"\npod_interfaces = [\"veth*\"]",
            vec![(Code::IdlePodInterfaces, "does not name cni0")],
        ),
        (drop, "pod_bridge = \"cni0\"\npod_interfaces = [\"cni*\", \"veth*\"]", vec![]),
    ];
    for (unknown, config, expected) in rows {
        let config = format!("{unknown}{config}\n");
        let findings = load(&sources(Some(&config))).findings;
        let found: Vec<(Code, String)> =
            findings.sorted().iter().map(|found| (found.code, found.message.clone())).collect();
        assert_eq!(found.len(), expected.len(), "{config}{found:#?}");
        for ((code, message), (wanted, words)) in found.iter().zip(&expected) {
            assert!(code == wanted && message.contains(words), "{config}{code:?}: {message}");
        }
    }
}

#[test]
fn interfaces_of_pods_are_overridden_as_a_whole() {
    let settings = settings(Some(
        "unknown_pods = \"drop\"\npod_interfaces = [\"veth*\", \"cali*\"]\n\
         [[nodes]]\nmatch = \"edge-*\"\npod_interfaces = [\"cni0\"]\n\
         [[nodes]]\nmatch = \"edge-2\"\npod_interfaces = []\n",
    ));
    let interfaces = |node: &str| -> Vec<String> {
        settings[node].pod_interfaces.iter().map(ToString::to_string).collect()
    };
    assert_eq!(interfaces("core"), ["cali*", "veth*"]);
    assert_eq!(interfaces("edge-1"), ["cni0"]);
    assert!(interfaces("edge-2").is_empty());
}

#[test]
fn a_bridge_can_be_taken_back_for_some_nodes() {
    let settings = settings(Some(
        "pod_bridge = \"cni0\"\n[[nodes]]\nmatch = \"edge-*\"\npod_bridge = false\n\
         [[nodes]]\nmatch = \"edge-2\"\npod_bridge = \"br0\"\n",
    ));
    let bridge = |node: &str| settings[node].pod_bridge.as_ref().map(ToString::to_string);
    assert_eq!(bridge("core").as_deref(), Some("cni0"));
    assert_eq!(bridge("edge-1"), None);
    assert_eq!(bridge("edge-2").as_deref(), Some("br0"));
}

#[test]
fn names_of_bridges_are_names_of_interfaces() {
    for good in ["cni0", "br-lan.100", "a", "abcdefghijklmno"] {
        assert!(!load(&sources(Some(&format!("pod_bridge = {good:?}")))).findings.has_errors(), "{good}");
    }
    for bad in ["", ".", "..", "a/b", "a b", "cni+", "abcdefghijklmnop", "-a", "é", "a:b"] {
        assert!(codes(Some(&format!("pod_bridge = {bad:?}"))).contains(&Code::BadConfig), "{bad}");
    }
}

fn check(args: &[&str]) -> Output {
    Command::new(program("chainmail")).arg("check").args(args).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn manifests_are_chosen_by_pattern() {
    let folder = tempfile::tempdir().unwrap();
    for name in
        ["policies/a.yaml", "policies/x/b.yaml", "policies/x/kustomization.yaml", "other/c.yaml", "d.txt"]
    {
        write(folder.path(), name, "a: 1\n");
    }
    let rows = [
        ("", "other/c.yaml policies/a.yaml policies/x/b.yaml policies/x/kustomization.yaml"),
        (
            "manifests = [\"policies/**/*.yaml\", \"!**/kustomization.yaml\"]",
            "policies/a.yaml policies/x/b.yaml",
        ),
        ("manifests = [\"!other/**\", \"!**/kustomization.yaml\"]", "policies/a.yaml policies/x/b.yaml"),
        ("manifests = [\"*.txt\"]", "d.txt"),
    ];
    for (config, expected) in rows {
        write(folder.path(), "chainmail.toml", config);
        let sources = from_folder(folder.path()).unwrap();
        let paths: Vec<&str> = sources.iter().map(|(_, file)| file.path.as_str()).collect();
        assert_eq!(paths.join(" "), expected, "{config}");
    }
}

#[test]
fn it_is_read_from_the_revision_and_a_flag_overrides_it() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    write(folder.path(), "all.yaml", CLUSTER);
    write(folder.path(), "chainmail.toml", "unknown_pods = \"revision\"\n");
    git(folder.path(), &["add", "--all"]);
    git(folder.path(), &["commit", "--quiet", "--message=all"]);
    write(folder.path(), "chainmail.toml", "unknown_pods = \"folder\"\n");
    write(folder.path(), "elsewhere/own.toml", "unknown_pods = \"flag\"\n");
    let path = folder.path().to_str().unwrap();
    let own = folder.path().join("elsewhere/own.toml");
    let own = own.to_str().unwrap();
    let rows: [(&[&str], &str, &str); 5] = [
        (&[path], "\"folder\"", "--> chainmail.toml:1:16"),
        (&["--repo", path], "\"revision\"", "--> chainmail.toml:1:16"),
        (&[path, "--config", own], "\"flag\"", "own.toml:1:16"),
        (&["--repo", path, "--config", own], "\"flag\"", "own.toml:1:16"),
        (&["-", "--config", own], "\"flag\"", "own.toml:1:16"),
    ];
    for (args, value, place) in rows {
        let output = check(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert!(said.contains(value) && said.contains(place), "{args:?}: {said}");
    }
    let output = check(&["-"]);
    assert_eq!(output.status.code(), Some(0), "standard input has no configuration");
}

//! What is live, beside what was reviewed.

use super::*;

#[test]
fn live_pods_that_contradict_are_no_endpoints() {
    /// What it is, the live pods, the endpoints, the findings.
    type Row<'a> = (&'a str, Vec<String>, &'a [&'a str], &'a [&'a str]);
    let reviewed = pod("a", "10.0.0.1");
    let rows: &[Row<'_>] = &[
        ("the same pod", vec![pod("a", "10.0.0.1")], &["a 10.0.0.1"], &[]),
        ("another pod", vec![pod("b", "10.0.0.2")], &["a 10.0.0.1", "b 10.0.0.2"], &[]),
        ("it moved", vec![pod("a", "10.0.0.2")], &[], &["warning inventory-conflict live.yaml:3"]),
        (
            "it moved, and its old address has a new pod",
            vec![pod("a", "10.0.0.2"), pod("b", "10.0.0.1"), pod("c", "10.0.0.3")],
            &["c 10.0.0.3"],
            &["warning inventory-conflict live.yaml:3", "warning inventory-conflict live.yaml:10"],
        ),
        (
            "two live pods with one address",
            vec![pod("b", "10.0.0.2"), pod("c", "10.0.0.2")],
            &["a 10.0.0.1"],
            &["warning inventory-conflict live.yaml:10"],
        ),
        (
            "three live pods with one address",
            vec![pod("b", "10.0.0.2"), pod("c", "10.0.0.2"), pod("d", "10.0.0.2")],
            &["a 10.0.0.1"],
            &["warning inventory-conflict live.yaml:10", "warning inventory-conflict live.yaml:17"],
        ),
        (
            "a live pod with a reviewed pod's address",
            vec![pod("b", "10.0.0.1")],
            &[],
            &["warning inventory-conflict live.yaml:3"],
        ),
        (
            "one that cannot be decoded",
            vec![pod("b", "7"), pod("c", "10.0.0.3")],
            &["a 10.0.0.1", "c 10.0.0.3"],
            &["warning wrong-type live.yaml:9"],
        ),
        (
            "one that the API server would refuse",
            vec![pod("B", "10.0.0.2"), pod("c", "10.0.0.3")],
            &["a 10.0.0.1", "c 10.0.0.3"],
            &["warning bad-name live.yaml:3"],
        ),
    ];
    for (what, live, expected, findings) in rows {
        let live: Vec<&str> = live.iter().map(String::as_str).collect();
        let loaded = loaded(&reviewed, &yaml_list(&live));
        assert_eq!(endpoints(&loaded), *expected, "{what}");
        assert_eq!(codes(&loaded), *findings, "{what}");
    }
}

#[test]
fn what_was_reviewed_holds_against_what_is_live() {
    let namespace = |tier: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    tier: {tier}\n")
    };
    let loaded = loaded(&namespace("reviewed"), &yaml_list(&[&namespace("live")]));
    assert_eq!(codes(&loaded), ["warning inventory-conflict live.yaml:3"]);
    let tiers: Vec<String> = loaded
        .cluster
        .namespaces()
        .flat_map(|namespace| namespace.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>())
        .collect();
    assert!(tiers.contains(&"tier=reviewed".to_owned()), "{tiers:?}");
}

#[test]
fn what_is_no_inventory_is_told() {
    let rows = [
        ("a policy", yaml_list(&[POLICY]), "error inventory-policy live.yaml:3"),
        (
            "a broken namespace",
            yaml_list(&[&LIVE[0].replace("tier: front", "tier: 1")]),
            "warning wrong-type live.yaml:8",
        ),
        (
            "a text that breaks off",
            yaml_list(&LIVE).replace("tier: front", "tier: \"front"),
            "error syntax live.yaml:46",
        ),
        ("no YAML", "a: b: c\n".to_owned(), "error syntax live.yaml:1"),
    ];
    for (what, text, expected) in rows {
        let loaded = loaded("", &text);
        let found = codes(&loaded);
        assert!(found.iter().any(|finding| finding == expected), "{what}: {found:?}");
    }
}

/// A pod as kubectl prints it, about 4 KiB.
fn large_pod(number: usize) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    note: |\n      text: with, signs\n  labels:\n    app: a{}\n  name: pod-{number}\n  namespace: ns-{}\nspec:\n  containers:\n",
        number % 50,
        number % 20,
    );
    for container in 0..4 {
        text.push_str(&format!("  - name: c{container}\n    env:\n"));
        for variable in 0..12 {
            text.push_str(&format!(
                "    - name: VARIABLE_{variable}\n      value: \"a value of middling length\"\n"
            ));
        }
        text.push_str("    ports:\n    - containerPort: 8080\n      name: http\n      protocol: TCP\n");
    }
    let (a, b) = (number / 250, number % 250 + 1);
    text.push_str(&format!(
        "  nodeName: node-{}\nstatus:\n  phase: Running\n  podIP: 10.1.{a}.{b}\n",
        number % 40
    ));
    text
}

#[test]
fn the_memory_of_an_inventory_is_that_of_an_item() {
    let pods: Vec<String> = (0..20_000).map(large_pod).collect();
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    let folder = folder(&[("db.yaml", POLICY)]);
    let live = tempfile::tempdir().unwrap();
    write(live.path(), "live.yaml", &yaml_list(&pods));
    write(live.path(), "live.json", &json_list(&pods));
    for name in ["live.yaml", "live.json"] {
        let inventory = live.path().join(name);
        let size = std::fs::metadata(&inventory).unwrap().len() / 1024 / 1024;
        assert!(size > 60, "{name} has only {size} MiB");
        let args = ["check", folder.path().to_str().unwrap(), "--inventory", inventory.to_str().unwrap()];
        let peak = peak_memory(&args);
        assert!(peak < 150, "{name}: {size} MiB took {peak} MiB");
    }
}

/// The most memory that the program had at once, in MiB: read while it runs, from the kernel's high-water mark.
fn peak_memory(args: &[&str]) -> u64 {
    let mut child = Command::new(program("chainmail")).args(args).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0) / 1024);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    assert!(peak > 0, "the mark was never read");
    peak
}

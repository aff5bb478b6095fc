//! What is live, beside what was reviewed.

use super::*;

/// The contested addresses, each with those that claim it.
fn contested(loaded: &Loaded) -> Vec<String> {
    let claimants = |at: &Contested| -> Vec<String> {
        loaded.cluster.claimants(at.address).map(|pod| pod.name.to_string()).collect()
    };
    let all = loaded.cluster.contested().iter();
    all.map(|at| format!("{} {:?} {}", at.address, at.doubt, claimants(at).join(","))).collect()
}

fn changed(pod: &str, from: &str, to: &str) -> String {
    assert!(pod.contains(from), "{pod}");
    pod.replacen(from, to, 1)
}

#[test]
fn contradictions_close_and_what_agrees_is_one_pod() {
    /// What it is, the reviewed pod, the live ones, the endpoints, what is contested, the findings.
    type Row<'a> = (&'a str, &'a str, Vec<String>, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
    const TOLD: &str = "warning contested-address live.yaml";
    let a = pod("a", "10.0.0.1");
    let written = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: shop\n";
    let leaving = |pod: String| {
        changed(&pod, "  namespace", "  deletionTimestamp: \"2026-01-02T03:04:05Z\"\n  namespace")
    };
    let labelled = |pod: String| changed(&pod, "  namespace", "  labels: {app: web}\n  namespace");
    let on =
        |pod: String, node: &str| changed(&pod, "status:", &format!("spec: {{nodeName: {node}}}\nstatus:"));
    let with_ports = |pod: String, ports: &str| {
        changed(&pod, "status:", &format!("spec: {{containers: [{{ports: [{ports}]}}]}}\nstatus:"))
    };
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus:\n  addresses: [{type: InternalIP, address: 10.0.0.1}]\n";
    let [at_3, at_10] = [3, 10].map(|line| format!("{TOLD}:{line}"));
    let rows: &[Row<'_>] = &[
        ("the same pod", &a, vec![pod("a", "10.0.0.1")], &["a 10.0.0.1"], &[], &[]),
        ("another pod", &a, vec![pod("b", "10.0.0.2")], &["a 10.0.0.1", "b 10.0.0.2"], &[], &[]),
        ("a pod as people write it", written, vec![pod("a", "10.0.0.1")], &["a 10.0.0.1"], &[], &[]),
        (
            "an unnamed port more",
            written,
            vec![with_ports(pod("a", "10.0.0.1"), "{containerPort: 80}")],
            &["a 10.0.0.1"],
            &[],
            &[],
        ),
        (
            "a named port more",
            written,
            vec![with_ports(pod("a", "10.0.0.1"), "{name: http, containerPort: 80}")],
            &["a 10.0.0.1", "a 10.0.0.1"],
            &["10.0.0.1 Pods a,a"],
            &[&at_3],
        ),
        (
            "as people write it, with another label",
            written,
            vec![labelled(pod("a", "10.0.0.1"))],
            &["a 10.0.0.1", "a 10.0.0.1"],
            &["10.0.0.1 Pods a,a"],
            &[&at_3],
        ),
        (
            "a label more",
            &a,
            vec![labelled(pod("a", "10.0.0.1"))],
            &["a 10.0.0.1", "a 10.0.0.1"],
            &["10.0.0.1 Pods a,a"],
            &[&at_3],
        ),
        (
            "it moved",
            &a,
            vec![pod("a", "10.0.0.2")],
            &["a 10.0.0.1", "a 10.0.0.2"],
            &["10.0.0.1 Pods a,a", "10.0.0.2 Pods a,a"],
            &[&at_3],
        ),
        (
            "it moved, and its old address has a new pod",
            &a,
            vec![pod("a", "10.0.0.2"), pod("b", "10.0.0.1")],
            &["a 10.0.0.1", "a 10.0.0.2", "b 10.0.0.1"],
            &["10.0.0.1 Pods a,a,b", "10.0.0.2 Pods a,a"],
            &[&at_3, &at_10],
        ),
        (
            "a second address is none that differs",
            &a,
            vec![changed(
                &pod("a", "10.0.0.1"),
                "podIP: 10.0.0.1",
                "podIPs: [{ip: 10.0.0.1}, {ip: \"fd00::1\"}]",
            )],
            &["a 10.0.0.1"],
            &[],
            &[],
        ),
        (
            "on two nodes",
            &a,
            vec![on(pod("b", "10.0.0.2"), "n1"), on(pod("b", "10.0.0.2"), "n2")],
            &["a 10.0.0.1", "b 10.0.0.2", "b 10.0.0.2"],
            &["10.0.0.2 Pods b,b"],
            &[
                "warning unknown-node live.yaml:3",
                "warning contested-address live.yaml:11",
                "warning unknown-node live.yaml:11",
            ],
        ),
        (
            "two live pods with one address",
            &a,
            vec![pod("b", "10.0.0.2"), pod("c", "10.0.0.2")],
            &["a 10.0.0.1", "b 10.0.0.2", "c 10.0.0.2"],
            &["10.0.0.2 Pods b,c"],
            &[&at_10],
        ),
        (
            "one of two is being deleted",
            &a,
            vec![leaving(pod("b", "10.0.0.2")), pod("c", "10.0.0.2")],
            &["a 10.0.0.1", "c 10.0.0.2"],
            &[],
            &[],
        ),
        (
            "both are being deleted",
            &a,
            vec![leaving(pod("b", "10.0.0.2")), leaving(pod("c", "10.0.0.2"))],
            &["a 10.0.0.1", "b 10.0.0.2", "c 10.0.0.2"],
            &["10.0.0.2 Pods b,c"],
            &["warning contested-address live.yaml:11"],
        ),
        (
            "the only one is being deleted",
            &a,
            vec![leaving(pod("b", "10.0.0.2"))],
            &["a 10.0.0.1", "b 10.0.0.2"],
            &[],
            &[],
        ),
        (
            "a live pod with a reviewed pod's address",
            &a,
            vec![pod("b", "10.0.0.1")],
            &["a 10.0.0.1", "b 10.0.0.1"],
            &["10.0.0.1 Pods a,b"],
            &[&at_3],
        ),
        (
            "a live node with a reviewed pod's address",
            &a,
            vec![node.to_owned()],
            &["a 10.0.0.1"],
            &["10.0.0.1 Node a"],
            &["warning contested-address reviewed.yaml:7"],
        ),
        (
            "as many as are told apart",
            &a,
            (0..15).map(|number| pod(&format!("b{number:02}"), "10.0.0.1")).collect(),
            &["a 10.0.0.1"],
            &["10.0.0.1 Pods a"],
            &["warning contested-address live.yaml:101"],
        ),
        (
            "more than are told apart",
            &a,
            (0..16).map(|number| pod(&format!("b{number:02}"), "10.0.0.1")).collect(),
            &["a 10.0.0.1"],
            &["10.0.0.1 Crowd a"],
            &["warning contested-address live.yaml:108"],
        ),
        (
            "one that cannot be decoded",
            &a,
            vec![pod("b", "7"), pod("c", "10.0.0.3")],
            &["a 10.0.0.1", "c 10.0.0.3"],
            &[],
            &["warning wrong-type live.yaml:9"],
        ),
        (
            "one that the API server would refuse",
            &a,
            vec![pod("B", "10.0.0.2"), pod("c", "10.0.0.3")],
            &["a 10.0.0.1", "c 10.0.0.3"],
            &[],
            &["warning bad-name live.yaml:3"],
        ),
    ];
    for (what, reviewed, live, expected, doubts, findings) in rows {
        let live: Vec<&str> = live.iter().map(String::as_str).collect();
        let loaded = loaded(reviewed, &yaml_list(&live));
        let cut = |mut all: Vec<String>| {
            // Of a crowd the reviewed one is enough to see.
            all.retain(|line| !line.starts_with("b0") && !line.starts_with("b1"));
            all.iter().map(|line| line.split(",b0").next().unwrap().to_owned()).collect::<Vec<String>>()
        };
        assert_eq!(cut(endpoints(&loaded)), *expected, "{what}");
        assert_eq!(cut(contested(&loaded)), *doubts, "{what}");
        assert_eq!(codes(&loaded), *findings, "{what}");
    }
}

/// What is live stops no policy: not even where it makes two reviewed pods have one address.
#[test]
fn a_live_address_makes_no_error_of_the_reviewed_files() {
    let second = |name: &str, address: &str| {
        changed(
            &pod(name, address),
            &format!("podIP: {address}"),
            &format!("podIPs: [{{ip: {address}}}, {{ip: \"fd00::1\"}}]"),
        )
    };
    let reviewed = format!("{}---\n{}", second("a", "10.0.0.1"), pod("b", "10.0.0.2"));
    let loaded = loaded(&reviewed, &yaml_list(&[&second("b", "10.0.0.2")]));
    assert_eq!(codes(&loaded), ["warning contested-address live.yaml:3"]);
    assert_eq!(contested(&loaded), ["fd00::1 Pods a,b"]);
    let twice = format!("{}---\n{}", pod("a", "10.0.0.1"), pod("b", "10.0.0.1"));
    let error = "error duplicate-address reviewed.yaml:15";
    assert_eq!(
        codes(&super::loaded(&twice, &yaml_list(&[]))),
        [error],
        "two reviewed ones are still a mistake"
    );
    let with_live = super::loaded(&twice, &yaml_list(&[&pod("c", "10.0.0.1")]));
    assert!(codes(&with_live).contains(&error.to_owned()), "{:?}", codes(&with_live));
}

/// Claims cost what they are many, not what they are many times each other.
#[test]
fn thousands_of_claims_are_read_in_time() {
    let many = |pod: &dyn Fn(usize) -> String| -> String {
        let pods: Vec<String> = (0..5000).map(pod).collect();
        yaml_list(&pods.iter().map(String::as_str).collect::<Vec<&str>>())
    };
    let at = |number: usize| format!("10.1.{}.{}", number / 250, 1 + number % 250);
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: all, namespace: shop}\nspec: {podSelector: {}}\n---\n";
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n---\n";
    let reviewed = format!("{policy}{node}{}", pod("a", "10.0.0.1"));
    let on_node = |pod: String| changed(&pod, "status:", "spec: {nodeName: n1}\nstatus:");
    type Make<'a> = &'a dyn Fn(usize) -> String;
    let labelled = |pod: String, number: usize| {
        changed(&on_node(pod), "  namespace", &format!("  labels: {{app: a{number}}}\n  namespace"))
    };
    let rows: [(&str, Make<'_>); 4] = [
        ("of one address", &|number| labelled(pod(&format!("b{number}"), "10.0.0.1"), number)),
        ("of one pod, each with an address", &|number| labelled(pod("b", &at(number)), number)),
        ("of one pod, all with one address", &|number| labelled(pod("b", "10.0.0.1"), number)),
        ("of one pod, and of each of its addresses", &|number| match number % 2 {
            0 => labelled(pod("b", &at(number)), number),
            _ => on_node(pod(&format!("c{number}"), &at(number - 1))),
        }),
    ];
    for (what, make) in rows {
        let begin = Instant::now();
        let sources = sources(&reviewed, &many(make));
        let loaded = load(&sources);
        assert!(!loaded.findings.has_errors(), "{what}");
        let meaning = Meaning::new(&loaded.cluster);
        for (id, at) in loaded.cluster.contested_holders() {
            for direction in Direction::ALL {
                let allowed = meaning.allowed(direction, Family::V4, id);
                let is_closed = allowed.is_some_and(|allowed| allowed.is_empty());
                assert!(is_closed || at.doubt != Doubt::Crowd, "{what}: {}", at.address);
            }
        }
        let mut compiler = Compiler::new(&loaded.cluster, &sources);
        compiler.nodes().collect::<Vec<_>>().into_iter().for_each(|node| drop(compiler.snapshot(node)));
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(20), "{what}: {took:?}");
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
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    assert!(peak > 0, "the mark was never read");
    peak
}

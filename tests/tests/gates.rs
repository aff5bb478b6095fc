//! When a review fails, and with which number.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make files and run programs, and may panic"
)]

mod support;

use std::path::Path;
use std::process::Output;

use support::{chainmail, write};
use tempfile::TempDir;

const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 80}]}]}
status: {podIP: 10.244.1.10}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 80}]}]}
status: {podIP: 10.244.1.11}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: RULES}
";

/// What each side's policy may allow.
const NOBODY: &str = "[]";
const DB: &str = "[{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}]";
const WORLD: &str = "[{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}]";
const NO_SUCH_PORT: &str = "[{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 81}]}]";

fn sides(old: &str, new: &str) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (name, rules) in [("old", old), ("new", new)] {
        write(temp.path(), &format!("{name}/all.yaml"), &CLUSTER.replace("RULES", rules));
    }
    temp
}

fn diff(folder: &Path, args: &[&str]) -> Output {
    chainmail(folder, &[&["diff", "old", "new", "--quiet"], args].concat())
}

#[test]
fn each_gate_refuses_what_it_is_for() {
    let rows: &[(&str, &str, &[&str], &[&str])] = &[
        (NOBODY, NOBODY, &[], &["world", "opened", "closed", "any", "lint:note"]),
        (NOBODY, DB, &["opened", "any"], &["world", "closed", "lint:error"]),
        (DB, NOBODY, &["closed", "any"], &["world", "opened"]),
        (NOBODY, WORLD, &["world", "opened", "any", "lint:warning"], &["closed", "lint:error"]),
        (WORLD, NOBODY, &["closed", "any"], &["world", "opened", "lint:warning"]),
        (DB, NO_SUCH_PORT, &["opened", "closed", "lint:note"], &["world", "lint:warning"]),
    ];
    for (old, new, refusing, passing) in rows {
        let temp = sides(old, new);
        for (gates, code) in [(refusing, 1), (passing, 0)] {
            for gate in *gates {
                let output = diff(temp.path(), &["--fail-on", gate]);
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(code), "{gate} of {old} to {new}: {said}");
                assert_eq!(said.contains(&format!("failed: {gate}")), code == 1, "{gate}: {said}");
            }
        }
        let differs = i32::from(old != new);
        assert_eq!(diff(temp.path(), &[]).status.code(), Some(0));
        assert_eq!(diff(temp.path(), &["--exit-code"]).status.code(), Some(differs));
        assert_eq!(diff(temp.path(), &["--exit-code=42"]).status.code(), Some(42 * differs));
    }
    let temp = sides(NOBODY, WORLD);
    let coded = diff(temp.path(), &["--exit-code=42", "--fail-on", "closed"]);
    assert_eq!(coded.status.code(), Some(0), "the gates say when, the number how");
    for wrong in ["--exit-code=3", "--exit-code=126", "--fail-on=worlds", "--today=tomorrow"] {
        assert_eq!(diff(temp.path(), &[wrong]).status.code(), Some(2), "{wrong}");
    }
}

/// An isolated pod that leaves its address leaves it open, unless the node drops what no pod has. No flow tells of it: on
/// the one side the address is a pod's, on the other nobody's.
#[test]
fn an_address_that_an_isolated_pod_leaves_is_told_and_refused() {
    let web =
        "nodeName: n1, containers: [{name: c, ports: [{containerPort: 80}]}]}\nstatus: {podIP: 10.244.1.10}";
    let base = CLUSTER.replace("RULES", NOBODY);
    let pods: Vec<&str> = base.split("---\n").collect();
    let ways = [
        (
            "finished",
            base.replace("{podIP: 10.244.1.10}", "{phase: Succeeded, podIP: 10.244.1.10}"),
            "status.phase",
        ),
        (
            "on the host",
            base.replace(web, &web.replace("nodeName: n1", "nodeName: n1, hostNetwork: true")),
            "spec.hostNetwork",
        ),
        ("elsewhere", base.replace("10.244.1.10", "10.244.1.99"), "status.podIP"),
        ("gone", [pods[0], pods[2], pods[3]].join("---\n"), "Pod shop/web goes"),
    ];
    for (way, head, cause) in ways {
        let temp = sides(NOBODY, NOBODY);
        write(temp.path(), "new/all.yaml", &head);
        let refused = diff(temp.path(), &["--fail-on", "opened"]);
        let (printed, warned) = said(&refused);
        assert_eq!(refused.status.code(), Some(1), "{way}: {printed}{warned}");
        assert!(printed.contains("1 address no longer isolated"), "{way}: {printed}");
        for (format, words) in [
            ("text", "+ freed     10.244.1.10 (was shop/web) for ingress, was by"),
            ("text", cause),
            ("markdown", "`10.244.1.10` (was `shop/web`)"),
            ("github", "ingress: address 10.244.1.10, which shop/web had"),
            ("json", "\"addresses\": [\n          \"10.244.1.10\"\n        ]"),
        ] {
            let (printed, _) = said(&chainmail(temp.path(), &["diff", "old", "new", "-o", format]));
            assert!(printed.contains(words), "{way} as {format}: {printed}");
        }
        // Back again only the pod that moves leaves an address.
        let (back, _) = said(&chainmail(temp.path(), &["diff", "new", "old"]));
        assert_eq!(back.contains("+ freed"), way == "elsewhere", "{way}: {back}");
        // Where the node keeps the address for its pods it is closed.
        std::fs::write(temp.path().join("new/chainmail.toml"), "unknown_pods = \"drop\"\n").unwrap();
        let closed = diff(temp.path(), &["--fail-on", "opened"]);
        assert_eq!(closed.status.code(), Some(0), "{way}: {:?}", said(&closed));
    }
}

/// A waiver covers the row of an address by its id, and for that address alone.
#[test]
fn a_waiver_covers_an_address_that_is_left() {
    let temp = sides(NOBODY, NOBODY);
    let finished = |address: &str| {
        let old = format!("{{podIP: {address}}}");
        CLUSTER.replace("RULES", NOBODY).replace(&old, &format!("{{phase: Failed, podIP: {address}}}"))
    };
    write(temp.path(), "new/all.yaml", &finished("10.244.1.10"));
    let json = chainmail(temp.path(), &["diff", "old", "new", "-o", "json"]).stdout;
    let review: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let id = &review["reachability"]["isolation"][0]["id"];
    let waiver = format!("[[waiver]]\nid = {id}\n{AGREED}");
    std::fs::write(temp.path().join("new/chainmail.toml"), waiver).unwrap();
    for (address, code) in [("10.244.1.10", 0), ("10.244.1.11", 1)] {
        write(temp.path(), "new/all.yaml", &finished(address));
        let output = diff(temp.path(), &["--fail-on", "opened", "--today", "2026-12-31"]);
        assert_eq!(output.status.code(), Some(code), "{address}: {:?}", said(&output));
    }
}

const AGREED: &str = "owner = \"ann\"\nreason = \"launch\"\nexpires = 2026-12-31\n";

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// By its id, or by its ends: a row passes until the day, and every format says by whose leave.
#[test]
fn a_waiver_lets_a_row_pass_until_its_day() {
    let temp = sides(NOBODY, WORLD);
    let json = chainmail(temp.path(), &["diff", "old", "new", "-o", "json"]).stdout;
    let review: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let flows = review["reachability"]["flows"].as_array().unwrap();
    let ids = flows.iter().map(|flow| format!("id = {}", flow["id"]));
    let by_id: String = ids.map(|id| format!("[[waiver]]\n{id}\n{AGREED}")).collect();
    let by_ends = format!("[[waiver]]\nfrom = \"*\"\nto = \"*\"\n{AGREED}");
    assert!(!flows.is_empty() && review["summary"]["waived"] == 0);
    for waivers in [by_ends, by_id] {
        std::fs::write(temp.path().join("new/chainmail.toml"), &waivers).unwrap();
        for (today, code) in [("2026-12-31", 0), ("2027-01-01", 1)] {
            let output = diff(temp.path(), &["--fail-on", "world", "--today", today]);
            let (printed, warned) = said(&output);
            assert_eq!(output.status.code(), Some(code), "{waivers} {today}: {printed}{warned}");
            assert_eq!(printed.contains(&format!("{} waived", flows.len())), code == 0, "{printed}");
            assert_eq!(warned.contains("ended on 2026-12-31 and waives nothing"), code == 1, "{warned}");
        }
    }
    for (format, words) in [
        ("text", "waived by ann until 2026-12-31: launch"),
        ("markdown", "**waived by `ann` until 2026-12-31: `launch`**"),
        ("github", "%0Awaived by ann until 2026-12-31: launch"),
        ("json", "\"owner\": \"ann\""),
    ] {
        let args = ["diff", "old", "new", "--today", "2026-12-31", "-o", format];
        let (printed, _) = said(&chainmail(temp.path(), &args));
        assert_eq!(printed.matches(words).count(), flows.len(), "{format}: {printed}");
        assert!(format != "github" || !printed.contains("::error"), "{printed}");
    }
}

/// A waiver is for the ends that it names, and does not grow.
#[test]
fn a_waiver_covers_the_ends_that_it_names() {
    let nets = "[{from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 80}]}]";
    let rows = [
        (nets, "outside", "*", 0),
        (nets, "192.0.2.0/24", "*", 0),
        (nets, "192.0.2.*/24", "*", 0),
        (nets, "*", "*", 0),
        (nets, "192.0.2.*", "*", 1),
        (nets, "shop/*", "*", 1),
        (nets, "outside", "shop/*", 1),
        (WORLD, "outside", "*", 1),
        (WORLD, "0.0.0.0/0", "*", 1),
    ];
    for (rules, from, to, code) in rows {
        let temp = sides(NOBODY, rules);
        let waiver = format!("[[waiver]]\nfrom = \"{from}\"\nto = \"{to}\"\n{AGREED}");
        std::fs::write(temp.path().join("new/chainmail.toml"), waiver).unwrap();
        let output = diff(temp.path(), &["--fail-on", "opened", "--today", "2026-12-31"]);
        assert_eq!(output.status.code(), Some(code), "{from} to {to} of {rules}: {:?}", said(&output));
    }
}

/// What a change brings and cannot use is mistyped; what stands there from an older change is none of this one's.
#[test]
fn a_waiver_that_a_change_brings_in_vain_is_told() {
    let temp = sides(NOBODY, WORLD);
    let waiver = format!("[[waiver]]\nfrom = \"outside\"\nto = \"shop/wbe\"\n{AGREED}");
    std::fs::write(temp.path().join("new/chainmail.toml"), &waiver).unwrap();
    let new = ["--today", "2026-01-01"];
    let (_, warned) = said(&diff(temp.path(), &new));
    assert!(warned.contains("to \"shop/wbe\" covers nothing of this change"), "{warned}");
    assert!(
        warned.contains("  --> new/chainmail.toml:1:1") || warned.contains("chainmail.toml:1:1"),
        "{warned}"
    );
    std::fs::write(temp.path().join("old/chainmail.toml"), format!("# moved\n{waiver}")).unwrap();
    let (_, warned) = said(&diff(temp.path(), &new));
    assert_eq!(warned, "");
}

/// The gate of lint heeds waivers of lints, and those only.
#[test]
fn a_waived_finding_fails_no_gate() {
    let temp = sides(NOBODY, WORLD);
    for (covers, code) in [
        ("lint = \"world-open\"\nobject = \"NetworkPolicy shop/web\"", 0),
        ("lint = \"world-open\"\nobject = \"NetworkPolicy shop/*\"", 0),
        ("lint = \"world-open\"\nobject = \"*\"", 1),
        ("lint = \"covered-rule\"\nobject = \"NetworkPolicy shop/web\"", 1),
        ("from = \"*\"\nto = \"shop/*\"", 1),
    ] {
        std::fs::write(temp.path().join("new/chainmail.toml"), format!("[[waiver]]\n{covers}\n{AGREED}"))
            .unwrap();
        let output = diff(temp.path(), &["--fail-on", "lint:warning", "--today", "2026-12-31"]);
        assert_eq!(output.status.code(), Some(code), "{covers}: {:?}", said(&output));
        let late = diff(temp.path(), &["--fail-on", "lint:warning", "--today", "2027-01-01"]);
        assert_eq!(late.status.code(), Some(1), "{covers}");
    }
}

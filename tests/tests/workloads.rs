//! Workloads: which pods are whose, and what is said of those that have no pods. No byte of a snapshot comes of them.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chainmail_findings::Severity;
use chainmail_manifest::source::{Inventory, SourceFile, Sources};
use chainmail_model::{Cluster, Pod, PodState};
use chainmail_pipeline::{Loaded, load};
use ipnet::IpNet;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

fn reviewed(text: &str) -> Sources {
    Sources::new(vec![SourceFile { path: "all.yaml".to_owned(), bytes: text.as_bytes().to_vec() }])
}

fn loaded(text: &str) -> Loaded {
    let loaded = load(&reviewed(text));
    assert!(!loaded.findings.has_errors(), "{:?}\n{text}", loaded.findings);
    loaded
}

/// An object of apps/v1 or batch/v1 whose pods carry `app: NAME`.
fn workload(kind: &str, name: &str) -> String {
    let (group, path) = match kind {
        "CronJob" => ("batch", "jobTemplate: {spec: {template: TEMPLATE}}"),
        "Job" => ("batch", "template: TEMPLATE"),
        _ => ("apps", "template: TEMPLATE"),
    };
    let spec = path.replace("TEMPLATE", &format!("{{metadata: {{labels: {{app: {name}}}}}}}"));
    format!(
        "---\napiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
    )
}

const NODE: &str = "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDR: 10.7.1.0/24}\n";

fn pod(name: &str, address: &str, owner: &str, labels: &str, phase: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}, ownerReferences: [{owner}]}}\n\
         spec: {{nodeName: n1}}\nstatus: {{podIP: {address}, phase: {phase}}}\n"
    )
}

fn owner(api_version: &str, kind: &str, name: &str) -> String {
    format!("{{apiVersion: {api_version}, kind: {kind}, name: {name}, controller: true}}")
}

#[test]
fn what_is_said_of_workloads_without_pods() {
    let commands = [
        "query --from * --from outside --to *",
        "query --from shop/deploy/web --to shop/sts/db -o json",
        "query --from * --to * -o matrix",
        "explain shop/deployment/web shop/sts/db 5432",
        "explain ops/cronjob/report shop/statefulset/db 5432",
        "explain outside shop/deploy/web 8080",
        "explain shop/deploy/db shop/sts/db 5432",
        "explain ops/ds/agent shop/sts/db 5432",
        "describe db",
        "describe shop/deploy/web",
        "describe shop/sts/db -o json",
        "describe ops/ds/agent",
        "check",
    ];
    let mut text = String::new();
    for command in commands {
        let output = support::chainmail(&folder(), &command.split(' ').collect::<Vec<_>>());
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        text.push_str(&format!("$ chainmail {command}\n{out}{err}"));
        if !output.status.success() {
            text.push_str(&format!("({})\n", output.status));
        }
        text.push('\n');
    }
    support::goldens(&folder()).bind(|| insta::assert_snapshot!("shop", text));
}

#[test]
fn a_pod_is_its_topmost_workloads() {
    let hash = "pod-template-hash: 5d9c7b";
    let rows = [
        ("", "", "shop/p"),
        (&*owner("apps/v1", "StatefulSet", "db"), "", "shop/db (StatefulSet)"),
        (&owner("apps/v1", "ReplicaSet", "web-5d9c7b"), hash, "shop/web (Deployment)"),
        (&owner("apps/v1", "ReplicaSet", "web-5d9c7b"), "", "shop/web-5d9c7b (ReplicaSet)"),
        (&owner("apps/v1", "ReplicaSet", "bare"), hash, "shop/bare (ReplicaSet)"),
        (&owner("apps/v1", "ReplicaSet", "seen"), "", "shop/front (Deployment)"),
        (&owner("batch/v1", "Job", "report-29384756"), "", "shop/report (CronJob)"),
        (&owner("batch/v1", "Job", "other-29384756"), "", "shop/other-29384756 (Job)"),
        (&owner("batch/v1", "Job", "report-1"), "", "shop/report-1 (Job)"),
        (&owner("v1", "Node", "n1"), "", "shop/p"),
        (&owner("apps.kruise.io/v1alpha1", "StatefulSet", "db"), "", "shop/p"),
        ("{apiVersion: apps/v1, kind: StatefulSet, name: db}", "", "shop/p"),
    ];
    let seen = "---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: seen, namespace: shop, ownerReferences: [OWNER]}\n\
                spec: {template: {}}\n";
    let seen = seen.replace("OWNER", &owner("apps/v1", "Deployment", "front"));
    for (owner, labels, expected) in rows {
        let text = NODE.to_owned()
            + &workload("CronJob", "report")
            + &seen
            + &pod("p", "10.7.1.5", owner, labels, "Running");
        let cluster = loaded(&text).cluster;
        let (_, pod) = cluster.find_pod("shop", "p").unwrap();
        assert_eq!(cluster.workload_of(pod).to_string(), expected, "{owner} {labels}");
    }
}

fn assumed(cluster: &Cluster) -> BTreeMap<String, Vec<IpAddr>> {
    let reviewed = cluster.with_assumed_pods();
    let is_assumed = |pod: &&Pod| pod.state == PodState::Assumed;
    let pods = reviewed.pods().map(|(_, pod)| pod).filter(is_assumed);
    pods.map(|pod| (pod.pod_ref().to_string(), pod.addresses.iter().collect())).collect()
}

#[test]
fn a_template_is_assumed_to_have_a_pod_unless_it_has_one() {
    let statefulset = owner("apps/v1", "StatefulSet", "a");
    let (job, cron) = (owner("batch/v1", "Job", "a"), owner("batch/v1", "Job", "a-29384756"));
    let rows = [
        (workload("Deployment", "a"), vec!["shop/a (Deployment)"]),
        (workload("StatefulSet", "a") + &pod("a-0", "10.7.1.5", &statefulset, "", "Running"), vec![]),
        (
            workload("StatefulSet", "a") + &pod("a-0", "\"\"", &statefulset, "", "Pending"),
            vec!["shop/a (StatefulSet)"],
        ),
        (workload("Job", "a") + &pod("a-x", "10.7.1.5", &job, "", "Succeeded"), vec![]),
        (
            workload("CronJob", "a") + &pod("a-x", "10.7.1.5", &cron, "", "Succeeded"),
            vec!["shop/a (CronJob)"],
        ),
        (
            workload("Deployment", "a") + &pod("b", "10.7.1.5", "", "app: a", "Running"),
            vec!["shop/a (Deployment)"],
        ),
    ];
    for (text, expected) in rows {
        let found = assumed(&loaded(&(NODE.to_owned() + &text)).cluster);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{text}");
    }
}

#[test]
fn an_assumed_address_is_one_that_a_pod_may_get_and_nobody_has() {
    let many: String = (0..90).map(|number| workload("Deployment", &format!("w{number}"))).collect();
    let taken: String =
        (2..150).map(|n| pod(&format!("p{n}"), &format!("10.7.1.{n}"), "", "", "Running")).collect();
    let alone = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x, namespace: shop}\n\
                 spec: {ingress: [{from: [{ipBlock: {cidr: 10.7.1.200/32}}, {ipBlock: {cidr: 10.7.0.0/16, except: [10.7.1.201/32]}}]}]}\n";
    let cluster = loaded(&(NODE.to_owned() + &many + &taken + alone)).cluster;
    let found = assumed(&cluster);
    let mut addresses: Vec<IpAddr> = found.values().flatten().copied().collect();
    assert_eq!((found.len(), addresses.len()), (90, 90), "one each, of the family that the node has");
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 90, "each its own");
    let net: IpNet = "10.7.1.0/24".parse().unwrap();
    for address in addresses {
        assert!(net.contains(&address), "{address} is in the node's network");
        assert!(
            cluster.pods().all(|(_, pod)| pod.addresses.iter().all(|taken| taken != address)),
            "{address} is free"
        );
        assert!(
            !["10.7.1.0", "10.7.1.255", "10.7.1.200", "10.7.1.201"].contains(&&*address.to_string()),
            "{address}"
        );
    }
}

#[test]
fn where_assumed_addresses_come_from() {
    let web = workload("Deployment", "web");
    let networks = |text: &str, config: &str| -> Vec<String> {
        let config = SourceFile { path: "chainmail.toml".to_owned(), bytes: config.as_bytes().to_vec() };
        let cluster = load(&reviewed(text).with_config(config)).cluster;
        assumed(&cluster)["shop/web (Deployment)"].iter().map(ToString::to_string).collect()
    };
    let v6 = "---\napiVersion: v1\nkind: Node\nmetadata: {name: n2}\nspec: {podCIDR: 'fd07:1::/64'}\n";
    assert_eq!(networks(&web, ""), ["10.244.61.21", "fd00:10:244::3d15"], "nothing is known");
    assert_eq!(networks(&(NODE.to_owned() + &web), ""), ["10.7.1.21"], "a node's network");
    assert_eq!(
        networks(&(NODE.to_owned() + v6 + &web), ""),
        ["10.7.1.21", "fd07:1::3d15"],
        "of both families"
    );
    // A node that drops what is in its network and no pod of its own leaves what is around that.
    assert_eq!(networks(&(NODE.to_owned() + &web), "unknown_pods = \"drop\"\n"), ["10.7.61.21"]);
    let more = NODE.to_owned() + &workload("Deployment", "api") + &web + &workload("Job", "z");
    assert_eq!(networks(&more, ""), ["10.7.1.21"], "others change nothing");
}

/// The address of an assumed pod is in its cluster's networks, and an ipBlock that holds those means it.
#[test]
fn an_ip_block_means_assumed_pods_by_their_addresses() {
    let policy = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x, namespace: shop}\n\
                  spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: CIDR}}]}]}\n";
    let objects = NODE.to_owned() + &workload("StatefulSet", "db") + &workload("Deployment", "web");
    for (cidr, expected) in [("10.7.0.0/16", "all"), ("10.8.0.0/16", "none")] {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("all.yaml"), objects.clone() + &policy.replace("CIDR", cidr))
            .unwrap();
        let output =
            support::chainmail(temp.path(), &["query", "--from", "shop/deploy/web", "--to", "shop/sts/db"]);
        let expected = format!("shop/web (Deployment) -> shop/db (StatefulSet)  {expected}\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{cidr}");
    }
}

/// Also not where they are wrong: that is a warning, and they take no part.
#[test]
fn workloads_change_no_byte_of_a_snapshot() {
    let snapshot = |more: &str| {
        let temp = tempfile::tempdir().unwrap();
        let scenario = support::scenario::named("k8s-docs");
        let state = scenario.states.iter().find(|state| state.name == "01-db-both-ways").unwrap();
        for (_, file) in state.sources.iter() {
            std::fs::write(temp.path().join(&file.path), &file.bytes).unwrap();
        }
        std::fs::write(temp.path().join("zz.yaml"), more).unwrap();
        let output = support::chainmail(temp.path(), &["compile", ".", "--out", "out"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        (
            support::run(
                std::process::Command::new("sh")
                    .args(["-c", "cd out && find . -type f | sort | xargs sha256sum"])
                    .current_dir(temp.path()),
            ),
            said,
        )
    };
    let (bare, _) = snapshot("");
    let all: String = ["CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"]
        .into_iter()
        .map(|kind| {
            workload(kind, "db")
                .replace("namespace: shop", "namespace: default")
                .replace("app: db", "role: db")
        })
        .collect();
    assert_eq!(snapshot(&all).0, bare);
    let (wrong, said) = snapshot(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: A}\nspec: {template: {metadata: {labels: {a: 1}}}}\n",
    );
    assert_eq!(wrong, bare);
    assert!(
        said.contains("warning[wrong-type]") && said.contains("the workload takes no part in review"),
        "{said}"
    );
    let (twice, said) = snapshot(&(workload("Deployment", "a") + &workload("Deployment", "a")));
    assert_eq!(twice, bare);
    assert!(said.contains("warning[duplicate-object]: there are two of Deployment shop/a"), "{said}");
}

/// A live workload beside the reviewed one is what a cluster looks like; the reviewed one holds.
#[test]
fn reviewed_workloads_hold() {
    let live = Inventory::from_bytes(
        "live.yaml",
        workload("Deployment", "a").replace("app: a", "app: old").into_bytes(),
    );
    let loaded = load(&reviewed(&workload("Deployment", "a")).with_inventories([live]));
    assert_eq!(loaded.findings.count(Severity::Warning), 0, "{:?}", loaded.findings);
    let labels: Vec<&str> =
        loaded.cluster.workloads().flat_map(|w| w.labels.iter().map(|(_, value)| value)).collect();
    assert_eq!(labels, ["a"]);
}

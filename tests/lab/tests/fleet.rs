//! The real daemons on a lab's nodes: their story, and how long a push or a birth takes to be in force.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(clippy::disallowed_methods, reason = "the support module looks at namespaces")]
#![expect(clippy::print_stdout, reason = "a test of times prints them")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chainmail_contract::NodeName;
use chainmail_lab::{
    ALICE, Counters, Endpoint, Lab, LabSpec, Member, Remote, Saved, Scenario, Signing, Source, Upstream,
};
use chainmail_manifest::source::{SourceFile, Sources};
use tempfile::TempDir;

const PUSHES: u16 = 100;
/// What is promised of nodes that look once a second.
const LONGEST: Duration = Duration::from_secs(2);

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/three-nodes")
}

/// The shop over three nodes, whose parts listen on ports that make each node's rules new.
fn manifests(port: u16) -> Sources {
    let scenario = Scenario::read(&scenario()).unwrap();
    let file = |file: &SourceFile| {
        let text = String::from_utf8(file.bytes.clone()).unwrap();
        let (port, web) = (port.to_string(), format!("port: {}}}", port + 2));
        let text = text.replace("5432", &port).replace("8080", &port).replace("port: 80}", &web);
        SourceFile { path: file.path.clone(), bytes: text.into_bytes() }
    };
    Sources::new(scenario.states[0].sources.iter().map(|(_, it)| file(it)).collect())
}

/// The shop's nodes, without daemons yet, and its repository.
struct Shop {
    lab: Lab,
    upstream: Upstream,
    floor: String,
    folder: TempDir,
}

impl Shop {
    /// None where there can be no lab, which is said.
    fn open() -> Option<Self> {
        if !support::can_run() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::new(folder.path()).unwrap();
        let lab = Lab::up(&LabSpec::from_sources(&manifests(1000)).unwrap()).unwrap();
        let floor = upstream.commit(&manifests(1000), "The shop", Signing::By(ALICE)).unwrap();
        upstream.repository.push().unwrap();
        Some(Self { lab, upstream, floor, folder })
    }

    fn start(&self, wanted: (NodeName, Source, Remote)) -> Member {
        Member::start(&self.lab, &self.upstream, self.folder.path(), wanted, &self.floor).unwrap()
    }

    fn wait_for(&self, member: &Member) {
        member.wait_for(&self.upstream.digest(&member.node).unwrap()).unwrap();
    }
}

#[test]
#[ignore = "takes minutes; run by make test-long"]
fn a_push_is_in_force_on_three_nodes_within_two_seconds() {
    let Some(shop) = Shop::open() else { return };
    let members: Vec<Member> = shop
        .lab
        .nodes()
        .into_iter()
        .zip([Source::Policies, Source::Policies, Source::Snapshots])
        .map(|(end, source)| {
            let Endpoint::Node(node) = end else { panic!("{end} is no node") };
            shop.start((node, source, Remote::Daemon))
        })
        .collect();
    assert_eq!(members.len(), 3);
    for member in &members {
        shop.wait_for(member);
    }
    let upstream = &shop.upstream;
    let mut times = Vec::new();
    for push in 1..=PUSHES {
        let before: Vec<String> =
            members.iter().map(|member| upstream.digest(&member.node).unwrap()).collect();
        upstream.commit(&manifests(1000 + push), &format!("Push {push}"), Signing::By(ALICE)).unwrap();
        let begin = Instant::now();
        upstream.repository.push().unwrap();
        let digests: Vec<String> =
            members.iter().map(|member| upstream.digest(&member.node).unwrap()).collect();
        assert!(
            before.iter().zip(&digests).all(|(before, after)| before != after),
            "each push changes each node"
        );
        let mut left: Vec<_> = members.iter().zip(&digests).collect();
        while !left.is_empty() {
            left.retain(|(member, digest)| {
                let status = member.applied().unwrap();
                let done = status["enforced"] == digest.as_str() && status["sync"] == "synced";
                if done {
                    times.push(begin.elapsed());
                }
                !done
            });
            assert!(begin.elapsed() < 30 * LONGEST, "push {push} never came to {left:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    times.sort();
    let at = |of_a_hundred: usize| times[(times.len() * of_a_hundred).div_ceil(100) - 1];
    let (median, p99, longest) = (at(50), at(99), at(100));
    println!(
        "{} pushes on {} nodes: median {median:.2?}, p99 {p99:.2?}, longest {longest:.2?}",
        PUSHES,
        members.len()
    );
    assert!(p99 <= LONGEST, "p99 {p99:?}");
}

/// How soon a pod that is born is a member of the sets that rules name.
const BIRTH: Duration = Duration::from_secs(1);

#[test]
#[ignore = "a time is promised; run by make test-long"]
fn a_pod_that_is_born_is_in_force_within_a_second() {
    let Some(shop) = Shop::open() else { return };
    // The node of the database, which admits pods by their labels wherever they are.
    let node: NodeName = "node-3".parse().unwrap();
    let member = shop.start((node.clone(), Source::Inventory, Remote::Folder));
    shop.wait_for(&member);
    let mut times = Vec::new();
    for birth in 1..=10 {
        let address = format!("10.244.1.{}", 100 + birth);
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web-{birth}, namespace: shop, labels: {{app: web}}}}\n\
             spec: {{nodeName: node-1, containers: [{{name: web}}]}}\n\
             status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}]}}\n"
        );
        let begin = Instant::now();
        member.bear(&format!("web-{birth}"), &pod).unwrap();
        // In a set that a rule names.
        let is_in_force = || {
            let Saved { v4, sets, .. } = shop.lab.saved(&node, Counters::Hidden).unwrap();
            let member = sets.lines().find(|line| line.ends_with(&format!(" {address}")));
            member.and_then(|line| line.split(' ').nth(1)).is_some_and(|set| v4.contains(set))
        };
        while !is_in_force() {
            assert!(begin.elapsed() < 30 * BIRTH, "{address} never came");
        }
        times.push(begin.elapsed());
        member.wait_until("settled", |member| Ok(member.applied()?["sync"] == "synced")).unwrap();
    }
    times.sort();
    println!(
        "{} births: median {:.2?}, longest {:.2?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
    assert!(times[times.len() / 2] <= BIRTH, "{times:?}");
}

#[test]
fn the_story_ends_without_a_surprise() {
    if !support::can_run() {
        return;
    }
    let mut story = std::process::Command::new(env!("CARGO_BIN_EXE_chainmail-lab"));
    let output = story.arg("story").arg(scenario()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    for told in
        ["● untrusted  node node-1", "added \"-A CM-INGRESS -j DROP\"", "the kernel holds ", "0 surprises"]
    {
        assert!(out.contains(told), "{told}\n{out}{err}");
    }
    assert_eq!(out.matches("the digest that was committed").count(), 6, "{out}");
}

//! A cluster of a given size, as `kubectl get -o yaml` prints one, made from a seed.
//!
//! A hundred namespaces; apps of a few replicas that are spread over the nodes; in each namespace a default deny and a
//! policy for DNS; for the rest policies between apps, some with named ports and some with networks outside.

mod policies;

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::seeded::Seeded;

/// How much to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Pods.
    pub pods: usize,
    /// NetworkPolicies.
    pub policies: usize,
    /// What all choices follow from.
    pub seed: u64,
}

const NAMESPACES: usize = 100;
/// Namespaces of one team have one label in common.
const GROUPS: usize = 20;
/// The namespace of the cluster's own DNS.
const SYSTEM: &str = "kube-system";
const TIERS: [&str; 4] = ["frontend", "backend", "cache", "database"];
const PORTS: [(&str, u16); 4] = [("http", 8080), ("grpc", 9090), ("metrics", 9100), ("postgres", 5432)];

/// Pods that are alike.
#[derive(Debug, Clone)]
struct App {
    namespace: String,
    name: String,
    tier: &'static str,
    port: (&'static str, u16),
    replicas: usize,
}

/// Writes the manifests into a folder that is there: `nodes.yaml`, and for each namespace one file of its own.
///
/// # Errors
/// When a file cannot be written.
#[expect(clippy::disallowed_methods, reason = "this is what writes the input")]
pub fn write(folder: &Path, size: Size) -> io::Result<()> {
    let mut rng = Seeded::new(size.seed);
    let nodes: String = (0..size.nodes).map(node).collect();
    std::fs::write(folder.join("nodes.yaml"), nodes)?;
    let apps = apps(&mut rng, size.pods);
    let mut policies = policies::policies(&mut rng, &apps, size.policies);
    let mut next_on_node = vec![0; size.nodes];
    let mut namespaces: Vec<String> = (0..NAMESPACES).map(namespace_name).collect();
    namespaces.push(SYSTEM.to_owned());
    for namespace in &namespaces {
        let mut text = namespace_manifest(&mut rng, namespace);
        for app in apps.iter().filter(|app| app.namespace == *namespace) {
            for _ in 0..app.replicas {
                let node = rng.below(size.nodes);
                next_on_node[node] += 1;
                pod(&mut text, &mut rng, app, node, next_on_node[node]);
            }
        }
        text.push_str(&policies.remove(namespace).unwrap_or_default());
        std::fs::write(folder.join(format!("{namespace}.yaml")), text)?;
    }
    Ok(())
}

fn namespace_name(number: usize) -> String {
    format!("team-{number:03}")
}

fn apps(rng: &mut Seeded, pods: usize) -> Vec<App> {
    let dns = App {
        namespace: SYSTEM.to_owned(),
        name: "coredns".to_owned(),
        tier: "dns",
        port: ("dns", 53),
        replicas: pods.min(4),
    };
    let mut left = pods - dns.replicas;
    let mut apps = vec![dns];
    while left > 0 {
        let replicas = rng.between(2, 20).min(left);
        left -= replicas;
        let number = apps.len();
        apps.push(App {
            namespace: namespace_name(number % NAMESPACES),
            name: format!("app-{number}"),
            tier: rng.pick::<&str>(&TIERS),
            port: *rng.pick(&PORTS),
            replicas,
        });
    }
    apps
}

fn namespace_manifest(rng: &mut Seeded, name: &str) -> String {
    let environment = *rng.pick(&["production", "staging", "development"]);
    let group = rng.below(GROUPS);
    format!(
        "---
apiVersion: v1
kind: Namespace
metadata:
  creationTimestamp: \"2026-01-10T09:00:00Z\"
  labels:
    environment: {environment}
    group: group-{group}
    kubernetes.io/metadata.name: {name}
  name: {name}
spec:
  finalizers:
  - kubernetes
status:
  phase: Active
"
    )
}

/// The addresses of a node's pod of a number: of a /21 and a /64.
fn pod_addresses(node: usize, number: usize) -> [String; 2] {
    let host = node * 2048 + number;
    [
        format!("10.{}.{}.{}", host >> 16, (host >> 8) & 255, host & 255),
        format!("fd00:10:{node:x}::{number:x}"),
    ]
}

fn node(number: usize) -> String {
    let [net, _] = pod_addresses(number, 0);
    let address = format!("172.16.{}.{}", number / 250, number % 250 + 1);
    format!(
        "---
apiVersion: v1
kind: Node
metadata:
  creationTimestamp: \"2026-01-10T08:00:00Z\"
  labels:
    kubernetes.io/arch: amd64
    kubernetes.io/hostname: node-{number}
    kubernetes.io/os: linux
  name: node-{number}
spec:
  podCIDR: {net}/21
  podCIDRs:
  - {net}/21
  - fd00:10:{number:x}::/64
status:
  addresses:
  - address: {address}
    type: InternalIP
  - address: fd00:c0::{number:x}
    type: InternalIP
  - address: node-{number}
    type: Hostname
  nodeInfo:
    kubeletVersion: v1.33.1
    operatingSystem: linux
"
    )
}

/// Appends a pod as the API server would print it, its managed fields left out.
fn pod(text: &mut String, rng: &mut Seeded, app: &App, node: usize, number: usize) {
    let App { namespace, name, tier, port: (port_name, port), .. } = app;
    let [v4, v6] = pod_addresses(node, number);
    // With a letter in front, so that no reader takes it for a number.
    let hash = format!("b{:09x}", rng.below(1 << 36));
    let protocol = if *tier == "dns" { "UDP" } else { "TCP" };
    write!(
        text,
        "---
apiVersion: v1
kind: Pod
metadata:
  annotations:
    checksum/config: {hash}{hash}
    prometheus.io/scrape: \"true\"
  creationTimestamp: \"2026-01-12T10:11:12Z\"
  labels:
    app: {name}
    pod-template-hash: {hash}
    tier: {tier}
  name: {name}-{hash}-{node}-{number}
  namespace: {namespace}
spec:
  containers:
  - image: registry.example.com/{namespace}/{name}:1.4.2
    name: main
    ports:
    - containerPort: {port}
      name: {port_name}
      protocol: {protocol}
    resources:
      limits:
        memory: 256Mi
      requests:
        cpu: 100m
    volumeMounts:
    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      name: token
      readOnly: true
  nodeName: node-{node}
  preemptionPolicy: PreemptLowerPriority
  priority: 0
  restartPolicy: Always
  serviceAccountName: {name}
  volumes:
  - name: token
    projected:
      sources:
      - serviceAccountToken:
          path: token
status:
  conditions:
  - lastProbeTime: null
    lastTransitionTime: \"2026-01-12T10:11:20Z\"
    status: \"True\"
    type: Ready
  containerStatuses:
  - containerID: containerd://{hash}{hash}
    name: main
    ready: true
    restartCount: 0
  hostIP: 172.16.{}.{}
  phase: Running
  podIP: {v4}
  podIPs:
  - ip: {v4}
  - ip: {v6}
",
        node / 250,
        node % 250 + 1,
    )
    .expect("writing to a string does not fail");
}

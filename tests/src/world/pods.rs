//! Pods of every kind.

use serde_json::{Value, json};

use super::nodes::{Site, SiteKind};
use super::{NAMESPACES, fields, put, selectors};
use crate::seeded::Seeded;

/// Port names, and the numbers that pods give them.
pub const PORT_NAMES: [(&str, [u16; 2]); 4] =
    [("http", [80, 8080]), ("dns", [53, 5353]), ("metrics", [9100, 9101]), ("admin", [443, 8443])];

pub(super) fn pods(rng: &mut Seeded, sites: &[Site]) -> Vec<Value> {
    let count = rng.between(10, 15);
    let mut pods = Vec::new();
    for number in 0..count {
        let site = *rng.pick(sites);
        let pod = pod(rng, site, number);
        if rng.percent(12) {
            pods.push(finished(rng, &pod, site, number));
        }
        pods.push(pod);
    }
    pods
}

/// A pod that has finished; its address may be another's already.
fn finished(rng: &mut Seeded, pod: &Value, site: Site, number: usize) -> Value {
    let mut finished = pod.clone();
    finished["metadata"]["name"] = json!(format!("job-{number}"));
    put_labels(rng, &mut finished);
    if rng.percent(50) {
        finished["status"] = status(rng, site, &site.pod_addresses(100 + number));
    }
    finished["status"]["phase"] = json!(*rng.pick(&["Succeeded", "Failed"]));
    finished
}

fn put_labels(rng: &mut Seeded, pod: &mut Value) {
    if let Some(labels) = selectors::labels(rng, &selectors::POD_LABELS) {
        pod["metadata"]["labels"] = labels;
    }
}

fn pod(rng: &mut Seeded, site: Site, number: usize) -> Value {
    let mut metadata = fields([("name", json!(format!("pod-{number}")))]);
    let namespace = *rng.pick(&NAMESPACES);
    // Without a namespace it is in `default`.
    put(&mut metadata, "namespace", (namespace != "default" || rng.percent(40)).then(|| json!(namespace)));
    if rng.percent(5) {
        metadata.insert("deletionTimestamp".to_owned(), json!("2026-01-02T03:04:05Z"));
    }
    let mut spec = containers(rng);
    put(&mut spec, "nodeName", (!rng.percent(3)).then(|| json!(site.name())));
    let host_network = rng.percent(7);
    put(&mut spec, "hostNetwork", host_network.then_some(json!(true)));
    let addresses = if host_network { site.addresses() } else { site.pod_addresses(number) };
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": status(rng, site, &addresses),
    });
    put_labels(rng, &mut pod);
    pod
}

fn status(rng: &mut Seeded, site: Site, [v4, v6]: &[String; 2]) -> Value {
    let v4_only = site.kind == SiteKind::V4Only;
    let list = match rng.below(20) {
        0 => return json!({"phase": "Pending"}),
        1 => return json!({"phase": "Running", "podIP": v4}),
        2..5 => vec![v4],
        5..8 if !v4_only => vec![v6],
        _ if v4_only => vec![v4],
        8 => vec![v6, v4],
        _ => vec![v4, v6],
    };
    let ips: Vec<Value> = list.iter().map(|ip| json!({"ip": ip})).collect();
    json!({"phase": "Running", "podIP": list[0], "podIPs": ips})
}

/// `containers` and perhaps `initContainers`, the rest of a spec aside.
fn containers(rng: &mut Seeded) -> serde_json::Map<String, Value> {
    let main = container(rng, "main");
    let mut containers = vec![main.clone()];
    if rng.percent(35) {
        containers.push(companion(rng, &main, "second"));
    }
    let mut spec = fields([("containers", json!(containers))]);
    let mut first: Vec<Value> = Vec::new();
    if rng.percent(30) {
        let mut sidecar = container(rng, "sidecar");
        sidecar["restartPolicy"] = json!("Always");
        first.push(sidecar);
    }
    if rng.percent(45) {
        // It is gone before the pod serves: its names are nobody's.
        first.push(companion(rng, &main, "setup"));
    }
    if !first.is_empty() {
        spec.insert("initContainers".to_owned(), json!(first));
    }
    spec
}

/// A container; within one no name is given twice, as the API demands.
fn container(rng: &mut Seeded, name: &str) -> Value {
    let mut container = fields([("name", json!(name)), ("image", json!("registry.example/app:1"))]);
    let mut ports = Vec::new();
    for named in &PORT_NAMES {
        if rng.percent(50) {
            ports.push(container_port(rng, named));
        }
    }
    put(&mut container, "ports", (!ports.is_empty()).then_some(json!(ports)));
    Value::Object(container)
}

/// A container with mostly the names of another, and other numbers.
fn companion(rng: &mut Seeded, of: &Value, name: &str) -> Value {
    let mut container = of.clone();
    container["name"] = json!(name);
    for port in container["ports"].as_array_mut().into_iter().flatten() {
        let named = rng.pick(&PORT_NAMES);
        *port = if rng.percent(25) { container_port(rng, named) } else { renumbered(port) };
    }
    container
}

fn container_port(rng: &mut Seeded, (name, numbers): &(&str, [u16; 2])) -> Value {
    let mut port = fields([("containerPort", json!(rng.pick(numbers)))]);
    put(&mut port, "name", rng.percent(85).then_some(json!(name)));
    put(&mut port, "protocol", selectors::protocol(rng));
    Value::Object(port)
}

/// The same port with the other number that its name has.
fn renumbered(port: &Value) -> Value {
    let mut port = port.clone();
    for (_, [one, other]) in PORT_NAMES {
        if port["containerPort"] == one {
            port["containerPort"] = json!(other);
        } else if port["containerPort"] == other {
            port["containerPort"] = json!(one);
        }
    }
    port
}

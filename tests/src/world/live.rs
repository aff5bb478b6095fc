//! What a live cluster says that contradicts what was reviewed, or itself.

use serde_json::{Value, json};

use super::nodes::Site;
use super::{NAMESPACES, selectors};
use crate::seeded::Seeded;

/// Live pods and nodes that claim addresses of reviewed pods. Some of those may lose what they say of themselves, which
/// then is live only.
pub(super) fn contradictions(rng: &mut Seeded, objects: &mut [Value], sites: &[Site]) -> Vec<Value> {
    let has_address = |object: &Value| {
        object["kind"] == "Pod"
            && object["status"]["podIP"].is_string()
            && object["spec"]["hostNetwork"] != true
            && object["status"]["phase"] == "Running"
    };
    let mut pods: Vec<usize> = (0..objects.len()).filter(|place| has_address(&objects[*place])).collect();
    rng.shuffle(&mut pods);
    let mut live = Vec::new();
    for (number, place) in pods.iter().copied().take(rng.between(2, 5)).enumerate() {
        let reviewed = objects[place].clone();
        match rng.below(20) {
            0..11 => {
                for rival in 0..rng.between(1, 2) {
                    let other = objects[*rng.pick(&pods)].clone();
                    live.push(rival_of(rng, &reviewed, &other, sites, number * 2 + rival));
                }
            }
            11..15 => {
                let other = objects[*rng.pick(&pods)].clone();
                live.push(twin_of(rng, &reviewed, &other));
            }
            15..18 => {
                // What people write, and what the cluster made of it.
                live.push(reviewed);
                let fields = objects[place].as_object_mut().expect("a pod is an object");
                fields.remove("status");
                fields["spec"].as_object_mut().expect("a spec is an object").remove("nodeName");
            }
            _ => live.push(json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": format!("stray-{number}")},
                "status": {"addresses": [{"type": "InternalIP", "address": reviewed["status"]["podIP"]}]},
            })),
        }
    }
    live
}

/// Another pod with a pod's addresses, or one of them, wherever it is.
fn rival_of(rng: &mut Seeded, pod: &Value, other: &Value, sites: &[Site], number: usize) -> Value {
    let mut rival = other.clone();
    rival["metadata"] = json!({"name": format!("rival-{number}"), "namespace": *rng.pick(&NAMESPACES)});
    if let Some(labels) = selectors::labels(rng, &selectors::POD_LABELS) {
        rival["metadata"]["labels"] = labels;
    }
    if rng.percent(15) {
        rival["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    }
    rival["spec"]["nodeName"] = match rng.below(20) {
        0 => Value::Null,
        1..10 => pod["spec"]["nodeName"].clone(),
        _ => json!(rng.pick(sites).name()),
    };
    rival["status"] = match rng.percent(30) {
        true => json!({"phase": "Running", "podIP": pod["status"]["podIP"]}),
        false => pod["status"].clone(),
    };
    rival
}

/// The same pod, otherwise than it was reviewed.
fn twin_of(rng: &mut Seeded, pod: &Value, other: &Value) -> Value {
    let mut twin = pod.clone();
    match rng.below(4) {
        0 => twin["spec"]["containers"] = other["spec"]["containers"].clone(),
        1 => twin["status"] = other["status"].clone(),
        2 => twin["spec"]["nodeName"] = other["spec"]["nodeName"].clone(),
        _ => twin["metadata"]["labels"] = other["metadata"]["labels"].clone(),
    }
    twin
}

//! A `chainmail.toml`: every setting, for all nodes and by patterns of their names.

use serde_json::{Map, Value, json};

use super::put;
use crate::seeded::Seeded;

/// Patterns that match all nodes, some, and none.
const PATTERNS: [&str; 6] = ["*", "node-0", "node-?", "node-[12]", "{node-0,node-2}", "elsewhere-*"];

/// Lists of patterns of the interfaces of pods.
const POD_INTERFACES: [&[&str]; 4] =
    [&["cali*"], &["veth*", "cni0"], &["cni0", "br-pods.1"], &["lxc1", "lxc2*", "a*"]];

pub(super) fn config(rng: &mut Seeded) -> Value {
    let mut config = settings(rng);
    let blocks: Vec<Value> = (0..rng.below(4)).map(|_| block(rng)).collect();
    put(&mut config, "nodes", (!blocks.is_empty()).then_some(json!(blocks)));
    Value::Object(config)
}

fn block(rng: &mut Seeded) -> Value {
    let mut block = settings(rng);
    block.insert("match".to_owned(), json!(rng.pick(&PATTERNS)));
    Value::Object(block)
}

/// Each key is there or not, and says either of what it can.
fn settings(rng: &mut Seeded) -> Map<String, Value> {
    let values = [
        ("unknown_pods", [json!("drop"), json!("pass")]),
        ("drop_invalid", [json!(false), json!(true)]),
        ("allow", [json!("accept"), json!("return")]),
        ("enforce", [json!(false), json!(true)]),
        ("log_denied", [json!(*rng.pick(&[1, 61, 600])), json!(0)]),
        ("pod_bridge", [json!(*rng.pick(&["cni0", "br-pods.1"])), json!(false)]),
        ("pod_interfaces", [json!(*rng.pick(&POD_INTERFACES)), json!([])]),
    ];
    let mut settings = Map::new();
    for (key, [unlike_default, default]) in values {
        if rng.percent(40) {
            let value = if rng.percent(75) { unlike_default } else { default };
            settings.insert(key.to_owned(), value);
        }
    }
    settings
}

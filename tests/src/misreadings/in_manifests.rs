//! Misreadings of what the API server fills in: manifests rewritten into what a misreader takes them for.

use serde_json::{Map, Value, json};

/// Changes one object, or leaves it as it is.
pub(super) type Rewrite = fn(&mut Value);

/// A wrong reading as a change of manifests.
pub(super) struct Rewriting {
    pub(super) name: &'static str,
    pub(super) clause: u8,
    pub(super) belief: &'static str,
    pub(super) rewrite: Rewrite,
}

const fn rewriting(clause: u8, name: &'static str, belief: &'static str, rewrite: Rewrite) -> Rewriting {
    Rewriting { name, clause, belief, rewrite }
}

/// A peer that no address is.
const NOBODY: &str = "255.255.255.255/32";

/// All of them, in order of clauses.
pub(super) const REWRITINGS: [Rewriting; 15] = [
    rewriting(
        2,
        "egress-rules-isolate-egress-only",
        "a policy with egress rules alone is no ingress policy",
        |o| {
            let Some(spec) = policy_spec(o) else { return };
            if is_empty(spec.get("policyTypes"))
                && !spec.contains_key("ingress")
                && !is_empty(spec.get("egress"))
            {
                spec.insert("policyTypes".to_owned(), json!(["Egress"]));
            }
        },
    ),
    rewriting(2, "empty-egress-isolates", "egress: [] isolates for egress without policyTypes", |o| {
        let Some(spec) = policy_spec(o) else { return };
        if is_empty(spec.get("policyTypes")) && spec.get("egress") == Some(&json!([])) {
            spec.insert("policyTypes".to_owned(), json!(["Ingress", "Egress"]));
        }
    }),
    rewriting(2, "sections-isolate", "a section that is there isolates, whatever policyTypes says", |o| {
        let Some(spec) = policy_spec(o) else { return };
        let has = |key: &str| !is_empty(spec.get(key));
        let types = match (has("ingress"), has("egress")) {
            (true, true) => json!(["Ingress", "Egress"]),
            (true, false) => json!(["Ingress"]),
            (false, true) => json!(["Egress"]),
            (false, false) => return,
        };
        spec.insert("policyTypes".to_owned(), types);
    }),
    rewriting(4, "no-rules-is-everything", "ingress: [] has nothing to forbid", |o| {
        let Some(spec) = policy_spec(o) else { return };
        for section in ["ingress", "egress"] {
            if spec.get(section) == Some(&json!([])) {
                spec.insert(section.to_owned(), json!([{}]));
            }
        }
    }),
    rewriting(4, "empty-peers-is-nobody", "from: [] is nobody, where from absent is everybody", |o| {
        each_rule(o, |peers, rule| {
            if rule.get(peers) == Some(&json!([])) {
                rule.insert(peers.to_owned(), json!([{"ipBlock": {"cidr": NOBODY}}]));
            }
        });
    }),
    rewriting(12, "no-name-label", "a namespace has the labels of its manifest and no other", |o| {
        const LABEL: &str = "kubernetes.io/metadata.name";
        let Some(spec) = policy_spec(o) else { return };
        let text = Value::Object(spec.clone()).to_string().replace(LABEL, "kubernetes.io/metadata.absent");
        *spec = serde_json::from_str(&text).expect("one label key became another");
    }),
    rewriting(
        13,
        "no-default-namespace",
        "an object without a namespace is in the first one there is",
        |o| {
            if matches!(o["kind"].as_str(), Some("Pod" | "NetworkPolicy"))
                && o["metadata"]["namespace"].is_null()
            {
                o["metadata"]["namespace"] = json!("ops");
            }
        },
    ),
    rewriting(15, "no-protocol-is-every-protocol", "a port without protocol is of all protocols", |o| {
        each_ports(o, |ports| {
            let every = |port: &Value| -> Vec<Value> {
                let absent = port["protocol"].is_null();
                let protocols: &[&str] = if absent { &["TCP", "UDP", "SCTP"] } else { &["TCP"] };
                let with = |protocol: &&str| {
                    let mut port = if port.is_null() { json!({}) } else { port.clone() };
                    if absent {
                        port["protocol"] = json!(protocol);
                    }
                    port
                };
                protocols.iter().map(with).collect()
            };
            *ports = ports.iter().flat_map(every).collect();
        });
    }),
    rewriting(20, "sidecars-have-no-names", "only containers name ports, sidecars do not", |o| {
        if o["kind"] == "Pod"
            && let Some(spec) = o["spec"].as_object_mut()
        {
            spec.remove("initContainers");
        }
    }),
    rewriting(20, "every-container-names-ports", "init containers name ports like any other", |o| {
        for container in
            o.pointer_mut("/spec/initContainers").and_then(Value::as_array_mut).into_iter().flatten()
        {
            container["restartPolicy"] = json!("Always");
        }
    }),
    rewriting(26, "host-bits-are-an-address", "a CIDR with host bits is its one address", |o| {
        each_peer(o, |peer| {
            let Some(cidr) = peer.get("ipBlock").and_then(|block| block["cidr"].as_str()) else { return };
            let net: ipnet::IpNet = cidr.parse().expect("the generator writes networks");
            if net.trunc() != net {
                let one = ipnet::IpNet::from(net.addr());
                peer.insert("ipBlock".to_owned(), json!({"cidr": one.to_string()}));
            }
        });
    }),
    rewriting(32, "finished-pods-count", "a finished pod keeps its address", |o| {
        if matches!(o["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            o["status"]["phase"] = json!("Running");
        }
    }),
    rewriting(32, "terminating-pods-are-gone", "a pod that is being deleted has no address any more", |o| {
        if !o["metadata"]["deletionTimestamp"].is_null() {
            o["status"]["phase"] = json!("Succeeded");
        }
    }),
    rewriting(33, "one-address", "a pod's address is its podIP", |o| {
        if let Some(status) = o["status"].as_object_mut() {
            status.remove("podIPs");
        }
    }),
    rewriting(
        33,
        "only-the-list",
        "a pod's addresses are its podIPs, and without that list it has none",
        |o| {
            if let Some(status) = o["status"].as_object_mut() {
                status.remove("podIP");
            }
        },
    ),
];

/// Writes out what the API server would fill in, and drops what it would ignore: the same policy with nothing left to
/// defaults. Not a misreading; it is what those are held against.
pub fn explicit(object: &mut Value) {
    if let Some(spec) = policy_spec(object) {
        let types = spec.get("policyTypes").and_then(Value::as_array).cloned().unwrap_or_default();
        let types = match (types.is_empty(), is_empty(spec.get("egress"))) {
            (true, true) => vec![json!("Ingress")],
            (true, false) => vec![json!("Ingress"), json!("Egress")],
            (false, _) => types,
        };
        for (section, kind) in [("ingress", "Ingress"), ("egress", "Egress")] {
            let named = types.iter().any(|one| one == kind);
            let rules = spec.remove(section).filter(|rules| named && rules.is_array());
            spec.insert(section.to_owned(), rules.unwrap_or(json!([])));
        }
        spec.insert("policyTypes".to_owned(), json!(types));
        if spec.get("podSelector").is_none_or(Value::is_null) {
            spec.insert("podSelector".to_owned(), json!({}));
        }
        each_ports(object, |ports| {
            for port in ports.iter_mut() {
                if port.is_null() {
                    *port = json!({});
                }
                if port["protocol"].is_null() {
                    port["protocol"] = json!("TCP");
                }
            }
        });
    } else if object["kind"] != "Pod" {
        return;
    }
    if object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!("default");
    }
}

fn is_empty(list: Option<&Value>) -> bool {
    list.and_then(Value::as_array).is_none_or(Vec::is_empty)
}

fn policy_spec(object: &mut Value) -> Option<&mut Map<String, Value>> {
    if object["kind"] != "NetworkPolicy" {
        return None;
    }
    object["spec"].as_object_mut()
}

/// Every rule of a policy with the name of its field for peers.
fn each_rule(object: &mut Value, mut change: impl FnMut(&str, &mut Map<String, Value>)) {
    let Some(spec) = policy_spec(object) else { return };
    for (section, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get_mut(section).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(rule) = rule.as_object_mut() {
                change(peers, rule);
            }
        }
    }
}

fn each_peer(object: &mut Value, mut change: impl FnMut(&mut Map<String, Value>)) {
    each_rule(object, |peers, rule| {
        let peers = rule.get_mut(peers).and_then(Value::as_array_mut);
        peers.into_iter().flatten().filter_map(Value::as_object_mut).for_each(&mut change);
    });
}

fn each_ports(object: &mut Value, mut change: impl FnMut(&mut Vec<Value>)) {
    each_rule(object, |_, rule| {
        if let Some(ports) = rule.get_mut("ports").and_then(Value::as_array_mut) {
            change(ports);
        }
    });
}

//! Policies: every form of every field.

use serde_json::{Map, Value, json};

use super::pods::PORT_NAMES;
use super::{NAMESPACES, fields, no_list, put, selectors};
use crate::seeded::Seeded;

pub(super) fn policy(rng: &mut Seeded, number: usize) -> Value {
    let mut metadata = fields([("name", json!(format!("policy-{number}")))]);
    let namespace = *rng.pick(&NAMESPACES);
    put(&mut metadata, "namespace", (namespace != "default" || rng.percent(40)).then(|| json!(namespace)));
    let mut spec = Map::new();
    let subject = match rng.below(10) {
        0 => None,
        1 => Some(Value::Null),
        _ => Some(selectors::of_pods(rng)),
    };
    put(&mut spec, "podSelector", subject);
    let ingress = rules(rng, "from");
    put(&mut spec, "ingress", ingress);
    let egress = rules(rng, "to");
    put(&mut spec, "egress", egress);
    let types = match rng.below(12) {
        0..6 => no_list(rng),
        6 => Some(json!(["Ingress"])),
        7..9 => Some(json!(["Egress"])),
        9..11 => Some(json!(["Ingress", "Egress"])),
        _ => Some(json!(["Ingress", "Ingress"])),
    };
    put(&mut spec, "policyTypes", types);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    })
}

fn rules(rng: &mut Seeded, peers: &str) -> Option<Value> {
    match rng.below(10) {
        0..2 => no_list(rng),
        2 => Some(rng.pick(&[json!([{}]), json!([null])]).clone()),
        _ => {
            let count = rng.between(1, 3);
            let rules: Vec<Value> = (0..count).map(|_| rule(rng, peers)).collect();
            Some(json!(rules))
        }
    }
}

fn rule(rng: &mut Seeded, peers: &str) -> Value {
    let mut rule = Map::new();
    let list = match rng.below(10) {
        0 => no_list(rng),
        _ => {
            let count = rng.between(1, 3);
            Some((0..count).map(|_| peer(rng)).collect())
        }
    };
    put(&mut rule, peers, list);
    let ports = match rng.below(10) {
        0..2 => no_list(rng),
        2 => Some(rng.pick(&[json!([{}]), json!([null])]).clone()),
        _ => {
            let count = rng.between(1, 3);
            Some((0..count).map(|_| port(rng)).collect())
        }
    };
    put(&mut rule, "ports", ports);
    Value::Object(rule)
}

fn peer(rng: &mut Seeded) -> Value {
    let mut peer = Map::new();
    match rng.below(10) {
        0..2 => put(&mut peer, "podSelector", Some(selectors::of_pods(rng))),
        2..4 => {
            put(&mut peer, "namespaceSelector", Some(selectors::of_namespaces(rng)));
            put(&mut peer, "podSelector", rng.percent(30).then_some(Value::Null));
        }
        4..6 => {
            put(&mut peer, "namespaceSelector", Some(selectors::of_namespaces(rng)));
            put(&mut peer, "podSelector", Some(selectors::of_pods(rng)));
        }
        _ => put(&mut peer, "ipBlock", Some(ip_block(rng))),
    }
    Value::Object(peer)
}

/// Networks from the widest to single addresses: pods', nodes' and the world's.
const BLOCKS: [&str; 18] = [
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.0.0/24",
    "10.1.1.0/29",
    "10.1.1.5/24",
    "192.168.7.0/24",
    "192.168.7.10/32",
    "198.51.100.0/30",
    "203.0.113.0/24",
    "0.0.0.0/1",
    "fd00::/16",
    "fd00:10:1::/48",
    "fd00:10:1:1::/125",
    "fd00:c0::/64",
    "fd00:c0::b/128",
    "2001:db8::/32",
];

fn ip_block(rng: &mut Seeded) -> Value {
    let cidr = match rng.below(6) {
        0 => format!("10.1.{}.{}/32", rng.below(3), rng.between(2, 16)),
        1 => format!("fd00:10:1:{}::{:x}/128", rng.below(3), rng.between(2, 16)),
        _ => (*rng.pick(&BLOCKS)).to_owned(),
    };
    let except = match rng.below(10) {
        0..4 => no_list(rng),
        _ => Some(json!(exceptions(rng, &cidr))),
    };
    let mut block = fields([("cidr", json!(cidr))]);
    put(&mut block, "except", except);
    Value::Object(block)
}

/// What blocks leave out.
const EXCEPTIONS: [&str; 10] = [
    "10.1.0.4/32",
    "10.1.1.0/30",
    "10.1.1.2/31",
    "10.1.2.0/24",
    "192.168.7.11/32",
    "203.0.113.128/25",
    "fd00:10:1::4/128",
    "fd00:10:1:1::/126",
    "fd00:10:1:2::/64",
    "fd00:c0::a/127",
];

/// Networks strictly inside another: both halves at times, overlapping and repeated ones at others.
fn exceptions(rng: &mut Seeded, cidr: &str) -> Vec<String> {
    let net: ipnet::IpNet = cidr.parse().expect("the generator writes networks");
    let net = net.trunc();
    let longest = net.max_prefix_len();
    if net.prefix_len() == longest {
        return Vec::new();
    }
    if rng.percent(10) {
        let halves = net.subnets(net.prefix_len() + 1).expect("one bit longer is not too long");
        return halves.map(|half| half.to_string()).collect();
    }
    let parsed = EXCEPTIONS.iter().map(|text| text.parse::<ipnet::IpNet>().expect("these are networks"));
    let strictly_inside = |except: &ipnet::IpNet| net.contains(except) && *except != net;
    let inside: Vec<ipnet::IpNet> = parsed.filter(strictly_inside).collect();
    if inside.is_empty() {
        return Vec::new();
    }
    let count = rng.between(1, 3);
    (0..count).map(|_| rng.pick(&inside).to_string()).collect()
}

fn port(rng: &mut Seeded) -> Value {
    let mut port = Map::new();
    put(&mut port, "protocol", selectors::protocol(rng));
    match rng.below(10) {
        0 => put(&mut port, "port", rng.percent(50).then_some(Value::Null)),
        1..3 => put(&mut port, "port", Some(json!(number(rng)))),
        3..5 => {
            let first = number(rng);
            let last =
                first.saturating_add(u16::try_from(*rng.pick(&[0, 1, 20, 1000])).expect("it is small"));
            put(&mut port, "port", Some(json!(first)));
            put(&mut port, "endPort", Some(json!(last)));
        }
        _ => put(&mut port, "port", Some(json!(rng.pick(&PORT_NAMES).0))),
    }
    Value::Object(port)
}

/// A number that some container has, or one at the edge of what there is.
fn number(rng: &mut Seeded) -> u16 {
    let (_, numbers) = rng.pick(&PORT_NAMES);
    if rng.percent(85) { *rng.pick(numbers) } else { *rng.pick(&[1, 22, 65_535]) }
}

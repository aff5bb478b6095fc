//! Manifests of less than 5 MB that come to much: each shape makes something of the compiler grow faster than the text.

use std::fmt::Write as _;

use crate::seeded::Seeded;

const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDR: 10.0.0.0/8}\n";

/// An address of 10.0.0.0/8 by its number.
fn address(number: usize) -> String {
    let [_, a, b, c] = u32::try_from(number).expect("few addresses are asked for").to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

/// A pod `pNUMBER` with the address of that number.
fn pod(text: &mut String, number: usize, namespace: &str, labels: &str, spec: &str) {
    let address = address(number);
    write!(
        text,
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, namespace: {namespace}, labels: {{{labels}}}}}\n\
         spec: {{nodeName: n1{spec}}}\nstatus: {{podIP: {address}}}\n"
    )
    .expect("writing to a String cannot fail");
}

fn policy(text: &mut String, namespace: &str, name: &str, spec: &str) {
    write!(
        text,
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n{spec}\n"
    )
    .expect("writing to a String cannot fail");
}

/// One pod, and one policy `p` of these ingress rules.
fn rules(rules: impl Iterator<Item = String>) -> String {
    let mut text = NODE.to_owned();
    pod(&mut text, 1, "shop", "app: web", "");
    let rules: Vec<String> = rules.collect();
    policy(&mut text, "shop", "p", &format!("  podSelector: {{}}\n  ingress:\n{}", rules.join("\n")));
    text
}

/// A rule for one address and a range of ports.
fn rule(number: usize, first: usize, last: usize) -> String {
    let address = address(number);
    format!(
        "  - {{from: [{{ipBlock: {{cidr: {address}/32}}}}], ports: [{{port: {first}, endPort: {last}}}]}}"
    )
}

/// Pods of which no two have the same labels, and a policy for each label.
fn classes(labels: usize, ports: &str) -> String {
    let mut text = NODE.to_owned();
    for number in 0..1 << labels {
        let own: Vec<String> =
            (0..labels).map(|label| format!("l{label}: v{}", (number >> label) & 1)).collect();
        pod(&mut text, number + 1, "shop", &own.join(", "), "");
    }
    for label in 0..labels {
        let next = (label + 1) % labels;
        let ports = ports.replace('#', &(100 + label).to_string());
        let spec = format!(
            "  podSelector: {{matchLabels: {{l{label}: v1}}}}\n  ingress: [{{from: [{{podSelector: {{matchLabels: \
             {{l{next}: v0}}}}}}]{ports}}}]"
        );
        policy(&mut text, "shop", &format!("p{label}"), &spec);
    }
    text
}

/// Every shape by its name.
#[must_use]
pub fn inputs() -> Vec<(&'static str, String)> {
    vec![
        ("thirty-thousand-rules", rules((0..30_000).map(|n| rule(n, 2 * n + 1, 2 * n + 1)))),
        ("three-policies-of-sixteen-thousand-rules", three_policies()),
        ("ranges-within-ranges", rules((0..25_000).map(|n| rule(2 * n, n + 1, 65_535 - n)))),
        ("ranges-side-by-side", rules((0..25_000).map(|n| rule(2 * n, n + 1, n + 30_000)))),
        ("two-thousand-ranges-side-by-side", rules((0..2_000).map(|n| rule(2 * n, n + 1, n + 30_000)))),
        ("as-many-ranges-as-are-compiled", rules((0..850).map(|n| rule(2 * n, n + 1, n + 30_000)))),
        ("a-class-for-each-pod", classes(14, ", ports: [{port: #}]")),
        ("classes-whose-ports-overlap", classes(12, ", ports: [{port: #, endPort: 9000}]")),
        ("classes-of-all-ports", classes(12, "")),
        ("all-namespaces-but-two", namespaces()),
        ("all-pods-but-one", all_but_one()),
        ("all-pods-but-one-for-each-pod", all_but_one_each()),
        ("ports-and-peers", ports_and_peers()),
        ("names-of-ports", named_ports()),
        ("exceptions", exceptions()),
        ("blocks-within-blocks", blocks()),
        ("small-nodes", nodes()),
        ("long-values", long_values()),
        ("lists-of-lists", lists()),
        ("ten-thousand-errors", errors()),
        ("policies-that-say-the-same", same_policies()),
        ("policies-within-policies", growing_policies()),
        ("workloads-without-pods", workloads()),
        ("merges", merges()),
    ]
}

fn three_policies() -> String {
    let mut text = NODE.to_owned();
    pod(&mut text, 1, "shop", "app: web", "");
    for policy_number in 0..3 {
        let each = (0..16_000)
            .map(|n| rule(n, (3 * n + policy_number) % 65_000 + 1, (3 * n + policy_number) % 65_000 + 1));
        let each: Vec<String> = each.collect();
        let spec = format!("  podSelector: {{}}\n  ingress:\n{}", each.join("\n"));
        policy(&mut text, "shop", &format!("p{policy_number}"), &spec);
    }
    text
}

fn namespaces() -> String {
    let mut text = NODE.to_owned();
    for number in 0..8_000 {
        let next = number + 1;
        writeln!(
            text,
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: n{number}, labels: {{a: v{number}}}}}"
        )
        .expect("writing to a String cannot fail");
        pod(&mut text, number + 1, &format!("n{number}"), "a: b", "");
        let spec = format!(
            "  podSelector: {{}}\n  ingress: [{{from: [{{namespaceSelector: {{matchExpressions: [{{key: a, operator: \
             NotIn, values: [v{number}, v{next}]}}]}}}}]}}]"
        );
        policy(&mut text, &format!("n{number}"), "p", &spec);
    }
    text
}

/// A peer that is every pod whose label `a` is another than this.
fn but(number: usize) -> String {
    format!("{{podSelector: {{matchExpressions: [{{key: a, operator: NotIn, values: [v{number}]}}]}}}}")
}

fn all_but_one() -> String {
    let mut text = NODE.to_owned();
    for number in 1..=4_000 {
        pod(&mut text, number, "shop", &format!("a: v{number}"), "");
        let peer = but(number);
        let spec =
            format!("  podSelector: {{}}\n  ingress: [{{from: [{peer}], ports: [{{port: {number}}}]}}]");
        policy(&mut text, "shop", &format!("p{number}"), &spec);
    }
    text
}

fn all_but_one_each() -> String {
    let mut text = NODE.to_owned();
    for number in 1..=8_000 {
        pod(&mut text, number, "shop", &format!("a: v{number}"), "");
        let peer = but(number);
        let spec = format!(
            "  podSelector: {{matchLabels: {{a: v{number}}}}}\n  ingress: [{{from: [{peer}]}}]\n  egress: [{{to: [{peer}]}}]"
        );
        policy(&mut text, "shop", &format!("p{number}"), &spec);
    }
    text
}

fn ports_and_peers() -> String {
    let peers: String =
        (0..20_000).map(|n| format!("{{ipBlock: {{cidr: {}/25}}}}, ", address(n << 8))).collect();
    let ports: String = (0..20_000).map(|n| format!("{{port: {}}}, ", 2 * n + 1)).collect();
    rules(std::iter::once(format!("  - {{from: [{peers}], ports: [{ports}]}}")))
}

fn named_ports() -> String {
    let mut text = NODE.to_owned();
    for number in 0..400 {
        let names: String = (0..100)
            .map(|name| number % 20 * 100 + name)
            .map(|name| format!("{{name: n{name}, containerPort: {}}}, ", name + 1))
            .collect();
        pod(&mut text, number + 1, "shop", "app: web", &format!(", containers: [{{ports: [{names}]}}]"));
    }
    let names: String = (0..2_000).map(|name| format!("{{port: n{name}}}, ")).collect();
    let spec = format!(
        "  podSelector: {{}}\n  ingress: [{{ports: [{names}]}}]\n  egress: [{{to: [{{podSelector: {{}}}}], ports: [{names}]}}]"
    );
    policy(&mut text, "shop", "p", &spec);
    // Terms that a service may be a part of.
    for number in 0..1_000 {
        let spec = format!(
            "  podSelector: {{}}\n  egress: [{{to: [{{ipBlock: {{cidr: 11.{}.{}.0/24}}}}], ports: [{{port: {}, endPort: {}}}]}}]",
            number / 250,
            number % 250,
            number + 1,
            number + 3_000
        );
        policy(&mut text, "shop", &format!("q{number}"), &spec);
    }
    text
}

fn exceptions() -> String {
    let mut text = NODE.to_owned();
    pod(&mut text, 1, "shop", "app: web", "");
    for number in 0..25 {
        let blocks: String = (0..100)
            .map(|block| {
                let except: String = (0..100)
                    .map(|part| format!("10.{}.{}.0/24, ", (block * 7 + number) % 256, 2 * part))
                    .collect();
                format!("{{ipBlock: {{cidr: 10.0.0.0/8, except: [{except}]}}}}, ")
            })
            .collect();
        let spec = format!(
            "  podSelector: {{}}\n  ingress: [{{from: [{blocks}], ports: [{{port: {}}}]}}]",
            number + 1
        );
        policy(&mut text, "shop", &format!("p{number}"), &spec);
    }
    text
}

fn blocks() -> String {
    rules((0..15_000).map(|n| {
        let (first, length, other) = (n % 200 + 1, n % 50, address(n << 8));
        let outer = format!("10.{}.{}.0/{}", (n >> 9) & 255, (n >> 1) & 255, 24 + n % 2);
        let peers = format!("{{ipBlock: {{cidr: {outer}}}}}, {{ipBlock: {{cidr: {other}/24}}}}");
        format!("  - {{from: [{peers}], ports: [{{port: {first}, endPort: {}}}]}}", first + length)
    }))
}

fn nodes() -> String {
    let mut text = String::new();
    for number in 0..10_000 {
        let network = address(number << 4);
        writeln!(
            text,
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{number}}}\nspec: {{podCIDR: {network}/28}}"
        )
        .expect("writing to a String cannot fail");
        if number % 2 == 0 {
            let address = address((number << 4) + 1);
            writeln!(
                text,
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, namespace: shop}}\nspec: {{nodeName: \
                 n{number}}}\nstatus: {{podIP: {address}}}"
            )
            .expect("writing to a String cannot fail");
        }
    }
    policy(&mut text, "shop", "p", "  podSelector: {}\n  ingress: [{from: [{podSelector: {}}]}]");
    text
}

fn long_values() -> String {
    let mut text = NODE.to_owned();
    let mut random = Seeded::new(7);
    for number in 1..=5_000 {
        let value: String =
            (0..63).map(|_| char::from(b'a' + u8::try_from(random.below(26)).expect("26 letters"))).collect();
        pod(&mut text, number, "shop", &format!("{value}: {value}"), "");
        let spec = format!(
            "  podSelector: {{matchExpressions: [{{key: {value}, operator: Exists}}]}}\n  ingress: [{{from: \
             [{{podSelector: {{matchLabels: {{{value}: {value}}}}}}}]}}]"
        );
        policy(&mut text, "shop", &format!("p{number}"), &spec);
    }
    text
}

fn lists() -> String {
    let mut text = String::new();
    for _ in 0..60 {
        text = format!("{{kind: List, apiVersion: v1, items: [{text}]}}");
    }
    let many = format!("---\n{text}\n").repeat(400);
    let wide = "{kind: List, apiVersion: v1, items: []},".repeat(60_000);
    format!("{many}---\nkind: List\napiVersion: v1\nitems: [{wide}]\n")
}

fn errors() -> String {
    (0..10_001)
        .map(|n| format!("---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a{n}, labels: {{x: 'y y'}}}}\n"))
        .collect()
}

fn same_policies() -> String {
    let mut text = NODE.to_owned();
    pod(&mut text, 1, "shop", "app: web", "");
    for number in 0..15_000 {
        policy(
            &mut text,
            "shop",
            &format!("p{number}"),
            "  podSelector: {}\n  ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]",
        );
    }
    text
}

fn growing_policies() -> String {
    let mut text = NODE.to_owned();
    for number in 1..=100 {
        pod(&mut text, number, "shop", &format!("a: v{number}"), "");
    }
    for number in 1..=12_000 {
        let (block, last) = (address(number << 4), 1_000 + number);
        let spec = format!(
            "  podSelector: {{matchLabels: {{a: v{}}}}}\n  ingress: [{{from: [{{ipBlock: {{cidr: {block}/28}}}}], ports: \
             [{{port: 1000, endPort: {last}}}]}}]",
            number % 100 + 1
        );
        policy(&mut text, "shop", &format!("p{number}"), &spec);
    }
    text
}

fn workloads() -> String {
    let mut text = NODE.to_owned();
    for number in 1..=5_000 {
        writeln!(
            text,
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d{number}, namespace: shop}}\nspec:\n  \
             selector: {{matchLabels: {{a: v{number}}}}}\n  template: {{metadata: {{labels: {{a: v{number}}}}}}}"
        )
        .expect("writing to a String cannot fail");
        let peer = but(number);
        let spec =
            format!("  podSelector: {{matchLabels: {{a: v{number}}}}}\n  ingress: [{{from: [{peer}]}}]");
        policy(&mut text, "shop", &format!("p{number}"), &spec);
    }
    text
}

/// Merge keys that come to just what is read, in many documents.
fn merges() -> String {
    let mut text = NODE.to_owned();
    for number in 1..=1_000 {
        let labels: String = (0..100).map(|label| format!("l{label}: v, ")).collect();
        writeln!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p{number}\n  namespace: shop\n  annotations: &a {{{labels}}}\n  \
             labels: {{<<: [{}]}}\nspec: {{nodeName: n1}}\nstatus: {{podIP: {}}}",
            "*a, ".repeat(40),
            address(number)
        )
        .expect("writing to a String cannot fail");
    }
    text
}

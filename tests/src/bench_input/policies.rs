//! The policies of the measured cluster.

use std::collections::BTreeMap;

use super::{App, NAMESPACES, namespace_name};
use crate::seeded::Seeded;

/// The manifests of so many policies, by namespace.
pub(super) fn policies(rng: &mut Seeded, apps: &[App], count: usize) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |namespace: &str, name: &str, spec: &str| {
        let text = all.entry(namespace.to_owned()).or_default();
        text.push_str(&format!(
            "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {name}
  namespace: {namespace}
spec:
{spec}"
        ));
    };
    // The cluster's DNS comes first and is asked by all.
    let apps = &apps[1..];
    for number in 0..count {
        let namespace = namespace_name(number % NAMESPACES);
        let closed = number % NAMESPACES < CLOSED_NAMESPACES;
        match number / NAMESPACES {
            0 if closed => add(&namespace, "default-deny", DEFAULT_DENY),
            1 if closed => add(&namespace, "allow-dns", ALLOW_DNS),
            _ => {
                let app = rng.pick(apps);
                add(&app.namespace, &format!("{}-{number}", app.name), &between_apps(rng, app, apps));
            }
        }
    }
    all
}

/// How many of the namespaces deny by default; pods of the others that no policy selects are not isolated.
const CLOSED_NAMESPACES: usize = 90;

const DEFAULT_DENY: &str = "  podSelector: {}
  policyTypes:
  - Ingress
  - Egress
";

const ALLOW_DNS: &str = "  egress:
  - ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
    to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
  podSelector: {}
  policyTypes:
  - Egress
";

/// Who may reach an app, and at times what it may reach.
fn between_apps(rng: &mut Seeded, app: &App, apps: &[App]) -> String {
    let App { name, port: (port_name, port), .. } = app;
    let port = if rng.percent(40) { (*port_name).to_owned() } else { port.to_string() };
    let from: String = (0..rng.between(1, 3)).map(|_| peer(rng, app, apps)).collect();
    let mut spec = format!("  podSelector:\n    matchLabels:\n      app: {name}\n");
    spec.push_str(&format!("  ingress:\n  - from:\n{from}    ports:\n    - port: {port}\n"));
    // Some serve the same over UDP, as QUIC and DNS do.
    if rng.percent(25) {
        spec.push_str("    - port: 4433\n      protocol: UDP\n");
    }
    if rng.percent(60) {
        let to: String = (0..rng.between(1, 2)).map(|_| peer(rng, app, apps)).collect();
        let port = if rng.percent(30) { "http" } else { *rng.pick(&["8080", "443", "5432"]) };
        spec.push_str(&format!("  egress:\n  - to:\n{to}    ports:\n    - port: {port}\n"));
    }
    spec
}

/// Mostly one app, of the same namespace or of another; at times a tier, a group of namespaces or a network outside.
fn peer(rng: &mut Seeded, app: &App, apps: &[App]) -> String {
    let selector = |field: &str, key: &str, value: &str| {
        format!("{field}Selector:\n        matchLabels:\n          {key}: {value}\n")
    };
    match rng.below(100) {
        0..25 => {
            let near: Vec<&App> = apps.iter().filter(|other| other.namespace == app.namespace).collect();
            format!("    - {}", selector("pod", "app", &rng.pick(&near).name))
        }
        25..40 => format!("    - {}", selector("pod", "tier", rng.pick::<&str>(&super::TIERS))),
        40..75 => {
            let other = rng.pick(apps);
            let namespace = selector("namespace", "kubernetes.io/metadata.name", &other.namespace);
            format!("    - {namespace}      {}", selector("pod", "app", &other.name))
        }
        75..84 => {
            let group = format!("group-{}", rng.below(super::GROUPS));
            format!("    - {}", selector("namespace", "group", &group))
        }
        84 => format!("    - {}", selector("namespace", "environment", "production")),
        _ => {
            let (third, fourth) = (rng.below(200), 16 * rng.below(16));
            format!(
                "    - ipBlock:\n        cidr: 203.0.{third}.0/24\n        except:\n        - 203.0.{third}.{fourth}/28\n"
            )
        }
    }
}

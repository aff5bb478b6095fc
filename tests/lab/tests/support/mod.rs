//! What the tests of the lab share.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::Write as _;

/// Two nodes with podCIDRs and two pods on each, all with both families; one address (10.9.9.9) is in no podCIDR.
pub(crate) const MANIFESTS: &str = "\
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.244.1.0/24, 'fd00:1::/64']},
 status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 'fd00::1'}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {podCIDRs: [10.244.2.0/24, 'fd00:2::/64']},
 status: {addresses: [{type: InternalIP, address: 192.168.7.2}, {type: InternalIP, address: 'fd00::2'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {nodeName: n1, containers: [{name: c}]},
 status: {podIPs: [{ip: 10.244.1.10}, {ip: 'fd00:1::10'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop}, spec: {nodeName: n1, containers: [{name: c}]},
 status: {podIPs: [{ip: 10.244.1.11}, {ip: 'fd00:1::11'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: shop}, spec: {nodeName: n2, containers: [{name: c}]},
 status: {podIPs: [{ip: 10.244.2.10}, {ip: 'fd00:2::10'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: d, namespace: shop}, spec: {nodeName: n2, containers: [{name: c}]},
 status: {podIPs: [{ip: 10.9.9.9}, {ip: 'fd00:9::9'}]}}
";

/// Whether namespaces can be made here. Says aloud when not; in CI that is a failure.
pub(crate) fn can_run() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let reason = "network namespaces need root";
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    // Past the harness, which shows nothing of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
    false
}

/// The network namespaces whose names begin so.
pub(crate) fn namespaces(prefix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

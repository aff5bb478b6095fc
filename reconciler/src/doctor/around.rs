//! Ways around rules that are right: packets that are not what their addresses say, or not seen as what they are.

use super::{Facts, Finding, Level, finding};

/// The most names that a line has.
const NAMES: usize = 5;

/// The larger of the interface's value and the one of `all` counts: ip-sysctl of the kernel, "rp_filter".
pub(super) fn rp_filter(facts: &Facts) -> Finding {
    let check = "rp_filter";
    let all = facts.rp_filter.get("all").copied().unwrap_or(0);
    let open = |(name, value): &(&String, &u8)| {
        !matches!(name.as_str(), "all" | "default" | "lo") && all.max(**value) == 0
    };
    let open: Vec<_> = facts.rp_filter.iter().filter(open).map(|(name, _)| name.as_str()).collect();
    if !open.is_empty() {
        let text = format!(
            "a packet with a forged source is believed on {}: set net.ipv4.conf.NAME.rp_filter to 1 or 2 unless the CNI stops them",
            open.join(", ")
        );
        return finding(Level::Warning, check, text);
    }
    // With 2 any source that a route leads to is believed, unless the interface has no address (`fib_validate_source`).
    let is_loose = |name: &&String| facts.rp_filter.get(*name).is_some_and(|value| all.max(*value) == 2);
    let loose: Vec<&String> = facts.to_pods.iter().filter(is_loose).collect();
    if !loose.is_empty() {
        let text = format!(
            "a pod behind {} may use another pod's address if that interface has an IPv4 address of its own: \
             net.ipv4.conf.NAME.rp_filter is 2; with 1 it may not",
            some(&loose)
        );
        return finding(Level::Note, check, text);
    }
    finding(Level::Fine, check, "forged sources are refused")
}

/// FORWARD sees the router in the place of the destination: the address is changed behind it (`ip_forward_options`).
pub(super) fn source_route(facts: &Facts) -> Finding {
    let check = "source_route";
    if facts.source_routes == Some(1) {
        let text = "IPv4 packets that name their own route pass as if they were for this node: set \
                    net.ipv4.conf.all.accept_source_route to 0";
        return finding(Level::Alarm, check, text);
    }
    finding(Level::Fine, check, "packets do not choose their route")
}

/// A node takes what comes to its overlay's port by INPUT, whoever sent it, and forwards what is inside.
pub(super) fn overlay(facts: &Facts) -> Finding {
    let check = "overlay";
    if facts.overlays.is_empty() {
        return finding(Level::Fine, check, "no tunnel unwraps packets here");
    }
    let names: Vec<&String> = facts.overlays.iter().collect();
    let text = format!(
        "a pod may wrap a packet for {} and send it to this node, which forwards what is inside as if another node had sent \
         it: drop in INPUT what comes from pods in that protocol, unless the CNI does",
        some(&names)
    );
    finding(Level::Warning, check, text)
}

pub(super) fn pod_interfaces(facts: &Facts) -> Finding {
    let check = "pod_interfaces";
    let closed: Vec<&String> = facts.to_others.iter().filter(|name| facts.said.closes(name)).collect();
    if !closed.is_empty() {
        let text = format!(
            "pod_interfaces means {}, by which this host reaches all others: what pods exchange with them is dropped",
            some(&closed)
        );
        return finding(Level::Alarm, check, text);
    }
    let open: Vec<&String> = facts.to_pods.iter().filter(|name| !facts.said.closes(name)).collect();
    if open.is_empty() {
        return finding(Level::Fine, check, "no pod is known to be behind an interface that is left open");
    }
    let text = format!(
        "pods behind {} may use addresses that no manifest names: set unknown_pods = \"drop\" and name these interfaces \
         in pod_interfaces, in chainmail.toml",
        some(&open)
    );
    let level = if facts.said.closed.is_empty() { Level::Note } else { Level::Warning };
    finding(level, check, text)
}

/// The first names, and how many more there are.
fn some(names: &[&String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMES).map(|name| name.as_str()).collect();
    let more = names.len() - first.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

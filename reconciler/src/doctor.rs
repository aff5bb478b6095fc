//! What on this host could make right rules useless, told in words.

mod around;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::config::Confirm;
use crate::kernel::backend::Backend;
use crate::links::Said;
use crate::place::Place;

/// Chains by which other programs that police pods are known, and their names.
const ENGINES: [(&str, &str); 5] = [
    ("cali-", "Calico"),
    ("AZURE-NPM", "Azure NPM"),
    ("KUBE-ROUTER", "kube-router"),
    ("WEAVE-NPC", "Weave Net"),
    ("CILIUM", "Cilium"),
];
/// Bridges of programs that make no pods.
const OTHER_BRIDGES: [&str; 3] = ["docker", "virbr", "lxcbr"];

/// What was found on the host; what could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `net.ipv4.ip_forward`.
    pub forward_v4: Option<u8>,
    /// `net.ipv6.conf.all.forwarding`, on a kernel with IPv6.
    pub forward_v6: Option<u8>,
    /// `net.ipv4.conf.NAME.rp_filter` of each interface, and of `all`.
    pub rp_filter: BTreeMap<String, u8>,
    /// `net.ipv4.conf.all.accept_source_route`.
    pub source_routes: Option<u8>,
    /// Interfaces that are up and unwrap packets.
    pub overlays: BTreeSet<String>,
    /// Each bridge, and whether anything is plugged into it.
    pub bridges: BTreeMap<String, bool>,
    /// What the rules in force say of interfaces.
    pub said: Said,
    /// The interfaces by which this host reaches its pods.
    pub to_pods: BTreeSet<String>,
    /// The interfaces of its default routes.
    pub to_others: BTreeSet<String>,
    /// `net.bridge.bridge-nf-call-iptables`.
    pub bridge_calls: Option<u8>,
    /// Whether IPVS has services.
    pub ipvs: bool,
    /// Where this program keeps rules.
    pub backend: Option<Backend>,
    /// Where `iptables` keeps them.
    pub host_backend: Option<Backend>,
    /// Backends that hold chains of ours.
    pub holding: Vec<Backend>,
    /// Rules of others that lead into our chains, with backend and family.
    pub foreign: Vec<String>,
    /// Where the jump into our chains is to stand.
    pub jump: Place,
    /// Rules of others by which packets may pass before our jump, with backend and family.
    pub before: Vec<String>,
    /// What `ipset --version` says.
    pub ipset: Option<String>,
    /// Whether there is a `conntrack`.
    pub conntrack: bool,
    /// What the applying half's user may do with the lock file of iptables-legacy.
    pub lock_file: LockFile,
    /// Families of the kernel whose rules cannot be kept, and why.
    pub degraded: BTreeMap<String, String>,
    /// Who says that a snapshot works.
    pub confirm: Confirm,
    /// Whether `chainmail-fetch` is at work.
    pub fetches: Option<bool>,
    /// The user of each part of `chainmail-fetch` that has run here, by number.
    pub pulling: BTreeMap<Part, u32>,
    /// The chains of table filter, in both backends.
    pub chains: BTreeSet<String>,
}

/// A part of `chainmail-fetch`; each is meant to run as a user of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Speaks to the Git server.
    Download,
    /// Checks signatures, and alone writes the spool.
    Verify,
    /// Runs the probes and serves the metrics.
    Probe,
}

impl Part {
    /// The command that runs it.
    fn command(self) -> &'static str {
        match self {
            Part::Download => "download",
            Part::Verify => "verify",
            Part::Probe => "probe",
        }
    }
}

/// What a user may do with a lock file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LockFile {
    /// It is not there, and the unit cannot make it.
    #[default]
    Missing,
    /// It is there and cannot be opened.
    Closed,
    /// It can be opened.
    Open,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Fine,
    /// It depends on the host whether this matters.
    Note,
    /// Something does not work as it could.
    Warning,
    /// Packets pass that the policies refuse, or the rules cannot be kept.
    Alarm,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub check: &'static str,
    /// What was found, and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Fine => "fine",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Alarm => "alarm",
        };
        write!(f, "{level:<8} {:<14} {}", self.check, self.text)
    }
}

/// Judges what was found.
#[must_use]
pub fn diagnose(facts: &Facts) -> Vec<Finding> {
    vec![
        forwarding(facts),
        around::rp_filter(facts),
        around::source_route(facts),
        bridges(facts),
        bridge_calls(facts),
        around::pod_interfaces(facts),
        around::overlay(facts),
        ipvs(facts),
        backend(facts),
        foreign(facts),
        before(facts),
        ipset(facts),
        conntrack(facts),
        lock_file(facts),
        families(facts),
        confirm(facts),
        pulling(facts),
        engines(facts),
    ]
}

fn finding(level: Level, check: &'static str, text: impl Into<String>) -> Finding {
    Finding { level, check, text: text.into() }
}

fn forwarding(facts: &Facts) -> Finding {
    let off: Vec<_> = [("ipv4", facts.forward_v4), ("ipv6", facts.forward_v6)]
        .into_iter()
        .filter(|(_, value)| *value == Some(0))
        .map(|(family, _)| family)
        .collect();
    if off.is_empty() {
        return finding(Level::Fine, "ip_forward", "this host forwards");
    }
    let text = format!("this host does not forward {}: pods reach only their own node", off.join(" and "));
    finding(Level::Note, "ip_forward", text)
}

fn pod_bridges(facts: &Facts) -> impl Iterator<Item = &str> {
    let pods = |(name, used): &(&String, &bool)| {
        **used && !OTHER_BRIDGES.iter().any(|other| name.starts_with(other))
    };
    facts.bridges.iter().filter(pods).map(|(name, _)| name.as_str())
}

fn bridges(facts: &Facts) -> Finding {
    let bare: Vec<_> = pod_bridges(facts).filter(|bridge| !facts.said.guarded.contains(*bridge)).collect();
    if bare.is_empty() {
        return finding(Level::Fine, "pod_bridge", "no bridge lets pods by");
    }
    let text = format!(
        "pods on bridge {} reach each other by fe80:: and multicast whatever the policies say: set pod_bridge in chainmail.toml",
        bare.join(", ")
    );
    finding(Level::Alarm, "pod_bridge", text)
}

fn bridge_calls(facts: &Facts) -> Finding {
    let bridges: Vec<_> = pod_bridges(facts).collect();
    match (bridges.as_slice(), facts.bridge_calls) {
        ([], _) => finding(Level::Fine, "bridge-nf", "no bridge of pods"),
        (_, Some(1)) => finding(Level::Fine, "bridge-nf", "bridged packets go through the rules"),
        (bridges, _) => {
            let text = format!(
                "packets between pods on bridge {} do not go through any rule: load br_netfilter and set \
                 net.bridge.bridge-nf-call-iptables=1",
                bridges.join(", ")
            );
            finding(Level::Alarm, "bridge-nf", text)
        }
    }
}

fn ipvs(facts: &Facts) -> Finding {
    if facts.ipvs {
        let text =
            "IPVS has services: their packets bypass FORWARD; run kube-proxy in mode iptables or nftables";
        return finding(Level::Alarm, "ipvs", text);
    }
    finding(Level::Fine, "ipvs", "not in use")
}

fn backend(facts: &Facts) -> Finding {
    if facts.holding.len() > 1 {
        let text = "both backends hold chains of ours, and both judge: `chainmaild uninstall --backend …` clears one";
        return finding(Level::Alarm, "backend", text);
    }
    match (facts.backend, facts.host_backend) {
        (Some(ours), Some(host)) if ours != host => {
            let text = format!(
                "our rules are in {ours}, but `iptables` works on {host}: see that others mean the same"
            );
            finding(Level::Warning, "backend", text)
        }
        (Some(ours), Some(_)) => {
            finding(Level::Fine, "backend", format!("{ours}, as `iptables` on this host"))
        }
        (_, None) | (None, _) => {
            finding(Level::Alarm, "backend", "there is no usable `iptables` on this host")
        }
    }
}

fn foreign(facts: &Facts) -> Finding {
    if facts.foreign.is_empty() {
        return finding(Level::Fine, "foreign rules", "none leads into our chains");
    }
    let text = format!(
        "only our jump in FORWARD is to lead into our chains; a chain that is not needed any more stays, empty, as long \
         as such a rule does; delete: {}",
        facts.foreign.join("; ")
    );
    finding(Level::Warning, "foreign rules", text)
}

/// The most rules that one finding quotes.
const QUOTED_MAX: usize = 5;

/// A jump that is to stand elsewhere than first was put there by the operator.
fn before(facts: &Facts) -> Finding {
    let check = "before jump";
    if facts.before.is_empty() {
        return finding(Level::Fine, check, "no rule lets packets pass before our jump in FORWARD");
    }
    let level = if facts.jump == Place::First { Level::Alarm } else { Level::Warning };
    let quoted: Vec<_> = facts.before.iter().take(QUOTED_MAX).map(String::as_str).collect();
    let more = match facts.before.len() - quoted.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let text = format!("packets may pass before our jump in FORWARD, by: {}{more}", quoted.join("; "));
    finding(level, check, text)
}

fn ipset(facts: &Facts) -> Finding {
    match &facts.ipset {
        None => finding(Level::Alarm, "ipset", "there is no usable `ipset` on this host"),
        Some(said) if said.contains("Warning") => finding(
            Level::Warning,
            "ipset",
            format!("tool and kernel do not fit: {}", said.replace('\n', " ")),
        ),
        Some(said) => finding(Level::Fine, "ipset", said.trim()),
    }
}

fn conntrack(facts: &Facts) -> Finding {
    if facts.conntrack {
        return finding(Level::Fine, "conntrack", "refused flows can be cut");
    }
    let text = "there is no `conntrack`: flows that a tightened policy refuses go on; install conntrack";
    finding(Level::Warning, "conntrack", text)
}

fn lock_file(facts: &Facts) -> Finding {
    let text = match facts.lock_file {
        _ if facts.backend != Some(Backend::Legacy) => None,
        LockFile::Missing => Some("/run/xtables.lock is missing, and the unit cannot make it"),
        LockFile::Closed => {
            Some("/run/xtables.lock cannot be read by the unit's user, so no rule can be changed")
        }
        LockFile::Open => None,
    };
    match text {
        Some(text) => finding(Level::Alarm, "xtables.lock", format!("{text}: run systemd-tmpfiles --create")),
        None => finding(Level::Fine, "xtables.lock", "nothing in the way"),
    }
}

fn families(facts: &Facts) -> Finding {
    if facts.degraded.is_empty() {
        return finding(Level::Fine, "families", "the rules of all families can be kept");
    }
    let told = |(family, reason): (&String, &String)| format!("{family} is not enforced: {reason}");
    let told: Vec<_> = facts.degraded.iter().map(told).collect();
    finding(Level::Alarm, "families", format!("{}; its packets pass", told.join("; ")))
}

fn confirm(facts: &Facts) -> Finding {
    if facts.confirm == Confirm::Required && facts.fetches == Some(false) {
        let text = "chainmail-fetch is not running: each new snapshot is taken back unless `chainmaild confirm` is said in time";
        return finding(Level::Warning, "confirm", text);
    }
    let text = match facts.confirm {
        Confirm::None => "a snapshot counts as good once the kernel holds it",
        Confirm::Required => "a snapshot counts as good once it is confirmed",
    };
    finding(Level::Fine, "confirm", text)
}

/// The kernel keeps two parts apart only where they are two users.
fn pulling(facts: &Facts) -> Finding {
    let check = "pulling";
    let of =
        |user: u32| facts.pulling.iter().filter(move |(_, other)| **other == user).map(|(part, _)| *part);
    let together =
        facts.pulling.values().map(|user| (*user, of(*user).map(Part::command).collect::<Vec<_>>()));
    match together.max_by_key(|(_, parts)| parts.len()) {
        None => finding(Level::Fine, check, "chainmail-fetch has not run here"),
        Some((user, parts)) if parts.len() > 1 => {
            let text = format!(
                "{} of chainmail-fetch run as one user ({user}): a flaw in what speaks to the network reaches the spool; \
                 use the units, see docs/trust.md, \"Who may write what\"",
                parts.join(" and ")
            );
            finding(Level::Warning, check, text)
        }
        Some(_) => finding(Level::Fine, check, "each part of chainmail-fetch runs as a user of its own"),
    }
}

fn engines(facts: &Facts) -> Finding {
    let at_work = |prefix: &str| facts.chains.iter().any(|chain| chain.starts_with(prefix));
    let found: Vec<_> =
        ENGINES.into_iter().filter(|(prefix, _)| at_work(prefix)).map(|(_, name)| name).collect();
    if found.is_empty() {
        return finding(Level::Fine, "other engines", "none has chains here");
    }
    let text = format!("{} polices pods here too: a packet passes only if all allow it", found.join(", "));
    finding(Level::Warning, "other engines", text)
}

#[cfg(test)]
mod tests {
    use chainmail_verdict::IfacePattern;

    use super::*;

    fn healthy() -> Facts {
        Facts {
            forward_v4: Some(1),
            forward_v6: Some(1),
            rp_filter: [("all".to_owned(), 0), ("eth0".to_owned(), 2)].into(),
            bridges: [("cni0".to_owned(), true), ("docker0".to_owned(), true), ("br1".to_owned(), false)]
                .into(),
            said: Said {
                guarded: ["cni0".to_owned()].into(),
                closed: [IfacePattern::Prefix("cni".into())].into(),
                ..Said::default()
            },
            to_pods: ["cni0".to_owned()].into(),
            to_others: ["eth0".to_owned()].into(),
            bridge_calls: Some(1),
            source_routes: Some(0),
            backend: Some(Backend::Nft),
            host_backend: Some(Backend::Nft),
            holding: vec![Backend::Nft],
            ipset: Some("ipset v7.17, protocol version: 7\n".to_owned()),
            conntrack: true,
            chains: ["KUBE-FORWARD".to_owned()].into(),
            pulling: [(Part::Download, 991), (Part::Verify, 992), (Part::Probe, 993)].into(),
            ..Facts::default()
        }
    }

    #[test]
    fn each_sickness_has_its_finding() {
        assert!(
            diagnose(&healthy()).iter().all(|finding| finding.level == Level::Fine),
            "{:?}",
            diagnose(&healthy())
        );
        type Sickness = fn(&mut Facts);
        let rows: [(&str, Level, Sickness); 25] = [
            ("ip_forward", Level::Note, |facts| facts.forward_v6 = Some(0)),
            ("rp_filter", Level::Warning, |facts| facts.rp_filter.extend([("eth1".to_owned(), 0)])),
            ("rp_filter", Level::Note, |facts| facts.rp_filter.extend([("cni0".to_owned(), 2)])),
            ("pod_bridge", Level::Alarm, |facts| facts.said.guarded.clear()),
            ("bridge-nf", Level::Alarm, |facts| facts.bridge_calls = None),
            ("pod_interfaces", Level::Note, |facts| facts.said.closed.clear()),
            ("pod_interfaces", Level::Warning, |facts| facts.to_pods.extend(["veth1".to_owned()])),
            ("pod_interfaces", Level::Alarm, |facts| facts.to_others.extend(["cni1".to_owned()])),
            ("source_route", Level::Alarm, |facts| facts.source_routes = Some(1)),
            ("overlay", Level::Warning, |facts| facts.overlays.extend(["flannel.1".to_owned()])),
            ("ipvs", Level::Alarm, |facts| facts.ipvs = true),
            ("backend", Level::Alarm, |facts| facts.holding = Backend::ALL.to_vec()),
            ("backend", Level::Warning, |facts| facts.host_backend = Some(Backend::Legacy)),
            ("foreign rules", Level::Warning, |facts| {
                facts.foreign = vec!["nft ipv4: -A FOO -j CM-OLD".to_owned()];
            }),
            ("before jump", Level::Alarm, |facts| {
                facts.before = vec!["nft ipv4: -A FORWARD -j ACCEPT".to_owned()];
            }),
            ("before jump", Level::Warning, |facts| {
                facts.before = vec!["nft ipv4: -A FORWARD -j ACCEPT".to_owned()];
                facts.jump = Place::Last;
            }),
            ("ipset", Level::Warning, |facts| {
                facts.ipset = Some("Warning: Kernel support protocol".to_owned());
            }),
            ("conntrack", Level::Warning, |facts| facts.conntrack = false),
            ("xtables.lock", Level::Alarm, |facts| {
                (facts.backend, facts.host_backend) = (Some(Backend::Legacy), Some(Backend::Legacy));
            }),
            ("xtables.lock", Level::Alarm, |facts| {
                (facts.backend, facts.host_backend) = (Some(Backend::Legacy), Some(Backend::Legacy));
                facts.lock_file = LockFile::Closed;
            }),
            ("families", Level::Alarm, |facts| {
                facts.degraded = [("v6".to_owned(), "ip6tables-nft is not installed".to_owned())].into();
            }),
            ("confirm", Level::Warning, |facts| {
                (facts.confirm, facts.fetches) = (Confirm::Required, Some(false));
            }),
            ("pulling", Level::Warning, |facts| facts.pulling.values_mut().for_each(|user| *user = 0)),
            ("pulling", Level::Warning, |facts| {
                facts.pulling.insert(Part::Download, 992);
            }),
            ("other engines", Level::Warning, |facts| facts.chains.extend(["cali-FORWARD".to_owned()])),
        ];
        for (check, level, sicken) in rows {
            let mut facts = healthy();
            sicken(&mut facts);
            let sick: Vec<_> =
                diagnose(&facts).into_iter().filter(|finding| finding.level != Level::Fine).collect();
            assert_eq!(
                sick.iter().map(|f| (f.check, f.level)).collect::<Vec<_>>(),
                [(check, level)],
                "{sick:?}"
            );
        }
    }
}

//! What is closed on a node that had a snapshot and has lost every whole copy of it.
//!
//! At each commit the node remembers, in one small file with a checksum, which networks of its pods the snapshot guards.
//! Where no copy can be used, a snapshot is made of that file: it drops every forwarded packet from and to these networks,
//! those of known connections too. What the node itself sends to its pods and what pods send to the node is not forwarded,
//! so probes of the kubelet and the node's own services go on. The rules need no set, and are applied like any others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chainmail_contract::{
    DENY_CHAIN, FORWARD_CHAIN, Family, INGRESS_CHAIN, Joined, JsonProblem, KernelAddress, Manifest, Member,
    NodeName, Parts, SetName, Sha256Hex,
};
use chainmail_verdict::{IfaceName, IfacePattern, Match, Ruleset, Sense, Target, Test};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::desired::Desired;
use crate::files::{self, FileError};
use crate::paths::Paths;
use crate::sealed;
use crate::set::Members;

/// The networks of this node's pods that the last good snapshot guards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closed {
    /// Networks in which every address is closed: those of isolated pods, and those in which unknown pods are dropped.
    networks: BTreeSet<IpNet>,
    /// Bridges whose ports are guarded from each other.
    bridges: BTreeSet<IfaceName>,
    /// Interfaces that carry addresses of known pods only.
    interfaces: BTreeSet<IfacePattern>,
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    networks: Vec<String>,
    bridges: Vec<String>,
    /// As iptables spells them. Files of earlier versions have none.
    #[serde(default)]
    interfaces: Vec<String>,
}

/// A file of closed networks that cannot be used.
#[derive(Debug, Error)]
pub enum ClosedError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not as it was written.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Closed {
    /// What a snapshot guards, from its own rules: the addresses whose packets CM-FORWARD sends to the chains of isolated
    /// pods, the networks in which it drops what no known pod has, the interfaces on which it does, and the guarded bridges.
    /// A snapshot that only observes guards nothing.
    #[must_use]
    pub fn of(desired: &Desired) -> Self {
        let mut closed = Self::default();
        if desired.observes() {
            return closed;
        }
        let mut networks = Vec::new();
        for (&family, table) in &desired.tables {
            // Rules of other chains decide nothing here, and there may be thousands.
            let mut text = "*filter\n".to_owned();
            for chain in table.chains.keys() {
                writeln!(text, ":{chain} - [0:0]").expect("a String takes all");
            }
            let forward = table.chains.iter().find(|(chain, _)| chain.as_str() == FORWARD_CHAIN);
            for rule in forward.into_iter().flat_map(|(_, rules)| rules) {
                writeln!(text, "-A {FORWARD_CHAIN} {}", rule.as_str()).expect("a String takes all");
            }
            text.push_str("COMMIT\n");
            // A snapshot that was read is of this grammar.
            let Ok(rules) = Ruleset::parse(family, &text) else { continue };
            let Some(forward) = rules.find(FORWARD_CHAIN) else { continue };
            for rule in &rules.chain(forward).rules {
                closed.add(desired, &rules, &rule.matches, &rule.target, &mut networks);
            }
        }
        closed.networks = IpNet::aggregate(&networks).into_iter().collect();
        closed
    }

    /// Adds what a rule of CM-FORWARD guards; networks are gathered, as many of them are pods beside each other.
    fn add(
        &mut self,
        desired: &Desired,
        rules: &Ruleset,
        matches: &[Match],
        target: &Target,
        networks: &mut Vec<IpNet>,
    ) {
        let to = match target {
            Target::Jump(chain) | Target::Goto(chain) => Some(rules.chain(*chain).name.as_str()),
            _ => None,
        };
        let judges = to.is_some_and(|name| name == EGRESS_CHAIN || name == INGRESS_CHAIN);
        let denies = *target == Target::Drop || to == Some(DENY_CHAIN);
        let bridge = bridge(matches);
        // Isolated pods are what a set has. The guard of a bridge says what is not from one of the node's networks, and the
        // rules on unknown pods what is.
        let sense = if bridge.is_some() { Sense::Not } else { Sense::Is };
        if !judges && !denies {
            return;
        }
        for m in matches.iter().filter(|m| m.sense == sense) {
            match &m.test {
                Test::Address { net, .. } => networks.push(*net),
                Test::Set { set, .. } if judges || bridge.is_some() => {
                    networks.extend(members(desired, rules.set_name(*set)));
                }
                _ => {}
            }
        }
        if denies && bridge.is_none() {
            self.interfaces.extend(matches.iter().find_map(|m| match &m.test {
                Test::InIface(pattern) | Test::OutIface(pattern) => Some(pattern.clone()),
                _ => None,
            }));
        }
        self.bridges.extend(bridge);
    }

    /// Whether there is nothing to close.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.bridges.is_empty() && self.interfaces.is_empty()
    }

    /// Reads what is remembered; `None` where no snapshot was ever good.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn read(paths: &Paths) -> Result<Option<Self>, ClosedError> {
        let path = paths.closed();
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let damaged = |problem: String| ClosedError::Damaged { path: path.display().to_string(), problem };
        let line = sealed::open(&text).map_err(|error| damaged(error.to_string()))?;
        let file: File =
            serde_json::from_str(line).map_err(|error| damaged(JsonProblem::from(&error).to_string()))?;
        let networks = file.networks.iter().map(|net| net.parse().ok()).collect::<Option<_>>();
        let bridges = file.bridges.iter().map(|bridge| bridge.parse().ok()).collect::<Option<_>>();
        let interfaces = file.interfaces.iter().map(|pattern| pattern.parse().ok()).collect::<Option<_>>();
        match (networks, bridges, interfaces) {
            (Some(networks), Some(bridges), Some(interfaces)) => {
                Ok(Some(Self { networks, bridges, interfaces }))
            }
            _ => Err(damaged("it names what is no network or no interface".to_owned())),
        }
    }

    /// Remembers it. The file is written only where it changes.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&self, paths: &Paths) -> Result<(), FileError> {
        let file = File {
            networks: self.networks.iter().map(IpNet::to_string).collect(),
            bridges: self.bridges.iter().map(IfaceName::to_string).collect(),
            interfaces: self.interfaces.iter().map(IfacePattern::to_string).collect(),
        };
        let text = sealed::seal(&serde_json::to_string(&file).expect("it has only string keys"));
        if files::read(&paths.closed()).ok().flatten().as_ref() == Some(&text) {
            return Ok(());
        }
        files::replace(&paths.closed(), &text)
    }

    /// The snapshot of a node on which all of it is closed.
    #[must_use]
    pub fn snapshot(&self, node: &NodeName) -> Joined {
        let [v4, v6] = Family::ALL.map(|family| self.rules(family));
        let parts = Parts { rules_v4: Sha256Hex::of(&v4), rules_v6: Sha256Hex::of(&v6) };
        let manifest = Manifest::new(node.clone(), parts, BTreeMap::new());
        Joined::new(manifest, v4, v6, BTreeMap::new()).expect("its manifest is made of its parts")
    }

    fn rules(&self, family: Family) -> String {
        let mut rules = String::new();
        for bridge in &self.bridges {
            writeln!(rules, "-A {FORWARD_CHAIN} -i {bridge} -o {bridge} -j DROP")
                .expect("a String takes all");
        }
        for (option, pattern) in self.interfaces.iter().flat_map(|pattern| [("-i", pattern), ("-o", pattern)])
        {
            writeln!(rules, "-A {FORWARD_CHAIN} {option} {pattern} -j DROP").expect("a String takes all");
        }
        for net in self.networks.iter().filter(|net| Family::of_net(net) == family) {
            for end in ["-s", "-d"] {
                let (address, length) = (KernelAddress(net.addr()), net.prefix_len());
                writeln!(rules, "-A {FORWARD_CHAIN} {end} {address}/{length} -j DROP")
                    .expect("a String takes all");
            }
        }
        let chain = if rules.is_empty() { String::new() } else { format!(":{FORWARD_CHAIN} - [0:0]\n") };
        format!("*filter\n{chain}{rules}COMMIT\n")
    }
}

/// The bridge between whose ports a rule asks for packets, if it does.
fn bridge(matches: &[Match]) -> Option<IfaceName> {
    let exact = |pattern: &IfacePattern| match pattern {
        IfacePattern::Exact(name) => Some(name.clone()),
        IfacePattern::Prefix(_) => None,
    };
    let from = matches.iter().find_map(|m| match &m.test {
        Test::InIface(pattern) => exact(pattern),
        _ => None,
    })?;
    matches
        .iter()
        .any(|m| matches!(&m.test, Test::OutIface(to) if exact(to).as_ref() == Some(&from)))
        .then_some(from)
}

/// The addresses or networks in a set; a set of services has none.
fn members(desired: &Desired, set: &SetName) -> Vec<IpNet> {
    let Some(Members::Exactly { list, .. }) = desired.sets.get(set).map(|set| &set.members) else {
        return Vec::new();
    };
    let network = |member: &Member| match member {
        Member::Ip(ip) => Some(IpNet::from(*ip)),
        Member::Net(net) => Some(*net),
        Member::IpPort(..) => None,
    };
    list.iter().filter_map(network).collect()
}

/// The chain of isolated sources.
const EGRESS_CHAIN: &str = "CM-EGRESS";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{policy, rules, set_of, snapshot};

    #[test]
    fn what_a_snapshot_guards_is_read_from_its_own_rules() {
        let (set, text) = set_of(Family::V4, &["10.0.0.4", "10.0.0.5", "10.0.0.9"]);
        let egress = format!("-m set --match-set {set} src -j CM-EGRESS");
        let stranger = format!("-s 10.0.1.0/24 -m set ! --match-set {set} src -j DROP");
        let v4 = rules(&[
            ("CM-EGRESS", &["-j DROP"]),
            (
                "CM-FORWARD",
                &[
                    "-m conntrack --ctstate ESTABLISHED -j RETURN",
                    "! -s 10.0.2.0/24 -i cni0 -o cni0 -j DROP",
                    &stranger,
                    "-i cali+ -j DROP",
                    "-o cali+ -j DROP",
                    &egress,
                ],
            ),
        ]);
        let joined = snapshot(&v4, &rules(&[]), &[(set, text)]);
        let closed = Closed::of(&Desired::of_snapshot(&joined).unwrap());
        let networks = closed.networks.iter().map(IpNet::to_string).collect::<Vec<_>>();
        assert_eq!(networks, ["10.0.0.4/31", "10.0.0.9/32", "10.0.1.0/24", "10.0.2.0/24"]);
        assert_eq!(closed.bridges.iter().map(IfaceName::as_str).collect::<Vec<_>>(), ["cni0"]);
        assert_eq!(closed.interfaces.iter().map(IfacePattern::to_string).collect::<Vec<_>>(), ["cali+"]);

        // What is made of it passes the same reader as any snapshot.
        let shut = closed.snapshot(&"n1".parse().unwrap());
        assert!(Desired::of_snapshot(&shut).is_ok(), "{}", shut.rules(Family::V4));
        assert!(shut.rules(Family::V4).contains("-A CM-FORWARD -d 10.0.0.4/31 -j DROP\n"), "{shut:?}");
        let both = "-A CM-FORWARD -i cni0 -o cni0 -j DROP\n-A CM-FORWARD -i cali+ -j DROP\n-A CM-FORWARD -o cali+ -j DROP\n";
        assert!(shut.rules(Family::V6).contains(both), "{shut:?}");
    }

    #[test]
    fn it_is_remembered_and_a_wrong_byte_is_found() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        files::make_dir(&paths.state()).unwrap();
        assert_eq!(Closed::read(&paths).unwrap(), None);
        let closed = Closed::of(&policy(&["10.0.0.1"], 80));
        assert!(!closed.is_empty());
        closed.write(&paths).unwrap();
        assert_eq!(Closed::read(&paths).unwrap().as_ref(), Some(&closed));
        let text = files::read(&paths.closed()).unwrap().unwrap();
        files::replace(&paths.closed(), &text.replacen("10.", "11.", 1)).unwrap();
        assert!(Closed::read(&paths).is_err());
    }
}

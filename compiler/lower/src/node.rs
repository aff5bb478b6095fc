//! One node's program: its base chains, its dispatch, and the classes that its pods are of.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_contract::{ChainName, Family, Member, SetKind, is_cut_set};
use chainmail_model::{Direction, Node};
use ipnet::IpNet;

use super::base::{self, Base, Tail};
use super::class::{self, Body};
use super::dispatch::{self, Leaf};
use super::{ChainOrigins, Lowering, NodeProgram};
use crate::netfilter::{CHAINS_ON_A_PATH_MAX, IpSet, Rule, Ruleset, Side, longest_path};

impl Lowering<'_> {
    /// The program of a node.
    pub fn node(&mut self, node: &Node) -> NodeProgram {
        let mut provenance = Vec::new();
        let mut sets = BTreeMap::new();
        let rules = Family::ALL.map(|family| {
            let ruleset = self.ruleset(node, family, &mut provenance);
            for name in ruleset.chains.values().flat_map(|rules| rules.iter()).flat_map(Rule::sets) {
                if !sets.contains_key(name) && !is_cut_set(name) {
                    let set = self.peer_sets.get(name).expect("every set that a rule names was made for it");
                    sets.insert(name.clone(), Rc::clone(set));
                }
            }
            ruleset
        });
        NodeProgram { node: node.name.clone(), rules, sets, provenance }
    }

    fn ruleset(&mut self, node: &Node, family: Family, provenance: &mut Vec<ChainOrigins>) -> Ruleset {
        let local = self.holders_on.get(&node.name).cloned().unwrap_or_default();
        let tail = Tail::of(&node.settings);
        let mut addresses = Vec::new();
        let mut leaves: BTreeMap<Direction, Vec<Leaf>> = BTreeMap::new();
        let mut classes = BTreeSet::new();
        for id in local {
            let Some(address) = self.cluster.addresses_of(id).of(family) else { continue };
            addresses.push(Member::Ip(address));
            for direction in Direction::ALL {
                let Some(class) = self.traffic.class_of(direction, id) else { continue };
                let key = (direction, class, family, tail);
                let chain = self.class_chain(key);
                leaves.entry(direction).or_default().push(Leaf { address, class: chain.name.clone() });
                classes.insert(key);
            }
        }
        let mut alike: BTreeMap<ChainName, Vec<class::Key>> = BTreeMap::new();
        for key in classes {
            alike.entry(self.class_chain(key).name.clone()).or_default().push(key);
        }
        let mut chains = BTreeMap::new();
        for (chain, alike) in alike {
            let isolating = |key: &class::Key| &self.traffic.class(key.0, key.1).isolating;
            let isolating = alike.iter().flat_map(isolating).copied().collect();
            let Body { rules, origins } = self.body(alike);
            provenance.push(ChainOrigins { family, chain: chain.clone(), origins, isolating });
            chains.insert(chain, rules);
        }
        let local: Rc<IpSet> = self.peer_sets.intern(IpSet::new(family, SetKind::HashIp, addresses));
        let mut isolated = |direction, root: &ChainName, side| {
            let leaves: &Vec<Leaf> = leaves.get(&direction)?;
            chains.extend(dispatch::tree(root, side, leaves, tail));
            let members = leaves.iter().map(|leaf| Member::Ip(leaf.address));
            Some(self.peer_sets.intern(IpSet::new(family, SetKind::HashIp, members)))
        };
        let egress = isolated(Direction::Egress, &base::egress(), Side::Src);
        let ingress = isolated(Direction::Ingress, &base::ingress(), Side::Dst);
        let of_family = |net: &&IpNet| Family::of_net(net) == family;
        let pod_cidrs: Vec<IpNet> = node.pod_cidrs.iter().filter(of_family).copied().collect();
        let pod_nets = match pod_cidrs.len() {
            0 => (!local.members().is_empty()).then(|| Rc::clone(&local)),
            1 => None,
            _ => Some(self.peer_sets.of_networks(family, pod_cidrs.clone())),
        };
        let base = Base { family, settings: &node.settings, pod_cidrs, pod_nets, local, egress, ingress };
        let forward = base.forward_rules();
        let target_is_invalid = |rule: &Rule| rule.next_chain() == Some(&base::invalid());
        if forward.iter().any(target_is_invalid) {
            chains.insert(base::invalid(), Rc::new(base.invalid_rules()));
        }
        chains.insert(base::forward(), Rc::new(forward));
        if let Some((deny, rules)) = base::deny_chain(&node.settings)
            && chains.values().flat_map(|rules| rules.iter()).any(|rule| rule.next_chain() == Some(&deny))
        {
            chains.insert(deny, Rc::new(rules));
        }
        let ruleset = Ruleset { family, chains };
        assert!(
            longest_path(&ruleset, &base::forward()).is_some_and(|chains| chains <= CHAINS_ON_A_PATH_MAX),
            "nft refuses deeper tables"
        );
        ruleset
    }
}

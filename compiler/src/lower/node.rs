//! One node's program: its base chains, its dispatch, and the classes that its pods are of.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_snapshot::{ChainName, Family, Member, SetKind, is_cut_set};
use ipnet::IpNet;

use super::base::{self, Base};
use super::class::{ClassChain, with_comments};
use super::dispatch::{self, Leaf};
use super::{Lowering, NodeProgram, RuleOrigins};
use crate::cluster::{Direction, Node};
use crate::netfilter::{CHAINS_ON_A_PATH_MAX, IpSet, Rule, Ruleset, Side, longest_path};
use crate::policy::Origin;

impl Lowering<'_> {
    /// The program of a node.
    pub fn node(&mut self, node: &Node) -> NodeProgram {
        let mut provenance = Vec::new();
        let mut sets = BTreeMap::new();
        let rules = Family::ALL.map(|family| {
            let ruleset = self.ruleset(node, family, &mut provenance);
            for name in ruleset.chains.values().flat_map(|rules| rules.iter()).flat_map(Rule::sets) {
                if !is_cut_set(name) && !sets.contains_key(name) {
                    let set = self.peer_sets.get(name).expect("every set that a rule names was made for it");
                    sets.insert(name.clone(), Rc::clone(set));
                }
            }
            ruleset
        });
        provenance.sort();
        NodeProgram { node: node.name.clone(), rules, sets, provenance }
    }

    fn ruleset(&mut self, node: &Node, family: Family, provenance: &mut Vec<RuleOrigins>) -> Ruleset {
        let local = self.pods_of.get(&node.name).cloned().unwrap_or_default();
        let mut addresses = BTreeSet::new();
        let mut leaves: BTreeMap<Direction, Vec<Leaf>> = BTreeMap::new();
        let mut used: BTreeMap<ChainName, Vec<Rc<ClassChain>>> = BTreeMap::new();
        for id in local {
            let Some(address) = self.cluster.pod(id).addresses.of(family) else { continue };
            addresses.insert(Member::Ip(address));
            for direction in Direction::ALL {
                let Some(class) = self.traffic.class_of(direction, id) else { continue };
                let chain = self.class_chain((direction, class, family));
                leaves.entry(direction).or_default().push(Leaf { address, class: chain.name.clone() });
                let known = used.entry(chain.name.clone()).or_default();
                if !known.iter().any(|known| Rc::ptr_eq(known, &chain)) {
                    known.push(chain);
                }
            }
        }
        let mut chains = BTreeMap::new();
        for (name, alike) in used {
            let body = self.body(family, &name, &alike, provenance);
            chains.insert(name, body);
        }
        let local: Rc<IpSet> = self.peer_sets.intern(IpSet::new(family, SetKind::HashIp, addresses));
        let mut isolated = |direction, root: &ChainName, side| {
            let leaves: &Vec<Leaf> = leaves.get(&direction)?;
            chains.extend(dispatch::tree(root, side, leaves));
            let members = leaves.iter().map(|leaf| Member::Ip(leaf.address)).collect();
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
        let ruleset = Ruleset { family, chains };
        assert!(
            longest_path(&ruleset, &base::forward()).is_some_and(|chains| chains <= CHAINS_ON_A_PATH_MAX),
            "nft refuses deeper tables"
        );
        ruleset
    }

    /// A class's rules with comments. Pods of different policies may have the same rules: then the comments name the
    /// policies of this node's pods, and no other's.
    fn body(
        &mut self,
        family: Family,
        name: &ChainName,
        alike: &[Rc<ClassChain>],
        provenance: &mut Vec<RuleOrigins>,
    ) -> Rc<Vec<Rule>> {
        let rules = &alike[0].rules;
        let origins: Vec<BTreeSet<Origin>> = (0..rules.len())
            .map(|index| alike.iter().flat_map(|chain| &chain.origins[index]).copied().collect())
            .collect();
        for (index, origins) in origins.iter().enumerate().filter(|(_, origins)| !origins.is_empty()) {
            let (chain, origins) = (name.clone(), origins.clone());
            provenance.push(RuleOrigins { family, chain, index, origins });
        }
        let key = (name.clone(), origins);
        if let Some(body) = self.bodies.get(&key) {
            return Rc::clone(body);
        }
        let body = Rc::new(with_comments(self.cluster, rules, &key.1));
        self.bodies.insert(key, Rc::clone(&body));
        body
    }
}

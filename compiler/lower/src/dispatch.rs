//! Dispatch: from an address to its pod's class in few rules, whatever the addresses are.
//!
//! The leaves stand in a binary tree of prefixes. A chain of the dispatch tree takes whole branches off it, one rule
//! each, no larger than a given number of leaves, until nothing is left; each branch is a chain of its own. Rules are
//! met in order, so a branch may lie around one that was taken off before it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::{ChainName, Family};
use chainmail_model::number;
use ipnet::IpNet;

use super::base::Tail;
use crate::netfilter::{Match, Rule, Side, Target};

/// A pod's address and the chain of its class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaf {
    pub(super) address: IpAddr,
    pub(super) class: ChainName,
}

/// How many leaves a lowest chain holds, and by what the size grows from level to level.
#[derive(Debug, Clone, Copy)]
struct Shape {
    bottom: usize,
    step: usize,
}

const SHAPES: [Shape; 6] = [
    Shape { bottom: 4, step: 4 },
    Shape { bottom: 2, step: 4 },
    Shape { bottom: 4, step: 8 },
    Shape { bottom: 2, step: 8 },
    Shape { bottom: 8, step: 8 },
    Shape { bottom: 1, step: 4 },
];

/// A chain costs about this much of a rule when it is loaded, against a rule when it is crossed.
const CHAINS_A_RULE: usize = 8;

/// The dispatch tree from `root`, which asks for the address at `side`. Leaves are of one family.
///
/// Every chain ends in `tail`: an address that is in the set of isolated pods has a leaf, and one without a leaf is
/// denied.
pub(super) fn tree(
    root: &ChainName,
    side: Side,
    leaves: &[Leaf],
    tail: Tail,
) -> BTreeMap<ChainName, Rc<Vec<Rule>>> {
    let mut leaves: Vec<&Leaf> = leaves.iter().collect();
    leaves.sort();
    let mut best: Option<(usize, Plan<'_>)> = None;
    for shape in SHAPES {
        let plan = Plan::new(shape, &leaves);
        let score = plan.worst(0) + plan.chains() / CHAINS_A_RULE;
        if best.as_ref().is_none_or(|(known, _)| score < *known) {
            best = Some((score, plan));
        }
        // A node with few pods needs no search.
        if leaves.len() <= shape.bottom {
            break;
        }
    }
    let (_, plan) = best.expect("there is at least one shape");
    let mut tree = Tree { side, tail, chains: BTreeMap::new() };
    tree.chain(root.clone(), &plan);
    tree.chains
}

/// A chain of the tree before it is rules: only the best of several shapes is made into those.
struct Plan<'a>(Vec<Step<'a>>);

/// What one place of a chain leads to.
enum Step<'a> {
    /// A pod.
    Leaf(&'a Leaf),
    /// A chain for all addresses of a prefix.
    Below(IpNet, Plan<'a>),
}

impl Step<'_> {
    fn rules(&self) -> usize {
        match self {
            Step::Leaf(_) => 2,
            Step::Below(..) => 1,
        }
    }
}

impl<'a> Plan<'a> {
    fn new(shape: Shape, leaves: &[&'a Leaf]) -> Self {
        if leaves.len() <= shape.bottom {
            return Self(leaves.iter().map(|leaf| Step::Leaf(leaf)).collect());
        }
        let mut rest = leaves.to_vec();
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let branch = take_branch(&mut rest, shape.largest_below(leaves.len()));
            steps.push(match branch[..] {
                [leaf] => Step::Leaf(leaf),
                _ => Step::Below(prefix(&branch), Self::new(shape, &branch)),
            });
        }
        Self(steps)
    }

    /// The most rules that a packet crosses before it is in its class's chain, after `crossed` on the way to this one.
    fn worst(&self, mut crossed: usize) -> usize {
        let mut worst = 0;
        for step in &self.0 {
            crossed += step.rules();
            worst = worst.max(match step {
                Step::Leaf(_) => crossed,
                Step::Below(_, plan) => plan.worst(crossed),
            });
        }
        worst
    }

    /// How many chains it becomes.
    fn chains(&self) -> usize {
        let below = self.0.iter().map(|step| match step {
            Step::Leaf(_) => 0,
            Step::Below(_, plan) => plan.chains(),
        });
        1 + below.sum::<usize>()
    }
}

impl Shape {
    /// How many leaves a branch of a chain of `count` leaves may have: the largest level size below that.
    fn largest_below(self, count: usize) -> usize {
        let mut size = self.bottom;
        while size * self.step < count {
            size *= self.step;
        }
        size
    }
}

struct Tree {
    side: Side,
    tail: Tail,
    chains: BTreeMap<ChainName, Rc<Vec<Rule>>>,
}

impl Tree {
    /// Fills one chain and all below it.
    fn chain(&mut self, name: ChainName, plan: &Plan<'_>) {
        let mut rules = Vec::new();
        let mut below = Vec::new();
        for step in &plan.0 {
            match step {
                Step::Leaf(leaf) => self.leaf(&mut rules, leaf),
                Step::Below(net, plan) => {
                    let chain = child_name(&name, below.len());
                    rules.push(Rule::new(self.at(*net), Target::Goto(chain.clone())));
                    below.push((chain, plan));
                }
            }
        }
        if rules.last().is_none_or(|rule| !rule.matches.is_empty()) {
            rules.push(Rule::new([], self.tail.target()));
        }
        self.chains.insert(name, Rc::new(rules));
        for (name, plan) in below {
            self.chain(name, plan);
        }
    }

    /// A pod's two rules. A pod may always reach itself, which FORWARD sees only when it comes back through a Service;
    /// a class is shared and cannot say that.
    fn leaf(&self, rules: &mut Vec<Rule>, leaf: &Leaf) {
        let host = IpNet::from(leaf.address);
        rules.push(Rule::new([Match::Source(host), Match::Destination(host)], Target::Return));
        rules.push(Rule::new(self.at(host), Target::Goto(leaf.class.clone())));
    }

    /// The match for a prefix; none for /0, which iptables-save does not print.
    fn at(&self, net: IpNet) -> Option<Match> {
        (net.prefix_len() > 0).then_some(match self.side {
            Side::Src => Match::Source(net),
            Side::Dst => Match::Destination(net),
        })
    }
}

fn child_name(parent: &ChainName, index: usize) -> ChainName {
    let name = format!("{parent}-{index}");
    ChainName::try_from(name).expect("a dozen levels are never reached, and a few fit in 28 bytes")
}

/// Takes off the tree of `leaves` a branch of at most `size` of them, and at least half of that where there are as many:
/// down from the root into the fuller half until it is small enough.
fn take_branch<'a>(leaves: &mut Vec<&'a Leaf>, size: usize) -> Vec<&'a Leaf> {
    let (mut start, mut end) = (0, leaves.len());
    while end - start > size {
        let (first, last) = (number(leaves[start].address), number(leaves[end - 1].address));
        // Addresses are distinct, so the first and last differ in some bit: that is where this subtree forks.
        let fork = 127 - (first ^ last).leading_zeros();
        let middle = start + leaves[start..end].partition_point(|leaf| number(leaf.address) >> fork & 1 == 0);
        if middle - start >= end - middle {
            end = middle;
        } else {
            start = middle;
        }
    }
    leaves.drain(start..end).collect()
}

/// The longest prefix that all of a branch's addresses have.
fn prefix(branch: &[&Leaf]) -> IpNet {
    let (first, last) = (branch[0].address, branch[branch.len() - 1].address);
    let differing = 128 - (number(first) ^ number(last)).leading_zeros();
    let length = Family::of(first).bits() - u8::try_from(differing).expect("at most 128");
    IpNet::new(first, length).expect("the length is at most the family's").trunc()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks a packet's address through the tree: the class it arrives at, and the rules crossed on the way.
    fn walk(
        chains: &BTreeMap<ChainName, Rc<Vec<Rule>>>,
        root: &ChainName,
        address: IpAddr,
    ) -> (Target, usize) {
        let (mut chain, mut crossed) = (root.clone(), 0);
        'chains: loop {
            for rule in chains[&chain].iter() {
                crossed += 1;
                let meets = rule.matches.iter().all(|condition| match condition {
                    Match::Destination(net) => net.contains(&address),
                    _ => false,
                });
                match &rule.target {
                    Target::Goto(next) if meets && chains.contains_key(next) => {
                        chain = next.clone();
                        continue 'chains;
                    }
                    target if meets => return (target.clone(), crossed),
                    _ => {}
                }
            }
            panic!("a chain has no end");
        }
    }

    fn check(what: &str, addresses: &[IpAddr], most: usize) {
        let root: ChainName = "CM-INGRESS".parse().unwrap();
        let class = |i: usize| ChainName::try_from(format!("CM-I-{i}")).unwrap();
        let leaves: Vec<Leaf> =
            addresses.iter().enumerate().map(|(i, a)| Leaf { address: *a, class: class(i) }).collect();
        let chains = tree(&root, Side::Dst, &leaves, Tail::Drop);
        let mut worst = 0;
        for leaf in &leaves {
            let (target, crossed) = walk(&chains, &root, leaf.address);
            assert_eq!(target, Target::Goto(leaf.class.clone()), "{what}: {}", leaf.address);
            worst = worst.max(crossed);
        }
        assert!(worst <= most, "{what}: {worst} rules crossed");
        for stranger in ["203.0.113.9", "10.244.255.254"] {
            let stranger = stranger.parse().unwrap();
            if !addresses.contains(&stranger) {
                assert_eq!(walk(&chains, &root, stranger).0, Target::Drop, "{what}: {stranger}");
            }
        }
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn a_full_node_is_crossed_in_24_rules_whatever_its_addresses() {
        let base = u32::from_be_bytes([10, 244, 1, 0]);
        let dense: Vec<IpAddr> = (2..112).map(|i| v4(base + i)).collect();
        check("110 pods in a row", &dense, 24);
        let spread: Vec<IpAddr> =
            (0..110u32).map(|i| v4(base.wrapping_add(i.wrapping_mul(2_654_435_761) % 65_536))).collect();
        check("110 pods over a /16", &spread, 24);
        // Each prefix of this tree forks into one address and all others: the worst shape there is.
        let comb: Vec<IpAddr> = (0..32).map(|i| v4(1 << i)).collect();
        check("a comb", &comb, 24);
        let combs: Vec<IpAddr> = (0..110).map(|i| v4((i / 10) << 24 | 1 << (i % 10 * 2))).collect();
        check("combs", &combs, 24);
        check("one pod", &dense[..1], 2);
        let halves: Vec<IpAddr> = (0..20).map(|i| v4(i << 28 | i)).take(16).collect();
        check("both halves of the address space", &halves, 24);
    }
}

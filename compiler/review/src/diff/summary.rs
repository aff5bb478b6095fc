//! The numbers of a review.

use super::{Flow, FlowChange, IsolationChange, Line, Outcome, Presence, Reachability, RuleChanges, Summary};

impl Summary {
    /// Counts everything, whatever of it is shown.
    pub(super) fn of(reachability: Option<&Reachability>, rules: &RuleChanges) -> Self {
        let mut summary = Self::default();
        summary.count_rules(rules);
        let same_rules = rules.shapes.is_empty() && rules.sets.is_empty();
        summary.outcome = match reachability {
            _ if same_rules && reachability.is_none_or(Reachability::is_empty) => Outcome::Same,
            None => Outcome::OtherRules,
            Some(reachability) if reachability.is_empty() => Outcome::SameTraffic,
            Some(_) => Outcome::OtherTraffic,
        };
        if let Some(reachability) = reachability {
            summary.count_traffic(reachability);
        }
        summary
    }

    fn count_traffic(&mut self, reachability: &Reachability) {
        for flow in &reachability.flows {
            *self.counter(flow) += 1;
            self.world += usize::from(flow.world);
        }
        for isolation in &reachability.isolation {
            match (isolation.change, isolation.addresses.len()) {
                (IsolationChange::NewlyIsolated, _) => self.newly_isolated += isolation.pods.count,
                (IsolationChange::NoLongerIsolated, 0) => self.no_longer_isolated += isolation.pods.count,
                (IsolationChange::NoLongerIsolated, addresses) => self.addresses_freed += addresses,
            }
        }
        self.mixed = reachability.mixed.len();
    }

    fn counter(&mut self, flow: &Flow) -> &mut usize {
        match (flow.pods, flow.change) {
            (Presence::Appear, _) => &mut self.appear,
            (Presence::Vanish, _) => &mut self.vanish,
            (Presence::Stay, FlowChange::Opened) => &mut self.flows.opened,
            (Presence::Stay, FlowChange::Widened) => &mut self.flows.widened,
            (Presence::Stay, FlowChange::Altered) => &mut self.flows.altered,
            (Presence::Stay, FlowChange::Closed) => &mut self.flows.closed,
            (Presence::Stay, FlowChange::Narrowed) => &mut self.flows.narrowed,
        }
    }

    fn count_rules(&mut self, rules: &RuleChanges) {
        for shape in &rules.shapes {
            let nodes = shape.nodes.len();
            self.nodes += nodes;
            for chain in &shape.chains {
                let (added, removed) = tally(chain.lines.iter().map(|rule| &rule.line));
                self.rules_added += added * nodes;
                self.rules_removed += removed * nodes;
            }
            for chain in shape.own.iter().flat_map(|own| &own.chains) {
                let (added, removed) = tally(chain.lines.iter().map(|rule| &rule.line));
                self.rules_added += added;
                self.rules_removed += removed;
            }
        }
        self.shapes = rules.shapes.len();
        self.sets = rules.sets.len();
        (self.members_added, self.members_removed) = tally(rules.sets.iter().flat_map(|set| &set.members));
    }
}

impl Reachability {
    fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.isolation.is_empty()
    }
}

/// How many lines come, and how many go.
fn tally<'l>(lines: impl Iterator<Item = &'l Line>) -> (usize, usize) {
    lines.fold((0, 0), |(added, removed), line| match line {
        Line::Added(_) => (added + 1, removed),
        Line::Removed(_) => (added, removed + 1),
    })
}

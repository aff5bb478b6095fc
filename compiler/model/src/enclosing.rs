//! Which of many ranges hold another one whole, without a look at each.

/// Ranges, by their places in the list that they were taken from.
pub struct Enclosing<T> {
    /// Where each range begins, and its place, in order.
    firsts: Vec<(T, usize)>,
    /// A binary tree over `firsts`, its root at 1: the highest end below each node. Leaves stand at the end.
    highest: Vec<Option<T>>,
}

impl<T: Copy + Ord> Enclosing<T> {
    /// Takes where ranges begin and end, both included.
    pub fn new(ranges: &[(T, T)]) -> Self {
        let mut firsts: Vec<(T, usize)> =
            ranges.iter().enumerate().map(|(place, (first, _))| (*first, place)).collect();
        firsts.sort_unstable();
        let leaves = ranges.len().next_power_of_two();
        let mut highest = vec![None; 2 * leaves];
        for (leaf, (_, place)) in firsts.iter().enumerate() {
            highest[leaves + leaf] = Some(ranges[*place].1);
        }
        for node in (1..leaves).rev() {
            highest[node] = highest[2 * node].max(highest[2 * node + 1]);
        }
        Self { firsts, highest }
    }

    /// Whether one of the ranges that hold a range whole has a property. Each that is asked costs a walk down the tree.
    pub fn any(&self, (first, last): (T, T), mut has: impl FnMut(usize) -> bool) -> bool {
        // All that begin at `first` or before it are leaves side by side, from the first one on.
        let candidates = self.firsts.partition_point(|(start, _)| *start <= first);
        let leaves = self.highest.len() / 2;
        // Nodes to look at, with the first of the leaves below each and their number.
        let mut nodes = vec![(1, 0, leaves)];
        while let Some((node, leaf, leaves)) = nodes.pop() {
            if leaf >= candidates || self.highest[node].is_none_or(|highest| highest < last) {
                continue;
            }
            if leaves > 1 {
                let half = leaves / 2;
                nodes.push((2 * node + 1, leaf + half, half));
                nodes.push((2 * node, leaf, half));
            } else if has(self.firsts[leaf].1) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn just_those_that_hold_a_range_are_asked(
            ranges in prop::collection::vec((0u16..40, 0u16..40).prop_map(|(a, b)| (a.min(b), a.max(b))), 0..40),
            asked in (0u16..40, 0u16..40).prop_map(|(a, b)| (a.min(b), a.max(b))),
        ) {
            let mut seen = Vec::new();
            let found = Enclosing::new(&ranges).any(asked, |place| {
                seen.push(place);
                false
            });
            prop_assert!(!found);
            seen.sort_unstable();
            let holds = |range: &(u16, u16)| range.0 <= asked.0 && asked.1 <= range.1;
            let expected: Vec<usize> =
                ranges.iter().enumerate().filter(|(_, range)| holds(range)).map(|(place, _)| place).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}

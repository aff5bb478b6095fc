//! From delays to ratios. Pure.

use std::time::Duration;

use serde::Serialize;

/// What a case cost in one figure, against the lone conntrack rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// How many pairs were measured.
    pub pairs: usize,
    /// The delay under the lone conntrack rule, in microseconds.
    pub conntrack_us: f64,
    /// The delay under the case's rules, in microseconds.
    pub rules_us: f64,
    /// The median over repetitions of the ratio.
    pub ratio: f64,
    /// The least ratio of a repetition.
    pub min: f64,
    /// The greatest ratio of a repetition.
    pub max: f64,
    /// The ratio of each pair's quickest repetitions, median over pairs: other work on the machine only ever adds time.
    pub quiet: f64,
}

/// The middle value; the mean of the two where there are two. None of none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

/// The median delay of one pair in one repetition, in microseconds.
pub(crate) fn delay(delays: &[Duration]) -> Option<f64> {
    median(delays.iter().map(|delay| delay.as_secs_f64() * 1e6).collect())
}

/// The cost of rules: `rules` and `conntrack` hold, for each repetition, the delay of each pair. A repetition's ratio is
/// the median over pairs of the pair's own ratio in that repetition, so that neither a slow pair nor a slow moment
/// counts.
pub(crate) fn cost(rules: &[Vec<f64>], conntrack: &[Vec<f64>]) -> Option<Cost> {
    let ratio = |(rules, conntrack): (&Vec<f64>, &Vec<f64>)| {
        median(rules.iter().zip(conntrack).map(|(rules, conntrack)| rules / conntrack).collect())
    };
    let ratios: Vec<f64> = rules.iter().zip(conntrack).filter_map(ratio).collect();
    let typical = |repetitions: &[Vec<f64>]| {
        median(repetitions.iter().filter_map(|pairs| median(pairs.clone())).collect())
    };
    let quiet =
        quickest(rules).into_iter().zip(quickest(conntrack)).map(|(rules, conntrack)| rules / conntrack);
    Some(Cost {
        pairs: rules.first()?.len(),
        quiet: median(quiet.collect())?,
        conntrack_us: typical(conntrack)?,
        rules_us: typical(rules)?,
        min: ratios.iter().copied().min_by(f64::total_cmp)?,
        max: ratios.iter().copied().max_by(f64::total_cmp)?,
        ratio: median(ratios)?,
    })
}

/// The least delay of each pair.
fn quickest(repetitions: &[Vec<f64>]) -> Vec<f64> {
    let (Some(first), rest) = (repetitions.first(), repetitions.iter().skip(1)) else { return Vec::new() };
    rest.fold(first.clone(), |least, pairs| least.iter().zip(pairs).map(|(a, b)| a.min(*b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_one_pair_in_one_repetition() {
        // The second pair is ten times as slow, the second repetition twice as slow; the rules cost 1.1 and once 1.3.
        let conntrack = [vec![10.0, 100.0, 10.0], vec![20.0, 200.0, 20.0], vec![10.0, 100.0, 10.0]];
        let rules = [vec![11.0, 110.0, 99.0], vec![22.0, 220.0, 22.0], vec![13.0, 130.0, 13.0]];
        let cost = cost(&rules, &conntrack).unwrap();
        let rounded = [cost.ratio, cost.min, cost.max].map(|ratio| (ratio * 1000.0).round());
        assert_eq!(rounded, [1100.0, 1100.0, 1300.0]);
        assert_eq!((cost.pairs, cost.conntrack_us), (3, 10.0));
        assert_eq!((cost.quiet * 1000.0).round(), 1100.0, "10, 100, 10 against 11, 110, 13");
    }

    #[test]
    fn nothing_measured_is_no_cost() {
        assert_eq!(cost(&[], &[]), None);
        assert_eq!(cost(&[vec![]], &[vec![]]), None);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }
}

//! Sets of points on a line, as sorted intervals that neither overlap nor touch: one set has one form.

use std::fmt::Debug;

/// A point on a line without gaps.
pub trait Point: Copy + Ord + Debug {
    /// The first point of the line.
    const FIRST: Self;
    /// The last one.
    const LAST: Self;
    /// The next point, unless this is the last.
    fn next(self) -> Option<Self>;
    /// The point before, unless this is the first.
    fn before(self) -> Option<Self>;
}

macro_rules! point {
    ($type:ty) => {
        impl Point for $type {
            const FIRST: Self = Self::MIN;
            const LAST: Self = Self::MAX;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    };
}

point!(u8);
point!(u32);
point!(u128);

/// A set of points.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intervals<T>(Vec<(T, T)>);

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Point> Intervals<T> {
    /// The points from a first to a last, both included; none where the first is the greater one.
    #[must_use]
    pub fn range(first: T, last: T) -> Self {
        if first <= last { Self(vec![(first, last)]) } else { Self::default() }
    }

    /// The intervals, first and last point of each, sorted; no two overlap or touch.
    #[must_use]
    pub fn ranges(&self) -> &[(T, T)] {
        &self.0
    }

    /// Whether there is no point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a point is in the set.
    #[must_use]
    pub fn contains(&self, point: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= point);
        after.checked_sub(1).is_some_and(|at| point <= self.0[at].1)
    }

    /// The points of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut union = Builder(Vec::with_capacity(self.0.len().max(other.0.len())));
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.0 <= b.0 => ours.next(),
                (Some(_), None) => ours.next(),
                (_, Some(_)) => theirs.next(),
                (None, None) => return Self(union.0),
            };
            if let Some(&(first, last)) = next {
                union.push(first, last);
            }
        }
    }

    /// The points of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut at, mut other_at) = (0, 0);
        let mut both = Vec::new();
        while let (Some(a), Some(b)) = (self.0.get(at), other.0.get(other_at)) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                both.push((first, last));
            }
            if a.1 < b.1 { at += 1 } else { other_at += 1 }
        }
        Self(both)
    }

    /// The points of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// The points of the line that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(T::FIRST);
        for &(first, last) in &self.0 {
            if let (Some(from), Some(to)) = (from, first.before())
                && from <= to
            {
                rest.push((from, to));
            }
            from = last.next();
        }
        rest.extend(from.map(|from| (from, T::LAST)));
        Self(rest)
    }

    /// Whether every point is in the other set too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        let mut theirs = other.0.iter();
        let mut current = theirs.next();
        self.0.iter().all(|&(first, last)| {
            while current.is_some_and(|range| range.1 < first) {
                current = theirs.next();
            }
            current.is_some_and(|range| range.0 <= first && last <= range.1)
        })
    }

    /// Whether no point is in the other set.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        let (mut at, mut other_at) = (0, 0);
        while let (Some(a), Some(b)) = (self.0.get(at), other.0.get(other_at)) {
            if a.0.max(b.0) <= a.1.min(b.1) {
                return false;
            }
            if a.1 < b.1 { at += 1 } else { other_at += 1 }
        }
        true
    }
}

impl<T: Point> FromIterator<(T, T)> for Intervals<T> {
    /// Intervals in any order, first and last point of each; those that are reversed hold nothing.
    fn from_iter<I: IntoIterator<Item = (T, T)>>(ranges: I) -> Self {
        let mut builder = Builder(Vec::new());
        let mut late = Vec::new();
        for (first, last) in ranges.into_iter().filter(|(first, last)| first <= last) {
            match builder.0.last() {
                Some(open) if first < open.0 => late.push((first, last)),
                _ => builder.push(first, last),
            }
        }
        if late.is_empty() {
            return Self(builder.0);
        }
        late.extend(builder.0);
        late.sort_unstable();
        late.into_iter().collect()
    }
}

/// Takes intervals in order of their first points, and joins those that overlap or touch.
struct Builder<T>(Vec<(T, T)>);

impl<T: Point> Builder<T> {
    fn push(&mut self, first: T, last: T) {
        match self.0.last_mut() {
            Some(open) if open.1.next().is_none_or(|next| first <= next) => open.1 = open.1.max(last),
            _ => self.0.push((first, last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All points of a set on the line of a byte.
    fn points(set: &Intervals<u8>) -> Vec<u8> {
        (0..=u8::MAX).filter(|&point| set.contains(point)).collect()
    }

    fn set() -> impl Strategy<Value = Intervals<u8>> {
        let ends =
            prop_oneof![any::<(u8, u8)>(), (any::<u8>(), 0..3u8).prop_map(|(a, n)| (a, a.saturating_add(n)))];
        prop::collection::vec(ends, 0..12).prop_map(|ranges| ranges.into_iter().collect())
    }

    fn is_canonical(set: &Intervals<u8>) -> bool {
        let apart = |pair: &[(u8, u8)]| u16::from(pair[0].1) + 1 < u16::from(pair[1].0);
        set.0.iter().all(|(first, last)| first <= last) && set.0.windows(2).all(apart)
    }

    proptest! {
        #[test]
        fn the_algebra_is_that_of_points(a in set(), b in set()) {
            let (in_a, in_b) = (points(&a), points(&b));
            let of = |keep: &dyn Fn(bool, bool) -> bool| -> Vec<u8> {
                (0..=u8::MAX).filter(|p| keep(in_a.contains(p), in_b.contains(p))).collect()
            };
            for (set, expected) in [
                (a.union(&b), of(&|a, b| a || b)),
                (a.intersection(&b), of(&|a, b| a && b)),
                (a.difference(&b), of(&|a, b| a && !b)),
                (a.complement(), of(&|a, _| !a)),
            ] {
                prop_assert!(is_canonical(&set), "{set:?}");
                prop_assert_eq!(points(&set), expected);
            }
            prop_assert_eq!(a.is_subset(&b), in_a.iter().all(|p| in_b.contains(p)));
            prop_assert_eq!(a.is_disjoint(&b), !in_a.iter().any(|p| in_b.contains(p)));
            // One set, one form.
            prop_assert_eq!(in_a.iter().map(|&p| (p, p)).collect::<Intervals<u8>>(), a);
        }
    }
}

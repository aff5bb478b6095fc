//! Pods of one namespace that are answered alike: copies of one application, mostly.

use super::{Answer, Matrix};
use crate::query::{End, Who};

/// Places of rows or columns that show as one, in order; the first of each shows its name.
pub(super) type Groups = Vec<Vec<usize>>;

impl Matrix {
    /// Each row and each column by itself.
    pub(super) fn single(&self) -> (Groups, Groups) {
        let each = |ends: &[End]| (0..ends.len()).map(|place| vec![place]).collect();
        (each(&self.sources), each(&self.destinations))
    }

    /// Rows and columns with those that are alike together. Where both sides are the same ends they are grouped once:
    /// two are alike if nothing changes when they change places.
    pub(super) fn grouped(&self) -> (Groups, Groups) {
        if self.sources == self.destinations {
            let ends = group(&self.sources, |one, other| self.swaps(one, other));
            return (ends.clone(), ends);
        }
        let (rows, columns) = (0..self.sources.len(), 0..self.destinations.len());
        (
            group(&self.sources, |one, other| {
                columns.clone().all(|column| self.answer(one, column) == self.answer(other, column))
            }),
            group(&self.destinations, |one, other| {
                rows.clone().all(|row| self.answer(row, one) == self.answer(row, other))
            }),
        )
    }

    fn swaps(&self, one: usize, other: usize) -> bool {
        self.answer(one, other) == self.answer(other, one)
            && (0..self.sources.len()).filter(|third| *third != one && *third != other).all(|third| {
                self.answer(one, third) == self.answer(other, third)
                    && self.answer(third, one) == self.answer(third, other)
            })
    }

    /// The answer that holds between all ends of two groups.
    pub(super) fn between(&self, row: &[usize], column: &[usize]) -> &Answer {
        match (row, column) {
            // Of a group with itself: between any two of it.
            ([one, other, ..], _) if row == column && self.sources == self.destinations => {
                self.answer(*one, *other)
            }
            _ => self.answer(row[0], column[0]),
        }
    }
}

fn group(ends: &[End], alike: impl Fn(usize, usize) -> bool) -> Groups {
    let namespace = |place: usize| match &ends[place].who {
        Who::Pod(pod) | Who::Assumed(pod) => Some(&pod.namespace),
        Who::Address(_) | Who::Outside(_) => None,
    };
    let mut groups: Groups = Vec::new();
    for place in 0..ends.len() {
        let joined = namespace(place).and_then(|own| {
            groups.iter_mut().find(|group| namespace(group[0]) == Some(own) && alike(group[0], place))
        });
        match joined {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

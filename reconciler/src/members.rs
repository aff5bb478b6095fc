//! The members of a set as a sorted list, so that two sets are compared in one pass over both.

use std::cmp::Ordering;

use chainmail_contract::Member;

/// Members, each once and in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberList(Vec<Member>);

impl From<Vec<Member>> for MemberList {
    fn from(mut members: Vec<Member>) -> Self {
        // A list that is in order already, as a snapshot's, costs one pass.
        members.sort_unstable();
        members.dedup();
        Self(members)
    }
}

impl MemberList {
    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter()
    }

    /// Those that the other list does not have.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Member> {
        let mut rest = other.0.as_slice();
        self.0.iter().filter(move |member| {
            while let [first, tail @ ..] = rest {
                match first.cmp(member) {
                    Ordering::Less => rest = tail,
                    Ordering::Equal => return false,
                    Ordering::Greater => break,
                }
            }
            true
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many members both have, if that is more than `least`. It gives up as soon as it cannot be.
    #[must_use]
    pub fn shared_above(&self, other: &Self, least: usize) -> Option<usize> {
        let may_lack = self.len().min(other.len()).checked_sub(least + 1).map(|_| self.len() - least - 1)?;
        let lacking = self.without(other).take(may_lack + 1).count();
        (lacking <= may_lack).then(|| self.len() - lacking)
    }
}

#[cfg(test)]
mod tests {
    use chainmail_contract::SetKind;

    use super::*;

    #[test]
    fn lists_are_compared_whatever_the_order_they_came_in() {
        let list = |texts: &[&str]| {
            let members = texts.iter().map(|text| Member::parse(SetKind::HashIp, text).unwrap());
            MemberList::from(members.collect::<Vec<_>>())
        };
        let rows: [(&[&str], &[&str], &[&str]); 5] = [
            (&[], &[], &[]),
            (&["10.0.0.2", "10.0.0.1"], &["10.0.0.1", "10.0.0.2"], &[]),
            (&["10.0.0.1", "10.0.0.3", "10.0.0.1"], &["10.0.0.2"], &["10.0.0.1", "10.0.0.3"]),
            (&["10.0.0.1", "10.0.0.3"], &["10.0.0.0", "10.0.0.3", "10.0.0.4"], &["10.0.0.1"]),
            (&["fd00::1", "10.0.0.9"], &["10.0.0.9"], &["fd00::1"]),
        ];
        for (these, others, left) in rows {
            let (these, others) = (list(these), list(others));
            let found: Vec<String> = these.without(&others).map(ToString::to_string).collect();
            assert_eq!(found, left, "{these:?} without {others:?}");
            let shared = these.len() - left.len();
            for least in 0..4 {
                let expected = (shared > least).then_some(shared);
                assert_eq!(these.shared_above(&others, least), expected, "{these:?} and {others:?}, {least}");
            }
        }
    }
}

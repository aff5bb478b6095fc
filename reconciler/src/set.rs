//! Sets: what they can match, and the text that makes one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chainmail_contract::{CUT_TIMEOUT, Capacity, Family, MemberLines, SetKind, SetName};
use chainmail_verdict::record::Create;

use crate::members::MemberList;

/// What decides which packets a set can match: two sets of one shape can be swapped and compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// The type, as `hash:ip`.
    pub word: String,
    /// The family, as `inet`.
    pub family: String,
    /// Options that are not mere tuning, as `timeout`, `netmask 24`, `forceadd`. A timeout's seconds are left out:
    /// they are only the default of members added later.
    pub options: BTreeSet<String>,
}

impl Shape {
    /// The shape of a set with such a `create` line.
    #[must_use]
    pub fn of(create: &Create<'_>) -> Self {
        let option = |(option, value): &(&str, Option<&str>)| match (*option, value) {
            // Tuning changes speed and capacity, not what the set means.
            ("hashsize" | "maxelem" | "bucketsize" | "initval", _) => None,
            ("timeout", _) | (_, None) => Some((*option).to_owned()),
            (_, Some(value)) => Some(format!("{option} {value}")),
        };
        Self {
            word: create.word.to_owned(),
            family: create.family.to_owned(),
            options: create.options.iter().filter_map(option).collect(),
        }
    }

    /// The shape of a set that is named by its content.
    #[must_use]
    pub fn of_content(family: Family, kind: SetKind) -> Self {
        Self {
            word: kind.as_str().to_owned(),
            family: family.ipset_word().to_owned(),
            options: BTreeSet::new(),
        }
    }

    /// The shape of the set of cut flows: client, protocol and port, server; each member leaves by itself.
    #[must_use]
    pub fn of_cut(family: Family) -> Self {
        Self {
            word: "hash:ip,port,ip".to_owned(),
            family: family.ipset_word().to_owned(),
            options: BTreeSet::from(["timeout".to_owned()]),
        }
    }

    /// The kind, for the types that rules use.
    #[must_use]
    pub fn kind(&self) -> Option<SetKind> {
        self.word.parse().ok()
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} family {}", self.word, self.family)?;
        self.options.iter().try_for_each(|option| write!(f, " {option}"))
    }
}

/// A set of a snapshot, fit to be created under any name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredSet {
    /// Its type and family.
    pub shape: Shape,
    /// What it must hold.
    pub members: Members,
}

/// What a set must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// These members and no others.
    Exactly {
        /// As they are compared.
        list: MemberList,
        /// As they are written.
        lines: MemberLines,
    },
    /// Whatever it holds: it is created empty, and kept as it is.
    Kept,
}

impl Members {
    /// How many members it must hold.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Members::Exactly { lines, .. } => lines.len(),
            Members::Kept => 0,
        }
    }

    /// Whether it must hold none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl DesiredSet {
    /// The lines that make this set under a name that is free. How large it is made is for its members to say.
    pub fn write_create(&self, name: &SetName, text: &mut String) {
        let Shape { word, family, .. } = &self.shape;
        write!(text, "create {name} {word} family {family} ").expect("a String takes all");
        match &self.members {
            Members::Kept => {
                writeln!(text, "{} timeout {CUT_TIMEOUT}", Capacity::of(0)).expect("a String takes all");
            }
            Members::Exactly { lines, .. } => {
                writeln!(text, "{}", Capacity::of(lines.len())).expect("a String takes all");
                let add = format!("add {name} ");
                for member in lines.iter() {
                    for part in [&*add, member, "\n"] {
                        text.push_str(part);
                    }
                }
            }
        }
    }
}

/// The family of a set by its name, which is how rules of a family may refer to it.
#[must_use]
pub fn family_of(name: &SetName) -> Family {
    if name.as_str().starts_with(Family::V6.set_prefix()) { Family::V6 } else { Family::V4 }
}

/// A name under which a set is filled before it gets its own: `cm4-tmp-N`.
#[must_use]
pub fn temporary_name(family: Family, number: usize) -> SetName {
    format!("{}tmp-{number}", family.set_prefix())
        .parse()
        .expect("a prefix, tmp- and a number are within 31 bytes")
}

/// Another name for a set, under which it stands in while a set of a wrong type has its own.
#[must_use]
pub fn salted_name(name: &SetName, salt: u16) -> SetName {
    format!("{name}-{salt}").parse().expect("24 bytes, a dash and 5 digits are within 31")
}

/// Whether a set is one that a crash left half-made.
#[must_use]
pub fn is_temporary(name: &SetName) -> bool {
    name.as_str().strip_prefix(family_of(name).set_prefix()).is_some_and(|rest| rest.starts_with("tmp-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuning_is_no_part_of_a_shape() {
        let shape = |line| Create::parse(line).map(|create| Shape::of(&create).to_string());
        let rows = [
            (
                "create cm4-a hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xb71a2455",
                Some("hash:ip family inet"),
            ),
            ("create cm4-a hash:ip", Some("hash:ip family inet")),
            (
                "create cm6-CUT hash:ip,port,ip family inet6 maxelem 65536 timeout 600",
                Some("hash:ip,port,ip family inet6 timeout"),
            ),
            ("create cm4-a hash:ip family inet netmask 24", Some("hash:ip family inet netmask 24")),
            (
                "create cm4-a hash:ip family inet forceadd counters",
                Some("hash:ip family inet counters forceadd"),
            ),
            ("create cm4-a hash:ip family", None),
            ("add cm4-a 10.0.0.1", None),
        ];
        for (line, expected) in rows {
            assert_eq!(shape(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn names_of_half_made_sets() {
        for (name, expected) in
            [("cm4-tmp-0", true), ("cm6-tmp-17", true), ("cm4-CUT", false), ("cm4-0123", false)]
        {
            assert_eq!(is_temporary(&name.parse().unwrap()), expected, "{name}");
        }
        assert_eq!(temporary_name(Family::V6, 3).as_str(), "cm6-tmp-3");
    }
}

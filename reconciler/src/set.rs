//! Sets as `ipset save` prints them and `ipset restore` reads them; the same reading for snapshot and kernel.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chainmail_snapshot::{Family, MemberLines, SetKind, SetName};

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

/// A `create` line: the name as written, the shape, and the rest of the options as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create<'a> {
    /// The set's name.
    pub name: &'a str,
    /// What it can match.
    pub shape: Shape,
    /// Option and value of everything that is not type or family.
    pub options: Vec<(&'a str, Option<&'a str>)>,
}

/// Reads `create NAME TYPE [OPTION [VALUE]]…`.
#[must_use]
pub fn create_line(line: &str) -> Option<Create<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (Some("create"), Some(name), Some(word)) = (words.next(), words.next(), words.next()) else {
        return None;
    };
    // Without the word, ipset means IPv4: ipset(8), "family".
    let mut shape =
        Shape { word: word.to_owned(), family: Family::V4.ipset_word().to_owned(), options: BTreeSet::new() };
    let mut options = Vec::new();
    while let Some(option) = words.next() {
        match option {
            "family" => words.next()?.clone_into(&mut shape.family),
            // Tuning changes speed and capacity, not what the set means.
            "hashsize" | "maxelem" | "bucketsize" | "initval" => options.push((option, Some(words.next()?))),
            "timeout" => {
                options.push((option, Some(words.next()?)));
                shape.options.insert(option.to_owned());
            }
            "netmask" | "bitmask" | "markmask" | "size" | "range" => {
                let value = words.next()?;
                options.push((option, Some(value)));
                shape.options.insert(format!("{option} {value}"));
            }
            flag => {
                options.push((flag, None));
                shape.options.insert(flag.to_owned());
            }
        }
    }
    Some(Create { name, shape, options })
}

/// A set of a snapshot, fit to be created under any name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredSet {
    /// Its type and family.
    pub shape: Shape,
    /// Tuning and timeout as `ipset create` takes them, with a blank before each word.
    pub tuning: String,
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

impl DesiredSet {
    /// The lines that make this set under a name that is free.
    pub fn write_create(&self, name: &SetName, text: &mut String) {
        let Shape { word, family, .. } = &self.shape;
        writeln!(text, "create {name} {word} family {family}{}", self.tuning).expect("a String takes all");
        if let Members::Exactly { lines, .. } = &self.members {
            let add = format!("add {name} ");
            for member in lines.iter() {
                for part in [&*add, member, "\n"] {
                    text.push_str(part);
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
        let shape = |line| create_line(line).map(|create| create.shape.to_string());
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

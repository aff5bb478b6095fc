//! Names of network interfaces, and patterns of names.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

/// IFNAMSIZ of `linux/if.h`, less the byte at the end. iptables counts the `+` of a pattern too.
const LONGEST: usize = 15;

/// The name of a network interface, as the kernel takes it and iptables does not read it as a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(String);

/// A text that cannot be an interface's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} cannot be an interface's name: it has 1 to 15 letters, digits, '-', '_' and '.'")]
pub struct InterfaceNameError(String);

impl InterfaceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for InterfaceName {
    type Error = InterfaceNameError;

    /// The kernel refuses `/`, `:`, white space, `.` and `..` (`dev_valid_name`); iptables reads `+` at the end as any
    /// name that begins so, and the other signs are not worth quoting.
    fn try_from(text: &str) -> Result<Self, InterfaceNameError> {
        let fits = text.len() <= LONGEST && is_plain(text) && !matches!(text, "." | "..");
        if fits { Ok(Self(text.to_owned())) } else { Err(InterfaceNameError(text.to_owned())) }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is one or more of the signs that names are made of, and no option.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !text.starts_with('-')
}

/// One interface, or all whose names begin alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterfacePattern {
    /// The interface of this name.
    Name(InterfaceName),
    /// Each interface whose name begins so.
    Prefix(InterfacePrefix),
}

/// The beginning of interfaces' names: 1 to 14 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfacePrefix(String);

/// A text that is no pattern of interfaces' names.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InterfacePatternError {
    /// It is `*` alone.
    #[error("\"*\" is every interface, also those by which the node reaches others")]
    Every,
    /// It is neither a name nor the beginning of one with `*`.
    #[error(
        "{0:?} is no pattern of interfaces' names: it has 1 to 15 letters, digits, '-', '_' and '.', the last of which may be '*'"
    )]
    Malformed(String),
}

impl InterfacePrefix {
    /// The beginning as text, without `*`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl InterfacePattern {
    /// Whether it means the interface of this name.
    #[must_use]
    pub fn is_met_by(&self, interface: &str) -> bool {
        match self {
            Self::Name(name) => name.as_str() == interface,
            Self::Prefix(prefix) => interface.starts_with(prefix.as_str()),
        }
    }

    /// Whether it means every interface that another pattern means.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Name(name)) => self.is_met_by(name.as_str()),
            (Self::Prefix(prefix), Self::Prefix(longer)) => longer.0.starts_with(&prefix.0),
            (Self::Name(_), Self::Prefix(_)) => false,
        }
    }
}

impl TryFrom<&str> for InterfacePattern {
    type Error = InterfacePatternError;

    fn try_from(text: &str) -> Result<Self, InterfacePatternError> {
        let malformed = || InterfacePatternError::Malformed(text.to_owned());
        match text.strip_suffix('*') {
            None => InterfaceName::try_from(text).map(Self::Name).map_err(|_| malformed()),
            Some("") => Err(InterfacePatternError::Every),
            Some(prefix) if text.len() <= LONGEST && is_plain(prefix) => {
                Ok(Self::Prefix(InterfacePrefix(prefix.to_owned())))
            }
            Some(_) => Err(malformed()),
        }
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Prefix(InterfacePrefix(prefix)) => write!(f, "{prefix}*"),
        }
    }
}

/// The interfaces by which a node reaches its pods, as patterns of which none covers another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PodInterfaces(BTreeSet<InterfacePattern>);

/// A pattern that cannot stand beside others.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PodInterfacesError {
    /// One of the two says nothing that the other does not.
    #[error("{narrow} is in {wide} already")]
    Covered {
        /// The pattern that says less.
        narrow: InterfacePattern,
        /// The pattern that says more, or the same.
        wide: InterfacePattern,
    },
    /// There would be too many.
    #[error("there are more than {most} patterns", most = PodInterfaces::MOST)]
    TooMany,
}

impl PodInterfaces {
    /// The most patterns. Each packet that opens a connection meets two rules for each of them.
    pub const MOST: usize = 8;

    /// Adds a pattern.
    ///
    /// # Errors
    /// Where it covers another one, or is covered, and where there are [`PodInterfaces::MOST`] already.
    pub fn add(&mut self, pattern: InterfacePattern) -> Result<(), PodInterfacesError> {
        for known in &self.0 {
            let pair = match (known.covers(&pattern), pattern.covers(known)) {
                (true, _) => Some((&pattern, known)),
                (_, true) => Some((known, &pattern)),
                (false, false) => None,
            };
            if let Some((narrow, wide)) = pair {
                return Err(PodInterfacesError::Covered { narrow: narrow.clone(), wide: wide.clone() });
            }
        }
        if self.0.len() == Self::MOST {
            return Err(PodInterfacesError::TooMany);
        }
        self.0.insert(pattern);
        Ok(())
    }

    /// The patterns, in order.
    pub fn iter(&self) -> impl Iterator<Item = &InterfacePattern> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them means the interface of this name.
    #[must_use]
    pub fn have(&self, interface: &str) -> bool {
        self.iter().any(|pattern| pattern.is_met_by(interface))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> InterfacePattern {
        InterfacePattern::try_from(text).expect("these are patterns")
    }

    #[test]
    fn a_pattern_is_a_name_or_its_beginning() {
        let fine = ["cali*", "cni0", "a*", "br-lan.100", "abcdefghijklmno", "abcdefghijklmn*", ".*", "e_*"];
        for text in fine {
            assert_eq!(pattern(text).to_string(), text);
        }
        let malformed = [
            "",
            "cali+",
            "cali+*",
            "ca*li",
            "cali**",
            "**",
            "+",
            "! cali*",
            "!cali*",
            "-cali*",
            "cali *",
            "\"cali\"",
            "cali'",
            "a/b",
            "a:b",
            "é*",
            ".",
            "..",
            "abcdefghijklmnop",
            "abcdefghijklmno*",
            "cali*\n",
        ];
        for text in malformed {
            assert!(
                matches!(InterfacePattern::try_from(text), Err(InterfacePatternError::Malformed(_))),
                "{text:?}"
            );
        }
        assert_eq!(InterfacePattern::try_from("*"), Err(InterfacePatternError::Every));
    }

    #[test]
    fn no_pattern_covers_another() {
        let rows = [
            (&["cali*", "veth*", "cni0"][..], Ok(())),
            (&["cali*", "cal"], Ok(())),
            (&["cali*", "cali*"], Err(("cali*", "cali*"))),
            (&["cni0", "cni0"], Err(("cni0", "cni0"))),
            (&["cali*", "cali"], Err(("cali", "cali*"))),
            (&["cali0", "cali*"], Err(("cali0", "cali*"))),
            (&["cali*", "cal*"], Err(("cali*", "cal*"))),
            (&["cal*", "cali*"], Err(("cali*", "cal*"))),
        ];
        for (texts, expected) in rows {
            let mut all = PodInterfaces::default();
            let added = texts.iter().try_for_each(|text| all.add(pattern(text)));
            let expected = expected.map_err(|(narrow, wide)| PodInterfacesError::Covered {
                narrow: pattern(narrow),
                wide: pattern(wide),
            });
            assert_eq!(added, expected, "{texts:?}");
        }
        let mut all = PodInterfaces::default();
        for number in 0..PodInterfaces::MOST {
            assert_eq!(all.add(pattern(&format!("p{number}*"))), Ok(()));
        }
        assert_eq!(all.add(pattern("q*")), Err(PodInterfacesError::TooMany));
    }

    #[test]
    fn a_beginning_is_a_name_too() {
        let mut all = PodInterfaces::default();
        for text in ["cali*", "cni0"] {
            all.add(pattern(text)).expect("they have nothing in common");
        }
        for (name, expected) in
            [("cali", true), ("cali1f", true), ("cal", false), ("cni0", true), ("cni01", false), ("", false)]
        {
            assert_eq!(all.have(name), expected, "{name:?}");
        }
    }
}

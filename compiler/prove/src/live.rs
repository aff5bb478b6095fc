//! What a kernel printed, told apart by content.

use chainmail_contract::Family;
use chainmail_verdict::{Kernel, ParseError, Problem, Ruleset, Sets};
use thiserror::Error;

/// Texts that are no full picture of a kernel.
#[derive(Debug, Error)]
pub enum LiveError {
    /// Neither of iptables nor of ipset.
    #[error("{name}: neither iptables-save nor ipset save text: its first line is {line:?}")]
    Unknown {
        /// The text's name.
        name: String,
        /// Its first line.
        line: String,
    },
    /// Rules from which the family does not show.
    #[error("{name}: rules that name no address, no set and no CM-FORWARD say nothing of their family")]
    NoFamily {
        /// The text's name.
        name: String,
    },
    /// Two texts of one kind.
    #[error("{name}: {what} were given already")]
    Twice {
        /// The text's name.
        name: String,
        /// Of which kind.
        what: &'static str,
    },
    /// A kind of text that is missing.
    #[error("{0} are missing")]
    Missing(&'static str),
    /// A text that is not in the grammar.
    #[error("{name}: {source}")]
    Parse {
        /// The text's name.
        name: String,
        /// What and where.
        source: ParseError,
    },
    /// Rules that name what is not there, or the like.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Link(Vec<Problem>),
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Rules(Family),
    Sets,
}

/// Puts a kernel together from what `iptables-save`, `ip6tables-save` and `ipset save` printed, in any order. Each has a
/// name, for messages. Rules of a family may be missing only where the kernel has no such family: then the text is empty.
///
/// # Errors
/// When a text is of no known kind or form, or one is missing.
pub fn read(texts: &[(String, String)]) -> Result<Kernel, LiveError> {
    let (mut v4, mut v6, mut sets) = (None, None, None);
    for (name, text) in texts {
        let parse = |source| LiveError::Parse { name: name.clone(), source };
        let twice = |what| LiveError::Twice { name: name.clone(), what };
        match kind(name, text)? {
            Kind::Rules(Family::V4) => {
                let rules = Ruleset::parse(Family::V4, text).map_err(parse)?;
                v4.replace(rules).map_or(Ok(()), |_| Err(twice("rules of IPv4")))?;
            }
            Kind::Rules(Family::V6) => {
                let rules = Ruleset::parse(Family::V6, text).map_err(parse)?;
                v6.replace(rules).map_or(Ok(()), |_| Err(twice("rules of IPv6")))?;
            }
            Kind::Sets => {
                let read = Sets::parse(text).map_err(parse)?;
                sets.replace(read).map_or(Ok(()), |_| Err(twice("sets")))?;
            }
        }
    }
    let v4 = v4.ok_or(LiveError::Missing("rules of IPv4 (iptables-save)"))?;
    let v6 = v6.ok_or(LiveError::Missing("rules of IPv6 (ip6tables-save)"))?;
    let sets = sets.ok_or(LiveError::Missing("sets (ipset save)"))?;
    Kernel::new(v4, v6, sets).map_err(LiveError::Link)
}

/// `ipset save` begins with `create`; iptables names its tables, and its programs sign what they print.
fn kind(name: &str, text: &str) -> Result<Kind, LiveError> {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let first = lines().find(|line| !line.starts_with('#'));
    match first {
        Some(line) if line.starts_with("create ") || line.starts_with("add ") => return Ok(Kind::Sets),
        Some(line) if !line.starts_with('*') => {
            return Err(LiveError::Unknown { name: name.to_owned(), line: line.to_owned() });
        }
        _ => {}
    }
    let signed = |program: &str| lines().any(|line| line.starts_with('#') && line.contains(program));
    let says = |words: [&str; 3]| {
        let ours = lines().filter(|line| line.starts_with("-A CM-"));
        ours.flat_map(|line| line.split(' ')).any(|word| words.iter().any(|known| word.starts_with(known)))
    };
    if signed("ip6tables-save") || says(["cm6-", "ipv6-icmp", "icmp6"]) {
        Ok(Kind::Rules(Family::V6))
    } else if signed("iptables-save") || says(["cm4-", "icmp", "0.0.0.0"]) {
        Ok(Kind::Rules(Family::V4))
    } else if first.is_none() {
        Ok(Kind::Sets)
    } else {
        Err(LiveError::NoFamily { name: name.to_owned() })
    }
}

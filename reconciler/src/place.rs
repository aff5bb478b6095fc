//! Where in FORWARD the jump into our chains stands.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chainmail_verdict::record::words;
use thiserror::Error;

use crate::live::LiveTable;

/// A place among the rules of FORWARD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Place {
    /// Before all other rules: nothing of others can let a packet by.
    #[default]
    First,
    /// After all other rules: only what they leave is judged.
    Last,
    /// Right after the last rule that leads into a chain of others; first where no rule does.
    After(String),
    /// Wherever it is.
    Anywhere,
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a place in FORWARD: \"first\", \"last\" or \"after CHAIN\"")]
pub struct PlaceError(String);

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let chain = text.strip_prefix("after ").map(str::trim);
        match (text, chain) {
            ("first", _) => Ok(Place::First),
            ("last", _) => Ok(Place::Last),
            (_, Some(chain)) if !chain.is_empty() && !chain.contains(char::is_whitespace) => {
                Ok(Place::After(chain.to_owned()))
            }
            _ => Err(PlaceError(text.to_owned())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::First => f.write_str("first"),
            Place::Last => f.write_str("last"),
            Place::After(chain) => write!(f, "after {chain}"),
            Place::Anywhere => f.write_str("anywhere"),
        }
    }
}

impl Place {
    /// The number that the jump would have in FORWARD if it were put in its place, counted from 1.
    #[must_use]
    pub fn number(&self, table: &LiveTable) -> usize {
        match self {
            Place::First | Place::Anywhere => 1,
            Place::Last => table.forward.len() + 1,
            Place::After(chain) => {
                let leads = |rule: &String| target(rule).as_deref() == Some(chain);
                table.forward.iter().rposition(leads).map_or(1, |index| index + 2)
            }
        }
    }

    /// Whether a table has exactly one jump, and it is in its place.
    #[must_use]
    pub fn is_kept(&self, table: &LiveTable) -> bool {
        match (self, table.jumps.as_slice()) {
            (Place::Anywhere, [_]) => true,
            (_, [number]) => *number == self.number(table),
            _ => false,
        }
    }
}

fn target(rule: &str) -> Option<Cow<'_, str>> {
    let words = words(rule)?;
    words
        .array_windows()
        .find(|[option, _]| option == "-j" || option == "-g")
        .map(|[_, target]| target.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbers_among_the_rules_of_others() {
        let table = LiveTable::parse(
            "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j A\n-A FORWARD -j CM-FORWARD\n\
             -A FORWARD -m comment --comment \"-j B\" -j A\n-A FORWARD -j B\nCOMMIT\n",
        )
        .unwrap();
        for (place, number, kept) in [
            ("first", 1, false),
            ("last", 4, false),
            ("after A", 3, false),
            ("after B", 4, false),
            ("after C", 1, false),
        ] {
            let place: Place = place.parse().unwrap();
            assert_eq!((place.number(&table), place.is_kept(&table)), (number, kept), "{place}");
        }
        assert!(Place::Anywhere.is_kept(&table));
        for text in ["", "after ", "after A B", "second"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}

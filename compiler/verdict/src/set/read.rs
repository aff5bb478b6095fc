//! Reads `ipset restore` and `ipset save` text, as ipset(8) describes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chainmail_contract::{SetName, is_our_set};

use super::draft::Draft;
use super::{Set, Sets};
use crate::error::{FileKind, ParseError, Place, Reason};
use crate::parse::{Tokens, skip_blanks};
use crate::record::{entries, newlines};

impl Sets {
    /// Reads `ipset restore` or `ipset save` text of both families.
    ///
    /// # Errors
    /// When a line is of no known form, or a set of ours holds or says something that cannot be judged.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let sets = Self::parse_each(text)?.into_iter();
        sets.map(|(name, set)| set.map(|set| (name, Arc::new(set)))).collect::<Result<_, _>>().map(Self)
    }

    /// Reads the same text, but keeps what is wrong with one set apart from the others: another program may have put
    /// a set of a strange type under a name of ours.
    ///
    /// # Errors
    /// When a line belongs to no set.
    pub fn parse_each(text: &str) -> Result<BTreeMap<SetName, Result<Set, ParseError>>, ParseError> {
        let mut reader = Reader::default();
        let mut place = Place { file: FileKind::Sets, line: 0 };
        for line in entries(text) {
            place.line = place.line.saturating_add(1);
            let (verb, rest) = first_word(line);
            if !verb.is_empty() && !verb.starts_with('#') {
                reader.line(place, verb, rest)?;
            }
            place.line = place.line.saturating_add(newlines(line));
        }
        Ok(reader.sets.into_iter().map(|(name, draft)| (name, draft.and_then(Draft::finish))).collect())
    }
}

#[derive(Default)]
struct Reader<'t> {
    sets: Vec<(SetName, Result<Draft, ParseError>)>,
    index: BTreeMap<&'t str, usize>,
    /// The members of a set mostly follow each other: the last one is asked first.
    last: Option<(&'t str, usize)>,
}

impl<'t> Reader<'t> {
    fn line(&mut self, place: Place, verb: &'t str, rest: &'t str) -> Result<(), ParseError> {
        let (word, rest) = first_word(rest);
        let mut tokens = Tokens::new(place, rest);
        match verb {
            "create" | "add" if word.is_empty() => Err(place.error(verb, Reason::MissingValue)),
            "create" | "add" if !is_our_set(word) => Ok(()),
            "create" => {
                let name = word.parse().map_err(|error| place.error(word, Reason::from(error)))?;
                if self.index.insert(word, self.sets.len()).is_some() {
                    return Err(place.error(word, Reason::Twice));
                }
                self.sets.push((name, Draft::create(word, &mut tokens)));
                Ok(())
            }
            "add" => {
                let at = match self.last {
                    Some((name, at)) if name == word => at,
                    _ => *self.index.get(word).ok_or_else(|| place.error(word, Reason::NoSuchSet))?,
                };
                self.last = Some((word, at));
                let set = self.sets.get_mut(at);
                let (_, draft) = set.ok_or_else(|| place.error(word, Reason::NoSuchSet))?;
                if let Ok(open) = draft
                    && let Err(error) = open.add(&mut tokens)
                {
                    *draft = Err(error);
                }
                Ok(())
            }
            _ => Err(place.error(verb, Reason::UnknownVerb)),
        }
    }
}

fn first_word(text: &str) -> (&str, &str) {
    let text = skip_blanks(text);
    text.split_at(text.bytes().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(text.len()))
}

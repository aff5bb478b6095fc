//! Words of a line, quoted as `iptables-restore` and `ipset restore` read them.

use std::borrow::Cow;

use crate::error::{ParseError, Place, Reason};

/// The words of one line, one after the other.
///
/// The grammar is that of iptables' `add_param_to_argv()`: a space or tab ends a word, and so does a closing quote;
/// an opening quote does not; a backslash takes the next character as it is, inside quotes only.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'t> {
    place: Place,
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    pub(crate) fn new(place: Place, line: &'t str) -> Self {
        Self { place, rest: line }
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The next word, or nothing at the end of the line.
    pub(crate) fn next(&mut self) -> Result<Option<Cow<'t, str>>, ParseError> {
        let line = skip_blanks(self.rest);
        if line.is_empty() {
            self.rest = line;
            return Ok(None);
        }
        let (word, rest) = line.split_at(line.find([' ', '\t', '"']).unwrap_or(line.len()));
        let Some(body) = rest.strip_prefix('"') else {
            self.rest = rest;
            return Ok(Some(Cow::Borrowed(word)));
        };
        if word.is_empty()
            && let Some((plain, rest)) = body.split_once('"')
            && !plain.contains('\\')
        {
            self.rest = rest;
            return Ok(Some(Cow::Borrowed(plain)));
        }
        self.quoted(line, word, body).map(Some)
    }

    /// The word that an option takes.
    pub(crate) fn value_of(&mut self, option: &str) -> Result<Cow<'t, str>, ParseError> {
        self.next()?.ok_or_else(|| self.place.error(option, Reason::MissingValue))
    }

    /// A word that has begun before its opening quote, and goes on behind it.
    fn quoted(&mut self, line: &str, begun: &str, body: &'t str) -> Result<Cow<'t, str>, ParseError> {
        let mut word = begun.to_owned();
        let mut characters = body.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => {
                    self.rest = characters.as_str();
                    return Ok(Cow::Owned(word));
                }
                '\\' => word.extend(characters.next()),
                plain => word.push(plain),
            }
        }
        Err(self.place.error(line, Reason::OpenQuote))
    }
}

/// What follows the spaces and tabs that a text begins with.
pub(crate) fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileKind;

    fn words(line: &str) -> Result<Vec<String>, String> {
        let mut tokens = Tokens::new(Place { file: FileKind::Sets, line: 7 }, line);
        let mut words = Vec::new();
        while let Some(word) = tokens.next().map_err(|error| error.to_string())? {
            words.push(word.into_owned());
        }
        Ok(words)
    }

    #[test]
    fn words_end_where_iptables_restore_ends_them() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("nothing", "", &[]),
            ("spaces and tabs", "  -A \t CM-X  ", &["-A", "CM-X"]),
            ("a quoted word", r#"--comment "a b" -j"#, &["--comment", "a b", "-j"]),
            ("escapes inside quotes", r#""a \"b\" \\ \'c\'""#, &[r#"a "b" \ 'c'"#]),
            ("a backslash outside", r"a\b", &[r"a\b"]),
            ("a single quote is a letter", "'a b'", &["'a", "b'"]),
            ("a quote in a word goes on with it", r#"ab"c d""#, &["abc d"]),
            ("a closing quote ends the word", r#""a"b"#, &["a", "b"]),
            ("an empty word", r#"--comment """#, &["--comment", ""]),
            ("bytes beyond ASCII", "\"é \\é\"", &["é é"]),
        ];
        for (name, line, expected) in rows {
            assert_eq!(words(line).unwrap(), *expected, "{name}");
        }
    }

    #[test]
    fn an_open_quote_is_an_error() {
        assert_eq!(words(r#"a "b"#).unwrap_err(), r#"ipsets:7: "\"b" has an open quote"#);
        assert_eq!(words(r#""b\"#).unwrap_err(), r#"ipsets:7: "\"b\\" has an open quote"#);
    }
}

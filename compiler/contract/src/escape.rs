//! Text that others wrote, made inert where it is printed: names, paths and messages may hold anything.
//!
//! What could mean something there is written as `\u{…}`, so that it can still be read and is never mistaken for what it
//! imitates.

use std::fmt::Write as _;

/// Whether a character has no place in a line of text: controls (escape sequences and line breaks among them), what
/// breaks lines elsewhere, and what reorders or hides text.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with every character spelled out that could mean something to a terminal, and those that `also` names.
#[must_use]
pub fn visible(text: &str, also: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(' '),
            c if is_treacherous(c) || also(c) => {
                write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => out.push(c),
        }
    }
    out
}

/// Text on one line of a terminal or a log.
#[must_use]
pub fn line(text: &str) -> String {
    visible(text, |_| false)
}

/// Text whose line breaks are our own.
#[must_use]
pub fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// What is shown on a terminal with our own colours: as [`lines`], but tabs and the sequences that set colours stay.
#[must_use]
pub fn screen(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(|c: char| c != '\n' && c != '\t' && is_treacherous(c)) {
        let (before, from) = rest.split_at(place);
        out.push_str(before);
        let length = colour(from).unwrap_or_else(|| from.chars().next().map_or(0, char::len_utf8));
        let (odd, behind) = from.split_at(length);
        if colour(from).is_some() {
            out.push_str(odd);
        } else {
            out.push_str(&line(odd));
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// How many bytes a sequence that sets a colour has, where the text begins with one: ECMA-48 §8.3.117, SGR.
fn colour(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    inner.get(end..)?.starts_with('m').then_some(end + 3)
}

/// A JSON document that says the same to a program and does nothing to a terminal: JSON itself leaves most controls and
/// what reorders text as they are.
#[must_use]
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if c != '\n' && is_treacherous(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("writing to a String cannot fail");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_and_is_plain() {
        let text = "a\u{9b}31m\u{202e}\u{e0041}é";
        let document = json(&format!("{{\n \"a\": {}\n}}", serde_json::Value::from(text)));
        assert!(document.chars().all(|c| c == '\n' || !is_treacherous(c)), "{document:?}");
        let read: serde_json::Value = serde_json::from_str(&document).expect("it is JSON still");
        assert_eq!(read["a"], text);
        assert_eq!(lines("a\tb\n\u{1b}c\n"), "a b\n\\u{1b}c\n");
    }

    #[test]
    fn only_colours_reach_the_screen() {
        let coloured = "\u{1b}[1;31merror\u{1b}[0m\ta\n";
        assert_eq!(screen(coloured), coloured);
        let hostile = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{1b}";
        assert_eq!(screen(hostile), line(hostile));
    }
}

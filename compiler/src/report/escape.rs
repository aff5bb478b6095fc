//! Text that others wrote, made inert where it is printed: names, paths and revisions may hold anything.
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

fn visible(text: &str, also: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_treacherous(c) || also(c) {
            write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail");
        } else {
            out.push(c);
        }
    }
    out
}

/// Text on one line of a terminal or a log.
#[must_use]
pub fn line(text: &str) -> String {
    visible(text, |_| false)
}

/// Text as a code span, which may stand in a table too: nothing in it is markup, a link or a mention.
pub(super) fn code(text: &str) -> String {
    // A backslash too: in a table it would take the meaning from what follows.
    let inner = visible(text, |c| matches!(c, '`' | '|' | '\\'));
    // An empty span is two backticks; outer spaces are taken off.
    let inner = inner.trim_matches(' ');
    if inner.is_empty() { "`(empty)`".to_owned() } else { format!("`{inner}`") }
}

/// Text within an element of HTML.
pub(super) fn html(text: &str) -> String {
    visible(text, |c| matches!(c, '<' | '>' | '&' | '"' | '\'' | '`' | '@' | '[' | '\\'))
}

/// A line within a fenced block of [`FENCE`]: only a line of backticks could end that.
pub(super) fn fenced(text: &str) -> String {
    visible(text, |c| c == '`')
}

/// What begins and ends a block of code.
pub(super) const FENCE: &str = "```";

/// The text of a workflow command, as its runner decodes it. `##[` begins a command of the older form anywhere in a line.
pub(super) fn command_text(text: &str) -> String {
    line(text).replace("##[", "#\\u{23}[").replace('%', "%25")
}

/// A property of a workflow command.
pub(super) fn command_property(text: &str) -> String {
    command_text(text).replace(':', "%3A").replace(',', "%2C")
}

/// At most so many characters of a text, cut in its midst where it is longer: names differ at both ends.
pub(super) fn short(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let (head, tail) = (most / 2, (most - 1) / 2);
    let begin: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_something_is_spelled_out() {
        let rows = [
            ("shop/web-0", "`shop/web-0`"),
            ("a|b`c\\d", "`a\\u{7c}b\\u{60}c\\u{5c}d`"),
            ("<img src=x> @team #1", "`<img src=x> @team #1`"),
            ("a\n| b |\u{1b}[31m", "`a\\u{a}\\u{7c} b \\u{7c}\\u{1b}[31m`"),
            ("ab\u{202e}cd\u{200b}", "`ab\\u{202e}cd\\u{200b}`"),
            ("", "`(empty)`"),
            (" ", "`(empty)`"),
        ];
        for (text, expected) in rows {
            assert_eq!(code(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_command_ends_where_its_line_does() {
        assert_eq!(command_text("50% a::b\n::error::x"), "50%25 a::b\\u{a}::error::x");
        assert_eq!(command_text("x ##[error]y"), "x #\\u{23}[error]y");
        assert_eq!(command_property("a,file=b:c"), "a%2Cfile=b%3Ac");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(short("abcdefghij", 10), "abcdefghij");
        assert_eq!(short("abcdefghijk", 10), "abcde…hijk");
    }
}

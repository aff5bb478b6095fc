//! Text that others wrote, made inert where it is printed: names, paths and revisions may hold anything.
//!
//! What could mean something there is written as `\u{…}`, so that it can still be read and is never mistaken for what it
//! imitates.

use std::fmt::Write as _;

use chainmail_contract::escape::visible;

/// A path as a relative reference of RFC 3986.
pub(crate) fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

/// Text as a code span, which may stand in a table too: nothing in it is markup, a link or a mention.
pub(crate) fn code(text: &str) -> String {
    // A backslash too: in a table it would take the meaning from what follows.
    let inner = visible(text, |c| matches!(c, '`' | '|' | '\\'));
    // An empty span is two backticks; outer spaces are taken off.
    let inner = inner.trim_matches(' ');
    if inner.is_empty() { "`(empty)`".to_owned() } else { format!("`{inner}`") }
}

/// Text within an element of HTML.
pub(crate) fn html(text: &str) -> String {
    visible(text, |c| matches!(c, '<' | '>' | '&' | '"' | '\'' | '`' | '@' | '[' | '\\'))
}

/// A line within a fenced block of [`FENCE`]: only a line of backticks could end that.
pub(crate) fn fenced(text: &str) -> String {
    visible(text, |c| c == '`')
}

/// What begins and ends a block of code.
pub(crate) const FENCE: &str = "```";

/// At most so many characters of a text, cut in its midst where it is longer: names differ at both ends.
pub(crate) fn short(text: &str, most: usize) -> String {
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
    fn long_names_keep_both_ends() {
        assert_eq!(short("abcdefghij", 10), "abcdefghij");
        assert_eq!(short("abcdefghijk", 10), "abcde…hijk");
    }
}

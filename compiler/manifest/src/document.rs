//! Splits a stream into its documents.

use serde::de::IgnoredAny;

/// One document of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// Its text, a `---` line at its head included.
    pub text: &'a str,
    /// How many lines stand before it.
    pub lines_before: u32,
    /// How many characters stand before it in its first line.
    pub columns_before: u32,
    /// Its byte offset in the stream.
    pub offset: usize,
}

impl<'a> Document<'a> {
    /// A stream that is one document.
    pub(super) fn only(text: &'a str) -> Self {
        Self { text, lines_before: 0, columns_before: 0, offset: 0 }
    }
}

/// Splits at `---` and `...`, which are markers wherever they begin a line (YAML 1.2 §9.1.2), also within a block
/// scalar. Documents of comments and directives only are left out.
pub(super) fn split(stream: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let mut start = 0;
    let mut start_line = 0;
    let mut offset = 0;
    let mut has_content = false;
    #[expect(clippy::string_slice, reason = "lines begin and end at whole characters")]
    let mut finish = |start: usize, end: usize, lines_before: u32, has_content: bool| {
        if has_content {
            let text = &stream[start..end];
            documents.push(Document { text, lines_before, columns_before: 0, offset: start });
        }
    };
    for (number, line) in (0u32..).zip(stream.split_inclusive('\n')) {
        if let Some(rest) = behind_marker(line, "---") {
            finish(start, offset, start_line, has_content);
            (start, start_line) = (offset, number);
            has_content = says_something(rest);
        } else if behind_marker(line, "...").is_some() {
            finish(start, offset, start_line, has_content);
            (start, start_line) = (offset + line.len(), number + 1);
            has_content = false;
        } else if !has_content {
            has_content = says_something(line) && !line.starts_with('%');
        }
        offset += line.len();
    }
    finish(start, stream.len(), start_line, has_content);
    documents
}

/// Splits JSON into its values, which follow each other as kubectl takes them. The last one may be broken. Where there is
/// none, the text is one document.
#[expect(clippy::string_slice, reason = "values of JSON begin and end at whole characters")]
pub(super) fn split_json(stream: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut end, mut lines_before, mut line_start) = (0, 0u32, 0);
    let mut values = serde_json::Deserializer::from_str(stream).into_iter::<IgnoredAny>();
    loop {
        let blank = &stream[end..];
        let blank = blank.len() - blank.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let start = end + blank;
        let before = &stream[end..start];
        if start == stream.len() {
            break;
        }
        lines_before = lines_before.saturating_add(newlines(before));
        line_start = before.rfind('\n').map_or(line_start, |at| end + at + 1);
        let whole = matches!(values.next(), Some(Ok(_)));
        end = if whole { values.byte_offset() } else { stream.len() };
        let text = &stream[start..end];
        let columns_before = u32::try_from(stream[line_start..start].chars().count()).unwrap_or(u32::MAX);
        documents.push(Document { text, lines_before, columns_before, offset: start });
        lines_before = lines_before.saturating_add(newlines(text));
        line_start = text.rfind('\n').map_or(line_start, |at| start + at + 1);
    }
    if documents.is_empty() { vec![Document::only(stream)] } else { documents }
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

/// What stands behind a marker that begins a line.
pub(super) fn behind_marker<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    line.strip_prefix(word).filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether there is more than blanks and a comment.
pub(super) fn says_something(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_split_at_markers_only() {
        let rows: &[(&str, &[(&str, u32)])] = &[
            ("", &[]),
            ("# only a comment\n", &[]),
            ("a: 1\n", &[("a: 1\n", 0)]),
            ("---\na: 1\n---\nb: 2\n", &[("---\na: 1\n", 0), ("---\nb: 2\n", 2)]),
            ("---\n---\n--- # note\nb: 2", &[("--- # note\nb: 2", 2)]),
            ("a: |\n  ---\n  x\n", &[("a: |\n  ---\n  x\n", 0)]),
            ("%YAML 1.2\n---\r\na: 1\r\n...\r\nb: 2\n", &[("---\r\na: 1\r\n", 1), ("b: 2\n", 4)]),
            ("----\n", &[("----\n", 0)]),
        ];
        for (stream, expected) in rows {
            let found: Vec<(&str, u32)> = split(stream).iter().map(|d| (d.text, d.lines_before)).collect();
            assert_eq!(found, *expected, "{stream:?}");
        }
    }

    #[test]
    fn values_of_json_are_documents() {
        type Found<'a> = (&'a str, u32, u32, usize);
        let rows: &[(&str, &[Found<'_>])] = &[
            ("{}", &[("{}", 0, 0, 0)]),
            ("{\"a\":\n1}\n{}\n", &[("{\"a\":\n1}", 0, 0, 0), ("{}", 2, 0, 9)]),
            ("{}{\"é\":1} [2]", &[("{}", 0, 0, 0), ("{\"é\":1}", 0, 2, 2), ("[2]", 0, 10, 11)]),
            ("{} {\"a\"", &[("{}", 0, 0, 0), ("{\"a\"", 0, 3, 3)]),
            ("{}}\n{}", &[("{}", 0, 0, 0), ("}\n{}", 0, 2, 2)]),
            ("  ", &[("  ", 0, 0, 0)]),
        ];
        for (stream, expected) in rows {
            let found: Vec<Found<'_>> = split_json(stream)
                .iter()
                .map(|d| (d.text, d.lines_before, d.columns_before, d.offset))
                .collect();
            assert_eq!(found, *expected, "{stream:?}");
        }
    }
}

//! Splits a stream into its documents.

/// One document of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// Its text, a `---` line at its head included.
    pub text: &'a str,
    /// How many lines stand before it.
    pub lines_before: u32,
    /// Its byte offset in the stream.
    pub offset: usize,
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
            documents.push(Document { text: &stream[start..end], lines_before, offset: start });
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
}

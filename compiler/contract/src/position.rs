/// Where in a text an offset is, as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position<'t> {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The whole line, without its end.
    pub text: &'t str,
}

impl<'t> Position<'t> {
    /// The place of a byte offset; behind the text's end it is the end.
    #[must_use]
    pub fn of(text: &'t str, offset: usize) -> Self {
        let mut left = offset;
        let mut last = Self { line: 1, column: 1, text: "" };
        for (number, line) in (1..).zip(text.split('\n')) {
            let before = line.get(..left).unwrap_or(line);
            last = Self {
                line: number,
                column: before.chars().count() + 1,
                text: line.strip_suffix('\r').unwrap_or(line),
            };
            if left <= line.len() {
                break;
            }
            left -= line.len() + 1;
        }
        last
    }
}

/// Where the lines of a text begin, for texts of which many places are asked.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    text: &'t str,
    /// In bytes; never none.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Reads the whole text once.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, starts: std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect() }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The same as [`Position::of`], at the cost of one line.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position<'t> {
        let before = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(before).copied().unwrap_or_default();
        let rest = self.text.get(start..).unwrap_or_default();
        Position { line: before + 1, ..Position::of(rest, offset - start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_counted_in_lines_and_characters() {
        let text = "ä = 1\r\n\nkey = \"x\"";
        let rows = [
            (0, (1, 1, "ä = 1")),
            (3, (1, 3, "ä = 1")),
            (8, (2, 1, "")),
            (9, (3, 1, "key = \"x\"")),
            (15, (3, 7, "key = \"x\"")),
            (18, (3, 10, "key = \"x\"")),
            (99, (3, 10, "key = \"x\"")),
        ];
        for (offset, (line, column, text_of_line)) in rows {
            let expected = Position { line, column, text: text_of_line };
            assert_eq!(Position::of(text, offset), expected, "{offset}");
            assert_eq!(Lines::new(text).position(offset), expected, "{offset}");
        }
        assert_eq!(Position::of("", 0), Position { line: 1, column: 1, text: "" });
        for text in ["", "\n", "a\n\nb\r\n", "ä\nöü"] {
            let lines = Lines::new(text);
            for offset in 0..=text.len() + 1 {
                assert_eq!(lines.position(offset), Position::of(text, offset), "{offset} in {text:?}");
            }
        }
    }
}

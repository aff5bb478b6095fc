//! Cuts a stream of YAML into its documents, and a List in it into its items, line by line: what is in memory is one
//! item. That is only done where the text looks as kubectl prints it; everything else has to be read as a whole.

use std::io::{self, BufRead, Read as _};

use super::document::{behind_marker, says_something};
use super::file::{DOCUMENT_BYTES, TooLarge};
use super::head::scan;

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its text, as a document of its own: an item begins at column 0.
    pub(super) text: String,
    /// Its first line in the stream, from 1.
    pub(super) line: u32,
    /// How many columns were taken off every line.
    pub(super) columns: u32,
}

/// Why a stream was not cut to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be read.
    Io(io::Error),
    /// It does not look as kubectl prints it.
    NotPlain,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

/// Hands on each piece in order. What was handed on before [`Stop::NotPlain`] must be forgotten.
pub(super) fn pieces(
    mut stream: impl BufRead,
    take: &mut impl FnMut(Piece) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut cutter = Cutter::default();
    let mut line = String::new();
    let mut number = 0;
    loop {
        line.clear();
        if stream.by_ref().take(DOCUMENT_BYTES as u64 + 1).read_line(&mut line)? == 0 {
            return cutter.end_document(take);
        }
        number += 1;
        if line.len() > DOCUMENT_BYTES {
            return Err(too_large(number, 1));
        }
        if number == 1 && line.starts_with('\u{feff}') {
            line.drain(..'\u{feff}'.len_utf8());
        }
        cutter.line(&line, number, take)?;
    }
}

#[derive(Default)]
struct Cutter {
    /// The document without its items.
    head: String,
    head_line: u32,
    items: Items,
}

#[derive(Default)]
enum Items {
    /// `items:` did not come yet.
    #[default]
    Before,
    /// It came, and its first item did not.
    Expected,
    /// Within an item that begins at this column.
    Within { dash: usize, piece: Piece },
    /// After the last one.
    After,
}

impl Cutter {
    fn line(
        &mut self,
        line: &str,
        number: u32,
        take: &mut impl FnMut(Piece) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if let Some(rest) = behind_marker(line, "---").or_else(|| behind_marker(line, "...")) {
            self.end_document(take)?;
            return if says_something(rest) { Err(Stop::NotPlain) } else { Ok(()) };
        }
        let text = line.trim_start_matches(' ');
        let column = line.len() - text.len();
        let blank = text.trim().is_empty();
        if blank || text.starts_with('#') {
            // A comment among items belongs to none; in a block scalar it is text, and stands deeper than the item.
            match &mut self.items {
                Items::Within { dash, piece } if blank || column > *dash => piece.push(line)?,
                Items::Within { piece, .. } => piece.push("\n")?,
                _ => self.head.push('\n'),
            }
            return Ok(());
        }
        if line.starts_with('%') || text.starts_with('\t') {
            return Err(Stop::NotPlain);
        }
        let is_item = text.starts_with("- ") || text.trim_end() == "-";
        match &mut self.items {
            Items::Within { dash, piece } if column > *dash => return piece.push(line),
            Items::Within { dash, piece } if column == *dash && is_item => {
                let done = std::mem::replace(piece, Piece::begin(line, number, *dash)?);
                return take(done);
            }
            Items::Expected if is_item => {
                self.items = Items::Within { dash: column, piece: Piece::begin(line, number, column)? };
                return Ok(());
            }
            Items::Within { .. } if column == 0 => {
                if let Items::Within { piece, .. } = std::mem::replace(&mut self.items, Items::After) {
                    take(piece)?;
                }
            }
            Items::Expected if column == 0 => self.items = Items::After,
            Items::Before => {}
            Items::After if !is_item => {}
            Items::Within { .. } | Items::Expected | Items::After => return Err(Stop::NotPlain),
        }
        if column == 0 && line.trim_end() == "items:" {
            if !matches!(self.items, Items::Before) {
                return Err(Stop::NotPlain);
            }
            self.items = Items::Expected;
        } else {
            if self.head.trim().is_empty() {
                self.head.clear();
                self.head_line = number;
            }
            self.head.push_str(line);
            if self.head.len() > DOCUMENT_BYTES {
                return Err(too_large(self.head_line, 1));
            }
        }
        Ok(())
    }

    fn end_document(&mut self, take: &mut impl FnMut(Piece) -> Result<(), Stop>) -> Result<(), Stop> {
        let Self { head, head_line, items } = std::mem::take(self);
        match items {
            Items::Before if head.trim().is_empty() => return Ok(()),
            Items::Before => return take(Piece { text: head, line: head_line, columns: 0 }),
            Items::Within { piece, .. } => take(piece)?,
            Items::Expected | Items::After => {}
        }
        // Only a List's items are objects, and only text without quotes is what it seems to be line by line.
        let quoted = head.replace("\"\"", "").contains(['"', '\'']);
        let list = scan(&head).is_some_and(|head| head.kind() == "List");
        if list && !quoted { Ok(()) } else { Err(Stop::NotPlain) }
    }
}

impl Piece {
    /// Begins an item with the line of its dash.
    fn begin(line: &str, number: u32, dash: usize) -> Result<Self, Stop> {
        let rest = line.get(dash..).and_then(|item| item.strip_prefix('-')).unwrap_or_default();
        let rest = rest.trim_start_matches(' ');
        if rest.trim().is_empty() {
            return Err(Stop::NotPlain);
        }
        let columns = u32::try_from(line.len() - rest.len()).map_err(|_| Stop::NotPlain)?;
        Ok(Self { text: rest.to_owned(), line: number, columns })
    }

    /// Adds a line, without the columns that the item is indented by.
    fn push(&mut self, line: &str) -> Result<(), Stop> {
        let columns = self.columns as usize;
        match line.split_at_checked(columns) {
            Some((indent, rest)) if indent.bytes().all(|b| b == b' ') => self.text.push_str(rest),
            _ if line.trim().is_empty() => self.text.push('\n'),
            _ => return Err(Stop::NotPlain),
        }
        if self.text.len() > DOCUMENT_BYTES {
            return Err(too_large(self.line, self.columns + 1));
        }
        Ok(())
    }
}

fn too_large(line: u32, column: u32) -> Stop {
    Stop::Io(TooLarge { line, column }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Option<Vec<(String, u32, u32)>> {
        let mut all = Vec::new();
        let result = pieces(text.as_bytes(), &mut |piece| {
            all.push((piece.text, piece.line, piece.columns));
            Ok(())
        });
        result.is_ok().then_some(all)
    }

    #[test]
    fn what_kubectl_prints_is_cut_and_what_may_mean_something_else_is_not() {
        let list = |items: &str| {
            format!("apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: \"\"\n")
        };
        let one = |text: &str, line, columns| (text.to_owned(), line, columns);
        let rows = [
            (list("- a: 1\n  b: 2\n- a: 3\n"), Some(vec![one("a: 1\nb: 2\n", 3, 2), one("a: 3\n", 5, 2)])),
            (list("  - a: 1\n  -   b: 2\n"), Some(vec![one("a: 1\n", 3, 4), one("b: 2\n", 4, 6)])),
            (
                list("- a: |\n    # x\n\n    y\n# z\n  b: 1\n"),
                Some(vec![one("a: |\n  # x\n\n  y\n\nb: 1\n", 3, 2)]),
            ),
            (list(""), Some(vec![])),
            ("a: 1\n---\n# c\nb: 2\n".to_owned(), Some(vec![one("a: 1\n", 1, 0), one("b: 2\n", 4, 0)])),
            (list("- a: \"x\ny\"\n"), None),
            (list("-\n  a: 1\n"), None),
            (list("  - a: 1\n - b: 2\n"), None),
            (list("- a: 1\nitems:\n- b: 1\n"), None),
            ("items:\n- a: 1\nkind: Other\napiVersion: v1\n".to_owned(), None),
            ("items:\n- a: 1\n\"kind\": List\n".to_owned(), None),
            ("--- {a: 1}\n".to_owned(), None),
        ];
        for (text, expected) in rows {
            assert_eq!(cut(&text), expected, "{text}");
        }
    }
}

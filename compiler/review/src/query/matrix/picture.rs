//! The answers as a picture, in the form of a truth table: rows send, columns receive.

use std::collections::BTreeMap;

use super::alike::Groups;
use super::{Answer, Matrix, Question};
use crate::query::End;

/// How wide a line may be.
const WIDTH: usize = 100;

/// How much of that a row's name may take.
const NAME: usize = 48;

/// The signs of answers that are neither all nor nothing, in order of first use.
#[derive(Default)]
struct Legend {
    signs: BTreeMap<String, String>,
    lines: Vec<String>,
}

impl Legend {
    fn sign(&mut self, words: String) -> String {
        if let Some(sign) = self.signs.get(&words) {
            return sign.clone();
        }
        let sign = letters(self.signs.len());
        self.lines.push(format!("{sign}  {words}\n"));
        self.signs.insert(words, sign.clone());
        sign
    }
}

/// `a` to `z`, `aa`, `ab`, and so on.
fn letters(mut number: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + u8::try_from(number % 26).expect("below 26")));
        if number < 26 {
            break;
        }
        number = number / 26 - 1;
    }
    letters.iter().rev().collect()
}

/// Where cells stand.
struct Layout {
    rows: Groups,
    columns: Groups,
    /// Rows and columns are the same ends: columns go by the numbers of rows.
    same: bool,
    /// The texts before the cells of each row.
    heads: Vec<String>,
    /// How wide those are.
    head: usize,
}

impl Layout {
    fn new(matrix: &Matrix, (rows, columns): (Groups, Groups)) -> Self {
        let same = matrix.sources == matrix.destinations;
        let width = digits(rows.len());
        let head = |(number, group): (usize, &Vec<usize>)| {
            let name = name(&matrix.sources, group);
            if same { format!("{number:>width$} {name}") } else { name }
        };
        let heads: Vec<String> = (1..).zip(&rows).map(head).collect();
        let head = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0) + 2;
        Self { rows, columns, same, heads, head }
    }

    /// How many columns fit beside each other.
    fn fitting(&self, cell: usize) -> usize {
        ((WIDTH - self.head) / cell).max(1)
    }
}

/// The first end of a group, and how many others it stands for.
fn name(ends: &[End], group: &[usize]) -> String {
    let name = shortened(&ends[group[0]].who.to_string());
    match group.len() - 1 {
        0 => name,
        more => format!("{name} +{more}"),
    }
}

fn digits(count: usize) -> usize {
    count.to_string().len()
}

impl Matrix {
    /// A row a source, a column a destination, at most 100 columns wide. Where that takes more than one table, pods of a
    /// namespace that are answered alike are shown as one; then as many tables, one below the other, as it takes.
    #[must_use]
    pub fn picture(&self) -> String {
        let mut layout = Layout::new(self, self.single());
        if layout.fitting(digits(self.destinations.len()) + 1) < self.destinations.len() {
            layout = Layout::new(self, self.grouped());
        }
        let mut legend = Legend::default();
        let signs: Vec<Vec<String>> = layout
            .rows
            .iter()
            .map(|row| {
                let answers = layout.columns.iter().map(|column| self.between(row, column));
                answers.map(|answer| self.sign(&mut legend, answer)).collect()
            })
            .collect();
        let sign = signs.iter().flatten().map(String::len).max().unwrap_or(1);
        let cell = sign.max(digits(layout.columns.len())) + 1;

        let mut text = self.header();
        if layout.rows.len() < self.sources.len() || layout.columns.len() < self.destinations.len() {
            text.push_str("# +N: so many more pods of the namespace, answered alike\n");
        }
        let indices: Vec<usize> = (0..layout.columns.len()).collect();
        for block in indices.chunks(layout.fitting(cell)) {
            let numbers: String = block.iter().map(|column| format!("{:>cell$}", column + 1)).collect();
            push_line(&mut text, &format!("{:1$}{numbers}", "", layout.head));
            for (head, row) in layout.heads.iter().zip(&signs) {
                let cells: String = block.iter().map(|column| format!("{:>cell$}", row[*column])).collect();
                push_line(&mut text, &format!("{head:0$}{cells}", layout.head));
            }
        }
        if !layout.same {
            text.push_str("# columns\n");
            let width = digits(layout.columns.len());
            for (number, group) in (1..).zip(&layout.columns) {
                push_line(&mut text, &format!("{number:>width$} {}", name(&self.destinations, group)));
            }
        }
        if !legend.lines.is_empty() {
            text.push_str("# what is allowed\n");
            legend.lines.iter().for_each(|line| text.push_str(line));
        }
        text
    }

    fn header(&self) -> String {
        match self.question {
            Question::Services => {
                "# rows send, columns receive: + all, - nothing, . the same end\n".to_owned()
            }
            Question::Service(service) => {
                format!("# {service}; rows send, columns receive: + allowed, - denied, . the same end\n")
            }
        }
    }

    fn sign(&self, legend: &mut Legend, answer: &Answer) -> String {
        let by_family = match answer {
            Answer::Itself => return ".".to_owned(),
            Answer::Allowed(by_family) => by_family,
        };
        match self.words(by_family).as_str() {
            "all" | "allow" => "+".to_owned(),
            "none" | "deny" => "-".to_owned(),
            words => legend.sign(words.to_owned()),
        }
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// A name that leaves room for cells: what is in the midst of a long one tells least.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME {
        return name.to_owned();
    }
    let half = (NAME - 1) / 2;
    let start: String = name.chars().take(NAME - 1 - half).collect();
    let end: String = name.chars().skip(length - half).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_do_not_run_out() {
        let rows = [(0, "a"), (25, "z"), (26, "aa"), (51, "az"), (52, "ba"), (701, "zz"), (702, "aaa")];
        for (number, expected) in rows {
            assert_eq!(letters(number), expected);
        }
    }
}

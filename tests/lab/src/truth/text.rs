//! Tables as text, both ways.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use chainmail_contract::Family;
use thiserror::Error;

use super::{Block, Cell, TruthTable, Twice};
use crate::endpoint::{Endpoint, EndpointError};
use crate::probe::{Service, ServiceError};

/// The first line of every table that is printed.
pub const LEGEND: &str = "# rows send, columns receive: + allowed, - denied, . not asked";

/// A text that is no table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct TableError {
    line: usize,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum Problem {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Twice(#[from] Twice),
    #[error("{0:?} is no family: write ipv6, or nothing for IPv4")]
    Family(String),
    #[error("a heading such as 80/TCP must come first")]
    NoHeading,
    #[error("the columns must be numbered 1, 2, …")]
    Columns,
    #[error("a row has its number, its endpoint, and a cell for each column")]
    RowParts,
    #[error("this row's number must be {0}")]
    RowNumber(usize),
    #[error("{found} cells stand in a row of {wanted} columns")]
    RowLength { found: usize, wanted: usize },
    #[error("{0:?} is no cell: write + allowed, - denied or . not asked")]
    Cell(String),
    #[error("{columns} columns need as many rows; there are {rows}")]
    Rows { columns: usize, rows: usize },
}

impl Cell {
    fn symbol(self) -> &'static str {
        match self {
            Cell::NotAsked => ".",
            Cell::Allowed => "+",
            Cell::Denied => "-",
            Cell::Broken => "!",
        }
    }

    fn of_symbol(text: &str) -> Option<Self> {
        [Cell::NotAsked, Cell::Allowed, Cell::Denied, Cell::Broken]
            .into_iter()
            .find(|cell| cell.symbol() == text)
    }
}

pub(super) fn heading(block: &Block) -> String {
    match block.family {
        Family::V4 => block.service.to_string(),
        Family::V6 => format!("{} ipv6", block.service),
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        let digits = names.len().to_string().len();
        let name = names.iter().map(String::len).max().unwrap_or(0);
        writeln!(f, "{}", heading(self))?;
        let mut header = format!("{:digits$} {:name$}  ", "", "");
        for number in 1..=names.len() {
            write!(header, " {number:>digits$}")?;
        }
        writeln!(f, "{}", header.trim_end())?;
        for (number, (text, (_, cells))) in (1..).zip(names.iter().zip(self.rows())) {
            write!(f, "{number:>digits$} {text:name$}  ")?;
            for cell in cells {
                write!(f, " {:>digits$}", cell.symbol())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for TruthTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{LEGEND}")?;
        for (index, block) in self.blocks.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{block}")?;
        }
        Ok(())
    }
}

/// A block while its rows are being read.
struct Draft {
    service: Service,
    family: Family,
    columns: Option<usize>,
    endpoints: Vec<Endpoint>,
    cells: Vec<Cell>,
}

impl Draft {
    fn of_heading(line: &str) -> Result<Self, Problem> {
        let (service, family) = match line.split_once(' ') {
            None => (line, Family::V4),
            Some((service, "ipv6")) => (service, Family::V6),
            Some((_, other)) => return Err(Problem::Family(other.to_owned())),
        };
        let service = service.parse()?;
        Ok(Self { service, family, columns: None, endpoints: Vec::new(), cells: Vec::new() })
    }

    fn is_full(&self) -> bool {
        self.columns == Some(self.endpoints.len())
    }

    fn columns(&mut self, line: &str) -> Result<(), Problem> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.iter().zip(1..).any(|(word, number)| *word != number.to_string()) {
            return Err(Problem::Columns);
        }
        self.columns = Some(words.len());
        Ok(())
    }

    fn row(&mut self, line: &str, columns: usize) -> Result<(), Problem> {
        let mut words = line.split_whitespace();
        let (Some(number), Some(endpoint)) = (words.next(), words.next()) else {
            return Err(Problem::RowParts);
        };
        let expected = self.endpoints.len() + 1;
        if number != expected.to_string() {
            return Err(Problem::RowNumber(expected));
        }
        let endpoint: Endpoint = endpoint.parse()?;
        if self.endpoints.contains(&endpoint) {
            return Err(Twice { what: endpoint.to_string() }.into());
        }
        let cell = |word: &str| Cell::of_symbol(word).ok_or_else(|| Problem::Cell(word.to_owned()));
        let cells = words.map(cell).collect::<Result<Vec<Cell>, Problem>>()?;
        if cells.len() != columns {
            return Err(Problem::RowLength { found: cells.len(), wanted: columns });
        }
        self.endpoints.push(endpoint);
        self.cells.extend(cells);
        Ok(())
    }

    fn finish(self) -> Result<Block, Problem> {
        if !self.is_full() {
            return Err(Problem::Rows { columns: self.columns.unwrap_or(0), rows: self.endpoints.len() });
        }
        Ok(Block::new(self.service, self.family, self.endpoints, self.cells)?)
    }
}

impl FromStr for TruthTable {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut draft: Option<Draft> = None;
        let mut last = 0;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let at = |problem: Problem| TableError { line: index + 1, problem };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            last = index + 1;
            match &mut draft {
                None => draft = Some(heading_of(line, &blocks).map_err(at)?),
                Some(open) => match open.columns {
                    None => open.columns(line).map_err(at)?,
                    Some(columns) => open.row(line, columns).map_err(at)?,
                },
            }
            if let Some(full) = draft.take_if(|draft| draft.is_full()) {
                blocks.push(full.finish().map_err(at)?);
            }
        }
        let at = |problem: Problem| TableError { line: last, problem };
        if let Some(open) = draft {
            blocks.push(open.finish().map_err(at)?);
        }
        TruthTable::new(blocks).map_err(|twice| at(twice.into()))
    }
}

fn heading_of(line: &str, blocks: &[Block]) -> Result<Draft, Problem> {
    // A row or a line of numbers where a heading is due: the block before it was full, or there was none.
    if line.split_whitespace().next().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Problem::NoHeading);
    }
    let draft = Draft::of_heading(line)?;
    if blocks.iter().any(|block| (block.service, block.family) == (draft.service, draft.family)) {
        return Err(Twice { what: line.to_owned() }.into());
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
# rows send, columns receive: + allowed, - denied, . not asked
80/TCP
                        1 2 3
1 development/backend   . + !
2 development/client    - . +
3 198.51.100.7          - - .

53/UDP ipv6
            1 2
1 a/b       . +
2 node:n1   + .
";

    #[test]
    fn a_table_prints_as_it_was_written() {
        let table: TruthTable = TABLE.parse().unwrap();
        assert_eq!(table.to_string(), TABLE);
        assert_eq!(table.probes().len(), 8);
    }

    #[test]
    fn layout_is_free() {
        let loose = TABLE.replace("                        1 2 3", "  1 2 3").replace("\n\n", "\n# more\n");
        assert_eq!(loose.parse::<TruthTable>(), TABLE.parse());
    }

    #[test]
    fn mistakes_are_named_with_their_lines() {
        let rows = [
            ("1 2\n", "line 1: a heading such as 80/TCP must come first"),
            ("80/tcp\n", "line 1: \"80/tcp\" is no service: write PORT/TCP, PORT/UDP, PORT/SCTP or ICMP"),
            ("80/TCP v6\n", "line 1: \"v6\" is no family: write ipv6, or nothing for IPv4"),
            ("80/TCP\n1 3\n", "line 2: the columns must be numbered 1, 2, …"),
            ("80/TCP\n1 2\n1\n", "line 3: a row has its number, its endpoint, and a cell for each column"),
            ("80/TCP\n1 2\n2 a/b . +\n", "line 3: this row's number must be 1"),
            ("80/TCP\n1 2\n1 a/b .\n", "line 3: 1 cells stand in a row of 2 columns"),
            (
                "80/TCP\n1 2\n1 a/b . x\n",
                "line 3: \"x\" is no cell: write + allowed, - denied or . not asked",
            ),
            ("80/TCP\n1 2\n\n1 a/b . +\n\n2 a/b + .\n", "line 6: a/b stands here twice"),
            ("80/TCP\n1 2\n1 a/b . +\n", "line 3: 2 columns need as many rows; there are 1"),
            ("80/TCP\n", "line 1: 0 columns need as many rows; there are 0"),
            ("80/TCP\n1\n1 a/b .\n80/TCP\n", "line 4: 80/TCP stands here twice"),
            (
                "80/TCP\n1\n1 ab .\n",
                "line 3: \"ab\" is no endpoint: write namespace/pod, node:NAME or an address",
            ),
        ];
        for (text, expected) in rows {
            let error = text.parse::<TruthTable>().unwrap_err();
            assert_eq!(error.to_string(), expected, "{text:?}");
        }
    }
}

//! Truth tables: who reaches whom, written by hand, predicted, or observed.
//!
//! ```text
//! # rows send, columns receive: + allowed, - denied, . not asked
//! 80/TCP
//!                         1 2
//! 1 development/backend   . +
//! 2 development/client    - .
//! ```
//!
//! A table is a list of blocks, each headed by its service and ` ipv6` where that is meant. Columns are the block's
//! rows by number. An observed table may also hold `!`: broken, neither allowed nor denied.

mod text;

use std::collections::BTreeMap;

use chainmail_contract::Family;
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::probe::{Observed, Probe, Service};

pub use text::{LEGEND, TableError};

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// `.`: nobody asked.
    NotAsked,
    /// `+`.
    Allowed,
    /// `-`.
    Denied,
    /// `!`: see [`Observed::Broken`].
    Broken,
}

impl From<&Observed> for Cell {
    fn from(observed: &Observed) -> Self {
        match observed {
            Observed::Allowed => Cell::Allowed,
            Observed::Denied => Cell::Denied,
            Observed::Broken(_) => Cell::Broken,
        }
    }
}

/// The pairs of some endpoints for one service and family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    service: Service,
    family: Family,
    endpoints: Vec<Endpoint>,
    /// Row after row, as many as endpoints in each.
    cells: Vec<Cell>,
}

/// An endpoint or a block that stands in a table twice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} stands here twice")]
pub struct Twice {
    what: String,
}

impl Block {
    /// A block that asks for every pair of two different endpoints and holds what is true without any policy: all is
    /// allowed.
    ///
    /// # Errors
    /// When an endpoint is given twice.
    pub fn all_allowed(service: Service, family: Family, endpoints: Vec<Endpoint>) -> Result<Self, Twice> {
        let size = endpoints.len();
        let cell = |at: usize| if at / size == at % size { Cell::NotAsked } else { Cell::Allowed };
        Self::new(service, family, endpoints, (0..size * size).map(cell).collect())
    }

    fn new(
        service: Service,
        family: Family,
        endpoints: Vec<Endpoint>,
        cells: Vec<Cell>,
    ) -> Result<Self, Twice> {
        debug_assert_eq!(cells.len(), endpoints.len() * endpoints.len());
        for (index, endpoint) in endpoints.iter().enumerate() {
            if endpoints[..index].contains(endpoint) {
                return Err(Twice { what: endpoint.to_string() });
            }
        }
        Ok(Self { service, family, endpoints, cells })
    }

    /// What the block asks for.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service
    }

    /// With which kind of address.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The rows' and columns' endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The rows: who sends, and its answers.
    pub fn rows(&self) -> impl Iterator<Item = (&Endpoint, &[Cell])> {
        self.endpoints.iter().zip(self.cells.chunks(self.endpoints.len().max(1)))
    }

    fn answers(&self) -> impl Iterator<Item = (Probe, Cell)> {
        self.rows().flat_map(move |(source, cells)| {
            self.endpoints.iter().zip(cells).map(move |(destination, &cell)| {
                let (source, destination) = (source.clone(), destination.clone());
                (Probe { service: self.service, family: self.family, source, destination }, cell)
            })
        })
    }
}

/// Blocks in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TruthTable {
    blocks: Vec<Block>,
}

/// A pair that two tables do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The pair.
    pub probe: Probe,
    /// What this table says.
    pub expected: Cell,
    /// What the other says.
    pub found: Cell,
}

impl TruthTable {
    /// A table of these blocks; those without endpoints ask nothing and are left out.
    ///
    /// # Errors
    /// When two blocks are of one service and family.
    pub fn new(mut blocks: Vec<Block>) -> Result<Self, Twice> {
        blocks.retain(|block| !block.endpoints.is_empty());
        for (index, block) in blocks.iter().enumerate() {
            let key = (block.service, block.family);
            if blocks[..index].iter().any(|other| (other.service, other.family) == key) {
                return Err(Twice { what: text::heading(block) });
            }
        }
        Ok(Self { blocks })
    }

    /// The blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// All cells, row after row.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        self.blocks.iter().flat_map(|block| block.cells.iter().copied())
    }

    /// What the table asks, row after row.
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        self.answers().filter(|(_, cell)| *cell != Cell::NotAsked).map(|(probe, _)| probe).collect()
    }

    /// The same questions with other answers, in the order of [`TruthTable::probes`]. A question that is left without
    /// an answer becomes one that is not asked.
    #[must_use]
    pub fn answered(&self, answers: impl IntoIterator<Item = Cell>) -> Self {
        let mut answers = answers.into_iter();
        let mut table = self.clone();
        for cell in table.blocks.iter_mut().flat_map(|block| &mut block.cells) {
            if *cell != Cell::NotAsked {
                *cell = answers.next().unwrap_or(Cell::NotAsked);
            }
        }
        table
    }

    /// Where the other table does not say what this one says. What this table does not ask is no difference; what the
    /// other does not answer is one.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let found: BTreeMap<Probe, Cell> = other.answers().collect();
        let difference = |(probe, expected): (Probe, Cell)| {
            let found = found.get(&probe).copied().unwrap_or(Cell::NotAsked);
            let differs = expected != Cell::NotAsked && expected != found;
            differs.then_some(Difference { probe, expected, found })
        };
        self.answers().filter_map(difference).collect()
    }

    fn answers(&self) -> impl Iterator<Item = (Probe, Cell)> {
        self.blocks.iter().flat_map(Block::answers)
    }
}

//! Where objects stand. The text, and so the places of their fields, is with [`Places`](super::Places).

use serde::{Deserialize, Serialize};

/// A file's place among those of one input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    /// The file at a place, from 0.
    #[must_use]
    pub fn at(place: u32) -> Self {
        Self(place)
    }

    /// Its place, from 0.
    #[must_use]
    pub fn place(self) -> usize {
        self.0 as usize
    }
}

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The file. Not part of what is kept of it: another run may have other files beside it.
    #[serde(skip)]
    pub file: FileId,
    /// Where in it.
    pub spot: Spot,
}

/// Where in a file. Lines and columns count from 1, and columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Spot {
    /// A document, or an item of a List in it. Its text is kept, so that each field can be found.
    Document {
        /// The document's first byte.
        offset: usize,
        /// Its bytes.
        length: usize,
        /// How many lines stand before it.
        lines_before: u32,
        /// How many characters stand before it in its first line.
        columns_before: u32,
        /// The item's place in the List, from 0.
        item: Option<usize>,
    },
    /// An item of an inventory, whose text is gone by now.
    Item {
        /// Its first line.
        line: u32,
        /// The column where it begins.
        column: u32,
        /// Which of its lines have moved.
        margin: Margin,
    },
}

/// Which lines of an item's text stand further left than they do in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Margin {
    /// All: they were moved to column 0.
    Every,
    /// The first only: it begins in the midst of a line.
    First,
}

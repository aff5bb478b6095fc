//! Where objects stand, and the places of their fields.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::Document;
use super::field_path::{FieldPath, Segment};
use super::locate::{Found, locate};
use crate::diagnostic::Place;
use crate::source::outline::{Outline, Spot as At, Writing};
use crate::source::{FileId, Sources};

/// The longest line that is shown with a finding in it: of a file that is one line, the place says enough.
const EXCERPT_BYTES: usize = 1000;

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Not part of what is kept of a file: another run may have other files beside it.
    #[serde(skip)]
    pub(super) file: FileId,
    pub(super) spot: Spot,
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Spot {
    /// A document, or an item of a List in it. Its text is kept, so that each field can be found.
    Document { offset: usize, length: usize, lines_before: u32, columns_before: u32, item: Option<usize> },
    /// An item of an inventory, whose text is gone by now.
    Item { line: u32, column: u32, margin: Margin },
}

/// Which lines of an item's text stand further left than they do in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Margin {
    /// All: they were moved to column 0.
    Every,
    /// The first only: it begins in the midst of a line.
    First,
}

/// The steps from a List to an item.
pub(super) fn item_path(index: usize) -> [Segment; 2] {
    [Segment::Key("items".into()), Segment::Index(index)]
}

impl ObjectRef {
    pub(super) fn document(file: FileId, document: &Document<'_>) -> Self {
        let Document { text, lines_before, columns_before, offset } = *document;
        let length = text.len();
        Self { file, spot: Spot::Document { offset, length, lines_before, columns_before, item: None } }
    }

    /// An item of this document's List; `place` is the item's own, where the text will be gone.
    pub(super) fn item(self, index: usize, place: Option<At>) -> Self {
        let spot = match (self.spot, place) {
            (Spot::Document { offset, length, lines_before, columns_before, .. }, _) => {
                Spot::Document { offset, length, lines_before, columns_before, item: Some(index) }
            }
            (Spot::Item { line: first, margin, .. }, Some(At { line, column })) => {
                Spot::Item { line: first + line - 1, column, margin }
            }
            (spot @ Spot::Item { .. }, None) => spot,
        };
        Self { spot, ..self }
    }

    /// Whether the object is live and was not reviewed.
    pub(crate) fn is_live(&self, sources: &Sources) -> bool {
        sources.is_inventory(self.file)
    }

    /// The path of the inventory that the object stands in, unless it was reviewed.
    pub(crate) fn inventory(self, sources: &Sources) -> Option<&str> {
        self.is_live(sources).then(|| sources.path(self.file))
    }

    /// The place of one of the object's fields: the value's, or that of the deepest part of the path that is there.
    #[must_use]
    pub fn place(&self, sources: &Sources, path: &FieldPath) -> Place {
        match self.spot {
            Spot::Item { .. } => self.at(sources, At { line: 1, column: 1 }),
            Spot::Document { .. } => {
                let at = self.found(sources, path).map_or(At { line: 1, column: 1 }, |found| found.at);
                self.at(sources, at)
            }
        }
    }

    /// The place of the key that ends a path, or where it is not there as [`Self::place`].
    pub(crate) fn key_place(&self, sources: &Sources, path: &FieldPath) -> Place {
        match self.found(sources, path).and_then(|found| found.key) {
            Some((key, _)) => self.at(sources, key),
            None => self.place(sources, path),
        }
    }

    /// Whether the value of a field was written without quotes.
    pub(crate) fn is_plain(&self, sources: &Sources, path: &FieldPath) -> bool {
        self.found(sources, path).is_some_and(|found| found.writing == Writing::Plain)
    }

    /// Whether a field was written, though it may be null.
    pub(crate) fn has(&self, sources: &Sources, path: &FieldPath) -> bool {
        self.found(sources, path).is_some_and(|found| found.key.is_some())
    }

    /// As [`Self::is_plain`], of the key that ends the path.
    pub(crate) fn is_plain_key(&self, sources: &Sources, path: &FieldPath) -> bool {
        let key = self.found(sources, path).and_then(|found| found.key);
        key.is_some_and(|(_, writing)| writing == Writing::Plain)
    }

    fn found(&self, sources: &Sources, path: &FieldPath) -> Option<Found> {
        let prefix = match self.spot {
            Spot::Document { item: Some(index), .. } => item_path(index).to_vec(),
            Spot::Document { item: None, .. } | Spot::Item { .. } => Vec::new(),
        };
        let (_, outline) = self.outline(sources)?;
        locate(&outline, prefix.iter().chain(path.segments()))
    }

    fn outline<'a>(&self, sources: &'a Sources) -> Option<(&'a [u8], Arc<Outline>)> {
        let Spot::Document { offset, length, .. } = self.spot else { return None };
        sources.outline(self.file, offset..offset + length)
    }

    /// Where the object begins.
    pub(super) fn first(&self, sources: &Sources) -> Place {
        let file = sources.path(self.file).to_owned();
        let (line, column) = match self.spot {
            Spot::Document { lines_before, columns_before, .. } => (lines_before + 1, columns_before + 1),
            Spot::Item { line, column, .. } => (line, column),
        };
        Place { file, line, column, excerpt: None }
    }

    /// A place by line and column within the document or item.
    pub(super) fn at(&self, sources: &Sources, At { line, column }: At) -> Place {
        let file = sources.path(self.file).to_owned();
        match self.spot {
            Spot::Document { lines_before, columns_before, .. } => {
                let columns_before = if line == 1 { columns_before } else { 0 };
                let excerpt = self
                    .outline(sources)
                    .and_then(|(text, outline)| outline.line(text, line).map(ToOwned::to_owned))
                    .filter(|line| line.len() <= EXCERPT_BYTES);
                Place { file, line: lines_before + line, column: columns_before + column, excerpt }
            }
            Spot::Item { line: first, column: left, margin } => {
                let moved = margin == Margin::Every || line == 1;
                let column = if moved { left + column - 1 } else { column };
                Place { file, line: first + line - 1, column, excerpt: None }
            }
        }
    }
}

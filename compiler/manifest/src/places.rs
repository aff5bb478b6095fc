//! Where objects stand, and the places of their fields.

use std::sync::Arc;

use chainmail_findings::{FieldPath, FileId, Margin, ObjectRef, Place, Places, Segment, Spot};

use super::document::Document;
use super::locate::{Found, locate};
use crate::source::Sources;
use crate::source::outline::{Outline, Spot as At, Writing};

/// The longest line that is shown with a finding in it: of a file that is one line, the place says enough.
const EXCERPT_BYTES: usize = 1000;

/// The steps from a List to an item.
pub(super) fn item_path(index: usize) -> [Segment; 2] {
    [Segment::Key("items".into()), Segment::Index(index)]
}

/// Where a document stands.
pub(super) fn of_document(file: FileId, document: &Document<'_>) -> ObjectRef {
    let Document { text, lines_before, columns_before, offset } = *document;
    let length = text.len();
    ObjectRef { file, spot: Spot::Document { offset, length, lines_before, columns_before, item: None } }
}

/// Where an item of a List stands; `place` is the item's own, where the text will be gone.
pub(super) fn of_item(list: ObjectRef, index: usize, place: Option<At>) -> ObjectRef {
    let spot = match (list.spot, place) {
        (Spot::Document { offset, length, lines_before, columns_before, .. }, _) => {
            Spot::Document { offset, length, lines_before, columns_before, item: Some(index) }
        }
        (Spot::Item { line: first, margin, .. }, Some(At { line, column })) => {
            Spot::Item { line: first + line - 1, column, margin }
        }
        (spot @ Spot::Item { .. }, None) => spot,
    };
    ObjectRef { spot, ..list }
}

impl Places for Sources {
    fn place(&self, object: ObjectRef, path: &FieldPath) -> Place {
        match object.spot {
            Spot::Item { .. } => self.within(object, At { line: 1, column: 1 }),
            Spot::Document { .. } => {
                let at = self.found(object, path).map_or(At { line: 1, column: 1 }, |found| found.at);
                self.within(object, at)
            }
        }
    }

    fn key_place(&self, object: ObjectRef, path: &FieldPath) -> Place {
        match self.found(object, path).and_then(|found| found.key) {
            Some((key, _)) => self.within(object, key),
            None => self.place(object, path),
        }
    }

    fn has(&self, object: ObjectRef, path: &FieldPath) -> bool {
        self.found(object, path).is_some_and(|found| found.key.is_some())
    }

    fn inventory(&self, object: ObjectRef) -> Option<&str> {
        self.is_inventory(object.file).then(|| self.path(object.file))
    }

    fn has_inventories(&self) -> bool {
        self.inventories().next().is_some()
    }
}

impl Sources {
    /// Whether the value of a field was written without quotes.
    pub(crate) fn is_plain(&self, object: ObjectRef, path: &FieldPath) -> bool {
        self.found(object, path).is_some_and(|found| found.writing == Writing::Plain)
    }

    /// As [`Self::is_plain`], of the key that ends the path.
    pub(crate) fn is_plain_key(&self, object: ObjectRef, path: &FieldPath) -> bool {
        let key = self.found(object, path).and_then(|found| found.key);
        key.is_some_and(|(_, writing)| writing == Writing::Plain)
    }

    fn found(&self, object: ObjectRef, path: &FieldPath) -> Option<Found> {
        let prefix = match object.spot {
            Spot::Document { item: Some(index), .. } => item_path(index).to_vec(),
            Spot::Document { item: None, .. } | Spot::Item { .. } => Vec::new(),
        };
        let (_, outline) = self.outline_of(object)?;
        locate(&outline, prefix.iter().chain(path.segments()))
    }

    fn outline_of(&self, object: ObjectRef) -> Option<(&[u8], Arc<Outline>)> {
        let Spot::Document { offset, length, .. } = object.spot else { return None };
        self.outline(object.file, offset..offset + length)
    }

    /// Where an object begins.
    pub(super) fn beginning(&self, object: ObjectRef) -> Place {
        let file = self.path(object.file).to_owned();
        let (line, column) = match object.spot {
            Spot::Document { lines_before, columns_before, .. } => (lines_before + 1, columns_before + 1),
            Spot::Item { line, column, .. } => (line, column),
        };
        Place { file, line, column, excerpt: None }
    }

    /// A place by line and column within an object's document or item.
    pub(super) fn within(&self, object: ObjectRef, At { line, column }: At) -> Place {
        let file = self.path(object.file).to_owned();
        match object.spot {
            Spot::Document { lines_before, columns_before, .. } => {
                let columns_before = if line == 1 { columns_before } else { 0 };
                let excerpt = self
                    .outline_of(object)
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

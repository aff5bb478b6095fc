//! What findings ask of the files that were read.

use super::{FieldPath, ObjectRef, Place};

/// Finds the fields of objects in the files that these were read from.
pub trait Places {
    /// The place of one of an object's fields: the value's, or that of the deepest part of the path that is there.
    fn place(&self, object: ObjectRef, path: &FieldPath) -> Place;

    /// The place of the key that ends a path, or where it is not there as [`Self::place`].
    fn key_place(&self, object: ObjectRef, path: &FieldPath) -> Place;

    /// Whether a field was written, though it may be null.
    fn has(&self, object: ObjectRef, path: &FieldPath) -> bool;

    /// The path of the inventory that an object stands in; `None` where it was reviewed.
    fn inventory(&self, object: ObjectRef) -> Option<&str>;

    /// Whether there is an inventory at all.
    fn has_inventories(&self) -> bool;

    /// Whether an object is live and was not reviewed.
    fn is_live(&self, object: ObjectRef) -> bool {
        self.inventory(object).is_some()
    }
}

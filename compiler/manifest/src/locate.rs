//! Finds a field's line and column. Only done for what is printed: it costs nothing on the way to rules.

use chainmail_findings::Segment;

use crate::source::outline::{Outline, Spot, Writing};

/// Where the value of a path stands in a document, and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: Spot,
    pub(super) writing: Writing,
    /// Where the path's last key stands and how it was written, if it is there.
    pub(super) key: Option<(Spot, Writing)>,
}

/// Finds a path's value. One that is not there has the place of the deepest part of its path that is.
pub(super) fn locate<'p>(outline: &Outline, path: impl IntoIterator<Item = &'p Segment>) -> Option<Found> {
    let mut node = outline.root()?;
    let mut key = None;
    for step in path {
        let next = match step {
            Segment::Key(wanted) => outline.entry(node, wanted).map(|entry| {
                key = Some((entry.at, entry.writing));
                entry.value
            }),
            Segment::Index(index) => {
                key = None;
                outline.item(node, *index)
            }
        };
        let Some(next) = next else {
            return Some(Found { at: outline.at(node), writing: Writing::Collection, key: None });
        };
        node = next;
    }
    Some(Found { at: outline.at(node), writing: outline.writing(node), key })
}

/// The places of a List's items, in order.
pub(super) fn item_places(text: &str) -> Vec<Spot> {
    let outline = Outline::of(text);
    let Some(items) = outline.root().and_then(|root| outline.entry(root, "items")) else { return Vec::new() };
    let places = (0..).map_while(|index| outline.item(items.value, index));
    places.map(|item| outline.at(item)).collect()
}

#[cfg(test)]
mod tests {
    use chainmail_findings::FieldPath;

    use super::*;

    #[test]
    fn values_and_missing_fields_have_a_place() {
        let text =
            "kind: A\nspec:\n  ingress:\n  - ports:\n    - port: 80\n      endPort: 8\n    - {}\n  empty:\n";
        let spec = FieldPath::root().key("spec");
        let ports = spec.key("ingress").index(0).key("ports");
        let rows = [
            (FieldPath::root().key("kind"), (1, 7)),
            (ports.index(0).key("endPort"), (6, 16)),
            (ports.index(1), (7, 7)),
            (ports.index(1).key("port"), (7, 7)),
            (spec.key("empty"), (8, 3)),
            (spec.key("absent"), (3, 3)),
        ];
        let outline = Outline::of(text);
        for (path, expected) in rows {
            let Spot { line, column } = locate(&outline, path.segments()).unwrap().at;
            assert_eq!((line, column), expected, "{path}");
        }
    }

    #[test]
    fn quotes_are_seen() {
        let text = "labels:\n  a: yes\n  'on': \"no\"\n";
        let labels = FieldPath::root().key("labels");
        for (key, plain_key, plain_value) in [("a", true, true), ("on", false, false), ("b", false, false)] {
            let path = labels.key(key);
            let found = locate(&Outline::of(text), path.segments()).unwrap();
            let key_is_plain = found.key.is_some_and(|(_, writing)| writing == Writing::Plain);
            let value_is_plain = found.writing == Writing::Plain;
            assert_eq!((key_is_plain, value_is_plain), (plain_key, plain_value), "{key}");
        }
    }
}

//! Finds a field's line and column. Only done for what is printed: the second parse costs nothing on the way to rules.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::field_path::Segment;

/// Where the value of a path stands in a document, from 1, and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: u32,
    pub(super) column: u32,
    /// The value is a scalar without quotes.
    pub(super) plain_value: bool,
    /// Where the path's last key stands, if it is there.
    pub(super) key: Option<FoundKey>,
}

/// Where a key stands, and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundKey {
    pub(super) line: u32,
    pub(super) column: u32,
    /// It is without quotes.
    pub(super) plain: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self { line: 1, column: 1, plain_value: false, key: None }
    }
}

/// Finds a path's value. One that is not there has the place of the deepest part of its path that is.
pub(super) fn locate(text: &str, path: &[&Segment]) -> Found {
    let mut events = Parser::new_from_str(text);
    let mut found = Found::default();
    if let Some((first, span)) = root(&mut events) {
        descend(&mut events, &first, span, path, &mut found);
    }
    found
}

/// The places of a List's items, in order.
pub(super) fn item_places(text: &str) -> Vec<(u32, u32)> {
    let mut events = Parser::new_from_str(text);
    let mut places = Vec::new();
    if !matches!(root(&mut events), Some((Event::MappingStart(..), _))) {
        return places;
    }
    while let Some(Ok((key, _))) = events.next() {
        let is_items = matches!(&key, Event::Scalar(text, ..) if text == "items");
        if matches!(key, Event::MappingEnd) {
            break;
        }
        skip(&mut events, &key);
        let Some(Ok((value, _))) = events.next() else { break };
        if !is_items || !matches!(value, Event::SequenceStart(..)) {
            skip(&mut events, &value);
            continue;
        }
        while let Some(Ok((item, span))) = events.next() {
            if matches!(item, Event::SequenceEnd) {
                break;
            }
            places.push(place(&span));
            skip(&mut events, &item);
        }
    }
    places
}

pub(super) type Events<'a> = Parser<'a, StrInput<'a>>;

/// The first event of a document's root, and its place.
pub(super) fn root<'a>(events: &mut Events<'a>) -> Option<(Event<'a>, Span)> {
    while let Some(Ok((event, span))) = events.next() {
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd => return None,
            first => return Some((first, span)),
        }
    }
    None
}

pub(super) fn place(span: &Span) -> (u32, u32) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(span.start.line()), number(span.start.col() + 1))
}

pub(super) fn is_plain(event: &Event<'_>) -> bool {
    matches!(event, Event::Scalar(_, ScalarStyle::Plain, _, _))
}

/// Follows `path` below a node whose first event was just read, noting each part's place.
fn descend(events: &mut Events<'_>, first: &Event<'_>, span: Span, path: &[&Segment], found: &mut Found) {
    (found.line, found.column) = place(&span);
    found.plain_value = path.is_empty() && is_plain(first);
    let Some((step, rest)) = path.split_first() else { return };
    match (first, step) {
        (Event::MappingStart(..), Segment::Key(wanted)) => {
            while let Some(Ok((key, key_span))) = events.next() {
                let is_wanted = match &key {
                    Event::MappingEnd => return,
                    Event::Scalar(text, ..) => text == wanted,
                    _ => false,
                };
                skip(events, &key);
                let Some(Ok((value, span))) = events.next() else { return };
                if is_wanted {
                    let (line, column) = place(&key_span);
                    found.key = rest.is_empty().then(|| FoundKey { line, column, plain: is_plain(&key) });
                    // An empty value has no place of its own: point at its key.
                    let empty =
                        matches!(&value, Event::Scalar(text, ..) if text.is_empty() && span.is_empty());
                    return descend(events, &value, if empty { key_span } else { span }, rest, found);
                }
                skip(events, &value);
            }
        }
        (Event::SequenceStart(..), Segment::Index(wanted)) => {
            let mut index = 0;
            while let Some(Ok((item, span))) = events.next() {
                if matches!(item, Event::SequenceEnd) {
                    return;
                }
                if index == *wanted {
                    return descend(events, &item, span, rest, found);
                }
                skip(events, &item);
                index += 1;
            }
        }
        _ => {}
    }
}

/// Reads to the end of a node whose first event was just read.
fn skip(events: &mut Events<'_>, first: &Event<'_>) {
    let mut depth = i32::from(matches!(first, Event::MappingStart(..) | Event::SequenceStart(..)));
    while depth > 0 {
        match events.next() {
            Some(Ok((Event::MappingStart(..) | Event::SequenceStart(..), _))) => depth += 1,
            Some(Ok((Event::MappingEnd | Event::SequenceEnd, _))) => depth -= 1,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::FieldPath;

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
        for (path, expected) in rows {
            let segments: Vec<&Segment> = path.segments().iter().collect();
            let found = locate(text, &segments);
            assert_eq!((found.line, found.column), expected, "{path}");
        }
    }

    #[test]
    fn quotes_are_seen() {
        let text = "labels:\n  a: yes\n  'on': \"no\"\n";
        let labels = FieldPath::root().key("labels");
        for (key, plain_key, plain_value) in [("a", true, true), ("on", false, false), ("b", false, false)] {
            let path = labels.key(key);
            let found = locate(text, &path.segments().iter().collect::<Vec<_>>());
            let key_is_plain = found.key.is_some_and(|key| key.plain);
            assert_eq!((key_is_plain, found.plain_value), (plain_key, plain_value), "{key}");
        }
    }
}

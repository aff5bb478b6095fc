//! Finds a field's line and column. Only done for what is printed: the second parse costs nothing on the way to rules.

use saphyr_parser::{Event, Parser, Span};

use super::field_path::Segment;

/// Where the value of a path stands in a document: line and column from 1. A field that is not there has the place of
/// the deepest part of its path that is.
pub(super) fn locate(text: &str, path: &[&Segment]) -> (u32, u32) {
    let mut events = Parser::new_from_str(text);
    let mut best = (1, 1);
    while let Some(Ok((event, span))) = events.next() {
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            first => {
                descend(&mut events, &first, span, path, &mut best);
                break;
            }
        }
    }
    best
}

fn place(span: &Span) -> (u32, u32) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(span.start.line()), number(span.start.col() + 1))
}

type Events<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

/// Follows `path` below a node whose first event was just read, noting each part's place. Answers nothing once the
/// path ended or left the document.
fn descend(events: &mut Events<'_>, first: &Event<'_>, span: Span, path: &[&Segment], best: &mut (u32, u32)) {
    *best = place(&span);
    let Some((step, rest)) = path.split_first() else { return };
    match (first, step) {
        (Event::MappingStart(..), Segment::Key(wanted)) => {
            while let Some(Ok((key, key_span))) = events.next() {
                let found = match &key {
                    Event::MappingEnd => return,
                    Event::Scalar(text, ..) => text == wanted,
                    _ => false,
                };
                skip(events, &key);
                let Some(Ok((value, span))) = events.next() else { return };
                if found {
                    // An empty value has no place of its own: point at its key.
                    let empty =
                        matches!(&value, Event::Scalar(text, ..) if text.is_empty() && span.is_empty());
                    return descend(events, &value, if empty { key_span } else { span }, rest, best);
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
                    return descend(events, &item, span, rest, best);
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
            assert_eq!(locate(text, &segments), expected, "{path}");
        }
    }
}

//! A node of a document with all that is below it, each with its place. Built only to explain what could not be decoded.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::field_path::Segment;
use crate::source::outline::{Spot, spot};

/// A node and its place.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) at: Spot,
    pub(super) node: Node,
}

/// What stands there.
#[derive(Debug)]
pub(super) enum Node {
    Scalar(Scalar),
    List(Vec<Tree>),
    /// Keys that are scalars, with their values, as often as they stand there.
    Map(Vec<(Key, Tree)>),
    /// What is not looked into: an alias, or a key that is no scalar.
    Opaque,
}

/// A map's key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) at: Spot,
    pub(super) text: String,
}

/// A scalar by the type that YAML 1.2 gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Boolean(String),
    Integer(String),
    Float(String),
    String(String),
}

/// The node at a path, if the document can be parsed that far and has it.
pub(super) fn tree_at(text: &str, path: &[Segment]) -> Option<Tree> {
    let mut events = Parser::new_from_str(text);
    let (first, span) = root(&mut events)?;
    let mut tree = build(&mut events, first, span, 0)?;
    for step in path {
        tree = match (tree.node, step) {
            (Node::List(items), Segment::Index(index)) => items.into_iter().nth(*index)?,
            (Node::Map(entries), Segment::Key(key)) => entries.into_iter().find(|(k, _)| k.text == *key)?.1,
            _ => return None,
        };
    }
    Some(tree)
}

type Events<'a> = Parser<'a, StrInput<'a>>;

/// The first event of a document's root, and its place.
fn root<'a>(events: &mut Events<'a>) -> Option<(Event<'a>, Span)> {
    while let Some(Ok((event, span))) = events.next() {
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd => return None,
            first => return Some((first, span)),
        }
    }
    None
}

/// The deepest nesting that is looked into; no kind that is used comes near.
const DEPTH: usize = 100;

fn build(events: &mut Events<'_>, first: Event<'_>, span: Span, depth: usize) -> Option<Tree> {
    if depth > DEPTH {
        return None;
    }
    let at = spot(&span);
    let plain = matches!(first, Event::Scalar(_, ScalarStyle::Plain, _, _));
    let node = match first {
        Event::Scalar(text, _, _, tag) => Node::Scalar(resolve(&text, plain, tag.as_deref())),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match events.next()?.ok()? {
                    (Event::SequenceEnd, _) => break,
                    (event, span) => items.push(build(events, event, span, depth + 1)?),
                }
            }
            Node::List(items)
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                let (event, span) = events.next()?.ok()?;
                let text = match &event {
                    Event::MappingEnd => break,
                    Event::Scalar(text, ..) => Some(text.to_string()),
                    _ => None,
                };
                let key = build(events, event, span, depth + 1)?;
                let (event, span) = events.next()?.ok()?;
                let mut value = build(events, event, span, depth + 1)?;
                if matches!(&value.node, Node::Scalar(Scalar::Null)) && span.is_empty() {
                    // An empty value has no place of its own: point at its key.
                    value.at = key.at;
                }
                if let Some(text) = text {
                    entries.push((Key { at: key.at, text }, value));
                }
            }
            Node::Map(entries)
        }
        _ => Node::Opaque,
    };
    Some(Tree { at, node })
}

fn resolve(text: &str, plain: bool, tag: Option<&Tag>) -> Scalar {
    let own = || text.to_owned();
    if !plain || tag.is_some() {
        return Scalar::String(own());
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .any(|(prefix, radix)| unsigned.strip_prefix(prefix).is_some_and(|rest| digits(rest, radix)));
    let zero_led = unsigned.len() > 1 && unsigned.starts_with('0') && digits(unsigned, 10);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Scalar::Boolean(own()),
        _ if zero_led => Scalar::String(own()),
        _ if prefixed || digits(unsigned, 10) => Scalar::Integer(own()),
        _ => {
            let named = matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN");
            let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                && text.parse::<f64>().is_ok_and(f64::is_finite);
            if named || numeric { Scalar::Float(own()) } else { Scalar::String(own()) }
        }
    }
}

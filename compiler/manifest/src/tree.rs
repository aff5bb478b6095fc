//! A node of a document with all that is below it, each with its place. Built only to explain what could not be decoded,
//! and to see what merge keys merge.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_findings::Segment;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use crate::source::outline::{MERGE_KEY, Spot, spot};

/// A node and its place. A copy shares what is below it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) at: Spot,
    pub(super) node: Node,
}

/// What stands there.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Scalar(Scalar),
    List(Rc<Vec<Tree>>),
    /// Keys that are scalars, with their values, as often as they stand there; then what is merged.
    Map(Entries),
    /// An alias, by the parser's number of the anchor. It is not looked into.
    Alias(usize),
}

/// The entries of a map, in order.
pub(super) type Entries = Rc<Vec<(Key, Tree)>>;

/// A map's key.
#[derive(Debug, Clone)]
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

/// A merge key that must not be read, and why.
#[derive(Debug)]
pub(super) struct MergeFault {
    pub(super) at: Spot,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// The node at a path, if the document can be parsed that far and has it.
pub(super) fn tree_at(text: &str, path: &[Segment]) -> Option<Tree> {
    let mut tree = Builder::new(text).root()?;
    for step in path {
        tree = match (&tree.node, step) {
            (Node::List(items), Segment::Index(index)) => items.get(*index)?.clone(),
            (Node::Map(entries), Segment::Key(key)) => {
                entries.iter().find(|(k, _)| k.text == *key)?.1.clone()
            }
            _ => return None,
        };
    }
    Some(tree)
}

/// The first merge key of a document that must not be read. A key that is not told from a merge key, or not known here,
/// is one too: such keys mean nothing to Kubernetes.
pub(super) fn merge_fault(text: &str) -> Option<MergeFault> {
    let mut builder = Builder::new(text);
    builder.root();
    builder.fault
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// The maps that aliases may name.
    maps: BTreeMap<usize, Entries>,
    fault: Option<MergeFault>,
}

/// The deepest nesting that is looked into; no kind that is used comes near.
const DEPTH: usize = 100;

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Self { events: Parser::new_from_str(text), maps: BTreeMap::new(), fault: None }
    }

    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        self.events.next()?.ok()
    }

    /// The document's root.
    fn root(&mut self) -> Option<Tree> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => return None,
                (first, span) => return self.build(first, span, 0),
            }
        }
    }

    fn build(&mut self, first: Event<'_>, span: Span, depth: usize) -> Option<Tree> {
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
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.build(event, span, depth + 1)?),
                    }
                }
                Node::List(Rc::new(items))
            }
            Event::MappingStart(anchor, _) => {
                let entries = Rc::new(self.map(depth)?);
                self.maps.insert(anchor, Rc::clone(&entries));
                Node::Map(entries)
            }
            Event::Alias(anchor) => Node::Alias(anchor),
            _ => return None,
        };
        Some(Tree { at, node })
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(Key, Tree)>> {
        let mut entries: Vec<(Key, Tree)> = Vec::new();
        // The place of the merge key, how many entries stand before it, and what it merges.
        let mut merge: Option<(Spot, usize, Vec<Entries>)> = None;
        loop {
            let (event, span) = self.next()?;
            let (text, is_plain) = match &event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (Some(text.to_string()), *style == ScalarStyle::Plain),
                _ => (None, false),
            };
            let key = self.build(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut value = self.build(event, span, depth + 1)?;
            if matches!(&value.node, Node::Scalar(Scalar::Null)) && span.is_empty() {
                // An empty value has no place of its own: point at its key.
                value.at = key.at;
            }
            match text {
                Some(text) if text == MERGE_KEY && is_plain => {
                    if merge.is_some() {
                        let message = "`<<` stands twice in one map".to_owned();
                        self.refuse(key.at, message, "write one `<<` with a list of maps");
                    }
                    let sources = self.sources(&value);
                    merge.get_or_insert((key.at, entries.len(), sources));
                }
                Some(text) => {
                    if text == MERGE_KEY {
                        let message = "`<<` in quotes, in a document that has merge keys".to_owned();
                        self.refuse(key.at, message, "remove it: no field and no label is called so");
                    }
                    entries.push((Key { at: key.at, text }, value));
                }
                None => {
                    let message = "a key that is no scalar, in a document that has merge keys".to_owned();
                    self.refuse(key.at, message, "remove it: keys are strings to Kubernetes");
                }
            }
        }
        let Some((at, before, sources)) = merge else { return Some(entries) };
        let mut known: BTreeSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
        let early: BTreeSet<String> = entries.iter().take(before).map(|(key, _)| key.text.clone()).collect();
        for (key, value) in sources.iter().flat_map(|source| source.iter()) {
            if early.contains(&key.text) {
                let message = format!(
                    "`{}` stands before `<<`, which gives it too: kubectl takes what is merged, other programs what \
                     stands here",
                    key.text
                );
                self.refuse(at, message, "make `<<` the first key of its map");
            }
            if known.insert(key.text.clone()) {
                entries.push((key.clone(), value.clone()));
            }
        }
        Some(entries)
    }

    /// The maps that the value of a merge key names, in order.
    fn sources(&mut self, value: &Tree) -> Vec<Entries> {
        let items = match &value.node {
            Node::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let mut sources = Vec::new();
        for item in items {
            let map = match &item.node {
                Node::Map(entries) => Some(entries),
                Node::Alias(anchor) => self.maps.get(anchor),
                Node::Scalar(_) | Node::List(_) => None,
            };
            match map {
                Some(map) => sources.push(Rc::clone(map)),
                None => {
                    let message = "what `<<` merges is no map".to_owned();
                    self.refuse(item.at, message, "give it an alias of a map, or a list of such aliases");
                }
            }
        }
        sources
    }

    fn refuse(&mut self, at: Spot, message: String, help: &'static str) {
        self.fault.get_or_insert(MergeFault { at, message, help });
    }
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

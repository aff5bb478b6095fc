//! Where the parts of a document stand. Only made of documents that something is to be said of, and then once: a
//! document may have as many findings as it has lines.

#![expect(clippy::indexing_slicing, reason = "an outline's ids and ranges are of its own tables")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use chainmail_findings::FileId;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// The key of YAML 1.1 whose value, a map or a list of maps, gives a map what it does not have itself.
pub(crate) const MERGE_KEY: &str = "<<";

/// A node's place in an outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

/// A line and column of a document, from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A scalar with quotes or without, or something that is no scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    Plain,
    Quoted,
    Collection,
}

/// A key of a map with its value.
#[derive(Debug)]
pub(crate) struct Entry {
    key: Box<str>,
    pub(crate) at: Spot,
    pub(crate) writing: Writing,
    pub(crate) value: NodeId,
}

#[derive(Debug)]
struct Node {
    at: Spot,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Scalar(Writing),
    /// Places in `items`.
    List(Range<usize>),
    /// Places in `entries`, in order of keys; of equal keys the first is first.
    Map {
        entries: Range<usize>,
        merge: Option<NodeId>,
    },
    /// An alias, and the node that it stands for.
    Alias(Option<NodeId>),
}

/// All nodes of a document, as far as it can be parsed, and its lines.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    nodes: Vec<Node>,
    items: Vec<NodeId>,
    entries: Vec<Entry>,
    root: Option<NodeId>,
    /// Byte offsets of the lines' beginnings.
    lines: Vec<usize>,
}

/// A collection that is being read.
enum Open {
    List { node: NodeId, items: Vec<NodeId> },
    Map { node: NodeId, entries: Vec<Entry>, merge: Option<NodeId>, key: Option<Key> },
}

/// A key whose value is awaited.
enum Key {
    Scalar {
        text: Box<str>,
        at: Spot,
        writing: Writing,
    },
    /// A key that is no scalar has no name to be found by.
    Other,
}

impl Outline {
    /// Reads a document.
    pub(crate) fn of(text: &str) -> Self {
        let mut outline = Self::default();
        outline.lines.push(0);
        outline.lines.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let mut open: Vec<Open> = Vec::new();
        // By the parser's numbers, which begin at 1: 0 says that there is no anchor.
        let mut anchors: BTreeMap<usize, NodeId> = BTreeMap::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            let at = spot(&span);
            match event {
                Event::MappingStart(anchor, _) => {
                    let node = outline.node(at, Kind::Map { entries: 0..0, merge: None });
                    anchors.insert(anchor, node);
                    open.push(Open::Map { node, entries: Vec::new(), merge: None, key: None });
                }
                Event::SequenceStart(anchor, _) => {
                    let node = outline.node(at, Kind::List(0..0));
                    anchors.insert(anchor, node);
                    open.push(Open::List { node, items: Vec::new() });
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    if let Some(done) = open.pop() {
                        let node = outline.close(done);
                        outline.attach(&mut open, node, None);
                    }
                }
                Event::Scalar(text, style, anchor, _) => {
                    let writing = match style {
                        ScalarStyle::Plain => Writing::Plain,
                        _ => Writing::Quoted,
                    };
                    // An empty value has no place of its own: point at its key.
                    let key = match open.last() {
                        Some(Open::Map { key: Some(Key::Scalar { at, .. }), .. })
                            if text.is_empty() && span.is_empty() =>
                        {
                            Some(*at)
                        }
                        _ => None,
                    };
                    let node = outline.node(key.unwrap_or(at), Kind::Scalar(writing));
                    anchors.insert(anchor, node);
                    outline.attach(&mut open, node, Some((text.into(), writing)));
                }
                Event::Alias(anchor) => {
                    let node = outline.node(at, Kind::Alias(anchors.get(&anchor).copied()));
                    outline.attach(&mut open, node, None);
                }
                // What follows the first document is not this one's.
                Event::DocumentEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing | Event::StreamEnd => {}
            }
        }
        // A text that breaks off has its parts up to there.
        while let Some(done) = open.pop() {
            let node = outline.close(done);
            outline.attach(&mut open, node, None);
        }
        outline
    }

    fn node(&mut self, at: Spot, kind: Kind) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node { at, kind });
        id
    }

    fn close(&mut self, done: Open) -> NodeId {
        let (node, kind) = match done {
            Open::List { node, items } => {
                let first = self.items.len();
                self.items.extend(items);
                (node, Kind::List(first..self.items.len()))
            }
            Open::Map { node, mut entries, merge, .. } => {
                entries.sort_by(|a, b| a.key.cmp(&b.key));
                let first = self.entries.len();
                self.entries.extend(entries);
                (node, Kind::Map { entries: first..self.entries.len(), merge })
            }
        };
        self.nodes[node.0 as usize].kind = kind;
        node
    }

    /// Gives a whole node to what it is part of; `scalar` is its text and writing where it has some.
    fn attach(&mut self, open: &mut [Open], node: NodeId, scalar: Option<(Box<str>, Writing)>) {
        match open.last_mut() {
            None => self.root = self.root.or(Some(node)),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, merge, key, .. }) => match (key.take(), scalar) {
                (None, Some((text, writing))) => {
                    *key = Some(Key::Scalar { text, at: self.at(node), writing });
                }
                (None, None) => *key = Some(Key::Other),
                (Some(Key::Scalar { text, writing: Writing::Plain, .. }), _) if *text == *MERGE_KEY => {
                    *merge = merge.or(Some(node));
                }
                (Some(Key::Scalar { text, at, writing }), _) => {
                    entries.push(Entry { key: text, at, writing, value: node });
                }
                (Some(Key::Other), _) => {}
            },
        }
    }

    /// The document's root, where it has one.
    pub(crate) fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// Where a node begins.
    pub(crate) fn at(&self, node: NodeId) -> Spot {
        self.nodes[node.0 as usize].at
    }

    /// How a node was written.
    pub(crate) fn writing(&self, node: NodeId) -> Writing {
        match self.kind(node) {
            Kind::Scalar(writing) => *writing,
            Kind::List(_) | Kind::Map { .. } | Kind::Alias(_) => Writing::Collection,
        }
    }

    /// What a node is, or where it is an alias what it stands for.
    fn kind(&self, node: NodeId) -> &Kind {
        &self.nodes[self.target(node).0 as usize].kind
    }

    /// What an alias stands for; any other node itself.
    fn target(&self, node: NodeId) -> NodeId {
        match self.nodes[node.0 as usize].kind {
            Kind::Alias(Some(target)) => target,
            _ => node,
        }
    }

    /// The entry of a map's key; of two the first. A key that the map does not have itself is that of the first map it
    /// merges which has it.
    pub(crate) fn entry(&self, map: NodeId, key: &str) -> Option<&Entry> {
        let mut merged: Vec<NodeId> = Vec::new();
        let mut seen: BTreeSet<NodeId> = BTreeSet::new();
        let mut next = Some(map);
        while let Some(node) = next {
            match self.kind(node) {
                Kind::Map { entries, merge } => {
                    let entries = &self.entries[entries.clone()];
                    let first = entries.partition_point(|entry| *entry.key < *key);
                    if let Some(entry) = entries.get(first).filter(|entry| *entry.key == *key) {
                        return Some(entry);
                    }
                    // One look at each map is enough, however many aliases name it.
                    let merge = merge.iter().map(|merge| self.target(*merge));
                    merged.extend(merge.filter(|merge| seen.insert(*merge)));
                }
                Kind::List(items) if node != map => {
                    let first_of_each = |item: &&NodeId| seen.insert(self.target(**item));
                    let items: Vec<&NodeId> =
                        self.items[items.clone()].iter().filter(first_of_each).collect();
                    merged.extend(items.into_iter().rev());
                }
                Kind::List(_) | Kind::Scalar(_) | Kind::Alias(_) => {}
            }
            next = merged.pop();
        }
        None
    }

    /// The entry of a list.
    pub(crate) fn item(&self, list: NodeId, index: usize) -> Option<NodeId> {
        let Kind::List(range) = self.kind(list) else { return None };
        self.items[range.clone()].get(index).copied()
    }

    /// A line of the text that this is the outline of, from 1, without its end.
    pub(crate) fn line<'t>(&self, text: &'t [u8], line: u32) -> Option<&'t str> {
        let index = (line as usize).checked_sub(1)?;
        let begin = *self.lines.get(index)?;
        let end = self.lines.get(index + 1).copied().unwrap_or(text.len());
        let line = text.get(begin..end).filter(|line| !line.is_empty())?;
        let whole = line.strip_suffix(b"\n").unwrap_or(line);
        std::str::from_utf8(whole.strip_suffix(b"\r").unwrap_or(whole)).ok()
    }
}

/// Where what an event tells of begins.
pub(crate) fn spot(span: &Span) -> Spot {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Spot { line: number(span.start.line()), column: number(span.start.col() + 1) }
}

/// The outlines that were made so far, by what is theirs alone among the sources. A memory only: sources that are equal
/// are so whatever was asked of them.
#[derive(Debug, Default)]
pub(super) struct Outlines(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    outlines: BTreeMap<(FileId, usize), Arc<Outline>>,
    nodes: usize,
}

/// How many nodes are remembered before all are forgotten: 50 bytes each.
const REMEMBERED: usize = 1_000_000;

impl Outlines {
    pub(super) fn get(&self, key: (FileId, usize), text: &[u8]) -> Arc<Outline> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outline) = memory.outlines.get(&key) {
            return Arc::clone(outline);
        }
        if memory.nodes > REMEMBERED {
            *memory = Memory::default();
        }
        let outline = Arc::new(Outline::of(std::str::from_utf8(text).unwrap_or_default()));
        memory.nodes += outline.nodes.len();
        memory.outlines.insert(key, Arc::clone(&outline));
        outline
    }
}

impl Clone for Outlines {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Outlines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Outlines {}

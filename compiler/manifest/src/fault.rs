//! What keeps a document from being decoded, each fault with its place and in the project's words. Decoders stop at
//! the first and often cannot say where it is; this looks at the whole document again, once something is wrong.

use std::collections::BTreeMap;

use chainmail_findings::{Code, FieldPath, Segment, nearest};

use super::shape::{Entries, Others, Shape};
use super::tree::{Node, Scalar, Tree, tree_at};
use crate::source::outline::Spot;

/// One fault, and where in the document it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Spot,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Where the first of two equal keys stands.
    pub(super) first: Option<Spot>,
}

/// All faults of the node at `path`, in order. None where the text is no YAML, or where nothing is wrong that this
/// knows of.
pub(super) fn faults(text: &str, path: &[Segment], shape: &Shape) -> Vec<Fault> {
    let mut finder = Finder { faults: Vec::new() };
    if let Some(tree) = tree_at(text, path) {
        finder.check(&tree, shape, &FieldPath::root(), Entries::NeverNull);
    }
    finder.faults
}

struct Finder {
    faults: Vec<Fault>,
}

impl Finder {
    fn check(&mut self, tree: &Tree, shape: &Shape, path: &FieldPath, null: Entries) {
        let accepted = match (shape, &tree.node) {
            (Shape::Any, _) | (_, Node::Alias(_)) => true,
            (_, Node::Scalar(Scalar::Null)) => null == Entries::MayBeNull,
            (Shape::String, Node::Scalar(Scalar::String(_)))
            | (Shape::IntOrString, Node::Scalar(Scalar::String(_)))
            | (Shape::Boolean, Node::Scalar(Scalar::Boolean(_))) => true,
            (Shape::Integer | Shape::IntOrString, Node::Scalar(Scalar::Integer(text))) => {
                self.fits(tree, path, text);
                true
            }
            (Shape::Strings(null), Node::Map(entries)) => {
                self.keys(entries, path);
                for (key, value) in entries.iter() {
                    self.check(value, &Shape::String, &path.key(key.text.clone()), *null);
                }
                true
            }
            (Shape::Words, Node::Scalar(Scalar::String(_))) => true,
            (Shape::Words, Node::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.check(item, &Shape::String, &path.index(index), Entries::NeverNull);
                }
                true
            }
            (Shape::List(entry, null), Node::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.check(item, entry, &path.index(index), *null);
                }
                true
            }
            (Shape::Object(fields, others), Node::Map(entries)) => {
                self.object(entries, fields, *others, path);
                true
            }
            _ => false,
        };
        if !accepted {
            self.wrong_type(tree, shape, path);
        }
    }

    fn object(
        &mut self,
        entries: &[(super::tree::Key, Tree)],
        fields: &[(&'static str, Shape)],
        others: Others,
        path: &FieldPath,
    ) {
        self.keys(entries, path);
        for (key, value) in entries {
            if let Some((_, shape)) = fields.iter().find(|(name, _)| *name == key.text) {
                self.check(value, shape, &path.key(key.text.clone()), Entries::MayBeNull);
            } else if others == Others::Refused {
                let known = || fields.iter().map(|(name, _)| *name);
                let help = match nearest(&key.text, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known().count() > 6 => "see `kubectl explain networkpolicy`".to_owned(),
                    None => format!("the fields here are {}", known().collect::<Vec<_>>().join(", ")),
                };
                let message = format!("unknown field `{}`{}", key.text, within(path));
                self.push(key.at, Code::UnknownField, message, Some(help));
            }
        }
    }

    /// Reports keys that stand there twice.
    fn keys(&mut self, entries: &[(super::tree::Key, Tree)], path: &FieldPath) {
        let mut seen: BTreeMap<&str, Spot> = BTreeMap::new();
        for (key, _) in entries {
            if let Some(first) = seen.get(key.text.as_str()) {
                let message = format!("`{}` stands twice{}", key.text, within(path));
                self.push(key.at, Code::DuplicateKey, message, None);
                if let Some(fault) = self.faults.last_mut() {
                    fault.first = Some(*first);
                }
            } else {
                seen.insert(&key.text, key.at);
            }
        }
    }

    fn fits(&mut self, tree: &Tree, path: &FieldPath, text: &str) {
        let digits = text.trim_start_matches('+');
        let fits = ["0x", "0o", "0b"].iter().any(|prefix| digits.starts_with(prefix))
            || digits.parse::<i32>().is_ok();
        if !fits {
            let message = format!("{path} is {text}, which does not fit in 32 bits");
            self.push(tree.at, Code::WrongType, message, None);
        }
    }

    fn wrong_type(&mut self, tree: &Tree, shape: &Shape, path: &FieldPath) {
        let (found, text) = match &tree.node {
            Node::Scalar(Scalar::Null) => ("null".to_owned(), None),
            Node::Scalar(Scalar::Boolean(text)) => (format!("the boolean {text}"), Some(text)),
            Node::Scalar(Scalar::Integer(text) | Scalar::Float(text)) => {
                (format!("the number {text}"), Some(text))
            }
            Node::Scalar(Scalar::String(text)) => (format!("the string {text:?}"), Some(text)),
            Node::List(_) => ("a list".to_owned(), None),
            Node::Map(_) => ("a map".to_owned(), None),
            Node::Alias(_) => return,
        };
        let is_string = matches!(&tree.node, Node::Scalar(Scalar::String(_)));
        let wanted = match shape {
            Shape::Any => return,
            Shape::String => "a string",
            Shape::Integer => "a whole number",
            Shape::Boolean => "true or false",
            Shape::IntOrString => "a port's number or name",
            Shape::Strings(_) => "a map of strings",
            Shape::Words => "a string or a list of strings",
            Shape::List(..) => "a list",
            Shape::Object(..) => "a map",
        };
        let help = match (shape, text) {
            (Shape::String, Some(text)) => Some(format!("write \"{text}\" in quotes")),
            (Shape::String, None) if matches!(tree.node, Node::Scalar(Scalar::Null)) => {
                Some("write \"\" for the empty string".to_owned())
            }
            (Shape::Integer, Some(text)) if is_string && text.parse::<i32>().is_ok() => {
                Some("write the number without quotes".to_owned())
            }
            (Shape::List(..), _) if matches!(tree.node, Node::Map(_)) => {
                Some("begin each entry with `- `".to_owned())
            }
            (Shape::List(..), Some(text)) => Some(format!("write [{text:?}]")),
            (Shape::Object(..), _) if matches!(tree.node, Node::List(_)) => {
                Some("remove the `- `".to_owned())
            }
            _ => None,
        };
        let what = if path.segments().is_empty() { "the object".to_owned() } else { path.to_string() };
        let message = format!("{what} is {found}; it must be {wanted}");
        self.push(tree.at, Code::WrongType, message, help);
    }

    fn push(&mut self, at: Spot, code: Code, message: String, help: Option<String>) {
        self.faults.push(Fault { at, code, message, help, first: None });
    }
}

fn within(path: &FieldPath) -> String {
    if path.segments().is_empty() { String::new() } else { format!(" in {path}") }
}

//! Reads every document of the sources and sorts the objects by kind.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::document::{Document, split};
use super::field_path::{FieldPath, Segment};
use super::head::{Head, head};
use super::locate::locate;
use super::yaml::{self, DecodeError, Syntax};
use super::{Namespace, NetworkPolicy, Node, Pod};
use crate::diagnostic::{Code, Diagnostic, Findings, Place};
use crate::source::{FileId, SourceFile, Sources};

/// Where an object stands: a document of a file, or an item of a List in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    file: FileId,
    offset: usize,
    length: usize,
    lines_before: u32,
    item: Option<usize>,
}

impl ObjectRef {
    /// The place of one of the object's fields.
    #[must_use]
    pub fn place(&self, sources: &Sources, path: &FieldPath) -> Place {
        let file = sources.get(self.file);
        let text = file.bytes.get(self.offset..self.offset + self.length).unwrap_or_default();
        let text = std::str::from_utf8(text).unwrap_or_default();
        let items = self.item.map(|index| [Segment::Key("items".to_owned()), Segment::Index(index)]);
        let prefix = items.iter().flatten();
        let (line, column) = locate(text, &prefix.chain(path.segments()).collect::<Vec<_>>());
        self.at(file, line, column)
    }

    /// A place by line and column within the document.
    fn at(&self, file: &SourceFile, line: u32, column: u32) -> Place {
        let text = file.bytes.get(self.offset..).unwrap_or_default();
        let excerpt = String::from_utf8_lossy(text).lines().nth(line as usize - 1).map(ToOwned::to_owned);
        Place { file: file.path.clone(), line: self.lines_before + line, column, excerpt }
    }
}

/// An object with its place.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// What was read.
    pub object: T,
    /// Where it stands.
    pub at: ObjectRef,
}

/// All objects of the kinds that are used, in order of files and documents.
#[derive(Debug, Default)]
pub struct Manifests {
    /// v1 Namespaces.
    pub namespaces: Vec<Located<Namespace>>,
    /// v1 Pods.
    pub pods: Vec<Located<Pod>>,
    /// v1 Nodes.
    pub nodes: Vec<Located<Node>>,
    /// networking.k8s.io/v1 NetworkPolicies.
    pub policies: Vec<Located<NetworkPolicy>>,
    /// Objects of other kinds, counted by kind.
    pub others: BTreeMap<String, usize>,
    /// How many documents are no Kubernetes objects at all.
    pub not_objects: usize,
}

/// Reads all sources. What cannot be read is a finding, and the rest is read all the same.
#[must_use]
pub fn read(sources: &Sources) -> (Manifests, Findings) {
    let mut reader = Reader { sources, manifests: Manifests::default(), findings: Findings::default() };
    for (id, file) in sources.iter() {
        reader.file(id, file);
    }
    (reader.manifests, reader.findings)
}

#[derive(Deserialize)]
struct List {
    items: Option<Vec<yaml::Value>>,
}

struct Reader<'a> {
    sources: &'a Sources,
    manifests: Manifests,
    findings: Findings,
}

impl Reader<'_> {
    fn file(&mut self, id: FileId, file: &SourceFile) {
        let text = match std::str::from_utf8(&file.bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = file.bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
                let line = u32::try_from(line).unwrap_or(u32::MAX);
                let place = Place { file: file.path.clone(), line, column: 1, excerpt: None };
                let message = "the file is not UTF-8 text";
                self.findings.push(Diagnostic::new(Code::NotUtf8, Some(place), message));
                return;
            }
        };
        let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let text = &text[bom..];
        let json = file.path.ends_with(".json");
        let (syntax, documents) = if json {
            (Syntax::Json, vec![Document { text, lines_before: 0, offset: 0 }])
        } else {
            (Syntax::Yaml, split(text))
        };
        for Document { text, lines_before, offset } in documents {
            let at =
                ObjectRef { file: id, offset: offset + bom, length: text.len(), lines_before, item: None };
            match head(text, syntax) {
                Ok(head) => self.document(&head, at, text, syntax),
                Err(error) => self.refuse(at, error),
            }
        }
    }

    fn document(&mut self, head: &Head, at: ObjectRef, text: &str, syntax: Syntax) {
        if head.kind.as_ref().is_some_and(|kind| kind.0 == "List") {
            match yaml::decode::<List>(text, syntax) {
                Ok(list) => self.list(list, at),
                Err(error) => self.refuse(at, error),
            }
        } else {
            self.object(head, at, Decode::Text(text, syntax));
        }
    }

    fn list(&mut self, list: List, at: ObjectRef) {
        for (index, item) in list.items.unwrap_or_default().into_iter().enumerate() {
            let at = ObjectRef { item: Some(index), ..at };
            match yaml::decode_value::<Option<Head>>(item.clone()) {
                Ok(head) => self.object(&head.unwrap_or_default(), at, Decode::Value(item)),
                Err(error) => self.refuse(at, error),
            }
        }
    }

    fn object(&mut self, head: &Head, at: ObjectRef, decode: Decode<'_>) {
        let word = |text: &Option<super::Text>| text.as_ref().map_or(String::new(), |t| t.0.clone());
        let (api_version, kind) = (word(&head.api_version), word(&head.kind));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version.as_str()));
        match (group, version, kind.as_str()) {
            ("", "", "") => self.manifests.not_objects += 1,
            ("", "", _) => {
                let message = format!("{kind} has no apiVersion");
                self.report(Code::Required, at, &FieldPath::root(), message);
            }
            (_, _, "") => {
                let message = format!("an object of {api_version} has no kind");
                self.report(Code::Required, at, &FieldPath::root(), message);
            }
            ("", "v1", "Namespace") => {
                if let Some(object) = self.decode(at, decode) {
                    self.manifests.namespaces.push(object);
                }
            }
            ("", "v1", "Pod") => {
                if let Some(object) = self.decode(at, decode) {
                    self.manifests.pods.push(object);
                }
            }
            ("", "v1", "Node") => {
                if let Some(object) = self.decode(at, decode) {
                    self.manifests.nodes.push(object);
                }
            }
            ("networking.k8s.io", "v1", "NetworkPolicy") => {
                if let Some(object) = self.decode(at, decode) {
                    self.manifests.policies.push(object);
                }
            }
            (_, _, "NetworkPolicy") if matches!(group, "networking.k8s.io" | "extensions") => {
                let message = format!("NetworkPolicy of {api_version} is not supported");
                let diagnostic = self.diagnostic(
                    Code::UnsupportedVersion,
                    at,
                    &FieldPath::root().key("apiVersion"),
                    message,
                );
                self.findings.push(diagnostic.help("write apiVersion: networking.k8s.io/v1"));
            }
            _ => *self.manifests.others.entry(kind).or_default() += 1,
        }
    }

    fn decode<T: DeserializeOwned>(&mut self, at: ObjectRef, decode: Decode<'_>) -> Option<Located<T>> {
        let decoded = match decode {
            Decode::Text(text, syntax) => yaml::decode(text, syntax),
            Decode::Value(value) => yaml::decode_value(value),
        };
        match decoded {
            Ok(object) => Some(Located { object, at }),
            Err(error) => {
                self.refuse(at, error);
                None
            }
        }
    }

    fn refuse(&mut self, at: ObjectRef, error: DecodeError) {
        let place = match error.at {
            Some((line, column)) => at.at(self.sources.get(at.file), line.max(1), column.max(1)),
            None => at.place(self.sources, &FieldPath::root()),
        };
        self.findings.push(Diagnostic::new(error.code, Some(place), error.message));
    }

    fn report(&mut self, code: Code, at: ObjectRef, path: &FieldPath, message: String) {
        let diagnostic = self.diagnostic(code, at, path, message);
        self.findings.push(diagnostic);
    }

    fn diagnostic(&self, code: Code, at: ObjectRef, path: &FieldPath, message: String) -> Diagnostic {
        Diagnostic::new(code, Some(at.place(self.sources, path)), message)
    }
}

/// An object before it has a type.
enum Decode<'a> {
    Text(&'a str, Syntax),
    Value(yaml::Value),
}

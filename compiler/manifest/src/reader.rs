//! Reads documents and sorts their objects by kind.

use std::sync::Arc;

use chainmail_findings::{Code, Diagnostic, FieldPath, FileId, Findings, ObjectRef, Place, Places, Segment};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::decode_error::DecodeError;
use super::document::{Document, split, split_json};
use super::fault::faults;
use super::file::{self, DOCUMENT_BYTES, DOCUMENTS};
use super::flow_test::{FLOW_TEST, OWN_VERSION};
use super::head::{Head, head};
use super::kind::{Item, Kind, Used};
use super::locate::{item_places, locate};
use super::objects::{
    FLOW_FILE, LIVE_NAMESPACE_LEFT_OUT, LIVE_NODE_LEFT_OUT, LIVE_POD_LEFT_OUT, Located, Manifests,
    WORKLOAD_LEFT_OUT,
};
use super::places::{self, item_path};
use super::shape::{self, Shape};
use super::yaml::{self, Syntax};
use crate::source::outline::{Outline, Spot};
use crate::source::{STDIN_PATH, SourceFile, Sources};

/// A List. Other fields are refused: with `Items` in the place of `items` its objects would be left out without a word.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    #[serde(default, rename = "metadata")]
    _metadata: IgnoredAny,
    /// `null` is an empty list, as the API reads it.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    items: Option<Vec<yaml::Value>>,
}

/// An object of any kind that has items. kubectl takes these for objects, whatever the kind is called.
#[derive(Deserialize)]
struct Items {
    items: Vec<yaml::Value>,
}

/// An object before it has a type.
pub(super) enum Decode<'a> {
    /// A document, or an item of an inventory.
    Text(&'a str, Syntax),
    /// An item of the List that a text holds.
    Value { value: yaml::Value, text: &'a str, index: usize, document: ObjectRef },
}

/// Returns whether a document may have `items` at its root. Most documents of kinds that are not used have none, and decoding
/// one costs fifty times this look; in block style the root's keys have the indentation of the first one.
fn may_have_items(text: &str) -> bool {
    let is_key =
        |line: &&str| !matches!(line.trim_start().as_bytes().first(), None | Some(b'#' | b'-' | b'%'));
    let Some(first) = text.lines().find(is_key) else { return false };
    let depth = first.len() - first.trim_start_matches(' ').len();
    let at_root = |line: &str| {
        let key = line.get(depth..).unwrap_or_default().trim_start_matches(['"', '\'']);
        key.starts_with("items")
    };
    if first.trim_start().starts_with('{') { text.contains("items") } else { text.lines().any(at_root) }
}

/// What was read, and what is to be said about it.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    pub(super) manifests: Manifests,
    pub(super) findings: Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self { sources, manifests: Manifests::default(), findings: Findings::default() }
    }

    pub(super) fn extend(&mut self, other: Reader<'_>) {
        self.manifests.extend(other.manifests);
        self.findings.extend(other.findings);
    }

    pub(super) fn file(&mut self, id: FileId, file: &SourceFile) {
        let text = match std::str::from_utf8(&file.bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = file.bytes.iter().take(error.valid_up_to());
                let line = valid.filter(|b| **b == b'\n').count() + 1;
                self.not_utf8(id, u32::try_from(line).unwrap_or(u32::MAX));
                return;
            }
        };
        let whole = text.len();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let bom = whole - text.len();
        if file::is_lfs_pointer(text) {
            let document = Document { offset: bom, ..Document::only(text) };
            let place = self.sources.beginning(places::of_document(id, &document));
            let message = "the file is a pointer of Git LFS; what it stands for is not in the repository";
            let help = "keep manifests in Git itself: `git lfs migrate export --include=PATH`";
            self.findings.push(Diagnostic::new(Code::LfsPointer, Some(place), message).help(help));
            return;
        }
        let json = || serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
        // The name says what a file is in; standard input has none.
        let is_json = file.path.ends_with(".json")
            || file.path == STDIN_PATH && text.starts_with('{') && json().all(|value| value.is_ok());
        let (documents, syntax) = match is_json {
            true => (split_json(text), Syntax::Json),
            false => (split(text), Syntax::Yaml),
        };
        for document in documents.iter().take(DOCUMENTS) {
            let document = Document { offset: document.offset + bom, ..*document };
            self.whole(places::of_document(id, &document), document.text, syntax);
        }
        if let Some(next) = documents.get(DOCUMENTS) {
            let place = self.sources.beginning(places::of_document(id, next));
            let message = format!("the file has more than {DOCUMENTS} documents");
            let help = "make several files of it";
            self.findings.push(Diagnostic::new(Code::TooLarge, Some(place), message).help(help));
        }
    }

    pub(super) fn not_utf8(&mut self, id: FileId, line: u32) {
        let file = self.sources.path(id).to_owned();
        let place = Place { file, line, column: 1, excerpt: None };
        self.findings.push(Diagnostic::new(Code::NotUtf8, Some(place), "the file is not UTF-8 text"));
    }

    /// Reads a document, which may be a List.
    pub(super) fn whole(&mut self, at: ObjectRef, text: &str, syntax: Syntax) {
        if text.len() > DOCUMENT_BYTES && !self.sources.is_live(at) {
            return self.too_large(at);
        }
        match head(text, syntax) {
            Ok(head) => self.object(head, at, Decode::Text(text, syntax)),
            Err(error) => self.refuse(at, text, &[], &shape::HEAD, error),
        }
    }

    /// Reports a document or item that the API server would not take.
    pub(super) fn too_large(&mut self, at: ObjectRef) {
        let place = self.sources.beginning(at);
        let message =
            format!("the object has more than {DOCUMENT_BYTES} bytes, which the API server refuses");
        let help = "make several objects of it; a List of live objects is read with --inventory";
        self.findings.push(Diagnostic::new(Code::TooLarge, Some(place), message).help(help));
    }

    fn list(&mut self, at: ObjectRef, text: &str, syntax: Syntax, item: Option<&Item>) {
        let list = match yaml::decode::<List>(text, syntax) {
            Ok(list) => list,
            Err(error) => return self.refuse(at, text, &[], &shape::LIST, error),
        };
        self.items(at, text, list.items.unwrap_or_default(), item);
    }

    fn items(&mut self, at: ObjectRef, text: &str, items: Vec<yaml::Value>, item: Option<&Item>) {
        let lines = if self.sources.is_live(at) { item_places(text) } else { Vec::new() };
        let document = at;
        for (index, value) in items.into_iter().enumerate() {
            let at = places::of_item(at, index, lines.get(index).copied());
            let word = |key: &str| value.get(key).cloned();
            let head =
                [word("apiVersion"), word("kind")].map(|word| word.map(yaml::decode_value).transpose());
            match head {
                [Ok(api_version), Ok(kind)] => {
                    let head = Head { api_version: api_version.flatten(), kind: kind.flatten() };
                    self.object(head.or_item(item), at, Decode::Value { value, text, index, document });
                }
                [Err(error), _] | [_, Err(error)] => {
                    self.refuse(document, text, &item_path(index), &shape::HEAD, error);
                }
            }
        }
    }

    /// Takes an object in, by its kind.
    pub(super) fn object(&mut self, head: Head, at: ObjectRef, decode: Decode<'_>) {
        let kind = head.classify();
        let own = matches!(kind, Kind::Used(Used::FlowTest) | Kind::NotOurs);
        if self.sources.path(at.file).ends_with(FLOW_FILE) && !own {
            let place = self.sources.place(at, &FieldPath::root().key("kind"));
            let message = format!("a file called *{FLOW_FILE} holds objects of {OWN_VERSION} only");
            let help = format!(
                "begin it with `apiVersion: {OWN_VERSION}` and `kind: {FLOW_TEST}`, or rename the file"
            );
            self.manifests
                .flow_findings
                .push(Diagnostic::new(Code::UnknownKind, Some(place), message).help(help));
        }
        match kind {
            Kind::Used(used) => self.used(used, at, decode),
            Kind::List(item) => match decode {
                Decode::Text(text, syntax) => self.list(at, text, syntax, item.as_ref()),
                Decode::Value { .. } => {
                    self.report(Code::UnknownKind, at, "kind", "a List within a List is not read".to_owned());
                }
            },
            Kind::Other => {
                self.count(&head);
                if let Decode::Text(text, syntax) = decode
                    && may_have_items(text)
                    && let Ok(Items { items }) = yaml::decode(text, syntax)
                {
                    self.items(at, text, items, head.listed().as_ref());
                }
            }
            Kind::NotOurs => {
                let place = self.sources.place(at, &FieldPath::root().key("kind"));
                let message = format!("there is no kind {:?} of {}", head.kind(), head.api_version());
                let help = format!("the one kind is {FLOW_TEST}, of {OWN_VERSION}");
                let finding = Diagnostic::new(Code::UnknownKind, Some(place), message).help(help);
                self.manifests.flow_findings.push(finding);
            }
            Kind::Unsupported if self.sources.allows_unsupported(head.kind()) => self.count(&head),
            Kind::Unsupported => {
                let message =
                    format!("{} of {} changes traffic and is not supported", head.kind(), head.api_version());
                let help = format!("remove it, or leave it out with --allow-unsupported {}", head.kind());
                self.report_with_help(Code::UnsupportedKind, at, "kind", message, &help);
            }
            Kind::OldNetworkPolicy => {
                let message = format!("NetworkPolicy of {} is not supported", head.api_version());
                let help = "write apiVersion: networking.k8s.io/v1";
                self.report_with_help(Code::UnsupportedVersion, at, "apiVersion", message, help);
            }
            Kind::Unknown(nearest) => {
                let message = format!("{} has no kind {:?}", head.api_version(), head.kind());
                match nearest {
                    Some(near) => {
                        let help = format!("did you mean {near}?");
                        self.report_with_help(Code::UnknownKind, at, "kind", message, &help);
                    }
                    None => self.report(Code::UnknownKind, at, "kind", message),
                }
            }
            Kind::NoObject if self.sources.is_live(at) => {
                let message = "the item has neither apiVersion nor kind".to_owned();
                self.report(Code::Required, at, "kind", message);
            }
            Kind::NoObject => self.manifests.not_objects += 1,
            Kind::Unversioned => {
                self.report(Code::Required, at, "kind", format!("{} has no apiVersion", head.kind()));
            }
            Kind::Untyped => {
                let message = format!("an object of {} has no kind", head.api_version());
                self.report(Code::Required, at, "apiVersion", message);
            }
        }
    }

    fn count(&mut self, head: &Head) {
        *self.manifests.others.entry(head.kind().to_owned()).or_default() += 1;
    }

    fn used(&mut self, used: Used, at: ObjectRef, decode: Decode<'_>) {
        match used {
            Used::Namespace => {
                let object = self.decode_unless_live(at, decode, &shape::NAMESPACE, LIVE_NAMESPACE_LEFT_OUT);
                self.manifests.namespaces.extend(object);
            }
            Used::Node => {
                let object = self.decode_unless_live(at, decode, &shape::NODE, LIVE_NODE_LEFT_OUT);
                self.manifests.nodes.extend(object);
            }
            Used::Pod => {
                let object = self.decode_unless_live(at, decode, &shape::POD, LIVE_POD_LEFT_OUT);
                self.manifests.pods.extend(object);
            }
            Used::FlowTest => {
                let mut own = Reader::new(self.sources);
                let object = own.decode(at, decode, &shape::FLOW_TEST);
                self.manifests.flow_tests.extend(object);
                self.manifests.flow_findings.extend(own.findings);
            }
            Used::Workload(kind) => {
                let object = self.decode_or_leave_out(at, decode, &shape::WORKLOAD, WORKLOAD_LEFT_OUT);
                self.manifests.workloads.extend(object.map(|object| (kind, object)));
            }
            Used::NetworkPolicy if self.sources.is_live(at) => {
                let message = "a NetworkPolicy in an inventory".to_owned();
                let help = "policies are reviewed: put them in the repository, and only namespaces, nodes and pods here";
                self.report_with_help(Code::InventoryPolicy, at, "kind", message, help);
            }
            Used::NetworkPolicy => {
                let object = self.decode(at, decode, &shape::NETWORK_POLICY);
                self.manifests.policies.extend(object);
            }
        }
    }

    /// As [`Self::decode`]; a live object that is not as the API has it is left out.
    fn decode_unless_live<T: DeserializeOwned>(
        &mut self,
        at: ObjectRef,
        decode: Decode<'_>,
        shape: &Shape,
        consequence: &str,
    ) -> Option<Located<T>> {
        match self.sources.is_live(at) {
            true => self.decode_or_leave_out(at, decode, shape, consequence),
            false => self.decode(at, decode, shape),
        }
    }

    /// As [`Self::decode`], of an object without which the rules are none the worse: what is wrong is a warning.
    fn decode_or_leave_out<T: DeserializeOwned>(
        &mut self,
        at: ObjectRef,
        decode: Decode<'_>,
        shape: &Shape,
        consequence: &str,
    ) -> Option<Located<T>> {
        let mut own = Reader::new(self.sources);
        let object = own.decode(at, decode, shape);
        self.findings.extend(own.findings.leaving_out(consequence));
        object
    }

    fn decode<T: DeserializeOwned>(
        &mut self,
        at: ObjectRef,
        decode: Decode<'_>,
        shape: &Shape,
    ) -> Option<Located<T>> {
        let (decoded, document, text, path) = match decode {
            Decode::Text(text, syntax) => (yaml::decode(text, syntax), at, text, Vec::new()),
            Decode::Value { value, text, index, document } => {
                (yaml::decode_value(value), document, text, item_path(index).to_vec())
            }
        };
        match decoded {
            Ok(object) => Some(Located { object: Arc::new(object), at }),
            Err(error) => {
                self.refuse(document, text, &path, shape, error);
                None
            }
        }
    }

    /// Reports everything that is wrong with the node at `path` of a document's text, or where that is not known what the decoder says.
    pub(super) fn refuse(
        &mut self,
        at: ObjectRef,
        text: &str,
        path: &[Segment],
        shape: &Shape,
        error: DecodeError,
    ) {
        let found = match error.code {
            // What was not read to its end may come to far more than it shows.
            Code::TooComplex | Code::Syntax | Code::MergeKey | Code::YamlTag => Vec::new(),
            _ => faults(text, path, shape),
        };
        if found.is_empty() {
            let Spot { line, column } = error
                .at
                .or_else(|| locate(&Outline::of(text), path).map(|found| found.at))
                .unwrap_or(Spot { line: 1, column: 1 });
            let place = self.sources.within(at, Spot { line: line.max(1), column: column.max(1) });
            let help = error.help;
            self.push(Diagnostic::new(error.code, Some(place), error.message), help);
            return;
        }
        for fault in found {
            let place = self.sources.within(at, fault.at);
            let first = fault.first.map(|first| self.sources.within(at, first));
            let help = match first {
                Some(first) => Some(format!("the first one is at {first}; remove one of them")),
                None => fault.help,
            };
            self.push(Diagnostic::new(fault.code, Some(place), fault.message), help);
        }
    }

    fn push(&mut self, diagnostic: Diagnostic, help: Option<String>) {
        self.findings.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    fn report(&mut self, code: Code, at: ObjectRef, field: &'static str, message: String) {
        let place = self.sources.place(at, &FieldPath::root().key(field));
        self.findings.push(Diagnostic::new(code, Some(place), message));
    }

    fn report_with_help(
        &mut self,
        code: Code,
        at: ObjectRef,
        field: &'static str,
        message: String,
        help: &str,
    ) {
        let place = self.sources.place(at, &FieldPath::root().key(field));
        self.findings.push(Diagnostic::new(code, Some(place), message).help(help));
    }
}

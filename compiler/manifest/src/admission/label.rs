//! Label keys and values.

use chainmail_findings::{Code, FieldPath};
use chainmail_model::{LabelKey, Labels};

use super::Scope;
use super::name::is_dns_subdomain;
use super::written::{self, Part};
use crate::TextMap;

pub(super) const KEY_FORM: &str = "a key is [prefix/]name: the name at most 63 letters, digits, '-', '_' and '.', a letter or digit \
                        at each end; the prefix a DNS subdomain";
const VALUE_FORM: &str =
    "a value is empty, or at most 63 letters, digits, '-', '_' and '.', a letter or digit at each end";

/// Whether a text is the name part of a key, or a value that is not empty.
fn is_qualified_name(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether a text is `[prefix/]name`, as keys of labels are (`IsQualifiedName` of apimachinery).
pub(super) fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_qualified_name(name),
        None => is_qualified_name(text),
    }
}

/// A text as a label's key, if it is one.
fn parse_key(text: &str) -> Option<LabelKey> {
    is_key(text).then(|| LabelKey::admitted(text))
}

/// The key that a requirement names at `path`, if it is one.
pub(super) fn key(scope: &mut Scope<'_>, path: &FieldPath, text: &str) -> Option<LabelKey> {
    let key = parse_key(text);
    if key.is_none() {
        let message = format!("{text:?} cannot be a label's key");
        scope.report_with_help(Code::BadLabelKey, path, message, KEY_FORM);
    }
    key
}

/// Reports a value that a label cannot have.
pub(super) fn check_value(scope: &mut Scope<'_>, path: &FieldPath, text: &str) {
    written::check(scope, path, text, Part::Value);
    if !text.is_empty() && !is_qualified_name(text) {
        scope.report_with_help(
            Code::BadLabelValue,
            path,
            format!("{text:?} cannot be a label's value"),
            VALUE_FORM,
        );
    }
}

/// Keys and values of a map of labels at `path`.
pub(super) fn map(scope: &mut Scope<'_>, path: &FieldPath, map: Option<&TextMap>) -> Vec<(LabelKey, String)> {
    let mut labels = Vec::with_capacity(map.map_or(0, |map| map.0.len()));
    for (text, value) in map.iter().flat_map(|map| &map.0) {
        let path = path.key(text.clone());
        written::check(scope, &path, text, Part::Key);
        check_value(scope, &path, value);
        match parse_key(text) {
            Some(key) => labels.push((key, value.clone())),
            None => {
                let message = format!("{text:?} cannot be a label's key");
                scope.report_key(Code::BadLabelKey, &path, message, KEY_FORM);
            }
        }
    }
    labels
}

/// An object's labels.
pub(super) fn labels(scope: &mut Scope<'_>, labels: Option<&TextMap>) -> Labels {
    Labels::new(map(scope, &FieldPath::root().key("metadata").key("labels"), labels))
}

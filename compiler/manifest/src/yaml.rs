//! The one place that names the decoding libraries.

use chainmail_findings::Code;
use serde::de::DeserializeOwned;

use super::decode_error::DecodeError;
use super::guard::guard;
use super::merge::{Merges, merged};
use crate::source::outline::Spot;

/// Which grammar a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// YAML, of which JSON is nearly a part.
    Yaml,
    /// JSON.
    Json,
}

/// A value that was read but not yet given a type: an item of a List.
pub(super) type Value = serde_yaml::Value;

/// Decodes one document.
pub(super) fn decode<T: DeserializeOwned>(text: &str, syntax: Syntax) -> Result<T, DecodeError> {
    match syntax {
        Syntax::Yaml => {
            let decoded = match guard(text)? {
                Merges::None => serde_yaml::from_str(text),
                Merges::Some => {
                    serde_yaml::from_str(text).and_then(|value| serde_yaml::from_value(merged(value)))
                }
            };
            decoded.map_err(|e| yaml_error(&e))
        }
        Syntax::Json => serde_json::from_str(text).map_err(|e| json_error(&e)),
    }
}

/// Gives a value a type.
pub(super) fn decode_value<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    serde_yaml::from_value(value).map_err(|e| yaml_error(&e))
}

fn yaml_error(error: &serde_yaml::Error) -> DecodeError {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let at = error.location().map(|l| Spot { line: number(l.line()), column: number(l.column()) });
    classified(at, error.to_string())
}

/// What a JSON decoder says.
pub(super) fn json_error(error: &serde_json::Error) -> DecodeError {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    let at = Spot { line: number(error.line()), column: number(error.column()) };
    classified(Some(at), error.to_string())
}

/// Sorts a library's message by what it is about, and takes its own words for the place off its end.
fn classified(at: Option<Spot>, text: String) -> DecodeError {
    let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message).to_owned();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let code = if has(&["unknown field"]) {
        Code::UnknownField
    } else if has(&["duplicate field", "duplicate key", "duplicate entry"]) {
        Code::DuplicateKey
    } else if has(&["invalid type", "invalid value", "32 bits", "invalid length"]) {
        Code::WrongType
    } else if has(&["recursion limit", "repetition limit"]) {
        Code::TooComplex
    } else if has(&["missing field"]) {
        Code::Required
    } else {
        Code::Syntax
    };
    let help = (code == Code::Syntax).then(|| advice(&message)).flatten();
    DecodeError { at, code, message: plain_words(message), help }
}

/// The scanner's commonest complaints, said of the text and not of the scanner.
fn plain_words(message: String) -> String {
    let rows = [
        ("cannot start any token", "a tab or another character stands where YAML has no meaning for it"),
        ("did not find expected key", "a key is expected here; is the line indented like those above it?"),
        ("mapping values are not allowed", "a second `: ` in one line; put the value in quotes"),
        ("did not find expected ',' or", "the bracket is not closed"),
        ("found unexpected end of stream", "the text ends within a value; is a quote not closed?"),
        ("EOF while parsing", "the text ends before its last bracket is closed"),
        ("unknown anchor", "the alias names an anchor that is not there"),
    ];
    let row = rows.iter().find(|(theirs, _)| message.contains(theirs));
    row.map_or(message.clone(), |(_, ours)| (*ours).to_owned())
}

fn advice(message: &str) -> Option<String> {
    message.contains("cannot start any token").then(|| "indent with spaces, never with tabs".to_owned())
}

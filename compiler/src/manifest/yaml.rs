//! The one place that names the YAML library.

use serde::de::DeserializeOwned;

use crate::diagnostic::Code;

/// Which grammar a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// YAML, of which JSON is nearly a part.
    Yaml,
    /// JSON, by the file's name.
    Json,
}

/// A document that could not be decoded: where (line and column from 1, if known) and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DecodeError {
    pub(super) at: Option<(u32, u32)>,
    pub(super) code: Code,
    pub(super) message: String,
}

/// A value that was read but not yet given a type: an item of a List.
pub(super) type Value = serde_yaml::Value;

/// Decodes one document.
pub(super) fn decode<T: DeserializeOwned>(text: &str, syntax: Syntax) -> Result<T, DecodeError> {
    match syntax {
        Syntax::Yaml => serde_yaml::from_str(text).map_err(|e| yaml_error(&e)),
        Syntax::Json => serde_json::from_str(text).map_err(|e| json_error(&e)),
    }
}

/// Gives a value a type.
pub(super) fn decode_value<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    serde_yaml::from_value(value).map_err(|e| yaml_error(&e))
}

fn yaml_error(error: &serde_yaml::Error) -> DecodeError {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let at = error.location().map(|l| (number(l.line()), number(l.column())));
    classified(at, error.to_string())
}

fn json_error(error: &serde_json::Error) -> DecodeError {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    classified(Some((number(error.line()), number(error.column()))), error.to_string())
}

/// Sorts a library's message by what it is about, and takes its own words for the place off its end.
fn classified(at: Option<(u32, u32)>, text: String) -> DecodeError {
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let message = text[..end].to_owned();
    let code = if message.contains("unknown field") {
        Code::UnknownField
    } else if message.contains("invalid type")
        || message.contains("invalid value")
        || message.contains("32 bits")
    {
        Code::WrongType
    } else if message.contains("missing field") {
        Code::Required
    } else {
        Code::Syntax
    };
    DecodeError { at, code, message }
}

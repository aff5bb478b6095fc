//! What is wrong with a JSON document, without its content.

use std::fmt;

/// Why a JSON document cannot be used, and where. The parser's own message quotes keys and values, which may be content of a
/// file that the reader of the message may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonProblem {
    kind: Kind,
    line: usize,
    column: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CutOff,
    Syntax,
    Value,
}

impl From<&serde_json::Error> for JsonProblem {
    fn from(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let kind = match error.classify() {
            Category::Eof | Category::Io => Kind::CutOff,
            Category::Syntax => Kind::Syntax,
            Category::Data => Kind::Value,
        };
        Self { kind, line: error.line(), column: error.column() }
    }
}

impl fmt::Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, line, column } = self;
        let what = match kind {
            Kind::CutOff => "the text ends too early",
            Kind::Syntax => "this is no JSON",
            Kind::Value => "a key or value that is not expected",
        };
        write!(f, "{what}, line {line} column {column}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_not_quoted() {
        let read = |text: &str| {
            let error = serde_json::from_str::<std::collections::BTreeMap<String, u32>>(text).unwrap_err();
            JsonProblem::from(&error).to_string()
        };
        assert_eq!(read("{\"a\": \"SECRET\"}"), "a key or value that is not expected, line 1 column 14");
        assert_eq!(read("{\"a\": 1"), "the text ends too early, line 1 column 7");
        assert_eq!(read("root:SECRET:"), "this is no JSON, line 1 column 1");
    }
}

//! Merge keys, `<<`, as YAML 1.1 has them and kubectl reads them: a map's own fields stand, and of several maps that are
//! merged the first one that has a field gives it.
//!
//! kubectl's parser takes fields in the order of the text, so that a merged field replaces one that is written before
//! `<<`, where YAML 1.1 and other programs keep the written one. Such a map is refused: it has no one meaning.

use chainmail_findings::Code;

use super::decode_error::DecodeError;
use super::tree;
use super::yaml::Value;
use crate::source::outline::MERGE_KEY;

/// Whether a document has merge keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merges {
    None,
    Some,
}

/// Says which merge key of a document must not be read, if one must not. The document is one that [`super::guard`] has
/// read to its end: what its aliases come to is bounded.
pub(super) fn check(text: &str) -> Result<(), DecodeError> {
    match tree::merge_fault(text) {
        None => Ok(()),
        Some(fault) => Err(DecodeError {
            at: Some(fault.at),
            code: Code::MergeKey,
            message: fault.message,
            help: Some(fault.help.to_owned()),
        }),
    }
}

/// A document with all that its merge keys give.
pub(super) fn merged(value: Value) -> Value {
    match value {
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(merged).collect()),
        Value::Mapping(map) => {
            let mut whole = serde_yaml::Mapping::new();
            let mut sources = Vec::new();
            for (key, value) in map {
                match (key == MERGE_KEY, merged(value)) {
                    (false, value) => drop(whole.insert(key, value)),
                    (true, Value::Sequence(maps)) => sources.extend(maps),
                    (true, value) => sources.push(value),
                }
            }
            for source in sources {
                let Value::Mapping(fields) = source else { continue };
                for (key, value) in fields {
                    whole.entry(key).or_insert(value);
                }
            }
            Value::Mapping(whole)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Syntax, decode};

    #[test]
    fn maps_are_merged_as_kubectl_merges_them() {
        let rows = [
            ("a: &x {b: 1}\nc: {<<: *x, d: 2}", "c", "{b: 1, d: 2}"),
            ("a: &x {b: 1, d: 1}\nc: {<<: *x, d: 2}", "c", "{b: 1, d: 2}"),
            ("a: &x {b: 1}\ne: &y {b: 2, d: 2}\nc: {<<: [*x, *y]}", "c", "{b: 1, d: 2}"),
            ("c: {<<: [{b: 1}, {b: 2}]}", "c", "{b: 1}"),
            ("c: {<<: {<<: {b: 1, d: 1}, b: 2}, e: 3}", "c", "{b: 2, d: 1, e: 3}"),
            ("a: &x {b: {d: 1}}\nc: {<<: *x, b: {e: 2}}", "c", "{b: {e: 2}}"),
            ("a: &x {b: 1}\nc: [{<<: *x}, 2]", "c", "[{b: 1}, 2]"),
            ("a: &x {b: 1}\nc: {d: 2, <<: *x}", "c", "{d: 2, b: 1}"),
            ("c: <<", "c", "'<<'"),
            ("c: {'<<': 1}", "c", "{'<<': 1}"),
            ("c: {<<: []}", "c", "{}"),
        ];
        for (text, field, expected) in rows {
            let whole: Value = decode(text, Syntax::Yaml).unwrap();
            let expected: Value = serde_yaml::from_str(expected).unwrap();
            assert_eq!(whole[field], expected, "{text}");
        }
    }

    #[test]
    fn what_has_no_one_meaning_is_refused_with_its_place() {
        let rows = [
            ("a: &x {b: 1}\nc:\n  b: 2\n  <<: *x\n", (4, 3), "`b` stands before `<<`"),
            ("a: &x 1\nc:\n  <<: *x\n", (3, 7), "no map"),
            ("a: &x [{b: 1}]\nc:\n  <<: *x\n", (3, 7), "no map"),
            ("c:\n  <<: [[{b: 1}]]\n", (2, 8), "no map"),
            ("c:\n  <<:\n", (2, 3), "no map"),
            ("c:\n  <<: {a: 1}\n  <<: {b: 1}\n", (3, 3), "twice"),
            ("c: &x\n  <<: *x\n", (2, 7), "no map"),
            ("a: {<<: {b: 1}}\nc: {'<<': 1}\n", (2, 5), "in quotes"),
            ("a: {<<: {b: 1}}\n? [c]\n: 1\n", (2, 3), "no scalar"),
        ];
        for (text, (line, column), words) in rows {
            let error = decode::<Value>(text, Syntax::Yaml).unwrap_err();
            let at = error.at.map(|at| (at.line, at.column));
            assert_eq!((error.code, at), (Code::MergeKey, Some((line, column))), "{text}: {}", error.message);
            assert!(error.message.contains(words), "{text}: {}", error.message);
        }
    }
}

//! What a document is, read without parsing it where that is safe.

use serde::Deserialize;

use super::text::Text;
use super::yaml::{self, DecodeError, Syntax};

/// `apiVersion` and `kind` of a document, where it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) api_version: Option<Text>,
    pub(super) kind: Option<Text>,
}

/// Reads the head. Most documents are not of a kind that is used, and decoding one costs fifty times this scan.
pub(super) fn head(text: &str, syntax: Syntax) -> Result<Head, DecodeError> {
    match scan(text) {
        Some(head) if syntax == Syntax::Yaml => Ok(head),
        _ => yaml::decode::<Option<Head>>(text, syntax).map(Option::unwrap_or_default),
    }
}

/// The head of a document whose `apiVersion` and `kind` each stand on one line of their own at column 0, as plain
/// words; nothing where anything at column 0 could mean something else.
fn scan(text: &str) -> Option<Head> {
    let mut head = Head::default();
    for line in text.lines() {
        let first = *line.as_bytes().first().unwrap_or(&b' ');
        if matches!(first, b'{' | b'"' | b'\'' | b'?' | b'&' | b'!' | b'%' | b'[' | b'*' | b'<') {
            return None;
        }
        let slot = if let Some(value) = line.strip_prefix("kind:") {
            (&mut head.kind, value)
        } else if let Some(value) = line.strip_prefix("apiVersion:") {
            (&mut head.api_version, value)
        } else {
            continue;
        };
        let (slot, value) = slot;
        let word = value.strip_prefix(' ')?.trim();
        let plain = word.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-'))
            && !matches!(word.to_ascii_lowercase().as_str(), "true" | "false" | "null");
        if !plain || slot.is_some() {
            return None;
        }
        *slot = Some(Text(word.to_owned()));
    }
    (head.kind.is_some() && head.api_version.is_some()).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_agrees_with_the_parser_or_abstains() {
        let rows = [
            "apiVersion: v1\nkind: Pod\nmetadata:\n  kind: inner\n",
            "kind: Pod\napiVersion: networking.k8s.io/v1\n",
            "{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}\n",
            "apiVersion: v1\n\"kind\": Pod\n",
            "apiVersion: v1\nkind: Pod # note\n",
            "apiVersion: v1\nkind: 'Pod'\n",
            "apiVersion: v1\nkind: true\n",
            "a: 1\n",
            "- kind: Pod\n",
        ];
        for text in rows {
            if let Some(scanned) = scan(text) {
                let parsed = yaml::decode::<Head>(text, Syntax::Yaml).unwrap();
                assert_eq!(scanned, parsed, "{text}");
            }
        }
        assert!(scan(rows[0]).is_some(), "the common form is scanned");
    }
}

//! What a document is, read without parsing it where that is safe.

use serde::Deserialize;

use super::decode_error::DecodeError;
use super::guard::check_line_ends;
use super::kind::{Item, Kind, classify};
use super::text::Text;
use super::yaml::{self, Syntax};

/// `apiVersion` and `kind` of a document, where it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) api_version: Option<Text>,
    pub(super) kind: Option<Text>,
}

impl Head {
    /// What the object is.
    pub(super) fn classify(&self) -> Kind {
        classify(word(&self.api_version), word(&self.kind))
    }

    /// What the items of an object of this kind are, where it is a list by its name.
    pub(super) fn listed(&self) -> Option<Item> {
        let kind = self.kind().strip_suffix("List").filter(|item| !item.is_empty())?;
        Some(Item { api_version: self.api_version().to_owned(), kind: kind.to_owned() })
    }

    /// As an item of a list, of which it may leave out what the list says.
    pub(super) fn or_item(self, item: Option<&Item>) -> Self {
        let Some(item) = item else { return self };
        Self {
            api_version: self.api_version.or_else(|| Some(Text(item.api_version.clone()))),
            kind: self.kind.or_else(|| Some(Text(item.kind.clone()))),
        }
    }

    pub(super) fn api_version(&self) -> &str {
        word(&self.api_version)
    }

    pub(super) fn kind(&self) -> &str {
        word(&self.kind)
    }
}

fn word(text: &Option<Text>) -> &str {
    text.as_ref().map_or("", |text| text.0.as_str())
}

/// Reads the head. Most documents are not of a kind that is used, and decoding one costs fifty times this scan.
pub(super) fn head(text: &str, syntax: Syntax) -> Result<Head, DecodeError> {
    if syntax == Syntax::Yaml {
        check_line_ends(text)?;
    }
    match scan(text) {
        Some(head) if syntax == Syntax::Yaml => Ok(head),
        _ => yaml::decode::<Option<Head>>(text, syntax).map(Option::unwrap_or_default),
    }
}

/// The head of a document whose `apiVersion` and `kind` each stand on one line of their own at column 0, as plain
/// words; nothing where anything at column 0 could mean something else.
///
/// A quoted text may go on at column 0, and look like a key there. The true key is seen too, and then there are two: so
/// the root must begin at column 0, and every way to write a key there must be known or abstained from. Where there is
/// no true key the document is no object, and taken for one it does no harm.
pub(super) fn scan(text: &str) -> Option<Head> {
    let mut head = Head::default();
    let mut begun = false;
    for line in text.lines() {
        let first = *line.as_bytes().first().unwrap_or(&b' ');
        if matches!(
            first,
            b'{' | b'"' | b'\'' | b'?' | b'&' | b'!' | b'%' | b'[' | b'*' | b'<' | b'\t' | 0xef
        ) {
            return None;
        }
        if !begun {
            match line.strip_prefix("---").unwrap_or(line).trim() {
                "" => {}
                rest if rest.starts_with('#') => {}
                _ if matches!(first, b' ' | b'-') => return None,
                _ => begun = true,
            }
        }
        if line.starts_with("kind ") || line.starts_with("apiVersion ") {
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
        // Other blanks, such as U+00A0, are part of the word.
        let word = value.strip_prefix(' ')?.trim_matches([' ', '\t', '\r']);
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
    use proptest::prelude::*;

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
            "apiVersion: v1\u{a0}\nkind: Pod\n",
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

    /// Lines of which heads are made, and what could be taken for one.
    const LINES: &[&str] = &[
        "kind: Pod",
        "apiVersion: v1",
        "kind : Pod",
        "apiVersion : v1",
        "text: 'x\nkind: ConfigMap\napiVersion: v2\nx'",
        "  text: \"x\nkind: ConfigMap\napiVersion: v2\nx\"",
        "  kind: Pod",
        "  apiVersion: v1",
        "\"kind\": Pod",
        "'apiVersion': v1",
        "? kind",
        ": Pod",
        "&a kind: Pod",
        "!!str kind: Pod",
        "kind: \"Pod\"",
        "kind: Pod # note",
        "kind:",
        "kind:Pod",
        "metadata:",
        "  name: a",
        "text: \"begins",
        "ends\"",
        "text: 'begins",
        "ends'",
        "text: |",
        "  kind: inner",
        "# kind: Pod",
        "---",
        "--- # note",
        "",
        "{kind: Pod}",
        "- kind: Pod",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_scanned_is_what_is_parsed(lines in prop::collection::vec(prop::sample::select(LINES), 1..7)) {
            let text = lines.join("\n") + "\n";
            for document in crate::document::split(&text) {
                let Some(scanned) = scan(document.text) else { continue };
                if let Ok(parsed) = yaml::decode::<Option<Head>>(document.text, Syntax::Yaml) {
                    let parsed = parsed.unwrap_or_default();
                    let agree = |ours: &Option<Text>, theirs: &Option<Text>| theirs.is_none() || ours == theirs;
                    prop_assert!(agree(&scanned.kind, &parsed.kind), "{}", document.text);
                    prop_assert!(agree(&scanned.api_version, &parsed.api_version), "{}", document.text);
                }
            }
        }
    }
}

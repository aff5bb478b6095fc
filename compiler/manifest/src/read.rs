//! Reads every document of the sources.

use chainmail_findings::Findings;

use super::cache::Cache;
use super::reader::Reader;
use super::{Manifests, file, inventory};
use crate::source::{Inventory, Sources};

/// Reads all sources. What cannot be read is a finding, and the rest is read all the same.
#[must_use]
pub fn read(sources: &Sources) -> (Manifests, Findings) {
    read_with(sources, &mut Cache::none())
}

/// As [`read`]; what the cache has of a file is not read again.
#[must_use]
pub fn read_with(sources: &Sources, cache: &mut Cache) -> (Manifests, Findings) {
    let mut reader = Reader::new(sources);
    reader.findings.extend(file::refused(sources));
    for (id, file) in sources.iter() {
        let key = cache.key(sources, file);
        if let Some(kept) = key.as_ref().and_then(|key| cache.get(key, file)) {
            reader.manifests.extend(kept.in_file(id));
            continue;
        }
        let mut own = Reader::new(sources);
        own.file(id, file);
        // Findings name the file: they are found anew each time.
        if let Some(key) = key.filter(|_| own.findings.is_empty() && own.manifests.flow_findings.is_empty()) {
            cache.put(key, file, &own.manifests);
        }
        reader.extend(own);
    }
    for (id, inventory) in sources.inventories() {
        match cache.take_inventory(inventory.path()) {
            Some(kept) => reader.manifests.extend(kept.in_file(id)),
            None => reader.extend(inventory::read(sources, id, inventory)),
        }
    }
    (reader.manifests, reader.findings)
}

/// Reads one inventory by itself. What is wrong with an item is a finding, and the item is left out.
#[must_use]
pub fn read_inventory(inventory: Inventory) -> (Manifests, Findings) {
    read(&Sources::default().with_inventories([inventory]))
}

#[cfg(test)]
mod tests {
    use chainmail_findings::Code;

    use super::*;
    use crate::source::SourceFile;

    const POLICY: &str = r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p"},"spec":{"podSelector":{}}}"#;

    fn read_text(path: &str, text: &str) -> (Manifests, Findings) {
        read(&Sources::new(vec![SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }]))
    }

    #[test]
    fn no_spelling_of_a_list_hides_a_policy() {
        let policies = [
            format!("{{apiVersion: v1, kind: List, items: [{POLICY}]}}"),
            format!("apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n- {POLICY}\n"),
            format!("apiVersion: v1\nkind: ConfigMapList\nitems:\n- {POLICY}\n"),
            format!(" apiVersion: v1\n kind: ConfigMap\n 'items':\n - {POLICY}\n"),
            format!("{{apiVersion: example.com/v1, kind: Menu, items: [{POLICY}]}}"),
        ];
        for text in policies {
            let (manifests, findings) = read_text("a.yaml", &text);
            assert_eq!((manifests.policies.len(), findings.has_errors()), (1, false), "{text}");
        }
        let wrong = [
            (format!("{{apiVersion: v1, kind: List, Items: [{POLICY}]}}"), Code::UnknownField),
            (format!("apiVersion: v1\nkind: List\nitem:\n- {POLICY}\n"), Code::UnknownField),
            (
                format!("{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList, item: [{POLICY}]}}"),
                Code::UnknownField,
            ),
            ("{apiVersion: v1, kind: List}".to_owned(), Code::Required),
        ];
        for (text, code) in wrong {
            let (manifests, findings) = read_text("a.yaml", &text);
            assert!(manifests.policies.is_empty() && findings.has(code), "{text}: {findings:?}");
        }
        let others = [
            "{apiVersion: v1, kind: List, items: null}",
            "{apiVersion: v1, kind: ConfigMapList, items: [{metadata: {name: a}}]}",
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  items: a\n",
            "apiVersion: example.com/v1\nkind: Menu\nitems: 3\n",
        ];
        for text in others {
            let (manifests, findings) = read_text("a.yaml", text);
            assert!(manifests.policies.is_empty() && findings.is_empty(), "{text}: {findings:?}");
        }
    }

    #[test]
    fn a_comment_hides_nothing() {
        for odd in ['\u{85}', '\u{2028}', '\u{2029}'] {
            let text = format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec:\n  podSelector: \
                 {{}} # closed{odd}  ingress: [{{}}]\n"
            );
            let (manifests, findings) = read_text("a.yaml", &text);
            assert!(manifests.policies.is_empty() && findings.has(Code::Syntax), "{findings:?}");
        }
    }
}

//! Snapshots among the manifests.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

/// A value of JSON by its fields.
type Fields = BTreeMap<String, IgnoredAny>;

/// The fields that an object of Kubernetes has and no file of a snapshot.
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "items"];

/// Returns whether a file is a part of a snapshot that `chainmail compile` wrote: a repository may keep snapshots beside its
/// manifests, and two files of each node's folder end in `.json`. Its content decides too, so that no manifest is left out
/// for its path.
pub(super) fn is_part(path: &str, bytes: &[u8]) -> bool {
    let in_nodes = |above: &str| above == "nodes" || above.ends_with("/nodes");
    let folders = path.rsplit_once('/').and_then(|(folder, file)| Some((folder.rsplit_once('/')?.0, file)));
    let Some((above, file)) = folders else { return false };
    let is_no_object = |fields: &Fields| OF_OBJECTS.iter().all(|field| !fields.contains_key(*field));
    match file {
        _ if !in_nodes(above) => false,
        "manifest.json" => serde_json::from_slice(bytes).is_ok_and(|fields: Fields| is_no_object(&fields)),
        "provenance.json" => {
            serde_json::from_slice(bytes).is_ok_and(|rules: Vec<Fields>| rules.iter().all(is_no_object))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_content_tell_a_part_of_a_snapshot() {
        let manifest = r#"{"format": 1, "node": "n1", "digest": "0"}"#;
        let rows = [
            ("nodes/n1/manifest.json", manifest, true),
            ("snapshots/nodes/n1/provenance.json", r#"[{"family": "v4", "from": []}]"#, true),
            ("snapshots/nodes/n1/provenance.json", "[]", true),
            ("snapshots/nodes/n1/provenance.json", "{}", false),
            ("snapshots/nodes/n1/provenance.json", r#"[{"kind": "Pod"}]"#, false),
            ("nodes/manifest.json", manifest, false),
            ("mynodes/n1/manifest.json", manifest, false),
            ("nodes/n1/pods.json", manifest, false),
            ("nodes/n1/manifest.json", r#"{"apiVersion": "v1", "kind": "Pod"}"#, false),
            ("nodes/n1/manifest.json", r#"{"kind": "Pod"}"#, false),
            ("nodes/n1/manifest.json", r#"{"items": []}"#, false),
            ("nodes/n1/manifest.json", r#"{} {"kind": "Pod"}"#, false),
            ("nodes/n1/manifest.json", r#"[{"kind": "Pod"}]"#, false),
            ("nodes/n1/manifest.json", "kind: Pod", false),
        ];
        for (path, text, expected) in rows {
            assert_eq!(is_part(path, text.as_bytes()), expected, "{path} {text}");
        }
    }
}

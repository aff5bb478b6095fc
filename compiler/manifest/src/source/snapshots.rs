//! Snapshots among the manifests.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What an object of Kubernetes has and no file of a snapshot.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    items: Option<IgnoredAny>,
}

/// Returns whether a file is a part of a snapshot that `chainmail compile` wrote: a repository may keep snapshots beside its
/// manifests, and two files of each node's folder end in `.json`. Its content decides too, so that no manifest is left out
/// for its path.
pub(super) fn is_part(path: &str, bytes: &[u8]) -> bool {
    let in_nodes = |above: &str| above == "nodes" || above.ends_with("/nodes");
    let folders = path.rsplit_once('/').and_then(|(folder, file)| Some((folder.rsplit_once('/')?.0, file)));
    let is_named_so = folders
        .is_some_and(|(above, file)| in_nodes(above) && matches!(file, "manifest.json" | "provenance.json"));
    let is_no_object = |bytes| {
        let fields: Result<Fields, _> = serde_json::from_slice(bytes);
        fields.is_ok_and(|Fields { api_version, kind, items }| {
            api_version.is_none() && kind.is_none() && items.is_none()
        })
    };
    is_named_so && is_no_object(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_content_tell_a_part_of_a_snapshot() {
        let manifest = r#"{"format": 1, "node": "n1", "digest": "0"}"#;
        let rows = [
            ("nodes/n1/manifest.json", manifest, true),
            ("snapshots/nodes/n1/provenance.json", "{}", true),
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

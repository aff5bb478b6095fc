//! How objects are laid out in files.

use chainmail_manifest::source::{SourceFile, Sources};
use serde_json::{Value, json};

/// A way to write objects down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// One YAML file, a document each.
    Documents,
    /// One YAML file with a List, as `kubectl get -o yaml` prints it.
    List,
    /// A YAML file each, in folders.
    Folders,
    /// A JSON file each.
    Json,
    /// One JSON file with a List.
    JsonList,
}

impl Layout {
    /// All of them.
    pub const ALL: [Layout; 5] =
        [Layout::Documents, Layout::List, Layout::Folders, Layout::Json, Layout::JsonList];

    /// The files.
    #[must_use]
    pub fn sources(self, objects: &[Value]) -> Sources {
        let file = |path: String, text: String| SourceFile { path, bytes: text.into_bytes() };
        let list = || json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let numbered = objects.iter().enumerate();
        let files = match self {
            Layout::Documents => vec![file("all.yaml".to_owned(), documents(objects))],
            Layout::List => vec![file("list.yaml".to_owned(), yaml(&list()))],
            Layout::Folders => numbered
                .map(|(number, object)| {
                    let kind = object["kind"].as_str().unwrap_or("other");
                    file(format!("{kind}/{}/{number}.yml", number % 3), yaml(object))
                })
                .collect(),
            Layout::Json => {
                numbered.map(|(number, object)| file(format!("{number}.json"), object.to_string())).collect()
            }
            Layout::JsonList => vec![file("list.json".to_owned(), format!("{:#}", list()))],
        };
        Sources::new(files)
    }
}

/// Objects as YAML documents.
#[must_use]
pub fn documents(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{}", yaml(object))).collect()
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).expect("JSON has only string keys")
}

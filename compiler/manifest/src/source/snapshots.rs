//! Snapshots among the manifests.

use std::collections::BTreeMap;

/// Leaves out what `chainmail compile` wrote: a repository may keep its snapshots beside its manifests, and two files of
/// each node's folder end in `.json`.
pub(super) fn leave_out<T>(files: &mut Vec<T>, path: impl Fn(&T) -> &String) {
    const PAIR: [&str; 2] = ["manifest.json", "provenance.json"];
    let node_folder = |path: &str| {
        let (folder, file) = path.rsplit_once('/')?;
        let (above, _node) = folder.rsplit_once('/')?;
        let in_nodes = above == "nodes" || above.ends_with("/nodes");
        (in_nodes && PAIR.contains(&file)).then(|| folder.to_owned())
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for folder in files.iter().filter_map(|file| node_folder(path(file))) {
        *seen.entry(folder).or_default() += 1;
    }
    files.retain(|file| {
        node_folder(path(file)).is_none_or(|folder| seen.get(&folder).is_none_or(|files| *files < PAIR.len()))
    });
}

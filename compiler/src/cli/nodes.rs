//! Which nodes a command works on.

use chainmail_contract::NodeName;
use chainmail_model::{Cluster, Node, Os};

use super::{Exit, Failure};

/// The nodes of these names, or all that get a snapshot; in order of names.
pub(super) fn selected<'c>(cluster: &'c Cluster, wanted: &[NodeName]) -> Result<Vec<&'c Node>, Failure> {
    let all: Vec<&Node> = cluster.linux_nodes().collect();
    for name in wanted {
        let problem = match cluster.node(name) {
            None => "is not in the manifests",
            Some(node) if node.os == Os::Windows => "runs Windows and gets no snapshot",
            Some(_) => continue,
        };
        let known: Vec<&str> = all.iter().map(|node| node.name.as_str()).collect();
        return Err(Failure::usage(format!("node {name} {problem}; known are: {}", known.join(", "))));
    }
    if all.is_empty() {
        let message =
            "the manifests name no Linux node, so there is nothing to compile; is this the right folder?";
        return Err(Failure { exit: Exit::Input, message: message.to_owned() });
    }
    Ok(all.into_iter().filter(|node| wanted.is_empty() || wanted.contains(&node.name)).collect())
}

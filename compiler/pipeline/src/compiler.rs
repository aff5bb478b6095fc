//! From a cluster to snapshots, and back from their text.

use std::collections::BTreeMap;

use chainmail_contract::{Date, NodeName, NodeSnapshot};
use chainmail_findings::Places;
use chainmail_lower::Lowering;
use chainmail_lower::policy::{PodSets, allowed_traffic};
use chainmail_lower::render::{Origins, SetTexts, node_snapshot};
use chainmail_manifest::source::Sources;
use chainmail_model::{Cluster, Cost, Node};
use chainmail_review::lint::{self, Linted};
use chainmail_review::query::{EngineError, RulesEngine};
use chainmail_verdict::{Kernel, ReadError, Sets};

use super::Loaded;

/// Compiles a cluster node by node; what nodes share is worked out once.
pub struct Compiler<'a> {
    cluster: &'a Cluster,
    places: &'a dyn Places,
    lowering: Lowering<'a>,
    set_texts: SetTexts,
    origins: Origins,
}

impl<'a> Compiler<'a> {
    /// Prepares to compile a cluster that was loaded from these sources without errors.
    #[must_use]
    pub fn new(cluster: &'a Cluster, places: &'a dyn Places) -> Self {
        let mut pod_sets = PodSets::default();
        let traffic = allowed_traffic(cluster, &mut pod_sets);
        let lowering = Lowering::new(cluster, traffic, pod_sets);
        Self { cluster, places, lowering, set_texts: SetTexts::new(), origins: Origins::new() }
    }

    /// The nodes that get a snapshot, in order of names: those that run Linux.
    pub fn nodes(&self) -> impl Iterator<Item = &'a Node> + use<'a> {
        self.cluster.linux_nodes()
    }

    /// What each node's rules cost.
    pub fn costs(&mut self) -> BTreeMap<NodeName, Cost> {
        let nodes = self.cluster.linux_nodes();
        nodes.map(|node| (node.name.clone(), self.lowering.node(node).cost())).collect()
    }

    /// A node's snapshot.
    pub fn snapshot(&mut self, node: &Node) -> NodeSnapshot {
        let program = self.lowering.node(node);
        node_snapshot(&program, self.cluster, self.places, &mut self.set_texts, &mut self.origins)
    }

    /// Compiles every node and reads its text back. `cluster` is the one that is asked about: this one, or with pods that
    /// its workloads will have.
    ///
    /// # Errors
    /// When a text is not what a kernel would load.
    pub fn engine<'c>(&mut self, cluster: &'c Cluster) -> Result<RulesEngine<'c>, EngineError> {
        let nodes: Vec<&Node> = self.nodes().collect();
        self.engine_of(cluster, nodes)
    }

    /// As [`Self::engine`], of some nodes: all that forward whatever will be asked.
    ///
    /// # Errors
    /// When a text is not what a kernel would load.
    pub fn engine_of<'c, 'n>(
        &mut self,
        cluster: &'c Cluster,
        nodes: impl IntoIterator<Item = &'n Node>,
    ) -> Result<RulesEngine<'c>, EngineError> {
        let mut kernels = BTreeMap::new();
        for node in nodes {
            kernels.insert(node.name.clone(), kernel_of(&self.snapshot(node))?);
        }
        Ok(RulesEngine::new(cluster, kernels))
    }
}

/// Reads a snapshot's text back.
///
/// # Errors
/// When the text is not what a kernel would load.
pub fn kernel_of(snapshot: &NodeSnapshot) -> Result<Kernel, EngineError> {
    let node = &snapshot.manifest.node;
    let sets = Sets::parse(&snapshot.sets.values().map(AsRef::as_ref).collect::<String>());
    let rules = [&*snapshot.rules_v4, &*snapshot.rules_v6];
    let kernel = sets.map_err(ReadError::Parse).and_then(|sets| Kernel::read(rules, sets));
    kernel.map_err(|source| EngineError::Read { node: node.clone(), source })
}

/// What all lints say of manifests that were loaded without errors, on a day.
#[must_use]
pub fn lint_all(loaded: &Loaded, sources: &Sources, today: Date) -> Linted {
    let Loaded { cluster, lint, waivers, .. } = loaded;
    let costs = Compiler::new(cluster, sources).costs();
    lint::lint_all(cluster, sources, lint, &costs, waivers, today)
}

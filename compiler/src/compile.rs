//! The pipeline from end to end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chainmail_snapshot::{Date, NodeName, NodeSnapshot};
use chainmail_verdict::{Kernel, ReadError, Sets};

use crate::admission::admit;
use crate::cluster::{Cluster, Cost, FlowTest, LintSettings, Node, Waiver};
use crate::diagnostic::{Findings, Places};
use crate::lint::{self, Linted};
use crate::lower::Lowering;
use crate::manifest::{self, Cache, Located};
use crate::policy::{self, PodSets, allowed_traffic};
use crate::query::{EngineError, RulesEngine};
use crate::render::{Origins, SetTexts, node_snapshot};
use crate::source::Sources;

/// What the sources say, and what is to be said about them.
#[derive(Debug)]
pub struct Loaded {
    /// The cluster. Where the findings have errors it is incomplete and must not be compiled.
    pub cluster: Cluster,
    /// Everything that was found.
    pub findings: Findings,
    /// How the repository wants lints reported.
    pub lint: LintSettings,
    /// The exceptions that its team has agreed on.
    pub waivers: Vec<Waiver>,
    /// Expected flows, from which no rule is made.
    pub flow_tests: Vec<FlowTest>,
    /// What is wrong with those.
    pub flow_findings: Findings,
    /// Objects of kinds that are not used, counted by kind.
    pub other_kinds: BTreeMap<String, usize>,
    /// How many documents are no Kubernetes objects.
    pub not_objects: usize,
}

/// Reads and admits the sources, and gives each node the settings that its repository has for it.
#[must_use]
pub fn load(sources: &Sources) -> Loaded {
    load_with(sources, &mut Cache::none())
}

/// As [`load`]; what the cache has of a file is not read again.
#[must_use]
pub fn load_with(sources: &Sources, cache: &mut Cache) -> Loaded {
    let (config, mut findings) = sources.read_config().cloned().unwrap_or_default();
    let (manifests, reading) = manifest::read_with(sources, cache);
    findings.extend(reading);
    let (mut cluster, admission) = admit(&manifests, sources);
    findings.extend(admission);
    findings.extend(config.apply(&mut cluster));
    if !findings.has_errors()
        && let Some(finding) = policy::limits::check(&cluster, sources)
    {
        findings.push(finding);
    }
    let lint = config.lint().clone();
    let waivers = config.waivers().to_vec();
    Loaded {
        cluster,
        findings,
        lint,
        waivers,
        flow_tests: manifests.flow_tests.iter().map(Located::to_model).collect(),
        flow_findings: manifests.flow_findings,
        other_kinds: manifests.others,
        not_objects: manifests.not_objects,
    }
}

/// What is to be said of questions about a cluster: they are asked of the pods too that its workloads will have, and with
/// those its policies may come to more than memory holds.
#[must_use]
pub fn check_questions(loaded: &Loaded, sources: &Sources) -> Findings {
    let mut findings = Findings::default();
    if let Cow::Owned(cluster) = loaded.cluster.with_assumed_pods()
        && let Some(finding) = policy::limits::check(&cluster, sources)
    {
        findings.push(finding);
    }
    findings
}

/// What all lints say of manifests that were loaded without errors, on a day.
#[must_use]
pub fn lint_all(loaded: &Loaded, sources: &Sources, today: Date) -> Linted {
    let Loaded { cluster, lint, waivers, .. } = loaded;
    let costs = Compiler::new(cluster, sources).costs();
    lint::lint_all(cluster, sources, lint, &costs, waivers, today)
}

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

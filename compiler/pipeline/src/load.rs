//! From files to a cluster and what is to be said of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chainmail_findings::Findings;
use chainmail_lower::policy;
use chainmail_manifest::admission::admit;
use chainmail_manifest::source::Sources;
use chainmail_manifest::{Cache, Located, read_with};
use chainmail_model::{Cluster, FlowTest, LintSettings, Waiver};

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
    let (manifests, reading) = read_with(sources, cache);
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

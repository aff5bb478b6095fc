//! Who may talk to whom: every pair of some ends.

mod alike;
mod csv;
mod fold;
mod json;
mod list;
mod picture;

use std::collections::BTreeMap;

use chainmail_contract::Family;
use chainmail_model::semantics::Service;
use chainmail_model::{Cluster, Owner, PodRef, WorkloadRef};
use thiserror::Error;

use super::allowed::{Allowed, Finder};
use super::{End, Engine, EngineError};
use crate::effort::Effort;

/// What is asked of each pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Which services are allowed.
    Services,
    /// Whether this one is.
    Service(Service),
}

/// The answer about one pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Both are the same end; a pod always reaches itself.
    Itself,
    /// What is allowed, by the families that both ends have; empty where they have none in common. Of one service, it
    /// or nothing.
    Allowed(BTreeMap<Family, Allowed>),
}

/// The answers about all pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// What was asked.
    pub question: Question,
    /// The rows.
    pub sources: Vec<End>,
    /// The columns.
    pub destinations: Vec<End>,
    /// Row after row, as many as destinations in each.
    answers: Vec<Answer>,
    /// Whose pods the ends are, and how many pods that workload has that could be asked about.
    workloads: BTreeMap<PodRef, (WorkloadRef, usize)>,
}

/// More pairs than may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{sources} sources times {destinations} destinations are {pairs} pairs, and at most {limit} are asked", pairs = sources.saturating_mul(*destinations))]
pub struct TooMany {
    sources: usize,
    destinations: usize,
    limit: usize,
}

impl TooMany {
    /// Refuses more than `limit` pairs.
    ///
    /// # Errors
    /// When there are more.
    pub fn refuse(sources: usize, destinations: usize, limit: usize) -> Result<(), TooMany> {
        let too_many = TooMany { sources, destinations, limit };
        if sources.saturating_mul(destinations) > limit { Err(too_many) } else { Ok(()) }
    }
}

/// Asks about every pair. A network outside that is answered as the wider one around it is, is left out.
///
/// # Errors
/// As [`Engine::judge`], and when the answer takes more steps than it may.
pub fn matrix(
    cluster: &Cluster,
    engine: &Engine<'_>,
    question: Question,
    sources: Vec<End>,
    destinations: Vec<End>,
    effort: &mut Effort,
) -> Result<Matrix, EngineError> {
    let mut finder = Finder::new(cluster, engine, effort);
    let mut answers = Vec::with_capacity(sources.len() * destinations.len());
    for source in &sources {
        for destination in &destinations {
            answers.push(answer(&mut finder, question, source, destination)?);
        }
    }
    let mut matrix = Matrix { question, sources, destinations, answers, workloads: workloads(cluster) };
    matrix.fold_outside();
    Ok(matrix)
}

fn workloads(cluster: &Cluster) -> BTreeMap<PodRef, (WorkloadRef, usize)> {
    let mut pods: BTreeMap<WorkloadRef, Vec<PodRef>> = BTreeMap::new();
    for (_, pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
        if let Owner::Workload(workload) = cluster.workload_of(pod) {
            pods.entry(workload).or_default().push(pod.pod_ref());
        }
    }
    let each = pods.into_iter().flat_map(|(workload, pods)| {
        let count = pods.len();
        pods.into_iter().map(move |pod| (pod, (workload.clone(), count)))
    });
    each.collect()
}

fn answer(
    finder: &mut Finder<'_, '_>,
    question: Question,
    source: &End,
    destination: &End,
) -> Result<Answer, EngineError> {
    if source.is(destination) {
        return Ok(Answer::Itself);
    }
    let mut by_family = BTreeMap::new();
    for (family, source, destination) in source.pairs(destination) {
        let allowed = match question {
            Question::Services => finder.all(source, destination)?,
            Question::Service(service) => finder.one(source, destination, service)?,
        };
        by_family.insert(family, allowed);
    }
    Ok(Answer::Allowed(by_family))
}

impl Matrix {
    /// The answer about the pair of a row and a column.
    ///
    /// # Panics
    /// When there is no such row or column.
    #[must_use]
    pub fn answer(&self, row: usize, column: usize) -> &Answer {
        &self.answers[row * self.destinations.len() + column]
    }

    /// All pairs but those of an end with itself, row after row.
    fn pairs(&self) -> impl Iterator<Item = (&End, &End, &BTreeMap<Family, Allowed>)> {
        let ends = self
            .sources
            .iter()
            .flat_map(|source| self.destinations.iter().map(move |destination| (source, destination)));
        ends.zip(&self.answers).filter_map(|((source, destination), answer)| match answer {
            Answer::Itself => None,
            Answer::Allowed(allowed) => Some((source, destination, allowed)),
        })
    }

    /// An answer in words: of one service `allow` or `deny`, else the services; by family where they differ.
    fn words(&self, by_family: &BTreeMap<Family, Allowed>) -> String {
        let word = |allowed: &Allowed| match self.question {
            Question::Services => allowed.to_string(),
            Question::Service(_) => if allowed.is_none() { "deny" } else { "allow" }.to_owned(),
        };
        let mut all = by_family.values();
        let Some(first) = all.next() else { return "no address family in common".to_owned() };
        if all.all(|other| other == first) {
            return word(first);
        }
        let each: Vec<String> =
            by_family.iter().map(|(family, allowed)| format!("IP{family}: {}", word(allowed))).collect();
        each.join("; ")
    }
}

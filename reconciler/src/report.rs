//! What was done, or would be, in words and as JSON.

use std::fmt::Write as _;

use chainmail_contract::SetName;
use serde::Serialize;

use crate::flip::{Edge, Flip};
use crate::kernel::backend::Backend;
use crate::step::Step;
use crate::terminal;

/// The result of one `apply`.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// The node.
    pub node: &'a str,
    /// The snapshot's digest.
    pub digest: &'a str,
    /// Where the rules are.
    pub backend: Backend,
    /// Whether the steps were run.
    pub mode: Mode,
    /// The steps.
    pub steps: &'a [Step],
    /// Sets that should be gone and are still in use.
    pub stuck: &'a [SetName],
}

/// Whether the steps were run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They were.
    Done,
    /// They are only what would be done.
    DryRun,
}

impl Report<'_> {
    /// For people. A dry run shows each rule.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { node, digest, backend, .. } = self;
        if self.steps.is_empty() {
            return format!("nothing to change: node {node} holds {digest} ({backend})\n");
        }
        let head = match self.mode {
            Mode::Done => "applied",
            Mode::DryRun => "would apply",
        };
        let mut text = format!("{head} {digest} on node {node} ({backend})\n");
        for step in self.steps {
            if *step != Step::ReadBack {
                writeln!(text, "  {}", describe(step)).expect("a String takes all");
            }
            if let (Mode::DryRun, Step::Flip { flip, .. }) = (self.mode, step) {
                for rule in &flip.removed {
                    writeln!(text, "    - {rule}").expect("a String takes all");
                }
                for rule in &flip.added {
                    writeln!(text, "    + {rule}").expect("a String takes all");
                }
            }
        }
        if !self.stuck.is_empty() {
            writeln!(text, "  {} still in use, left for the next run", count(self.stuck.len(), "set"))
                .expect("a String takes all");
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        let json = Json {
            digest: self.digest,
            node: self.node,
            backend: self.backend.as_str(),
            dry_run: self.mode == Mode::DryRun,
            changed: self.mode == Mode::Done && !self.steps.is_empty(),
            steps: self.steps.iter().map(StepJson::of).collect(),
            stuck: self.stuck,
        };
        terminal::json(&json)
    }
}

/// All steps in one line.
#[must_use]
pub fn summary(steps: &[Step]) -> String {
    let steps = steps.iter().filter(|step| **step != Step::ReadBack).map(describe);
    steps.collect::<Vec<_>>().join("; ")
}

/// All steps in one line, and the first rule that each would remove or add.
#[must_use]
pub fn difference(steps: &[Step]) -> String {
    let mut text = summary(steps);
    for step in steps {
        if let Step::Flip { family, flip } = step {
            let removed = flip.removed.first().map(|rule| format!("; {family} has {rule}"));
            let added = flip.added.first().map(|rule| format!("; {family} lacks {rule}"));
            text.extend(removed.into_iter().chain(added));
        }
    }
    text
}

/// What a step is called in an error.
#[must_use]
pub fn name(step: &Step) -> String {
    match step {
        Step::ClearLeftovers { .. } => "destroying half-made sets".to_owned(),
        Step::CreateSets { names, .. } => format!("creating {}", count(names.len(), "set")),
        Step::HealSets { names, .. } => format!("healing {}", count(names.len(), "set")),
        Step::Flip { family, .. } => format!("changing the rules of {family}"),
        Step::ReadBack => "reading back".to_owned(),
        Step::DestroyOrphans { .. } => "destroying sets".to_owned(),
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::ClearLeftovers { names } => {
            format!("{} of an unfinished run destroyed", count(names.len(), "set"))
        }
        Step::CreateSets { names, .. } => format!("{} created", count(names.len(), "set")),
        Step::HealSets { names, .. } => format!("{} with wrong members healed", count(names.len(), "set")),
        Step::Flip { family, flip } => format!("{family}: {}", describe_flip(flip)),
        Step::ReadBack => "read back".to_owned(),
        Step::DestroyOrphans { names } => format!("{} destroyed", count(names.len(), "set")),
    }
}

fn describe_flip(flip: &Flip) -> String {
    let mut parts = Vec::new();
    match (flip.added.len(), flip.removed.len()) {
        (0, 0) if flip.edge == Edge::Unchanged => {
            parts.push("order of rules or empty chains changed".to_owned());
        }
        (0, 0) => {}
        (added, 0) => parts.push(format!("{} added", count(added, "rule"))),
        (0, removed) => parts.push(format!("{} removed", count(removed, "rule"))),
        (added, removed) => parts.push(format!("{} added, {removed} removed", count(added, "rule"))),
    }
    parts.extend(edge_words(flip.edge).map(str::to_owned));
    parts.join(", ")
}

fn edge_words(edge: Edge) -> Option<&'static str> {
    match edge {
        Edge::Unchanged => None,
        Edge::Inserted => Some("jump from FORWARD inserted"),
        Edge::Moved => Some("jump from FORWARD put back in its place"),
        Edge::Removed => Some("jump from FORWARD removed"),
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[derive(Serialize)]
struct Json<'a> {
    digest: &'a str,
    node: &'a str,
    backend: &'static str,
    dry_run: bool,
    changed: bool,
    steps: Vec<StepJson<'a>>,
    stuck: &'a [SetName],
}

#[derive(Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
enum StepJson<'a> {
    ClearLeftovers { sets: &'a [SetName] },
    CreateSets { sets: &'a [SetName] },
    HealSets { sets: &'a [SetName] },
    Flip { family: String, added: &'a [String], removed: &'a [String], jump: &'static str },
    ReadBack,
    DestroyOrphans { sets: &'a [SetName] },
}

impl<'a> StepJson<'a> {
    fn of(step: &'a Step) -> Self {
        match step {
            Step::ClearLeftovers { names } => StepJson::ClearLeftovers { sets: names },
            Step::CreateSets { names, .. } => StepJson::CreateSets { sets: names },
            Step::HealSets { names, .. } => StepJson::HealSets { sets: names },
            Step::Flip { family, flip } => StepJson::Flip {
                family: family.to_string(),
                added: &flip.added,
                removed: &flip.removed,
                jump: match flip.edge {
                    Edge::Unchanged => "unchanged",
                    Edge::Inserted => "inserted",
                    Edge::Moved => "moved",
                    Edge::Removed => "removed",
                },
            },
            Step::ReadBack => StepJson::ReadBack,
            Step::DestroyOrphans { names } => StepJson::DestroyOrphans { sets: names },
        }
    }
}

//! `chainmail diff`.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use chainmail_contract::{Date, Family, Joined, read};
use chainmail_findings::Findings;
use chainmail_manifest::Cache;
use chainmail_manifest::source::{Sources, commit_of};
use chainmail_model::Waiver;
use chainmail_pipeline::{Compiler, Loaded, lint_all};
use chainmail_report as report;
use chainmail_report::{LinkBase, inert};
use chainmail_review::diff::{Detail, FleetText, Manifests, NodeText, Revision, review, text};
use chainmail_review::waiver::waive;
use clap::ValueEnum;

use super::clock::TodayArgs;
use super::effort::EffortArgs;
use super::formats::{FMT, Output, Outputs};
use super::gate::GateArgs;
use super::input::{BesideArgs, FindingArgs, Purpose, loaded_with};
use super::{Exit, Failure, Screen, output};

/// Show what opens, what closes and why, and the rules and set members that change.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `A..B`, two revisions of the repository; or two folders, of manifests or of snapshots. Manifests are compiled,
    /// both sides with the same configuration and inventories where these are given. Snapshots are compared as they
    /// are; what packets meet is not known of them.
    #[arg(value_name = "A..B | A B", required = true, num_args = 1..=2)]
    sides: Vec<String>,
    /// The repository that the revisions are of [default: the current folder].
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// How to print it.
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
    /// Print long lists in full.
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Print the last line only.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    pub(super) gate: GateArgs,
    #[command(flatten)]
    today: TodayArgs,
    /// In Markdown, make links of the places of causes: to this repository's web page, such as
    /// https://github.com/OWNER/REPO (of GitLab: …/REPO/-). Only revisions have such pages.
    #[arg(long, value_name = "URL")]
    link_base: Option<LinkBase>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    findings: FindingArgs,
    #[command(flatten)]
    effort: EffortArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As people read it.
    Text,
    /// One document; `chainmail schema diff` prints its schema.
    Json,
    /// One comment of a pull request, within its limits.
    Markdown,
    /// Annotations of GitHub Actions.
    Github,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let mut cache = args.findings.cache().and_in_memory();
    let (base, head) = match &args.sides[..] {
        [base, head] => {
            (Read::folder(base, args, screen, &mut cache)?, Read::folder(head, args, screen, &mut cache)?)
        }
        [range] => {
            let Some((base, head)) = range.split_once("..") else {
                return Err(Failure::usage(format!(
                    "{range:?} is one side; write A..B for revisions, or two folders"
                )));
            };
            (Read::revision(base, args, screen, &mut cache)?, Read::revision(head, args, screen, &mut cache)?)
        }
        _ => return Err(Failure::usage("give A..B, or two folders")),
    };
    drop(cache);
    let mut review = review(&base.compiled()?, &head.compiled()?, args.effort.effort())
        .map_err(|error| args.effort.refusal(error))?;
    let today = args.today.day();
    let unused = waive(&mut review, base.waivers(), head.waivers(), today);
    let detail = match (args.quiet, args.verbose) {
        (true, _) => Detail::Summary,
        (false, true) => Detail::Full,
        (false, false) => Detail::Short,
    };
    outputs.print(screen, |format, style| match format {
        Format::Text => inert(&text(&review, detail, style)),
        Format::Json => review.json(),
        Format::Markdown => report::markdown(&review, args.link_base.as_ref()),
        Format::Github => report::github(&review),
    })?;
    for waiver in head.waivers().iter().filter(|waiver| !waiver.holds(today)) {
        let message = format!("the waiver of {} ended on {}", waiver.covers, waiver.agreed.expires);
        say_of(waiver, &format!("{message} and waives nothing"));
    }
    for waiver in unused {
        say_of(waiver, &format!("the waiver of {} covers nothing of this change", waiver.covers));
    }
    let fresh = if args.gate.asks_lint() {
        head.found(today)?.not_in(&base.found(today)?)
    } else {
        Findings::default()
    };
    Ok(args.gate.judge(&review, &fresh))
}

/// Warns of a waiver.
fn say_of(waiver: &Waiver, message: &str) {
    output::error_line(&format!("warning: {message}\n  --> {}", waiver.place));
}

/// A side as it was read.
struct Read {
    name: String,
    commit: Option<String>,
    what: What,
}

/// What a side is.
enum What {
    Manifests(Box<(Sources, Loaded)>),
    Snapshots(FleetText),
}

impl Read {
    fn revision(rev: &str, args: &Args, screen: Screen, cache: &mut Cache) -> Result<Self, Failure> {
        let repo = args.repo.as_deref().unwrap_or(Path::new("."));
        let rev = if rev.is_empty() { "HEAD" } else { rev };
        let sources = args.beside.with_revision(repo, rev)?;
        let commit = commit_of(repo, rev).map_err(|e| Failure::input(&e))?;
        Ok(Self { name: rev.to_owned(), commit, what: What::load(sources, args.findings, screen, cache)? })
    }

    /// A folder of snapshots as it is, any other one to be compiled.
    fn folder(name: &str, args: &Args, screen: Screen, cache: &mut Cache) -> Result<Self, Failure> {
        let path = Path::new(name);
        let mut fleet = FleetText::default();
        if let Some(snapshot) = read::joined_if_any(path).map_err(|e| Failure::input(&e))? {
            add(&mut fleet, &snapshot);
        } else if path.join("nodes").is_dir() && path.join("sets").is_dir() {
            for node in read::nodes(path).map_err(|e| Failure::input(&e))? {
                add(&mut fleet, &read::node_of_tree(path, &node).map_err(|e| Failure::input(&e))?);
            }
        } else {
            let what = What::load(args.beside.with_path(path)?, args.findings, screen, cache)?;
            return Ok(Self { name: name.to_owned(), commit: None, what });
        }
        Ok(Self { name: name.to_owned(), commit: None, what: What::Snapshots(fleet) })
    }

    /// The exceptions that it brings.
    fn waivers(&self) -> &[Waiver] {
        match &self.what {
            What::Manifests(read) => &read.1.waivers,
            What::Snapshots(_) => &[],
        }
    }

    /// What lint says of it.
    fn found(&self, today: Date) -> Result<Findings, Failure> {
        match &self.what {
            What::Manifests(read) => Ok(lint_all(&read.1, &read.0, today).findings),
            What::Snapshots(_) => {
                Err(Failure::usage("lint looks at manifests; --fail-on lint:LEVEL has none in snapshots"))
            }
        }
    }

    fn compiled(&self) -> Result<Revision<'_>, Failure> {
        let (fleet, manifests) = match &self.what {
            What::Snapshots(fleet) => (fleet.clone(), None),
            What::Manifests(read) => {
                let (sources, Loaded { cluster, .. }) = &**read;
                let mut compiler = Compiler::new(cluster, sources);
                let mut fleet = FleetText::default();
                for node in compiler.nodes().collect::<Vec<_>>() {
                    fleet.add_snapshot(compiler.snapshot(node));
                }
                let config = sources.config().map(|file| &*file.path);
                (fleet, Some(Manifests { cluster, places: sources, files: sources.texts(), config }))
            }
        };
        let has_pods =
            |read: &Manifests<'_>| read.cluster.with_assumed_pods().pods().any(|(_, pod)| pod.is_endpoint());
        if fleet.nodes.is_empty() && !manifests.iter().any(has_pods) {
            let message = "one side has no node and no pod, so there is nothing to compare; is it the right folder or revision?";
            return Err(Failure { exit: Exit::Input, message: message.to_owned() });
        }
        Ok(Revision { name: self.name.clone(), commit: self.commit.clone(), fleet, manifests })
    }
}

impl What {
    fn load(
        sources: Sources,
        findings: FindingArgs,
        screen: Screen,
        cache: &mut Cache,
    ) -> Result<Self, Failure> {
        let loaded = loaded_with(&sources, findings, Purpose::Diff, screen, cache)?;
        Ok(Self::Manifests(Box::new((sources, loaded))))
    }
}

fn add(fleet: &mut FleetText, snapshot: &Joined) {
    let manifest = snapshot.manifest();
    let rules = Family::ALL.map(|family| snapshot.rules(family).to_owned());
    let text = NodeText { rules, provenance: String::new(), digest: manifest.digest.clone() };
    let sets = snapshot.sets().iter().map(|(name, text)| (name.clone(), Rc::from(text.as_str())));
    fleet.add(manifest.node.clone(), text, sets);
}

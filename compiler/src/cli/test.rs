//! `chainmail test`.

use std::path::{Path, PathBuf};

use chainmail_findings::Findings;
use chainmail_manifest::FLOW_FILE;
use chainmail_manifest::source::{Sources, from_files};
use chainmail_model::FlowTest;
use chainmail_pipeline::{Compiler, load};
use chainmail_report::inert;
use chainmail_review::flows::{Case, ask, cases, contradictions, json, judge, junit, text};
use clap::ValueEnum;

use super::effort::EffortArgs;
use super::formats::{FMT, Output, Outputs};
use super::input::{BesideArgs, FindingArgs, Purpose, loaded, sources, told};
use super::{Exit, Failure, Screen};

/// Hold the policies against expected flows: every FlowTest among the manifests, or those of FILES.
///
/// An expectation that does not hold is told of with a packet that shows it and the rules that decide on it. Exit code 1
/// says that there is one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder (or one file, or a bare repository) with the manifests [default: the current folder], then files of
    /// flow tests to run in place of those among the manifests; PATH may be left out before a *.flows.yaml.
    #[arg(value_name = "PATH] [FILES")]
    paths: Vec<PathBuf>,
    /// A Git repository to read from; its work tree is not looked at, so it may be bare.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// The revision to read: a branch, a tag, a commit [default with --repo: HEAD]. Every path is then one of FILES.
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// Refuse cases of more pairs than this.
    #[arg(long, value_name = "PAIRS", default_value_t = 200_000)]
    limit: usize,
    #[command(flatten)]
    effort: EffortArgs,
    /// How to print it, and where to.
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What fails and why, and the sum.
    Text,
    /// One document.
    Json,
    /// JUnit XML, a suite a flow test.
    Junit,
}

impl Args {
    /// The manifests' path, where one is named, and the files of flow tests.
    fn split(&self) -> (Option<&Path>, &[PathBuf]) {
        let is_flow_file = |path: &PathBuf| path.to_string_lossy().ends_with(FLOW_FILE);
        match self.paths.split_first() {
            Some((first, files)) if self.repo.is_none() && self.rev.is_none() && !is_flow_file(first) => {
                (Some(first), files)
            }
            _ => (None, &self.paths),
        }
    }
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let (path, files) = args.split();
    let manifests = sources(path, args.repo.as_deref(), args.rev.as_deref(), &args.beside)?;
    let loaded = loaded(&manifests, args.findings, Purpose::Test, screen)?;
    let (cases, findings) = if files.is_empty() {
        read(&manifests, &loaded.flow_tests, loaded.flow_findings)
    } else {
        let own = from_files(files).map_err(|e| Failure::input(&e))?;
        let tests = load(&own);
        let mut findings = tests.findings;
        findings.drop_notes();
        findings.extend(tests.flow_findings);
        read(&own, &tests.flow_tests, findings)
    };
    told(findings, args.findings, Purpose::Test, screen)?;
    if cases.is_empty() {
        let message =
            "there is no FlowTest in the manifests, so there is nothing to test; name its file after PATH";
        return Err(Failure { exit: Exit::Input, message: message.to_owned() });
    }
    let cluster = loaded.cluster.with_assumed_pods();
    let (asked, mut findings) = ask(&cases, &cluster, args.limit);
    findings.extend(contradictions(&asked));
    told(findings, args.findings, Purpose::Test, screen)?;
    let mut compiler = Compiler::new(&cluster, &manifests);
    let rules = compiler.engine(&cluster).map_err(|e| Failure::input(&e))?;
    let report = judge(asked, &cluster, &manifests, rules, &mut args.effort.effort())
        .map_err(|error| args.effort.failure(&error))?;
    outputs.print(screen, |format, style| match format {
        Format::Text => inert(&text(&report, style)),
        Format::Json => json(&report),
        Format::Junit => junit(&report),
    })?;
    Ok(if report.failures() == 0 { Exit::Done } else { Exit::Differences })
}

fn read(sources: &Sources, tests: &[FlowTest], mut findings: Findings) -> (Vec<Case>, Findings) {
    let (cases, of_cases) = cases(tests, sources);
    findings.extend(of_cases);
    (cases, findings)
}

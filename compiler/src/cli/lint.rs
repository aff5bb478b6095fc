//! `chainmail lint`.

use chainmail_contract::Date;
use chainmail_findings::{Findings, Severity};
use chainmail_manifest::Cache;
use chainmail_manifest::source::Sources;
use chainmail_pipeline::{lint_all, load_with};
use chainmail_review::lint::{Linted, Unjudged};
use clap::ValueEnum;

use super::clock::TodayArgs;
use super::findings::Format;
use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded_with};
use super::output::{self, counted};
use super::{Exit, Failure, Screen};

/// Say what is valid but probably not meant: selectors that nobody meets, rules without effect, doors left open.
///
/// Exits 1 where something is found at the level of --fail-on. Levels are set in chainmail.toml, under [lint.levels].
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// Leave out what this revision has too: a branch, a tag, a commit.
    #[arg(long, value_name = "REV")]
    new_since: Option<String>,
    /// From which level on a finding fails the command.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = FailOn::Error)]
    fail_on: FailOn,
    #[command(flatten)]
    today: TodayArgs,
    /// How to print what was found.
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Error,
    Warning,
    Note,
}

impl From<FailOn> for Severity {
    fn from(level: FailOn) -> Self {
        match level {
            FailOn::Error => Severity::Error,
            FailOn::Warning => Severity::Warning,
            FailOn::Note => Severity::Note,
        }
    }
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let sources = args.input.sources()?;
    let earlier = args.new_since.as_deref().map(|rev| args.input.earlier(rev)).transpose()?;
    let folder = args.input.folder_in_repository();
    let mut cache = args.findings.cache().and_in_memory();
    let loaded = loaded_with(&sources, args.findings, Purpose::Lint, screen, &mut cache)?;
    let today = args.today.day();
    let Linted { mut findings, unjudged } = lint_all(&loaded, &sources, today);
    let mut new = "";
    if let Some((rev, earlier)) = args.new_since.as_deref().zip(earlier) {
        findings = findings.not_in(&found_earlier(rev, &earlier, today, &mut cache));
        new = "new ";
    }
    if args.findings.strict {
        findings.make_strict();
    }
    outputs.print(screen, |format, style| format.render(&findings, &folder, style))?;
    let count = |severity, one: &str| {
        counted(findings.count(severity), &format!("{new}{one}"), &format!("{new}{one}s"))
    };
    let waived = match findings.waived() {
        0 => String::new(),
        count => format!("; {count} waived"),
    };
    output::error_line(&format!(
        "{}, {}, {}{waived}",
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
        count(Severity::Note, "note")
    ));
    say_unjudged(&unjudged);
    Ok(if findings.reach(args.fail_on.into()) { Exit::Differences } else { Exit::Done })
}

/// What another revision has. Of one that is not valid nothing is known.
fn found_earlier(rev: &str, sources: &Sources, today: Date, cache: &mut Cache) -> Findings {
    let loaded = load_with(sources, cache);
    if loaded.findings.has_errors() {
        let errors = counted(loaded.findings.count(Severity::Error), "error", "errors");
        output::error_line(&format!("{rev} has {errors}, so it was not linted; all findings count as new"));
        return Findings::default();
    }
    lint_all(&loaded, sources, today).findings
}

fn say_unjudged(Unjudged { count, namespaces }: &Unjudged) {
    if *count == 0 {
        return;
    }
    let names: Vec<&str> = namespaces.iter().take(5).map(|name| name.as_str()).collect();
    let more = match namespaces.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let whose = match names.len() {
        0 => "what they are about".to_owned(),
        1 if more.is_empty() => format!("a pod of namespace {}", names[0]),
        _ => format!("a pod of namespaces {}{more}", names.join(", ")),
    };
    let selectors = counted(*count, "selector", "selectors");
    output::error_line(&format!(
        "not judged: {selectors}, since the manifests do not hold {whose}; see --inventory"
    ));
}

//! `chainmail query`.

use std::io::BufRead as _;

use chainmail_compiler::Compiler;
use chainmail_compiler::query::{Engine, Probe, RulesEngine};
use chainmail_compiler::semantics::Verdict;
use clap::ValueEnum;
use serde::Serialize;

use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen, output};

/// Ask who may talk to whom: probes as JSON lines on standard input, one verdict a line.
///
/// A probe is {"src":"shop/web","dst":"10.0.0.9","protocol":"TCP","port":80,"family":4}; ends are NAMESPACE/POD or
/// addresses, protocol is TCP if absent, family is 4 or 6 and optional.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// What answers.
    #[arg(long, value_enum, default_value_t = EngineName::Rules)]
    engine: EngineName,
    /// How to answer.
    #[arg(short, long, value_enum, default_value_t = Format::Plain)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// The rules that nodes load, read back from their text and walked.
    Rules,
    /// The policies, as the API text reads.
    Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// `allow` or `deny`.
    Plain,
    /// The probe with its verdict.
    Json,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    probe: &'a Probe,
    verdict: &'static str,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let sources = args.input.sources()?;
    let loaded = loaded(&sources, args.findings, Purpose::Query, screen)?;
    let cluster = &loaded.cluster;
    let engine = match args.engine {
        EngineName::Policy => Engine::Policy(cluster),
        EngineName::Rules => {
            let mut compiler = Compiler::new(cluster, &sources);
            Engine::Rules(RulesEngine::compile(cluster, &mut compiler).map_err(|e| Failure::input(&e))?)
        }
    };
    let mut answers = String::new();
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let fail =
            |problem: String| Failure { exit: Exit::Input, message: format!("probe {number}: {problem}") };
        let line = line.map_err(|e| fail(e.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let probe: Probe = serde_json::from_str(&line).map_err(|e| fail(e.to_string()))?;
        let packet = probe.packet(cluster).map_err(|e| fail(e.to_string()))?;
        let verdict = match engine.judge(&packet).map_err(|e| fail(e.to_string()))? {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
        };
        match args.output {
            Format::Plain => answers.push_str(verdict),
            Format::Json => {
                let answer = Answer { probe: &probe, verdict };
                answers.push_str(&serde_json::to_string(&answer).expect("an answer has only string keys"));
            }
        }
        answers.push('\n');
        // Line by line, so that a wrong probe does not take the answers before it with it.
        output::text(&answers)?;
        answers.clear();
    }
    Ok(Exit::Done)
}

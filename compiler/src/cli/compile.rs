//! `chainmail compile` and `chainmail check`.

use std::mem::ManuallyDrop;
use std::path::PathBuf;

use chainmail_contract::escape;
use chainmail_contract::{NodeName, NodeSnapshot, read};
use chainmail_findings::{Style, render};
use chainmail_model::Node;
use chainmail_pipeline::Compiler;
use chainmail_pipeline::write::{Check, Difference, Stage};
use chainmail_prove::{Flaw, Prover};
use chainmail_review::flows::cases;

use super::findings::Format;
use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded, refuse_errors};
use super::output::{self, counted};
use super::{Exit, Failure, Screen, nodes};

/// Compile manifests to snapshots, one per node.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// Where the snapshots go. The folder is replaced as a whole, or not touched.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Compile this node only, and keep the others as they are in DIR; may be given again.
    #[arg(long, value_name = "NODE")]
    node: Vec<NodeName>,
    /// Write nothing; compare with what is in DIR and exit 1 where it differs.
    #[arg(long)]
    check: bool,
    /// Leave out the proof that the rules do what the policies say.
    #[arg(long)]
    no_prove: bool,
}

/// Read and validate manifests; print every problem and exit 3 if there is an error.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// How to print what was found: text on standard error, all else on standard output.
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let sources = args.input.sources()?;
    // Never dropped: the process ends soon, and to give a large cluster back piece by piece takes time.
    let loaded = ManuallyDrop::new(loaded(&sources, args.findings, Purpose::Compile, screen)?);
    let compiler = Compiler::new(&loaded.cluster, &sources);
    let nodes = nodes::selected(&loaded.cluster, &args.node)?;
    if args.no_prove {
        output::error_line("not proven: --no-prove leaves out that the rules do what the policies say");
    }
    let prover = (!args.no_prove).then(|| Prover::new(&loaded.cluster, &sources));
    let mut proven = ManuallyDrop::new(Proven { compiler, prover });
    if args.check { check_out(args, &mut proven, &nodes) } else { write_out(args, &mut proven, &nodes) }
}

/// A compiler whose every word is proven, unless the proof is left out.
struct Proven<'a> {
    compiler: Compiler<'a>,
    prover: Option<Prover<'a>>,
}

impl Proven<'_> {
    fn snapshot(&mut self, node: &Node) -> Result<NodeSnapshot, Failure> {
        let snapshot = self.compiler.snapshot(node);
        if let Some(prover) = &mut self.prover {
            prover.snapshot(node, &snapshot).map_err(|flaws| unproven(node, &flaws))?;
        }
        Ok(snapshot)
    }
}

/// What is said where the compiler's own work does not hold.
fn unproven(node: &Node, flaws: &[Flaw]) -> Failure {
    let flaws: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    let message = format!(
        "the rules of node {} are not what its policies say, so nothing was written\n{}\n= help: the manifests are not at \
         fault but this program; please report it with them",
        node.name,
        flaws.join("\n")
    );
    Failure { exit: Exit::Input, message }
}

fn write_out(args: &Args, proven: &mut Proven<'_>, nodes: &[&Node]) -> Result<Exit, Failure> {
    let fail = |error: &dyn std::error::Error| Failure::input(error);
    let mut stage = Stage::new(&args.out).map_err(|e| fail(&e))?;
    for node in nodes {
        stage.add(&proven.snapshot(node)?).map_err(|e| fail(&e))?;
    }
    if !args.node.is_empty() && args.out.join("nodes").is_dir() {
        for name in read::nodes(&args.out).map_err(|e| fail(&e))? {
            if !args.node.contains(&name) {
                stage.keep(&name).map_err(|e| fail(&e))?;
            }
        }
    }
    stage.commit().map_err(|e| fail(&e))?;
    let nodes = counted(nodes.len(), "node", "nodes");
    let proven = if args.no_prove { "" } else { " and proven" };
    output::error_line(&format!("compiled{proven}: {nodes}, to {}", args.out.display()));
    Ok(Exit::Done)
}

fn check_out(args: &Args, proven: &mut Proven<'_>, nodes: &[&Node]) -> Result<Exit, Failure> {
    let mut check = Check::default();
    for node in nodes {
        check.node(&args.out, &proven.snapshot(node)?);
    }
    if args.node.is_empty() {
        check.extras(&args.out).map_err(|e| Failure::input(&e))?;
    }
    let mut lines = String::new();
    for (path, difference) in check.differences() {
        let word = match difference {
            Difference::Missing => "missing",
            Difference::Differs => "differs",
            Difference::Extra => "extra  ",
        };
        lines.push_str(&format!("{word} {path}\n"));
    }
    output::text(&lines)?;
    Ok(if lines.is_empty() { Exit::Done } else { Exit::Differences })
}

pub(super) fn check(args: &CheckArgs, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let sources = args.input.sources()?;
    let mut loaded = args.findings.load(&sources);
    let (_, of_flow_tests) = cases(&loaded.flow_tests, &sources);
    loaded.findings.extend(std::mem::take(&mut loaded.flow_findings));
    loaded.findings.extend(of_flow_tests);
    let findings = &loaded.findings;
    let folder = args.input.folder_in_repository();
    outputs.write_files(|format| format.render(findings, &folder, Style::Plain))?;
    match outputs.stdout() {
        // As of every command that reads manifests.
        Some(Format::Text) => output::error_text(&render(findings, screen.stderr)),
        Some(format) => drop(output::text(&format.render(findings, &folder, screen.stdout))?),
        None => {}
    }
    refuse_errors(findings, Purpose::Check)?;
    let cluster = &loaded.cluster;
    let policies = counted(cluster.policies().len(), "policy", "policies");
    let pods = counted(cluster.pods().count(), "pod", "pods");
    let nodes = counted(cluster.nodes().count(), "node", "nodes");
    let mut line = match cluster.workloads().count() {
        0 => format!("{policies}, {pods}, {nodes} are valid"),
        count => {
            format!("{policies}, {pods}, {nodes}, {} are valid", counted(count, "workload", "workloads"))
        }
    };
    for (kind, count) in &loaded.other_kinds {
        line.push_str(&format!("; {count} {} not used", escape::line(kind)));
    }
    if loaded.not_objects > 0 {
        let (one, many) = ("document is no Kubernetes object", "documents are no Kubernetes objects");
        line.push_str(&format!("; {}", counted(loaded.not_objects, one, many)));
    }
    output::error_line(&line);
    Ok(Exit::Done)
}

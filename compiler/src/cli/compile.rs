//! `chainmail compile` and `chainmail check`.

use std::path::PathBuf;

use chainmail_compiler::Compiler;
use chainmail_compiler::cluster::{Cluster, Node, Os};
use chainmail_compiler::diagnostic::json;
use chainmail_compiler::write::{Check, Difference, Stage};
use chainmail_snapshot::{NodeName, read};
use clap::ValueEnum;

use super::input::{FindingArgs, InputArgs, loaded, refuse_errors};
use super::{Exit, Failure, Screen, output};

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
}

/// Read and validate manifests; print every problem and exit 3 if there is an error.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// How to print what was found: text on standard error, or JSON lines on standard output.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As compilers print it.
    Text,
    /// One object a line: code, severity, message, and where there are some file, line, column and help.
    Json,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let sources = args.input.sources()?;
    let loaded = loaded(&sources, args.findings, screen)?;
    let mut compiler = Compiler::new(&loaded.cluster, &sources);
    let nodes = selected(&loaded.cluster, &compiler, &args.node)?;
    if nodes.is_empty() {
        let message =
            "the manifests name no Linux node, so there is nothing to compile; is this the right folder?";
        return Err(Failure { exit: Exit::Input, message: message.to_owned() });
    }
    if args.check { check_out(args, &mut compiler, &nodes) } else { write_out(args, &mut compiler, &nodes) }
}

fn selected<'a>(
    cluster: &Cluster,
    compiler: &Compiler<'a>,
    wanted: &[NodeName],
) -> Result<Vec<&'a Node>, Failure> {
    let all: Vec<&Node> = compiler.nodes().collect();
    if wanted.is_empty() {
        return Ok(all);
    }
    for name in wanted {
        let problem = match cluster.node(name) {
            None => "is not in the manifests",
            Some(node) if node.os == Os::Windows => "runs Windows and gets no snapshot",
            Some(_) => continue,
        };
        let known: Vec<&str> = all.iter().map(|node| node.name.as_str()).collect();
        return Err(Failure::usage(format!("node {name} {problem}; known are: {}", known.join(", "))));
    }
    Ok(all.into_iter().filter(|node| wanted.contains(&node.name)).collect())
}

fn write_out(args: &Args, compiler: &mut Compiler<'_>, nodes: &[&Node]) -> Result<Exit, Failure> {
    let fail = |error: &dyn std::error::Error| Failure::input(error);
    let mut stage = Stage::new(&args.out).map_err(|e| fail(&e))?;
    for node in nodes {
        stage.add(&compiler.snapshot(node)).map_err(|e| fail(&e))?;
    }
    if !args.node.is_empty() && args.out.join("nodes").is_dir() {
        for name in read::nodes(&args.out).map_err(|e| fail(&e))? {
            if !args.node.contains(&name) {
                stage.keep(&name).map_err(|e| fail(&e))?;
            }
        }
    }
    stage.commit().map_err(|e| fail(&e))?;
    let plural = if nodes.len() == 1 { "node" } else { "nodes" };
    output::error_line(&format!("compiled {} {plural} to {}", nodes.len(), args.out.display()));
    Ok(Exit::Done)
}

fn check_out(args: &Args, compiler: &mut Compiler<'_>, nodes: &[&Node]) -> Result<Exit, Failure> {
    let mut check = Check::default();
    for node in nodes {
        check.node(&args.out, &compiler.snapshot(node));
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
    let sources = args.input.sources()?;
    let loaded = match args.output {
        Format::Text => loaded(&sources, args.findings, screen)?,
        Format::Json => {
            let loaded = args.findings.load(&sources);
            output::text(&json(&loaded.findings))?;
            refuse_errors(&loaded.findings)?;
            loaded
        }
    };
    let cluster = &loaded.cluster;
    let policies = cluster.policies().len();
    let (pods, nodes) = (cluster.pods().count(), cluster.nodes().count());
    let mut line = format!("{policies} policies, {pods} pods, {nodes} nodes are valid");
    for (kind, count) in &loaded.other_kinds {
        line.push_str(&format!("; {count} {kind} not used"));
    }
    if loaded.not_objects > 0 {
        line.push_str(&format!("; {} documents are no Kubernetes objects", loaded.not_objects));
    }
    output::error_line(&line);
    Ok(Exit::Done)
}

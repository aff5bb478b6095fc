//! The command line.

mod clock;
mod compile;
mod describe;
mod diff;
mod effort;
mod explain;
mod export;
mod findings;
mod formats;
mod gate;
mod input;
mod lint;
mod matrix;
mod nodes;
mod output;
mod prove;
mod query;
mod save;
mod schema;
mod test;

use std::process::ExitCode;

use chainmail_contract::Exit;
use chainmail_findings::Style;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

/// Compiles Kubernetes network policies to iptables and ipset snapshots, one per node.
///
/// Exit codes: 0 done; 1 there are differences, or a gate, a test or a lint failed; 2 usage or configuration; 3 the input is
/// invalid, or Git or I/O failed.
#[derive(Debug, Parser)]
#[command(name = "chainmail", version, max_term_width = 100)]
struct Cli {
    /// When to colour what a terminal shows; NO_COLOR turns `auto` off.
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true)]
    color: Colour,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compile(compile::Args),
    Check(compile::CheckArgs),
    Describe(describe::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Export(export::Args),
    Lint(lint::Args),
    Prove(prove::Args),
    Query(query::Args),
    Schema(schema::Args),
    Test(test::Args),
    /// Print a shell's completion script.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// A command that could not do its work.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    fn input(error: &dyn std::error::Error) -> Self {
        Self { exit: Exit::Input, message: error.to_string() }
    }
}

/// Where findings and progress go: standard error, coloured or not.
#[derive(Debug, Clone, Copy)]
struct Screen {
    stdout: Style,
    stderr: Style,
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            output::clap_message(&error);
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return exit.into();
        }
    };
    let screen = output::screen(cli.color);
    let differences = match &cli.command {
        Command::Diff(args) => args.gate.failure_code(),
        _ => Exit::Differences.code(),
    };
    let result = match cli.command {
        Command::Compile(args) => compile::run(&args, screen),
        Command::Check(args) => compile::check(&args, screen),
        Command::Describe(args) => describe::run(&args, screen),
        Command::Diff(args) => diff::run(&args, screen),
        Command::Explain(args) => explain::run(&args, screen),
        Command::Export(args) => export::run(&args),
        Command::Lint(args) => lint::run(&args, screen),
        Command::Prove(args) => prove::run(&args, screen),
        Command::Query(args) => query::run(&args, screen),
        Command::Schema(args) => schema::run(&args),
        Command::Test(args) => test::run(&args, screen),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chainmail", &mut script);
            output::bytes(&script)
        }
    };
    match result {
        Ok(Exit::Differences) => differences.into(),
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            if !message.is_empty() {
                output::error_line(&format!("error: {message}"));
            }
            exit.into()
        }
    }
}

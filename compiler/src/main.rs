//! `chainmail`: compiles, compares and questions network policies. No privilege, no network.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}

//! `chainmail-fetch`, the pulling program.

use std::process::ExitCode;

fn main() -> ExitCode {
    chainmail_fetch::cli::main()
}

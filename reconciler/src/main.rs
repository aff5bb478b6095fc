//! `chainmaild`, the applying daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    chainmail_reconciler::cli::main()
}

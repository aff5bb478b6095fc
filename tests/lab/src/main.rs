//! `chainmail-lab`: a cluster of network namespaces from manifests, with the real programs in it.

use std::process::ExitCode;

fn main() -> ExitCode {
    chainmail_lab::cli::main()
}

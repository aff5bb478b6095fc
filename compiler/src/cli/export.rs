//! `chainmail export`.

use std::path::PathBuf;

use chainmail_contract::{NodeName, read};
use chainmail_pipeline::write::write_joined;

use super::{Exit, Failure, output};

/// Write one node's snapshot as the stock files `ipsets`, `rules.v4` and `rules.v6`.
///
/// They load with `ipset restore < ipsets` and `iptables-restore --noflush < rules.v4`, and do nothing until
/// something jumps to CM-FORWARD: `iptables -I FORWARD 1 -j CM-FORWARD`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node.
    node: NodeName,
    /// The folder that `chainmail compile --out` wrote.
    #[arg(long, value_name = "DIR")]
    snapshots: PathBuf,
    /// A new folder for the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let snapshot = read::snapshot(&args.snapshots, &args.node).map_err(|e| Failure::input(&e))?;
    write_joined(&args.out, &snapshot).map_err(|e| Failure::input(&e))?;
    output::error_line(&format!("exported {} to {}", args.node, args.out.display()));
    Ok(Exit::Done)
}

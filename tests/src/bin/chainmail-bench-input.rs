//! Writes the manifests of a cluster of a given size: `chainmail-bench-input NODES PODS POLICIES SEED DIR`.

#![expect(clippy::disallowed_methods, clippy::print_stderr, reason = "this is a program of one folder")]

use std::path::Path;
use std::process::ExitCode;

use chainmail_tests::bench_input::{Size, write};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [nodes, pods, policies, seed, folder] = args.as_slice() else {
        eprintln!("usage: chainmail-bench-input NODES PODS POLICIES SEED DIR");
        return ExitCode::from(2);
    };
    let (Ok(nodes), Ok(pods), Ok(policies), Ok(seed)) =
        (nodes.parse(), pods.parse(), policies.parse(), seed.parse())
    else {
        eprintln!("error: NODES, PODS, POLICIES and SEED are numbers");
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    let size = Size { nodes, pods, policies, seed };
    match std::fs::create_dir_all(folder).and_then(|()| write(folder, size)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", folder.display());
            ExitCode::from(3)
        }
    }
}

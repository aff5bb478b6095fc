//! Asks both engines, and shows a case where they disagree.

use std::fmt::Write as _;

use chainmail_manifest::source::{CONFIG_PATH, Sources};
use chainmail_model::Cluster;
use chainmail_model::semantics::{self, Packet, Verdict};
use chainmail_pipeline::{Compiler, load};
use chainmail_review::query::EngineError;

use crate::shrink::shrink;
use crate::world::{Layout, World, documents};

/// The verdict of the oracle on each packet, and that of the rendered rules.
///
/// # Errors
/// When the rules cannot be read back or walked.
pub fn verdicts(
    cluster: &Cluster,
    sources: &Sources,
    packets: &[Packet],
) -> Result<Vec<(Verdict, Verdict)>, EngineError> {
    let mut compiler = Compiler::new(cluster, sources);
    let rules = compiler.engine(cluster)?;
    packets.iter().map(|packet| Ok((semantics::judge(cluster, packet), rules.judge(packet)?))).collect()
}

/// The smallest part of the world on which the engines still disagree about a packet, told in full.
#[must_use]
pub fn report(world: &World, packet: &Packet) -> String {
    let smallest = shrink(world, |world| disagree(world, packet));
    let sources = smallest.sources(Layout::Documents);
    let cluster = load(&sources).cluster;
    let mut report = documents(&smallest.objects);
    if !smallest.live.is_empty() {
        let _ = writeln!(report, "--- live\n{}", documents(&smallest.live));
    }
    if let Some(config) = smallest.config_text() {
        let _ = writeln!(report, "--- {CONFIG_PATH}\n{config}");
    }
    let right = semantics::judge(&cluster, packet);
    let _ = writeln!(report, "probe: {packet:?}\nby the policies: {right:?}");
    let mut compiler = Compiler::new(&cluster, &sources);
    let rules = match compiler.engine(&cluster) {
        Ok(rules) => rules,
        Err(error) => return format!("{report}{error}"),
    };
    for walk in rules.every_walk(packet) {
        let (node, walk) = match walk {
            Ok(walk) => walk,
            Err(error) => return format!("{report}{error}"),
        };
        let _ = writeln!(report, "by the rules of {}:", node.name);
        for step in walk.matched() {
            let _ = writeln!(report, "  {}", step.rule.text);
        }
        let _ = writeln!(report, "  {:?}", walk.verdict());
        let snapshot = compiler.snapshot(node);
        report.push_str(if packet.source.is_ipv4() { &snapshot.rules_v4 } else { &snapshot.rules_v6 });
    }
    report
}

/// Whether the world is valid and the engines disagree about the packet.
fn disagree(world: &World, packet: &Packet) -> bool {
    let sources = world.sources(Layout::Documents);
    let loaded = load(&sources);
    !loaded.findings.has_errors()
        && verdicts(&loaded.cluster, &sources, &[*packet]).is_ok_and(|all| all[0].0 != all[0].1)
}

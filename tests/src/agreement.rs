//! Asks both engines, and shows a case where they disagree.

use std::fmt::Write as _;

use chainmail_compiler::cluster::Cluster;
use chainmail_compiler::query::{EngineError, RulesEngine, forwarding_nodes, kernel_of};
use chainmail_compiler::semantics::{self, Packet, Service, Verdict};
use chainmail_compiler::source::Sources;
use chainmail_compiler::{Compiler, load};
use chainmail_verdict::{ConnState, Packet as KernelPacket, Payload};
use serde_json::Value;

use crate::shrink::shrink;
use crate::world::{Layout, documents};

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
    let rules = RulesEngine::compile(cluster, &mut compiler)?;
    packets.iter().map(|packet| Ok((semantics::judge(cluster, packet), rules.judge(packet)?))).collect()
}

/// The smallest part of the objects on which the engines still disagree about a packet, told in full.
#[must_use]
pub fn report(objects: &[Value], packet: &Packet) -> String {
    let smallest = shrink(objects.to_vec(), |objects| disagree(objects, packet));
    let sources = Layout::Documents.sources(&smallest);
    let loaded = load(&sources);
    let right = semantics::judge(&loaded.cluster, packet);
    let mut report = format!("{}\nprobe: {packet:?}\nby the policies: {right:?}\n", documents(&smallest));
    let mut compiler = Compiler::new(&loaded.cluster, &sources);
    for node in forwarding_nodes(&loaded.cluster, packet.source, packet.destination) {
        let snapshot = compiler.snapshot(node);
        let _ = writeln!(report, "by the rules of {}:", node.name);
        match kernel_of(&snapshot) {
            Ok(kernel) => match kernel.forward(&opening(packet)) {
                Ok(walk) => {
                    for step in walk.matched() {
                        let _ = writeln!(report, "  {}", step.rule.text);
                    }
                    let _ = writeln!(report, "  {:?}", walk.verdict());
                }
                Err(error) => drop(writeln!(report, "  {error}")),
            },
            Err(error) => drop(writeln!(report, "  {error}")),
        }
        let rules = if packet.source.is_ipv4() { &snapshot.rules_v4 } else { &snapshot.rules_v6 };
        report.push_str(rules);
    }
    report
}

/// Whether the objects are valid and the engines disagree about the packet, or the rules cannot be asked.
fn disagree(objects: &[Value], packet: &Packet) -> bool {
    let sources = Layout::Documents.sources(objects);
    let loaded = load(&sources);
    !loaded.findings.has_errors()
        && verdicts(&loaded.cluster, &sources, &[*packet]).is_ok_and(|all| all[0].0 != all[0].1)
}

fn opening(packet: &Packet) -> KernelPacket {
    let (source, destination) = (packet.source, packet.destination);
    let packet = match packet.service {
        Service::Port(transport, port) => KernelPacket::opening(source, destination, transport, port),
        Service::Portless => {
            let type_ = if source.is_ipv4() { 8 } else { 128 };
            KernelPacket::new(source, destination, Payload::Icmp { type_, code: 0 }, ConnState::New)
        }
    };
    packet.expect("probes have ends of one family")
}

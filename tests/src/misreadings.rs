//! Plausible misreadings of the API text, each of which the generated cases must notice.
//!
//! One kind edits the oracle's source while this crate is built, so that the product carries no hook. The other
//! rewrites the manifests into what a misreader takes them for, and has the oracle judge those.

mod in_manifests;
mod in_source;

use chainmail_model::Cluster;
use chainmail_model::semantics::{self, Packet, Verdict};
use serde_json::Value;

use crate::world::{Layout, World};

pub use in_manifests::explicit;

/// How a reading judges a packet.
type Judge = fn(&Cluster, &Packet) -> Verdict;

/// The oracle's source with one replacement each.
#[allow(unused, clippy::all, reason = "an edit may leave names that nothing uses any more")]
mod misread {
    use super::Judge;
    include!(concat!(env!("OUT_DIR"), "/misread.rs"));
}

/// A wrong reading.
#[derive(Clone, Copy)]
pub struct Misreading {
    /// A short name.
    pub name: &'static str,
    /// The clause that it gets wrong.
    pub clause: u8,
    /// What is believed.
    pub belief: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Source(Judge),
    Manifests(in_manifests::Rewrite),
}

/// All of them, in order of clauses.
#[must_use]
pub fn all() -> Vec<Misreading> {
    let edits = in_source::EDITS.iter().zip(misread::JUDGES);
    let edits = edits.map(|(edit, judge)| Misreading {
        name: edit.name,
        clause: edit.clause,
        belief: edit.belief,
        kind: Kind::Source(judge),
    });
    let rewritings = in_manifests::REWRITINGS.iter();
    let rewritings = rewritings.map(|rewriting| Misreading {
        name: rewriting.name,
        clause: rewriting.clause,
        belief: rewriting.belief,
        kind: Kind::Manifests(rewriting.rewrite),
    });
    let mut all: Vec<Misreading> = edits.chain(rewritings).collect();
    all.sort_by_key(|misreading| misreading.clause);
    all
}

impl Misreading {
    /// Which of the packets it judges otherwise than the right reading does. A rewriting that changes nothing here, or
    /// makes manifests that no cluster could have, says nothing.
    #[must_use]
    pub fn noticed(&self, world: &World, cluster: &Cluster, packets: &[(Packet, Verdict)]) -> Vec<bool> {
        match self.kind {
            Kind::Source(judge) => {
                packets.iter().map(|(packet, right)| judge(cluster, packet) != *right).collect()
            }
            Kind::Manifests(rewrite) => {
                let objects: Vec<Value> =
                    world.objects.iter().map(|object| rewritten(rewrite, object)).collect();
                let nothing = vec![false; packets.len()];
                if objects == world.objects {
                    return nothing;
                }
                let loaded =
                    chainmail_pipeline::load(&World { objects, ..world.clone() }.sources(Layout::JsonList));
                if loaded.findings.has_errors() {
                    return nothing;
                }
                let judge = |packet: &Packet| semantics::judge(&loaded.cluster, packet);
                packets.iter().map(|(packet, right)| judge(packet) != *right).collect()
            }
        }
    }
}

fn rewritten(rewrite: in_manifests::Rewrite, object: &Value) -> Value {
    let mut object = object.clone();
    rewrite(&mut object);
    object
}

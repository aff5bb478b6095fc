//! What is compared.

use std::net::IpAddr;

use chainmail_model::{Cluster, Direction, semantics};
use chainmail_prove::Meaning;

use crate::diff::Side;

/// Both sides of a comparison.
#[derive(Clone, Copy)]
pub(super) struct Sides<'m, 'a> {
    pub(super) clusters: [&'a Cluster; 2],
    pub(super) meanings: [&'m Meaning<'a>; 2],
}

impl<'m> Sides<'m, '_> {
    /// Returns the places of the policies that isolate an address on a side, where a node enforces them.
    pub(super) fn isolating(&self, side: Side, direction: Direction, address: IpAddr) -> Option<&'m [usize]> {
        let (cluster, meaning) = (self.clusters[side.index()], self.meanings[side.index()]);
        let holder = cluster.holder_of(address)?;
        if !semantics::is_enforced(cluster, address) {
            return None;
        }
        let (policies, _) = meaning.hangs_on(direction, holder)?;
        Some(policies)
    }
}

//! What sets hold, laid out for lookups.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use chainmail_contract::Transport;
use ipnet::IpNet;

/// The members of one set, all of its family, each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Members {
    /// Of a `hash:ip`, sorted.
    Ip(Vec<IpAddr>),
    /// Of a `hash:net`.
    Net(NetMembers),
    /// Of a `hash:ip,port`, sorted.
    IpPort(Vec<(IpAddr, Transport, u16)>),
    /// Of a `hash:ip,port,ip`, each with the timeout that it has left or begins with.
    IpPortIp(BTreeMap<Flow, Option<Duration>>),
}

impl Members {
    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Members::Ip(ips) => ips.len(),
            Members::Net(nets) => nets.nets.len(),
            Members::IpPort(services) => services.len(),
            Members::IpPortIp(flows) => flows.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A member of a `hash:ip,port,ip`: `HOST,PROTOCOL:PORT,PEER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The first address.
    pub host: IpAddr,
    /// The protocol.
    pub transport: Transport,
    /// The port, of the end that the match's second direction says.
    pub port: u16,
    /// The second address.
    pub peer: IpAddr,
}

/// The members of a `hash:net`.
///
/// A member may lie in another, and without `nomatch` the larger one alone decides; so a lookup needs only the
/// disjoint ranges that they cover together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetMembers {
    nets: Vec<IpNet>,
    covered: Vec<(IpAddr, IpAddr)>,
}

impl NetMembers {
    /// `nets` are sorted and of one family.
    pub(super) fn new(nets: Vec<IpNet>) -> Self {
        let mut covered: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(nets.len());
        for net in &nets {
            // Sorted by address and then by length: a net is within an earlier one, or after all of them.
            match covered.last() {
                Some((_, last)) if net.network() <= *last => {}
                _ => covered.push((net.network(), net.broadcast())),
            }
        }
        Self { nets, covered }
    }

    /// The members, sorted.
    #[must_use]
    pub fn nets(&self) -> &[IpNet] {
        &self.nets
    }

    /// The disjoint ranges of addresses, first and last, that the members cover, sorted.
    #[must_use]
    pub fn covered(&self) -> &[(IpAddr, IpAddr)] {
        &self.covered
    }

    /// Whether an address is in a member.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let after = self.covered.partition_point(|(first, _)| *first <= ip);
        after.checked_sub(1).and_then(|at| self.covered.get(at)).is_some_and(|(_, last)| ip <= *last)
    }
}

//! Sets and their members, as `ipset save` prints them.

mod draft;
mod members;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chainmail_contract::{Family, Member, SetKind, SetName, content_name};

use crate::{End, Packet};

pub use members::{Flow, Members, NetMembers};

/// The set types that rules of ours can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetType {
    /// Addresses.
    HashIp,
    /// Networks.
    HashNet,
    /// Address, protocol and port.
    HashIpPort,
    /// Address, protocol and port, second address: flows.
    HashIpPortIp,
}

impl SetType {
    /// The type as ipset spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SetType::HashIp => "hash:ip",
            SetType::HashNet => "hash:net",
            SetType::HashIpPort => "hash:ip,port",
            SetType::HashIpPortIp => "hash:ip,port,ip",
        }
    }

    /// How many directions a match must name. The kernel loads any number: it leaves those too many unused and
    /// takes those that lack as `dst`.
    #[must_use]
    pub fn dimension(self) -> usize {
        match self {
            SetType::HashIp | SetType::HashNet => 1,
            SetType::HashIpPort => 2,
            SetType::HashIpPortIp => 3,
        }
    }
}

impl fmt::Display for SetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set {
    name: SetName,
    family: Family,
    timeout: Option<Duration>,
    maxelem: u32,
    members: Members,
}

impl Set {
    /// The set's name.
    #[must_use]
    pub fn name(&self) -> &SetName {
        &self.name
    }

    /// The family of its members.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its type.
    #[must_use]
    pub fn set_type(&self) -> SetType {
        match &self.members {
            Members::Ip(_) => SetType::HashIp,
            Members::Net(_) => SetType::HashNet,
            Members::IpPort(_) => SetType::HashIpPort,
            Members::IpPortIp(_) => SetType::HashIpPortIp,
        }
    }

    /// How long a member stays that does not say so itself; only sets of flows have that.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// How many members it takes.
    #[must_use]
    pub fn maxelem(&self) -> u32 {
        self.maxelem
    }

    /// What it holds.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The name that a set with these members has by its content; a set of flows has none.
    #[must_use]
    pub fn content_name(&self) -> Option<SetName> {
        let (kind, members) = match &self.members {
            Members::Ip(ips) => (SetKind::HashIp, ips.iter().map(|&ip| Member::Ip(ip)).collect()),
            Members::Net(nets) => {
                (SetKind::HashNet, nets.nets().iter().map(|&net| Member::Net(net)).collect())
            }
            Members::IpPort(services) => {
                let members =
                    services.iter().map(|&(ip, transport, port)| Member::IpPort(ip, transport, port));
                (SetKind::HashIpPort, members.collect())
            }
            Members::IpPortIp(_) => return None,
        };
        Some(content_name(self.family, kind, &members))
    }

    /// Whether a packet's ends are a member. `ends` are as many as the type has dimensions.
    pub(crate) fn matches(&self, packet: &Packet, ends: &[End]) -> bool {
        match (&self.members, ends) {
            (Members::Ip(ips), &[end]) => ips.binary_search(&packet.address(end)).is_ok(),
            (Members::Net(nets), &[end]) => nets.contains(packet.address(end)),
            (Members::IpPort(services), &[host, service]) => {
                packet.service(service).is_some_and(|(transport, port)| {
                    services.binary_search(&(packet.address(host), transport, port)).is_ok()
                })
            }
            (Members::IpPortIp(flows), &[host, service, peer]) => {
                packet.service(service).is_some_and(|(transport, port)| {
                    let (host, peer) = (packet.address(host), packet.address(peer));
                    flows.contains_key(&Flow { host, transport, port, peer })
                })
            }
            _ => false,
        }
    }
}

/// The sets of both families, by name. Those of others are left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sets(BTreeMap<SetName, Arc<Set>>);

impl Sets {
    /// The set of that name.
    #[must_use]
    pub fn get(&self, name: &SetName) -> Option<&Set> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// Those of the sets that have one of these names: what one of many hosts holds of all sets there are.
    #[must_use]
    pub fn only<'n>(&self, names: impl IntoIterator<Item = &'n SetName>) -> Self {
        let found = names.into_iter().filter_map(|name| self.0.get_key_value(name));
        Self(found.map(|(name, set)| (name.clone(), Arc::clone(set))).collect())
    }

    /// These sets and others; of two of one name the other.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// All sets, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Set> {
        self.0.values().map(AsRef::as_ref)
    }

    pub(crate) fn into_vec(self) -> Vec<Arc<Set>> {
        self.0.into_values().collect()
    }

    /// How many sets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

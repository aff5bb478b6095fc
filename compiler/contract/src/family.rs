//! The two address families; every rule text and every set belongs to exactly one.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// An address family. Rules of one family live in `iptables`, of the other in `ip6tables`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families, in the order in which they are rendered and applied.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// `v4` or `v6`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        }
    }

    /// The family's word in `ipset create … family WORD`.
    #[must_use]
    pub fn ipset_word(self) -> &'static str {
        match self {
            Family::V4 => "inet",
            Family::V6 => "inet6",
        }
    }

    /// The prefix of every set name of this family.
    #[must_use]
    pub fn set_prefix(self) -> &'static str {
        match self {
            Family::V4 => "cm4-",
            Family::V6 => "cm6-",
        }
    }

    /// The name of this family's rule file in a snapshot.
    #[must_use]
    pub fn rules_file(self) -> &'static str {
        match self {
            Family::V4 => "rules.v4",
            Family::V6 => "rules.v6",
        }
    }

    /// How many bits an address of this family has.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// The family of a network.
    #[must_use]
    pub fn of_net(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Addresses: whose they are, and which are made up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chainmail_contract::{Family, NodeName};
use serde::{Deserialize, Serialize};

use super::LayoutError;
use crate::endpoint::Endpoint;

/// A pod's addresses, at most one of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
}

impl Pair {
    pub(crate) fn iter(self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// The addresses outside: those that were asked for, or one of each family that the cluster has.
pub(super) fn outside(wanted: &[IpAddr], has_v6: bool) -> Vec<IpAddr> {
    if wanted.is_empty() {
        let v4 = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
        let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7));
        return if has_v6 { vec![v4, v6] } else { vec![v4] };
    }
    let mut addresses = wanted.to_vec();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Who has which address.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<IpAddr, Endpoint>);

impl Claims {
    pub(super) fn claim(&mut self, addresses: &[IpAddr], owner: &Endpoint) -> Result<(), LayoutError> {
        for &address in addresses {
            if let Some(first) = self.0.insert(address, owner.clone()) {
                return Err(LayoutError::Taken { address, first, second: owner.clone() });
            }
        }
        Ok(())
    }
}

/// Makes up addresses from the networks that RFC 5737 and RFC 3849 keep for documentation.
pub(super) struct Inventor {
    claims: Claims,
}

impl Inventor {
    pub(super) fn new(claims: Claims) -> Self {
        Self { claims }
    }

    pub(super) fn next(&mut self, family: Family, node: &NodeName) -> Result<IpAddr, LayoutError> {
        let candidate = |host: u8| match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, host.into())),
        };
        let free = (1..=254).map(candidate).find(|address| !self.claims.0.contains_key(address));
        let address = free.ok_or_else(|| LayoutError::NoneLeft { node: node.clone() })?;
        self.claims.0.insert(address, Endpoint::Node(node.clone()));
        Ok(address)
    }
}

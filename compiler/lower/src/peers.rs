//! Peers as sets: which ones are there already, and when a network stays in its rule.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_contract::{Family, Member, SetKind, SetName};
use chainmail_model::{AddressRanges, Cluster};
use ipnet::IpNet;

use crate::netfilter::IpSet;
use crate::policy::{PodSetId, PodSets, Service};

/// Up to this many networks are matched one rule each: measured, asking a set costs as much as 25 rules on an address,
/// and hash:net more for each distinct prefix length.
pub(super) const INLINE_NETWORKS: usize = 4;

/// The sets of one family and all others, each made once.
#[derive(Default)]
pub(super) struct PeerSets {
    by_pods: BTreeMap<(Family, PodSetId), Rc<IpSet>>,
    by_name: BTreeMap<SetName, Rc<IpSet>>,
}

impl PeerSets {
    /// The set of the addresses that these pods have in a family. Pods are always in a set, also a single one, so that a
    /// pod that comes or goes changes a set and no rule.
    pub(super) fn of_pods(
        &mut self,
        cluster: &Cluster,
        sets: &PodSets,
        family: Family,
        pods: PodSetId,
    ) -> Rc<IpSet> {
        if let Some(set) = self.by_pods.get(&(family, pods)) {
            return Rc::clone(set);
        }
        let addresses = sets.pods(pods).filter_map(|id| cluster.addresses_of(id).of(family));
        let set = self.intern(IpSet::new(family, SetKind::HashIp, addresses.map(Member::Ip)));
        self.by_pods.insert((family, pods), Rc::clone(&set));
        set
    }

    /// The set of some networks.
    pub(super) fn of_networks(&mut self, family: Family, networks: Vec<IpNet>) -> Rc<IpSet> {
        // hash:net refuses /0; who has it has everything, and needs no set.
        debug_assert!(networks.iter().all(|net| net.prefix_len() > 0));
        self.intern(IpSet::new(family, SetKind::HashNet, networks.into_iter().map(Member::Net)))
    }

    /// The set of some services.
    pub(super) fn of_services(&mut self, family: Family, services: &BTreeSet<Service>) -> Rc<IpSet> {
        let member = |service: &Service| Member::IpPort(service.address, service.protocol, service.port);
        self.intern(IpSet::new(family, SetKind::HashIpPort, services.iter().map(member)))
    }

    /// A set by its members.
    pub(super) fn intern(&mut self, set: IpSet) -> Rc<IpSet> {
        let entry = self.by_name.entry(set.name().clone());
        Rc::clone(entry.or_insert_with(|| Rc::new(set)))
    }

    /// A set that was made.
    pub(super) fn get(&self, name: &SetName) -> Option<&Rc<IpSet>> {
        self.by_name.get(name)
    }
}

/// The networks that hold exactly these addresses, where they are few enough to stay in rules.
pub(super) fn inline(addresses: &AddressRanges) -> Result<Vec<IpNet>, Vec<IpNet>> {
    let networks = addresses.networks();
    if networks.len() <= INLINE_NETWORKS { Ok(networks) } else { Err(networks) }
}

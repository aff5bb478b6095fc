//! Sets.

use std::collections::BTreeSet;

use chainmail_snapshot::{Family, Member, SetKind, SetName, content_name};

/// A set that is named by its content. Members are of its kind and family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpSet {
    name: SetName,
    family: Family,
    kind: SetKind,
    members: BTreeSet<Member>,
}

impl IpSet {
    /// A set with these members.
    #[must_use]
    pub fn new(family: Family, kind: SetKind, members: BTreeSet<Member>) -> Self {
        debug_assert!(members.iter().all(|member| member.family() == family));
        Self { name: content_name(family, kind, &members), family, kind, members }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &SetName {
        &self.name
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> SetKind {
        self.kind
    }

    /// Its members.
    #[must_use]
    pub fn members(&self) -> &BTreeSet<Member> {
        &self.members
    }
}

//! Sets.

use chainmail_contract::{Family, Member, MemberLines, SetKind, SetName};

use super::{SetRef, Side};

/// A set that is named by its content. Members are of its kind and family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpSet {
    name: SetName,
    family: Family,
    kind: SetKind,
    members: MemberLines,
}

impl IpSet {
    /// A set with these members.
    #[must_use]
    pub fn new(family: Family, kind: SetKind, members: impl IntoIterator<Item = Member>) -> Self {
        let of_family = |member: &Member| debug_assert_eq!(member.family(), family);
        let members: MemberLines = members.into_iter().inspect(of_family).collect();
        Self { name: members.content_name(family, kind), family, kind, members }
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
    pub fn members(&self) -> &MemberLines {
        &self.members
    }

    /// A question to the set about one end of a packet.
    #[must_use]
    pub fn asked(&self, side: Side) -> SetRef {
        debug_assert!(self.kind != SetKind::HashIpPort || side == Side::Dst, "a service is a destination");
        SetRef::Content { name: self.name.clone(), kind: self.kind, side }
    }
}

//! Sets.

use chainmail_contract::{Family, Member, MemberLines, SetKind, SetName};

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
}

//! How large the kernel makes a set. Only the number of members decides, so that nobody else's number asks the kernel for
//! memory.

use std::fmt;

/// The kernel's smallest and default `maxelem`.
const MAXELEM: usize = 65_536;
/// The kernel's smallest `hashsize`; most sets are small, and a node may have thousands.
const HASHSIZE: usize = 64;
/// How long a cut flow stays cut, in seconds: a day.
pub const CUT_TIMEOUT: u32 = 86_400;

/// `hashsize` and `maxelem` of a set, as ipset(8) has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capacity {
    hashsize: usize,
    maxelem: usize,
}

impl Capacity {
    /// For a set of so many members.
    #[must_use]
    pub fn of(members: usize) -> Self {
        let room = members.next_power_of_two();
        Self { hashsize: room.max(HASHSIZE), maxelem: room.max(MAXELEM) }
    }
}

/// As `ipset create` takes it.
impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hashsize {} maxelem {}", self.hashsize, self.maxelem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_room_for_its_members_and_no_more_than_twice_that() {
        for (members, expected) in [
            (0, "hashsize 64 maxelem 65536"),
            (64, "hashsize 64 maxelem 65536"),
            (65, "hashsize 128 maxelem 65536"),
            (65_537, "hashsize 131072 maxelem 131072"),
        ] {
            assert_eq!(Capacity::of(members).to_string(), expected, "{members}");
        }
    }
}

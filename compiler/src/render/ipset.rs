//! `ipset restore` text.

use chainmail_snapshot::{Family, cut_set_name};

use crate::netfilter::IpSet;

/// The kernel's smallest and default `maxelem`.
const MAXELEM: usize = 65_536;
/// The kernel's smallest `hashsize`; most sets are small, and a node may have thousands.
const HASHSIZE: usize = 64;
/// How long a cut flow stays cut, in seconds: a day.
const CUT_TIMEOUT: u32 = 86_400;

/// A set's text: one `create`, one `add` a member in order.
#[must_use]
pub fn set_text(set: &IpSet) -> String {
    let count = set.members().len();
    let hashsize = count.next_power_of_two().max(HASHSIZE);
    let maxelem = count.next_power_of_two().max(MAXELEM);
    let (name, kind, family) = (set.name(), set.kind().as_str(), set.family().ipset_word());
    let mut text = format!("create {name} {kind} family {family} hashsize {hashsize} maxelem {maxelem}\n");
    for member in set.members().iter() {
        text.extend(["add ", name.as_str(), " ", member, "\n"]);
    }
    text
}

/// The text of a family's set of cut flows. It is made empty; one that a node already has is kept as it is.
#[must_use]
pub fn cut_set_text(family: Family) -> String {
    let (name, word) = (cut_set_name(family), family.ipset_word());
    format!(
        "create {name} hash:ip,port,ip family {word} hashsize {HASHSIZE} maxelem {MAXELEM} timeout {CUT_TIMEOUT}\n"
    )
}

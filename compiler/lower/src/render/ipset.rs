//! `ipset restore` text.

use chainmail_contract::{CUT_TIMEOUT, Capacity, Family, cut_set_name};

use crate::netfilter::IpSet;

/// A set's text: one `create`, one `add` a member in order.
#[must_use]
pub fn set_text(set: &IpSet) -> String {
    let capacity = Capacity::of(set.members().len());
    let (name, kind, family) = (set.name(), set.kind().as_str(), set.family().ipset_word());
    let mut text = format!("create {name} {kind} family {family} {capacity}\n");
    for member in set.members().iter() {
        text.extend(["add ", name.as_str(), " ", member, "\n"]);
    }
    text
}

/// The text of a family's set of cut flows. It is made empty; one that a node already has is kept as it is.
#[must_use]
pub fn cut_set_text(family: Family) -> String {
    let (name, word, capacity) = (cut_set_name(family), family.ipset_word(), Capacity::of(0));
    format!("create {name} hash:ip,port,ip family {word} {capacity} timeout {CUT_TIMEOUT}\n")
}

//! `iptables-restore` text.

use std::fmt::Write as _;

use crate::netfilter::Ruleset;

/// The whole text of one family: `*filter`, chains in order of names, their rules, `COMMIT`.
#[must_use]
pub fn rules_text(rules: &Ruleset) -> String {
    let mut text = String::from("*filter\n");
    for chain in rules.chains.keys() {
        writeln!(text, ":{chain} - [0:0]").expect("writing to a String cannot fail");
    }
    for (chain, body) in &rules.chains {
        for rule in body.iter() {
            text.extend(["-A ", chain.as_str()]);
            rule.write_spec(&mut text, rules.family);
            text.push('\n');
        }
    }
    text.push_str("COMMIT\n");
    text
}

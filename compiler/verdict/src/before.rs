//! Rules of others that stand before the jump into our chains, and may let a packet pass without it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chainmail_contract::FORWARD_CHAIN;

use crate::record::words;
use crate::table::Policy;

/// Targets after which a packet goes on to the next rule, or is gone. All others may let it pass: ACCEPT, a program that
/// reads NFQUEUE, a copy by TEE, and each target that is not known here.
const HARMLESS: [&str; 21] = [
    "AUDIT",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "DROP",
    "DSCP",
    "HMARK",
    "IDLETIMER",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "RATEEST",
    "REJECT",
    "RETURN",
    "SECMARK",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TOS",
    "TRACE",
    "ULOG",
];

/// The chains of others with their policies, and their rules as text from `-A` on.
pub(crate) type Chains<'t> = BTreeMap<&'t str, (Option<Policy>, Vec<&'t str>)>;

/// The rules by which a packet may pass before it comes to our jump, in the order in which the chains are met. None where
/// FORWARD has no jump that every packet takes.
pub(crate) fn passing<'t>(chains: &Chains<'t>) -> Vec<&'t str> {
    let Some((policy, forward)) = chains.get("FORWARD") else { return Vec::new() };
    let is_jump =
        |rule: &&str| words(rule).is_some_and(|words| words == ["-A", "FORWARD", "-j", FORWARD_CHAIN]);
    let Some(jump) = forward.iter().position(is_jump) else { return Vec::new() };
    // In FORWARD itself, RETURN and the end of a chain that was gone to lead to FORWARD's policy (iptables(8), TARGETS).
    let leaves_open = *policy != Some(Policy::Drop);
    let mut found = Vec::new();
    let mut seen = BTreeSet::from(["FORWARD"]);
    let mut waiting = VecDeque::from([forward.get(..jump).unwrap_or_default()]);
    let mut is_forward = true;
    while let Some(rules) = waiting.pop_front() {
        for rule in rules {
            // A rule whose words cannot be told apart may do anything.
            let Some(words) = words(rule) else {
                found.push(*rule);
                continue;
            };
            let mut passes = false;
            // A value of some option may be spelled `-j` too. What follows it is taken for one more target.
            for [option, target] in words.array_windows() {
                let is_goto = matches!(&**option, "-g" | "--goto");
                if !is_goto && !matches!(&**option, "-j" | "--jump") {
                    continue;
                }
                let ends_in_forward = is_forward && (is_goto || target == "RETURN") && leaves_open;
                match chains.get_key_value(&**target) {
                    Some((name, (_, rules))) => {
                        if seen.insert(*name) {
                            waiting.push_back(rules);
                        }
                        passes |= ends_in_forward;
                    }
                    None if target == FORWARD_CHAIN => {}
                    None => passes |= ends_in_forward || !HARMLESS.contains(&&**target),
                }
            }
            if passes {
                found.push(*rule);
            }
            // What stands behind a rule that takes every packet is never met.
            if let [_, _, option, end] = &words[..]
                && option == "-j"
                && matches!(&**end, "ACCEPT" | "DROP" | "RETURN")
            {
                break;
            }
        }
        is_forward = false;
    }
    found
}

#[cfg(test)]
mod tests {
    use chainmail_contract::Family;

    use crate::{Ruleset, Table};

    fn told(policy: &str, rules: &str) -> Vec<String> {
        let text = format!(
            "*filter\n:FORWARD {policy} [0:0]\n:CM-FORWARD - [0:0]\n:CM-OTHER - [0:0]\n:F1 - [0:0]\n:F2 - [0:0]\n{rules}COMMIT\n"
        );
        let table = Table::read(Family::V4, &text).unwrap();
        let ruleset = Ruleset::from_table(&table).unwrap();
        let told: Vec<String> = table.passing_before_our_jump().into_iter().map(str::to_owned).collect();
        assert_eq!(told, ruleset.passing_before_our_jump(), "{rules}");
        told
    }

    #[test]
    fn each_rule_that_may_let_a_packet_pass_is_told() {
        let rows = [
            ("-A FORWARD -j ACCEPT\n", true),
            ("-A FORWARD -s 8.8.8.8/32 -j ACCEPT\n", true),
            ("-A FORWARD -m mark --mark 0x1 -j ACCEPT\n", true),
            ("-A FORWARD -m comment --comment \"-j\" -j ACCEPT\n", true),
            ("-A FORWARD -m set --match-set -j src -j ACCEPT\n", true),
            ("-A FORWARD -j NFQUEUE --queue-num 0\n", true),
            ("-A FORWARD -j QUEUE\n", true),
            ("-A FORWARD -j TEE --gateway 10.0.0.9\n", true),
            ("-A FORWARD -j NEWTARGET\n", true),
            ("-A FORWARD -s 8.8.8.8/32 -j RETURN\n", true),
            ("-A FORWARD -s 8.8.8.8/32 -g F1\n", true),
            ("-A FORWARD -s 8.8.8.8/32 -j CM-OTHER\n", true),
            ("-A FORWARD -s 8.8.8.8/32 -m string --string \"open\n", true),
            ("-A FORWARD -s 8.8.8.8/32\n", false),
            ("-A FORWARD -j LOG --log-prefix \"x -j ACCEPT\"\n", false),
            ("-A FORWARD -m comment --comment \"-j ACCEPT\" -j NFLOG\n", false),
            ("-A FORWARD -j MARK --set-xmark 0x1/0x1\n", false),
            ("-A FORWARD -m conntrack --ctstate INVALID -j DROP\n", false),
            ("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset\n", false),
            ("-A FORWARD -j F1\n", false),
        ];
        for (rule, expected) in rows {
            let found = told("ACCEPT", &format!("{rule}-A FORWARD -j CM-FORWARD\n"));
            assert_eq!(found, if expected { vec![rule.trim_end()] } else { vec![] }, "{rule}");
            let behind = told("ACCEPT", &format!("-A FORWARD -j CM-FORWARD\n{rule}"));
            assert_eq!(behind, [""; 0], "behind the jump: {rule}");
        }
    }

    #[test]
    fn chains_that_are_jumped_to_are_followed_once() {
        let rules = "-A FORWARD -s 8.8.8.8/32 -j F1\n-A FORWARD -j CM-FORWARD\n-A F1 -p tcp -j F2\n-A F1 -p udp -j RETURN\n\
                     -A F2 -p tcp -j F1\n-A F2 -p tcp -j ACCEPT\n-A F2 -j RETURN\n-A F2 -p udp -j ACCEPT\n";
        assert_eq!(told("ACCEPT", rules), ["-A F2 -p tcp -j ACCEPT"]);
    }

    /// Where FORWARD's policy is DROP, what goes past the jump to it is closed.
    #[test]
    fn a_way_to_the_policy_is_open_where_the_policy_is() {
        let rules = "-A FORWARD -s 8.8.8.8/32 -g F1\n-A FORWARD -p udp -j RETURN\n-A FORWARD -j CM-FORWARD\n-A F1 -j ACCEPT\n";
        assert_eq!(told("DROP", rules), ["-A F1 -j ACCEPT"]);
        assert_eq!(told("ACCEPT", rules).len(), 3);
    }
}

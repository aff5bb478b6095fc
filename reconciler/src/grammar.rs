//! The words that a rule of a snapshot may consist of.
//!
//! A snapshot's text is handed to `iptables-restore` as root. That program also reads options which reach outside our
//! chains (`--modprobe` even runs a program), in short, long and abbreviated forms. So the words are not searched for
//! bad ones: only known ones pass.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::save::words;

/// Whether a word is an option that a snapshot may use: those of one letter as `iptables-save` prints them, with the value
/// always a word of its own, and those of matches and targets by the manual page iptables-extensions(8).
fn is_option(word: &str) -> bool {
    matches!(
        word,
        "-s" | "-d"
            | "-i"
            | "-o"
            | "-p"
            | "-m"
            | "-j"
            | "-g"
            | "--chunk-types"
            | "--comment"
            | "--ctdir"
            | "--ctproto"
            | "--ctstate"
            | "--ctstatus"
            | "--dport"
            | "--dports"
            | "--dst-range"
            | "--dst-type"
            | "--hl-eq"
            | "--hl-gt"
            | "--hl-lt"
            | "--icmp-type"
            | "--icmpv6-type"
            | "--limit"
            | "--limit-burst"
            | "--limit-iface-in"
            | "--limit-iface-out"
            | "--log-level"
            | "--log-prefix"
            | "--match-set"
            | "--nflog-group"
            | "--nflog-prefix"
            | "--nflog-size"
            | "--nflog-threshold"
            | "--physdev-in"
            | "--physdev-is-bridged"
            | "--physdev-is-in"
            | "--physdev-is-out"
            | "--physdev-out"
            | "--pkt-type"
            | "--ports"
            | "--reject-with"
            | "--sport"
            | "--sports"
            | "--src-range"
            | "--src-type"
            | "--tcp-flags"
            | "--ttl-eq"
            | "--ttl-gt"
            | "--ttl-lt"
    )
}

/// Targets that are not chains.
const TARGETS: [&str; 6] = ["ACCEPT", "DROP", "LOG", "NFLOG", "REJECT", "RETURN"];

/// What keeps a rule from being handed to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrammarError {
    /// The line has a control character.
    #[error("it has a control character")]
    Control,
    /// A quote is left open.
    #[error("a quote is left open")]
    Quote,
    /// An option that no snapshot uses.
    #[error("option {0:?} is not one that a snapshot may use")]
    Option(String),
    /// An option at the end of the line.
    #[error("option {0:?} has no value")]
    NoValue(String),
    /// A jump or goto to a chain that is not declared in the same text.
    #[error("it leads to {0:?}, which is no chain of this text")]
    Target(String),
    /// A match on a set that the snapshot does not list.
    #[error("set {0:?} is not in the snapshot, or of the other family")]
    Set(String),
}

/// Checks a rule's body: known words, targets among `chains`, sets among `sets`.
///
/// # Errors
/// On the first word that is not in order.
pub fn check_rule(body: &str, chains: &BTreeSet<&str>, sets: &BTreeSet<&str>) -> Result<(), GrammarError> {
    if body.chars().any(char::is_control) {
        return Err(GrammarError::Control);
    }
    let words = words(body).ok_or(GrammarError::Quote)?;
    let mut words = words.iter().map(|word| &**word);
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            continue;
        }
        if !is_option(word) {
            return Err(GrammarError::Option(word.to_owned()));
        }
        let mut value = || words.next().ok_or_else(|| GrammarError::NoValue(word.to_owned()));
        match word {
            // Free text: it may look like an option, and is none.
            "--comment" | "--log-prefix" | "--nflog-prefix" => drop(value()?),
            "-j" | "-g" => {
                let target = value()?;
                if !TARGETS.contains(&target) && !chains.contains(target) {
                    return Err(GrammarError::Target(target.to_owned()));
                }
            }
            "--match-set" => {
                let set = value()?;
                if !sets.contains(set) {
                    return Err(GrammarError::Set(set.to_owned()));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_and_our_names_pass() {
        let (chains, sets) = (BTreeSet::from(["CM-A"]), BTreeSet::from(["cm4-a"]));
        let fine = [
            "",
            "-m conntrack --ctstate ESTABLISHED -j RETURN",
            "-p ipv6-icmp -m icmp6 --icmpv6-type 133 -m hl --hl-eq 255 -j RETURN",
            "! -p tcp -m set --match-set cm4-a src -j DROP",
            "-m limit --limit 1/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 67",
            "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set ! --match-set cm4-a src -g CM-A",
            "-p tcp -m multiport --dports 80,443 -m comment --comment \"-t nat\" -j REJECT --reject-with tcp-reset",
        ];
        for body in fine {
            assert_eq!(check_rule(body, &chains, &sets), Ok(()), "{body}");
        }
        let option = |word: &str| GrammarError::Option(word.to_owned());
        let refused = [
            ("-j KUBE-FORWARD", GrammarError::Target("KUBE-FORWARD".to_owned())),
            ("-g CM-B", GrammarError::Target("CM-B".to_owned())),
            ("-m set --match-set KUBE-IPS src -j DROP", GrammarError::Set("KUBE-IPS".to_owned())),
            ("-t nat -j DROP", option("-t")),
            ("-jKUBE-FORWARD", option("-jKUBE-FORWARD")),
            ("--jump=KUBE-FORWARD", option("--jump=KUBE-FORWARD")),
            ("--jum DROP", option("--jum")),
            ("--modprobe=/tmp/evil -j DROP", option("--modprobe=/tmp/evil")),
            ("-I FORWARD -j DROP", option("-I")),
            ("--comment \"open", GrammarError::Quote),
            ("-s 10.0.0.1\u{b}-t nat", GrammarError::Control),
            ("-s 10.0.0.1 -j", GrammarError::NoValue("-j".to_owned())),
        ];
        for (body, expected) in refused {
            assert_eq!(check_rule(body, &chains, &sets), Err(expected), "{body}");
        }
    }
}

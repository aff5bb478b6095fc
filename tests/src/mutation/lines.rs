//! Slips at lines, and those at words put back into their lines.

use std::collections::BTreeSet;

use chainmail_contract::Family;

use super::words::{self, Names};
use super::{Mutant, Slip, Text};

/// Every text of a node with one slip; `rules` are of IPv4 and IPv6, `sets` one after the other.
#[must_use]
pub fn mutants(rules: [&str; 2], sets: &str) -> Vec<Mutant> {
    let set_names: Vec<&str> = sets.lines().filter_map(|line| line.strip_prefix("create ")).collect();
    let set_names: Vec<&str> = set_names.iter().filter_map(|rest| rest.split(' ').next()).collect();
    let mut all = Vec::new();
    for (family, text) in Family::ALL.into_iter().zip(rules) {
        let chains = text.lines().filter_map(|line| line.strip_prefix(':')?.split(' ').next()).collect();
        let names = Names { family, chains, sets: set_names.clone() };
        of_text(Text::Rules(family), text, &names, words::of_rule_line, &mut all);
    }
    let names = Names { family: Family::V4, chains: Vec::new(), sets: set_names };
    of_text(Text::Sets, sets, &names, words::of_set_line, &mut all);
    all
}

/// What else a line could say, with the slip.
type OfLine = fn(&str, &Names<'_>) -> Vec<(Slip, Vec<String>)>;

fn of_text(text: Text, source: &str, names: &Names<'_>, of_line: OfLine, all: &mut Vec<Mutant>) {
    let lines: Vec<&str> = source.lines().collect();
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<String>>();
    for (at, line) in lines.iter().enumerate() {
        let mut push = |slip, lines, by| all.push(Mutant { text, slip, lines, by });
        push(Slip::Deleted, at..at + 1, Vec::new());
        push(Slip::Doubled, at..at + 1, owned(&[line, line]));
        if let Some(next) = lines.get(at + 1) {
            push(Slip::Swapped, at..at + 2, owned(&[next, line]));
        }
        let rest = &lines[at + 1..];
        let behind = rest.iter().take_while(|other| owner(other) == owner(line)).count();
        if behind > 1 {
            let mut by = owned(&rest[..behind]);
            by.push((*line).to_owned());
            push(Slip::Last, at..at + 1 + behind, by);
        }
        if let Some(chain) = line.strip_prefix("-A ").map(|_| owner(line)) {
            for target in ["RETURN", "DROP"] {
                push(Slip::Added, at..at + 1, vec![format!("-A {chain} -j {target}"), (*line).to_owned()]);
            }
        }
        let mut seen = BTreeSet::from([vec![(*line).to_owned()]]);
        for (slip, by) in of_line(line, names) {
            if seen.insert(by.clone()) {
                push(slip, at..at + 1, by);
            }
        }
    }
}

/// What a line belongs to: its chain, its set, or the text.
fn owner(line: &str) -> &str {
    let mut words = line.split(' ');
    match words.next() {
        Some("-A" | "add") => words.next().unwrap_or_default(),
        _ => "",
    }
}

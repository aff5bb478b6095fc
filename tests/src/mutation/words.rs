//! Slips at the words of one line.

use chainmail_contract::Family;

use super::{Slip, values};

/// The names that a slip may put in another's place.
pub(super) struct Names<'t> {
    pub(super) family: Family,
    pub(super) chains: Vec<&'t str>,
    pub(super) sets: Vec<&'t str>,
}

impl<'t> Names<'t> {
    /// The sets of a family's text that a name of this form may stand for.
    pub(super) fn others_like(&self, set: &str) -> impl Iterator<Item = &'t str> {
        let prefix = set.get(..4).unwrap_or_default().to_owned();
        let own = set.to_owned();
        self.sets.iter().copied().filter(move |other| other.starts_with(&prefix) && *other != own)
    }

    /// A set of the other family.
    pub(super) fn stranger(&self, set: &str) -> Option<&'t str> {
        let prefix = set.get(..4).unwrap_or_default();
        self.sets.iter().copied().find(|other| !other.starts_with(prefix))
    }
}

/// The words of a line as they are written; a quoted one may hold spaces.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut quoted = false;
    let mut start = 0;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b' ' if !quoted => {
                words.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&line[start..]);
    words
}

/// An option of a rule with its values: words from one place to another.
struct Asked {
    /// Where it begins, at its `!` where it has one.
    start: usize,
    /// Where its name stands.
    name: usize,
    /// Behind its last value.
    end: usize,
}

fn options(words: &[&str]) -> Vec<Asked> {
    let is_name = |word: &str| word.starts_with('-');
    let mut all = Vec::new();
    for name in (0..words.len()).filter(|&at| is_name(words[at])) {
        let values = words[name + 1..].iter().take_while(|word| !is_name(word) && **word != "!").count();
        let start = if name > 0 && words[name - 1] == "!" { name - 1 } else { name };
        all.push(Asked { start, name, end: name + 1 + values });
    }
    all
}

/// The options that take a `!`.
const CONDITIONS: [&str; 17] = [
    "-s",
    "-d",
    "-i",
    "-o",
    "-p",
    "--dport",
    "--sport",
    "--dports",
    "--sports",
    "--tcp-flags",
    "--match-set",
    "--ctstate",
    "--icmp-type",
    "--icmpv6-type",
    "--hl-eq",
    "--dst-type",
    "--pkt-type",
];

/// What else a line of rules could say.
pub(super) fn of_rule_line(line: &str, names: &Names<'_>) -> Vec<(Slip, Vec<String>)> {
    let words = words(line);
    let mut all = at_words(&words);
    if let Some(declared) = line.strip_prefix(':') {
        let (chain, rest) = declared.split_once(' ').unwrap_or((declared, ""));
        let others = names.chains.iter().filter(|other| **other != chain);
        all.extend(others.map(|other| (Slip::Chain, vec![format!(":{other} {rest}")])));
        all.push((Slip::Chain, vec![line.to_owned(), format!(":{chain}X {rest}")]));
        all.push((Slip::Chain, vec![line.replace(" - ", " DROP ")]));
    }
    if !line.starts_with("-A") {
        return all;
    }
    let with = |from: usize, to: usize, by: &[String]| {
        let by = by.iter().map(String::as_str);
        let whole = words[..from].iter().copied().chain(by).chain(words[to..].iter().copied());
        vec![whole.collect::<Vec<&str>>().join(" ")]
    };
    let options = options(&words);
    for (at, option) in options.iter().enumerate() {
        let name = words[option.name];
        let owned = words[option.start..option.end].iter().map(|word| (*word).to_owned());
        if CONDITIONS.contains(&name) {
            let negated = if option.start < option.name {
                owned.skip(1).collect::<Vec<String>>()
            } else {
                std::iter::once("!".to_owned()).chain(owned).collect()
            };
            all.push((Slip::Negated, with(option.start, option.end, &negated)));
            // The match that it is the only option of goes with it.
            let only = at > 0
                && words[options[at - 1].name] == "-m"
                && options.get(at + 1).is_none_or(|next| !words[next.name].starts_with("--"));
            let start = if only { options[at - 1].start } else { option.start };
            all.push((Slip::ConditionLost, with(start, option.end, &[])));
        }
        let values = &words[option.name + 1..option.end];
        for (slip, by) in values::changes(name, values, names) {
            all.push((slip, with(option.name, option.end, &by)));
        }
        if name == "-p" {
            all.extend(protocols(&words, values).map(|line| (Slip::Protocol, vec![line])));
        }
    }
    all
}

/// The rule with another protocol wherever it names its own.
fn protocols<'w>(words: &'w [&str], values: &[&'w str]) -> impl Iterator<Item = String> {
    let own = values.first().copied().unwrap_or_default();
    let others =
        ["tcp", "udp", "sctp", "icmp", "ipv6-icmp", "47"].into_iter().filter(move |other| *other != own);
    others.map(move |other| {
        let word = |word: &&'w str| if *word == own { other.to_owned() } else { (*word).to_owned() };
        words.iter().map(word).collect::<Vec<String>>().join(" ")
    })
}

/// Each word left out, and each twice.
fn at_words(words: &[&str]) -> Vec<(Slip, Vec<String>)> {
    let of = |slip, at: usize, times: usize| {
        let repeated = std::iter::repeat_n(words[at], times);
        let whole = words[..at].iter().copied().chain(repeated).chain(words[at + 1..].iter().copied());
        (slip, vec![whole.collect::<Vec<&str>>().join(" ")])
    };
    let places = 0..words.len();
    places.flat_map(|at| [of(Slip::WordLost, at, 0), of(Slip::WordDoubled, at, 2)]).collect()
}

/// What else a line of sets could say.
pub(super) fn of_set_line(line: &str, names: &Names<'_>) -> Vec<(Slip, Vec<String>)> {
    let words = words(line);
    let mut all = at_words(&words);
    let [verb, set, ..] = words[..] else { return all };
    let others = names.others_like(set).chain(names.stranger(set));
    let renamed = |other: &str| vec![line.replacen(set, other, 1)];
    all.extend(others.map(|other| (Slip::Set, renamed(other))));
    if verb == "create" {
        let unlike = [
            ("hash:ip,port,ip", "hash:ip"),
            ("hash:ip,port ", "hash:ip "),
            ("hash:net", "hash:ip"),
            ("hash:ip ", "hash:net "),
            ("hash:ip ", "hash:ip,port "),
            ("inet ", "inet6 "),
            ("inet6 ", "inet "),
            ("hashsize 64", "hashsize 128"),
            ("maxelem 65536", "maxelem 1"),
            ("maxelem 65536", "maxelem 0"),
            ("timeout 86400", "timeout 1"),
            (" timeout 86400", ""),
        ];
        let unlike = unlike.iter().filter(|(is, _)| line.contains(is));
        all.extend(unlike.map(|(is, other)| (Slip::SetOption, vec![line.replacen(is, other, 1)])));
        all.push((Slip::SetOption, vec![format!("{line} timeout 60")]));
        all.push((Slip::Added, vec![line.to_owned(), line.replacen(set, &format!("{}-ffff", &set[..3]), 1)]));
    }
    if let ("add", Some(member)) = (verb, words.get(2)) {
        for other in values::members(member) {
            let other = format!("add {set} {other}");
            all.push((Slip::Member, vec![other.clone()]));
            all.push((Slip::Added, vec![line.to_owned(), other]));
        }
        all.push((Slip::Added, vec![line.to_owned(), format!("{line} nomatch")]));
    }
    all
}

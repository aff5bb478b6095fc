//! A proof that passes a wrong text proves nothing: every text of every scenario with a slip in it is refused, or means
//! the same.
//!
//! Refused is a text that cannot be read, whose parts do not fit together, or in which the proof finds a flaw. Of the
//! others, brute force walks every packet that either text can tell from another; a difference it finds is a survivor.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, print what they counted, and may panic"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chainmail_contract::{ChainName, Family, NodeName, NodeSnapshot, SetName, cut_set_name};
use chainmail_manifest::source::{CONFIG_PATH, SourceFile, Sources};
use chainmail_model::{Cluster, semantics};
use chainmail_pipeline::{Compiler, load};
use chainmail_prove::{Difference, Flaw, Prover};
use chainmail_tests::mutation::{Mutant, Node, Slip, Text, differing, kernel, mutants, outcome};
use chainmail_verdict::exact::{Mode, Service};
use chainmail_verdict::{Chain, ConnState, End, Kernel, Match, Ruleset, Sets, Target, TcpFlags, Verdict};

/// Settings under which the dual-stack scenario is tried again: scenarios leave all at their defaults.
const SETTINGS: [(&str, &str); 6] = [
    ("allow", "allow = \"accept\"\n"),
    ("unknown_pods", "unknown_pods = \"drop\"\n"),
    ("drop_invalid", "drop_invalid = false\n"),
    ("pod_bridge", "pod_bridge = \"cni0\"\n"),
    ("pod_interfaces", "unknown_pods = \"drop\"\npod_interfaces = [\"cali*\"]\n"),
    (
        "all",
        "allow = \"accept\"\nunknown_pods = \"drop\"\ndrop_invalid = false\npod_bridge = \"cni0\"\n\
         pod_interfaces = [\"cni0\"]\n",
    ),
];

/// One node in one state of one scenario.
struct Unit {
    name: String,
    sources: Sources,
    node: NodeName,
    mutants: Vec<Mutant>,
}

/// What becomes of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The text cannot be read.
    Unreadable,
    /// What it names does not fit together.
    Unlinked,
    /// A flaw that no packet shows.
    Misbuilt,
    /// A packet becomes something else than policies say.
    Differs(Shown),
    /// Another text for the same rules and sets.
    Synonym,
    /// Other rules or sets that mean the same.
    Equal,
    /// Passed, and wrong.
    Survivor,
}

/// What a walk of the proof's packet by itself shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    /// The oracle says that it must become something else.
    ByTheOracle,
    /// It becomes something else than by the right text.
    ByTheText,
    /// It comes to the same end in another way.
    InPart,
}

#[derive(Debug, Default)]
struct Tally {
    fates: BTreeMap<(Slip, Fate), usize>,
    survivors: Vec<String>,
}

impl Tally {
    fn count(&self, of: impl Fn(Slip, Fate) -> bool) -> usize {
        self.fates.iter().filter(|((slip, fate), _)| of(*slip, *fate)).map(|(_, count)| count).sum()
    }

    fn print(&self) {
        println!(
            "{:>14} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "mutants", "unreadable", "unlinked", "misbuilt", "differs", "synonym", "equal"
        );
        let slips: BTreeSet<Slip> = self.fates.keys().map(|(slip, _)| *slip).collect();
        let row = |name: String, of: &dyn Fn(Slip) -> bool| {
            let count = |is: fn(Fate) -> bool| self.count(|slip, fate| of(slip) && is(fate));
            let differs = count(|fate| matches!(fate, Fate::Differs(_)));
            println!(
                "{name:>14} {:>8} {:>10} {:>8} {:>8} {differs:>8} {:>8} {:>8}",
                count(|_| true),
                count(|fate| fate == Fate::Unreadable),
                count(|fate| fate == Fate::Unlinked),
                count(|fate| fate == Fate::Misbuilt),
                count(|fate| fate == Fate::Synonym),
                count(|fate| fate == Fate::Equal),
            );
        };
        slips.iter().for_each(|slip| row(format!("{slip:?}"), &|of| of == *slip));
        row("all".to_owned(), &|_| true);
    }
}

#[test]
fn every_slip_is_noticed_or_means_the_same() {
    let units = units();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                    judge(unit, &tally);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    tally.print();
    let count = |is: &dyn Fn(Fate) -> bool| tally.count(|_, fate| is(fate));
    let (all, survivors) = (count(&|_| true), count(&|fate| fate == Fate::Survivor));
    let same = count(&|fate| matches!(fate, Fate::Synonym | Fate::Equal));
    let flawed = count(&|fate| matches!(fate, Fate::Misbuilt | Fate::Differs(_)));
    let by_oracle = count(&|fate| fate == Fate::Differs(Shown::ByTheOracle));
    let by_text = count(&|fate| fate == Fate::Differs(Shown::ByTheText));
    println!(
        "{} nodes, {all} mutants: {} refused, {same} that mean the same, {survivors} survivors",
        units.len(),
        all - same - survivors,
    );
    println!(
        "{flawed} are refused by the proof itself: a packet ends otherwise than the oracle says for {by_oracle}, and \
         otherwise than by the right text for {by_text} more",
    );
    assert!(all > 50_000, "{all} mutants are too few");
    // A proof that refuses whatever it is given would say nothing either.
    assert!(by_oracle * 3 > flawed, "the oracle bears out {by_oracle} of {flawed} refusals only");
    assert!((by_oracle + by_text) * 4 > flawed * 3, "walks bear out too few of {flawed} refusals");
    for slip in tally.fates.keys().map(|(slip, _)| *slip).collect::<BTreeSet<Slip>>() {
        let differs = tally.count(|of, fate| of == slip && matches!(fate, Fate::Differs(_)));
        // What these say, no packet tells.
        let told = !matches!(slip, Slip::Doubled | Slip::Comment | Slip::SetOption);
        assert_eq!(differs > 0, told, "{slip:?}: packets show {differs}");
    }
    let shown: Vec<&str> = tally.survivors.iter().take(20).map(String::as_str).collect();
    assert_eq!(survivors, 0, "the proof passes what is wrong:\n{}", shown.join("\n"));
}

/// Every node of every scenario, with the slips that no earlier one has.
fn units() -> Vec<Unit> {
    let mut states: Vec<(String, Sources)> = Vec::new();
    for scenario in support::scenario::all() {
        let with_settings = scenario.name == "dual-stack";
        for state in scenario.states {
            let name = format!("{}/{}", scenario.name, state.name);
            for (setting, text) in SETTINGS.iter().filter(|_| with_settings) {
                let config = SourceFile { path: CONFIG_PATH.to_owned(), bytes: text.as_bytes().to_vec() };
                states.push((format!("{name} {setting}"), state.sources.clone().with_config(config)));
            }
            states.push((name, state.sources));
        }
    }
    let mut seen = BTreeSet::new();
    let mut units = Vec::new();
    for (name, sources) in states {
        let loaded = load(&sources);
        assert!(!loaded.findings.has_errors(), "{name}: {:?}", loaded.findings.sorted());
        let mut compiler = Compiler::new(&loaded.cluster, &sources);
        for node in compiler.nodes().collect::<Vec<_>>() {
            let texts = Texts::of(&compiler.snapshot(node));
            let mut mutants = mutants(texts.rules.each_ref().map(String::as_str), &texts.sets);
            mutants.retain(|mutant| seen.insert(texts.key(mutant)));
            let (name, sources) = (format!("{name}/{}", node.name), sources.clone());
            units.push(Unit { name, sources, node: node.name.clone(), mutants });
        }
    }
    units
}

/// A node's texts.
struct Texts {
    rules: [String; 2],
    sets: String,
}

impl Texts {
    fn of(snapshot: &NodeSnapshot) -> Self {
        let rules = [snapshot.rules_v4.clone(), snapshot.rules_v6.clone()];
        Self { rules, sets: snapshot.sets.values().map(Rc::as_ref).collect() }
    }

    fn text(&self, text: Text) -> &str {
        match text {
            Text::Rules(Family::V4) => &self.rules[0],
            Text::Rules(Family::V6) => &self.rules[1],
            Text::Sets => &self.sets,
        }
    }

    /// What makes a slip another than those of other nodes: the lines, and the chain or set that they stand in. Of
    /// CM-FORWARD's other lines, which sets they name is another on each node, and says nothing of these.
    fn key(&self, mutant: &Mutant) -> (Text, Vec<String>, Vec<String>, String) {
        let text = self.text(mutant.text);
        let lines: Vec<&str> = text.lines().collect();
        let old: Vec<String> = lines[mutant.lines.clone()].iter().map(|line| (*line).to_owned()).collect();
        let word = |line: &str, at| line.split(' ').nth(at).unwrap_or_default().to_owned();
        let own = word(&old[0], 1);
        let about = |text: &str, at: usize| {
            text.lines()
                .filter(|line| word(line, at) == own)
                .map(|line| blank(line) + "\n")
                .collect::<String>()
        };
        let context = match mutant.text {
            Text::Rules(_) if own == "CM-FORWARD" => about(text, 1),
            Text::Rules(_) if old[0].starts_with("-A") => {
                let chain = lines.iter().filter(|line| word(line, 1) == own);
                chain.map(|line| format!("{line}\n")).collect()
            }
            Text::Rules(_) => text.to_owned(),
            Text::Sets => {
                let set = lines.iter().filter(|line| word(line, 1) == own).map(|line| format!("{line}\n"));
                let rules =
                    self.rules.iter().flat_map(|text| text.lines()).filter(|line| line.contains(&own));
                set.chain(rules.map(|line| blank(line) + "\n")).collect()
            }
        };
        (mutant.text, old, mutant.by.clone(), context)
    }
}

/// A line without the names of sets that are made from content.
fn blank(line: &str) -> String {
    let is_content = |word: &str| word.len() == 24 && (word.starts_with("cm4-") || word.starts_with("cm6-"));
    line.split(' ').map(|word| if is_content(word) { "…" } else { word }).collect::<Vec<&str>>().join(" ")
}

/// Finds out what becomes of every mutant of a node.
fn judge(unit: &Unit, tally: &Mutex<Tally>) {
    let cluster = load(&unit.sources).cluster;
    let mut compiler = Compiler::new(&cluster, &unit.sources);
    let node = cluster.node(&unit.node).unwrap();
    let snapshot = compiler.snapshot(node);
    let texts = Texts::of(&snapshot);
    let read = Read::of(&texts).unwrap_or_else(|fate| panic!("{}: {fate:?}", unit.name));
    let mut prover = Prover::new(&cluster, &unit.sources);
    prover.snapshot(node, &snapshot).unwrap_or_else(|flaws| panic!("{}: {flaws:?}", unit.name));
    for mutant in &unit.mutants {
        let changed = mutant.apply(texts.text(mutant.text));
        let fate = match read.with(mutant.text, &changed) {
            // The proof reads texts by the same readers.
            Err(fate) => fate,
            Ok(slipped) => {
                let mut snapshot = snapshot.clone();
                match mutant.text {
                    Text::Rules(Family::V4) => snapshot.rules_v4 = changed,
                    Text::Rules(Family::V6) => snapshot.rules_v6 = changed,
                    Text::Sets => snapshot.sets = under_names(&changed),
                }
                // Sets of one name are read once by one proof.
                let proven = match mutant.text {
                    Text::Rules(_) => prover.snapshot(node, &snapshot),
                    Text::Sets => Prover::new(&cluster, &unit.sources).snapshot(node, &snapshot),
                };
                match proven {
                    Err(flaws) => refused(&cluster, &read, &slipped, &flaws),
                    Ok(()) if read.says(&slipped) => Fate::Synonym,
                    Ok(()) => {
                        let mut families =
                            Family::ALL.into_iter().filter(|family| mutant.text.is_about(*family));
                        let witness = families.find_map(|family| {
                            differing(read.node(), slipped.node(), family, &node.addresses)
                        });
                        if let Some(witness) = &witness {
                            let told = format!("{}: {mutant}{witness}", unit.name);
                            tally.lock().unwrap().survivors.push(told);
                        }
                        if witness.is_some() { Fate::Survivor } else { Fate::Equal }
                    }
                }
            }
        };
        *tally.lock().unwrap().fates.entry((mutant.slip, fate)).or_default() += 1;
    }
}

/// The whole text of sets under the first of their names: a proof reads the texts of all names in order, each name once.
fn under_names(text: &str) -> BTreeMap<SetName, Rc<str>> {
    let names = text.lines().filter_map(|line| line.strip_prefix("create ")?.split(' ').next()?.parse().ok());
    let mut texts: BTreeMap<SetName, Rc<str>> = names.map(|name| (name, Rc::from(""))).collect();
    if let Some(first) = texts.values_mut().next() {
        *first = Rc::from(text);
    }
    texts
}

/// Texts as they were read, and put together.
struct Read {
    rules: [Ruleset; 2],
    sets_text: String,
    sets: Sets,
    kernel: Kernel,
}

impl Read {
    fn of(texts: &Texts) -> Result<Self, Fate> {
        let [v4, v6] = &texts.rules;
        Self::linked([rules(Family::V4, v4)?, rules(Family::V6, v6)?], &texts.sets)
    }

    /// The same node with another text.
    fn with(&self, of: Text, text: &str) -> Result<Self, Fate> {
        let [v4, v6] = self.rules.clone();
        match of {
            Text::Rules(Family::V4) => Self::linked([rules(Family::V4, text)?, v6], &self.sets_text),
            Text::Rules(Family::V6) => Self::linked([v4, rules(Family::V6, text)?], &self.sets_text),
            Text::Sets => Self::linked([v4, v6], text),
        }
    }

    fn linked(rules: [Ruleset; 2], sets_text: &str) -> Result<Self, Fate> {
        let sets = Sets::parse(sets_text).map_err(|_| Fate::Unreadable)?;
        let [v4, v6] = rules.clone();
        let kernel = Kernel::new(v4, v6, sets.clone()).map_err(|_| Fate::Unlinked)?;
        Ok(Self { rules, sets_text: sets_text.to_owned(), sets, kernel })
    }

    fn node(&self) -> Node<'_> {
        Node { rules: &self.rules, sets: &self.sets_text }
    }

    /// Whether another text says the same, rule by rule and member by member.
    fn says(&self, other: &Self) -> bool {
        fn said(chain: &Chain) -> (&ChainName, Vec<(&[Match], &Target)>) {
            (&chain.name, chain.rules.iter().map(|rule| (&rule.matches[..], &rule.target)).collect())
        }
        let same = |(one, other): (&Ruleset, &Ruleset)| {
            one.sets() == other.sets() && one.chains().iter().map(said).eq(other.chains().iter().map(said))
        };
        self.sets == other.sets && self.rules.iter().zip(&other.rules).all(same)
    }
}

fn rules(family: Family, text: &str) -> Result<Ruleset, Fate> {
    Ruleset::parse(family, text).map_err(|_| Fate::Unreadable)
}

fn refused(cluster: &Cluster, right: &Read, wrong: &Read, flaws: &[Flaw]) -> Fate {
    let difference = flaws.iter().find_map(|flaw| match flaw {
        Flaw::Difference(difference) => Some(difference),
        _ => None,
    });
    match difference {
        Some(difference) => Fate::Differs(shown(cluster, right, wrong, difference)),
        None => Fate::Misbuilt,
    }
}

/// Walks the packet of a difference by itself.
fn shown(cluster: &Cluster, right: &Read, wrong: &Read, difference: &Difference) -> Shown {
    let Difference { source, destination, service, mode, .. } = difference;
    let packet = mode.packet(*source, *destination, *service).unwrap();
    let cut = flows(difference);
    let [was, is] = [right, wrong].map(|read| {
        if cut.is_empty() {
            outcome(&read.kernel, &packet)
        } else {
            outcome(&kernel(read.node(), &cut), &packet)
        }
    });
    let opens = mode.state == ConnState::New && mode.cut.is_empty() && mode.flags == TcpFlags::SYN;
    if was == is {
        return Shown::InPart;
    }
    let asked = semantics::Packet {
        source: *source,
        destination: *destination,
        service: match *service {
            Service::Port(transport, port) => semantics::Service::Port(transport, port),
            Service::Icmp(..) | Service::Other(_) => semantics::Service::Portless,
        },
    };
    let passes = |verdict| matches!(verdict, Verdict::Pass | Verdict::Accept);
    let allowed = semantics::judge(cluster, &asked) == semantics::Verdict::Allow;
    if opens && passes(is.0) != allowed && passes(was.0) == allowed {
        Shown::ByTheOracle
    } else {
        Shown::ByTheText
    }
}

/// The members of the CUT set that a difference's packet is to find there.
fn flows(difference: &Difference) -> String {
    let Difference { source, destination, service, mode: Mode { cut, source_port, .. }, .. } = difference;
    let Service::Port(transport, port) = *service else { return String::new() };
    let name = cut_set_name(Family::of(*source));
    let flow = |order: &Vec<End>| {
        let address = |end| if end == End::Src { source } else { destination };
        let port = if order[1] == End::Src { *source_port } else { port };
        format!("add {name} {},{}:{port},{}\n", address(order[0]), transport.as_str(), address(order[2]))
    };
    cut.iter().map(flow).collect::<BTreeSet<String>>().into_iter().collect()
}

//! A kernel for tests that refuses what the real one refuses, and fails when told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use chainmail_contract::{Family, SetName};
use chainmail_verdict::record::{Create, Record, words};

use crate::apply::ApplyError;
use crate::desired::Desired;
use crate::flows::Flow;
use crate::kernel::{Kernel, KernelError};
use crate::live::{LiveSets, LiveTable, SetReader};
use crate::set::Shape;

/// Chains and their rules, the built-in ones among them.
pub(crate) type Table = BTreeMap<String, Vec<String>>;

/// What happens at a coming call.
pub(crate) enum Fault {
    /// The next text for this family is refused.
    Rules(Family),
    /// The next set text stops before this line.
    SetsBeforeLine(usize),
    /// The entries of conntrack cannot be read the next time.
    Flows,
    /// Another program changes the table just before the next text for this family.
    Meanwhile(Family, fn(&mut Table)),
}

/// The kernel's state, and what is to go wrong.
pub(crate) struct FakeKernel {
    pub(crate) tables: BTreeMap<Family, Table>,
    /// Create line without `create NAME`, and the members.
    pub(crate) sets: BTreeMap<String, (String, BTreeSet<String>)>,
    pub(crate) flows: Vec<Flow>,
    /// What becomes of a snapshot in a network namespace of its own, where one can be made.
    pub(crate) elsewhere: Option<fn() -> Result<(), ApplyError>>,
    /// Families that cannot be worked with, and why.
    pub(crate) unusable: BTreeMap<Family, String>,
    pub(crate) faults: VecDeque<Fault>,
    /// A text, and the rule that comes to stand behind each rule that has it.
    pub(crate) misreads: Option<(&'static str, &'static str)>,
    /// Each call that changes something, as `ipset`, `rules v4` or `destroy NAME`.
    pub(crate) calls: Vec<String>,
}

impl FakeKernel {
    pub(crate) fn new() -> Self {
        let builtin = ["FORWARD", "INPUT", "OUTPUT"].map(|chain| (chain.to_owned(), Vec::new()));
        let tables = Family::ALL.map(|family| (family, Table::from(builtin.clone())));
        Self {
            tables: tables.into(),
            sets: BTreeMap::new(),
            flows: Vec::new(),
            elsewhere: None,
            unusable: BTreeMap::new(),
            faults: VecDeque::new(),
            misreads: None,
            calls: Vec::new(),
        }
    }

    pub(crate) fn save(&self, family: Family) -> String {
        let mut text = "*filter\n".to_owned();
        for chain in self.tables[&family].keys() {
            let policy = if is_builtin(chain) { "ACCEPT" } else { "-" };
            writeln!(text, ":{chain} {policy} [0:0]").unwrap();
        }
        for (chain, rules) in &self.tables[&family] {
            for rule in rules {
                writeln!(text, "-A {chain} {rule}").unwrap();
            }
        }
        text + "COMMIT\n"
    }

    /// Runs a set text that must succeed.
    pub(crate) fn with_sets(mut self, text: &str) -> Self {
        self.restore_sets(text).unwrap();
        self.calls.clear();
        self
    }

    /// Runs a rule text that must succeed.
    pub(crate) fn with_rules(mut self, family: Family, text: &str) -> Self {
        self.restore_rules(family, text).unwrap();
        self.calls.clear();
        self
    }

    fn set_is_used(&self, name: &str) -> bool {
        let mut rules = self.tables.values().flat_map(|table| table.values().flatten());
        rules.any(|rule| matched_sets(rule).iter().any(|set| set == name))
    }

    fn run_set_line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<_> = line.splitn(3, ' ').collect();
        match words[..] {
            ["create", name, rest] => {
                Create::parse(line).ok_or("syntax error")?;
                if self.sets.contains_key(name) {
                    return Err("set with the same name already exists".to_owned());
                }
                self.sets.insert(name.to_owned(), (rest.to_owned(), BTreeSet::new()));
            }
            ["add" | "del", name, member] if member.ends_with(" -exist") => {
                let (_, members) = self.sets.get_mut(name).ok_or("the set does not exist")?;
                let member = member.split(' ').next().unwrap_or_default().to_owned();
                if words[0] == "add" {
                    members.insert(member)
                } else {
                    members.remove(&member)
                };
            }
            ["add", name, member] => {
                let (_, members) = self.sets.get_mut(name).ok_or("the set does not exist")?;
                if !members.insert(member.to_owned()) {
                    return Err("element is already added".to_owned());
                }
            }
            ["rename", from, to] => {
                if self.sets.contains_key(to) || self.set_is_used(from) {
                    return Err("set cannot be renamed".to_owned());
                }
                let set = self.sets.remove(from).ok_or("the set does not exist")?;
                self.sets.insert(to.to_owned(), set);
            }
            ["swap", from, to] => {
                let (a, b) = (self.sets.get(from).cloned(), self.sets.get(to).cloned());
                let (a, b) = (a.ok_or("the set does not exist")?, b.ok_or("the set does not exist")?);
                let (a_line, b_line) = (format!("create x {}", a.0), format!("create x {}", b.0));
                if Create::parse(&a_line).map(|a| Shape::of(&a))
                    != Create::parse(&b_line).map(|b| Shape::of(&b))
                {
                    return Err("the sets cannot be swapped: their types differ".to_owned());
                }
                self.sets.insert(from.to_owned(), b);
                self.sets.insert(to.to_owned(), a);
            }
            ["destroy", name] => {
                if self.set_is_used(name) {
                    return Err("set cannot be destroyed: it is in use".to_owned());
                }
                self.sets.remove(name).ok_or("the set does not exist")?;
            }
            _ => return Err(format!("unknown line {line:?}")),
        }
        Ok(())
    }

    fn run_rule_line(&self, table: &mut Table, line: &str) -> Result<(), String> {
        match Record::of(line) {
            Record::Table("filter") | Record::Commit | Record::Remark(_) => Ok(()),
            Record::Chain { name, .. } => {
                table.insert(name.to_owned(), Vec::new());
                Ok(())
            }
            Record::Rule { chain, body, .. } => {
                let unknown = matched_sets(body).into_iter().find(|set| !self.sets.contains_key(set));
                if let Some(set) = unknown {
                    return Err(format!("set {set} does not exist"));
                }
                let rules = table.get_mut(chain).ok_or(format!("no chain {chain}"))?;
                rules.push(body.to_owned());
                rules.extend(
                    self.misreads.filter(|(text, _)| body.contains(text)).map(|(_, rule)| rule.to_owned()),
                );
                Ok(())
            }
            Record::Other(other) => run_command(table, other),
            Record::Table(table) => Err(format!("table {table} is not ours")),
        }
    }
}

fn run_command(table: &mut Table, line: &str) -> Result<(), String> {
    if let Some(rule) = line.strip_prefix("-D FORWARD ") {
        let rules = table.get_mut("FORWARD").expect("it is built in");
        let index = rules.iter().position(|r| r == rule).ok_or("bad rule: does a matching rule exist?")?;
        rules.remove(index);
        Ok(())
    } else if let Some((number, rule)) =
        line.strip_prefix("-I FORWARD ").and_then(|rest| rest.split_once(' '))
    {
        let rules = table.get_mut("FORWARD").expect("it is built in");
        let index = number.parse::<usize>().map_err(|error| error.to_string())? - 1;
        if index > rules.len() {
            return Err("index of insertion too big".to_owned());
        }
        rules.insert(index, rule.to_owned());
        Ok(())
    } else if let Some(chain) = line.strip_prefix("-X ") {
        let used = table.values().flatten().any(|rule| target(rule).as_deref() == Some(chain));
        match table.get(chain) {
            Some(rules) if rules.is_empty() && !used && !is_builtin(chain) => table.remove(chain),
            Some(_) => return Err(format!("chain {chain} is not empty or in use")),
            None => return Err(format!("no chain {chain}")),
        };
        Ok(())
    } else {
        Err(format!("unknown line {line:?}"))
    }
}

fn is_builtin(chain: &str) -> bool {
    matches!(chain, "FORWARD" | "INPUT" | "OUTPUT")
}

fn after(rule: &str, options: &[&str]) -> Vec<String> {
    let words = words(rule).expect("test rules are well-formed");
    let pairs = words.windows(2).filter(|pair| options.contains(&&*pair[0]));
    pairs.map(|pair| pair[1].to_string()).collect()
}

fn matched_sets(rule: &str) -> Vec<String> {
    after(rule, &["--match-set"])
}

fn target(rule: &str) -> Option<String> {
    after(rule, &["-j", "-g"]).pop()
}

fn failed(command: &str, stderr: String) -> KernelError {
    KernelError::Failed { command: command.to_owned(), status: "exit code 1".to_owned(), stderr }
}

impl Kernel for FakeKernel {
    fn survey(&mut self) -> Result<BTreeMap<Family, String>, KernelError> {
        Ok(self.unusable.clone())
    }

    fn tables(&mut self) -> Result<BTreeMap<Family, LiveTable>, KernelError> {
        let usable = self.tables.keys().filter(|family| !self.unusable.contains_key(family));
        Ok(usable.map(|&family| (family, LiveTable::parse(&self.save(family)).unwrap())).collect())
    }

    fn sets_but(&mut self, mut passed_by: LiveSets) -> Result<LiveSets, KernelError> {
        let mut text = String::new();
        for (name, (create, members)) in &self.sets {
            writeln!(text, "create {name} {create}").unwrap();
            for member in members {
                writeln!(text, "add {name} {member}").unwrap();
            }
        }
        let mut sets = SetReader::default().read(&text).unwrap();
        passed_by.retain(|name, _| sets.contains_key(name));
        sets.extend(passed_by);
        Ok(sets)
    }

    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError> {
        self.calls.push("ipset".to_owned());
        let stop = match self.faults.front() {
            Some(Fault::SetsBeforeLine(line)) => Some(*line),
            _ => None,
        };
        for (index, line) in text.lines().enumerate() {
            if stop == Some(index) {
                self.faults.pop_front();
                return Err(failed("ipset restore", "told to fail".to_owned()));
            }
            self.run_set_line(line)
                .map_err(|error| failed("ipset restore", format!("line {}: {error}", index + 1)))?;
        }
        Ok(())
    }

    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError> {
        self.calls.push(format!("rules {family}"));
        let fault = self.faults.pop_front_if(|fault| match fault {
            Fault::Rules(of) | Fault::Meanwhile(of, _) => *of == family,
            Fault::SetsBeforeLine(_) | Fault::Flows => false,
        });
        match fault {
            Some(Fault::Rules(_)) => return Err(failed("iptables-restore", "told to fail".to_owned())),
            Some(Fault::Meanwhile(_, change)) => change(self.tables.get_mut(&family).unwrap()),
            Some(Fault::SetsBeforeLine(_) | Fault::Flows) | None => {}
        }
        let mut table = self.tables[&family].clone();
        for line in text.lines() {
            self.run_rule_line(&mut table, line)
                .map_err(|error| failed("iptables-restore", format!("{line}: {error}")))?;
        }
        for target in table.values().flatten().filter_map(|rule| target(rule)) {
            let verdict = matches!(target.as_str(), "ACCEPT" | "DROP" | "NFLOG" | "REJECT" | "RETURN");
            if !verdict && !table.contains_key(&target) {
                return Err(failed("iptables-restore", format!("no chain {target}")));
            }
        }
        assert_eq!(text.lines().last(), Some("COMMIT"), "a text without COMMIT does nothing");
        self.tables.insert(family, table);
        Ok(())
    }

    fn destroy_set(&mut self, name: &SetName) -> Result<(), KernelError> {
        self.calls.push(format!("destroy {name}"));
        self.run_set_line(&format!("destroy {name}")).map_err(|error| failed("ipset destroy", error))
    }

    fn flows(&mut self) -> Result<Vec<Flow>, KernelError> {
        match self.faults.pop_front_if(|fault| matches!(fault, Fault::Flows)) {
            Some(_) => Err(failed("conntrack -L", "told to fail".to_owned())),
            None => Ok(self.flows.clone()),
        }
    }

    fn host_addresses(&mut self) -> Result<BTreeSet<IpAddr>, KernelError> {
        Ok(BTreeSet::new())
    }

    fn forget_flows(&mut self, flows: &[Flow]) -> Result<(), KernelError> {
        self.flows.retain(|flow| !flows.contains(flow));
        Ok(())
    }

    fn denied(&mut self, family: Family) -> Result<u64, KernelError> {
        assert!(self.tables[&family].contains_key("CM-DENY"), "it is asked for where it is");
        Ok(5)
    }

    fn load_elsewhere(&mut self, _desired: &Desired) -> Option<Result<(), ApplyError>> {
        self.elsewhere.map(|load| load())
    }

    fn pause(&mut self, _time: Duration) {}
}

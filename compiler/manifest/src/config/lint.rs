//! `[lint]`: how lints are reported, and what a node's rules may cost.

use chainmail_findings::{Code, Severity};
use chainmail_model::{Level, LintSettings};
use toml::de::DeTable;

use super::document::{Reader, Value};

const KEYS: [&str; 4] = ["levels", "max_rules", "max_sets", "max_members"];

impl Reader<'_> {
    pub(super) fn lint(&mut self, value: &Value<'_>, settings: &mut LintSettings) {
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong("lint", value, "a section that begins with [lint]");
        };
        for (key, value) in table {
            let budget = &mut settings.budget;
            match key.get_ref().as_ref() {
                "levels" => match value.get_ref().as_table() {
                    Some(levels) => self.levels(levels, settings),
                    None => self.wrong("levels", value, "a section that begins with [lint.levels]"),
                },
                "max_rules" => self.most("max_rules", value, &mut budget.rules),
                "max_sets" => self.most("max_sets", value, &mut budget.sets),
                "max_members" => self.most("max_members", value, &mut budget.members),
                other => self.unknown(key.span(), other, &KEYS),
            }
        }
    }

    fn most(&mut self, key: &str, value: &Value<'_>, most: &mut usize) {
        let number = value.get_ref().as_integer();
        let number = number.and_then(|n| usize::from_str_radix(n.as_str(), n.radix()).ok());
        match number {
            Some(number) => *most = number,
            None => self.wrong(key, value, "a number, like 100"),
        }
    }

    fn levels(&mut self, table: &DeTable<'_>, settings: &mut LintSettings) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(code) = Code::LINTS.iter().find(|code| code.as_str() == name) else {
                let codes: Vec<&str> = Code::LINTS.iter().map(|code| code.as_str()).collect();
                self.unknown(key.span(), name, &codes);
                continue;
            };
            let level = match value.get_ref().as_str() {
                Some("error") => Level::Report(Severity::Error),
                Some("warning") => Level::Report(Severity::Warning),
                Some("note") => Level::Report(Severity::Note),
                Some("off") => Level::Off,
                _ => {
                    self.wrong(name, value, "\"error\", \"warning\", \"note\" or \"off\"");
                    continue;
                }
            };
            settings.levels.insert(*code, level);
        }
    }
}

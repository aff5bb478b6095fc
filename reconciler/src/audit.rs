//! `/var/log/chainmail/audit.jsonl`: every rule and member that came or went, and why.

use std::path::PathBuf;

use chainmail_contract::{SetName, Sha256Hex};
use serde::Serialize;

use crate::changes::{Line, Sign};
use crate::clock::{Clock, Moment};
use crate::config;
use crate::files::{self, FileError};
use crate::provenance::Provenance;
use crate::state::Event;

/// The log and how long it grows.
#[derive(Debug, Clone)]
pub struct Audit {
    path: PathBuf,
    limits: config::Audit,
    clock: Clock,
}

/// About how many bytes a record has beside what all have in common and its line.
const USUAL_REST: usize = 64;

/// What all records of one change have in common.
#[derive(Serialize)]
struct Head<'a> {
    time: Moment,
    event: &'static str,
    digest: &'a Sha256Hex,
}

#[derive(Serialize)]
struct Record<'a> {
    family: &'static str,
    change: &'static str,
    line: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_with: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inventory: Option<&'a str>,
}

impl Audit {
    /// A log at a path.
    #[must_use]
    pub fn new(path: PathBuf, limits: config::Audit, clock: Clock) -> Self {
        Self { path, limits, clock }
    }

    /// Adds a record for each line. `old` and `new` know the policies of lines that go and of lines that come. That it
    /// fails does not stop the rules from being applied: it is told as an error.
    pub fn write(
        &self,
        event: Event,
        digest: &Sha256Hex,
        lines: &[Line],
        old: &Provenance,
        new: &Provenance,
    ) {
        if let Err(error) = self.try_write(event, digest, lines, old, new) {
            tracing::error!(%error, "the audit log is not complete");
        }
    }

    fn try_write(
        &self,
        event: Event,
        digest: &Sha256Hex,
        lines: &[Line],
        old: &Provenance,
        new: &Provenance,
    ) -> Result<(), FileError> {
        // A large change has thousands of records, so what they share is written once, and each follows it in place.
        let head = Head { time: (self.clock.now)(), event: event.as_str(), digest };
        let mut head = serde_json::to_string(&head).expect("it has only string keys");
        head.truncate(head.len() - 1);
        let all: usize = lines.iter().map(|line| line.text.len()).sum();
        let mut text = Vec::with_capacity(all + lines.len() * (head.len() + USUAL_REST));
        for line in lines {
            let (change, known) = match line.sign {
                Sign::Added => ("added", new),
                Sign::Removed => ("removed", old),
            };
            let record = Record {
                family: line.family.as_str(),
                change,
                line: &line.text,
                compared_with: line.instead_of.as_ref().map(SetName::as_str),
                policies: known.places(line),
                inventory: known.inventory(line),
            };
            text.extend_from_slice(head.as_bytes());
            let brace = text.len();
            serde_json::to_writer(&mut text, &record).expect("it has only string keys, and memory takes all");
            *text.get_mut(brace).expect("a record begins with a brace") = b',';
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            files::make_dir(folder)?;
        }
        if files::length(&self.path) > 0
            && files::length(&self.path) + text.len() as u64 > self.limits.max_megabytes * 1_000_000
        {
            self.rotate()?;
        }
        files::append(&self.path, &text)
    }

    /// `audit.jsonl.1` is the youngest of the full files.
    fn rotate(&self) -> Result<(), FileError> {
        let full = |number: usize| {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".{number}"));
            PathBuf::from(path)
        };
        files::remove(&full(self.limits.keep))?;
        for number in (1..self.limits.keep).rev().filter(|&number| files::length(&full(number)) > 0) {
            files::rename(&full(number), &full(number + 1))?;
        }
        match self.limits.keep {
            0 => files::remove(&self.path),
            _ => files::rename(&self.path, &full(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chainmail_contract::Family;

    use super::*;
    use crate::testing::policy;

    #[test]
    fn records_name_the_policy_and_full_files_are_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/audit.jsonl");
        let audit = Audit::new(path.clone(), config::Audit { max_megabytes: 1, keep: 2 }, Clock::HOST);
        let desired = policy(&["10.0.0.1"], 80);
        let json = r#"[{"family":"v4","chain":"CM-I-0000000000000050","index":0,
            "from":[{"policy":"shop/web","rule":"ingress[0]","place":"web.yaml:3"}]},
            {"inventory":"/inventory/pods.json","members":["10.0.0.1"]}]"#;
        let provenance = Provenance::of(&desired, json);
        let rules = &desired.tables[&Family::V4].chains[&"CM-I-0000000000000050".parse().unwrap()];
        let line = |text: String| Line { family: Family::V4, sign: Sign::Added, text, instead_of: None };
        let set = rules[0].set().unwrap();
        let lines = [
            line(format!("-A CM-I-0000000000000050 {}", rules[0])),
            line(format!("add {set} 10.0.0.1")),
            line("x".into()),
        ];
        let digest = Sha256Hex::of("");
        let write =
            |lines: &[Line]| audit.write(Event::Applied, &digest, lines, &Provenance::default(), &provenance);
        write(&lines);
        let names = || files::names(path.parent().unwrap()).unwrap();
        let text = files::read(&path).unwrap().unwrap();
        let policies: Vec<bool> =
            text.lines().map(|line| line.contains("shop/web ingress[0] web.yaml:3")).collect();
        assert_eq!(policies, [true, true, false], "{text}");
        let live: Vec<bool> =
            text.lines().map(|line| line.contains(r#""inventory":"/inventory/pods.json""#)).collect();
        assert_eq!(live, [false, true, false], "{text}");

        // A full disk cut the last record short.
        files::replace(&path, text.trim_end().trim_end_matches("}")).unwrap();
        write(&lines[..1]);
        let after = files::read(&path).unwrap().unwrap();
        let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert_eq!(after.lines().filter(whole).count(), 3, "{after}");

        let long = line("y".repeat(999_900));
        for expected in [1, 2, 2] {
            write(std::slice::from_ref(&long));
            assert_eq!(names().len(), expected + 1, "{:?}", names());
        }
        assert!(!names().contains(&"audit.jsonl.3".to_owned()), "{:?}", names());
    }
}

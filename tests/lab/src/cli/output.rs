//! What `chainmail-lab` prints.

use std::fmt::Write as _;

use chainmail_contract::Family;

use crate::lab::Lab;
use crate::probe::{Observed, Probe};
use crate::truth::{Cell, Difference, LEGEND, TruthTable};

pub(super) fn lab_as_text(lab: &Lab) -> String {
    let mut out = format!("{} is up\n", lab.name());
    for netns in lab.namespaces() {
        writeln!(out, "  {netns}").expect("writing to a String cannot fail");
    }
    out
}

pub(super) fn lab_as_json(lab: &Lab) -> String {
    let namespaces: Vec<&str> = lab.namespaces().into_iter().map(|netns| netns.as_str()).collect();
    let json = serde_json::json!({ "name": lab.name(), "namespaces": namespaces, "notes": lab.notes() });
    format!("{json}\n")
}

/// What packets did beside what the rules say.
pub(super) struct Report {
    probes: Vec<Probe>,
    results: Vec<Observed>,
    observed: TruthTable,
    predicted: TruthTable,
    differences: Vec<Difference>,
}

fn word(cell: Cell) -> &'static str {
    match cell {
        Cell::NotAsked => "not asked",
        Cell::Allowed => "allowed",
        Cell::Denied => "denied",
        Cell::Broken => "broken",
    }
}

impl Report {
    pub(super) fn new(
        questions: &TruthTable,
        predicted: &TruthTable,
        probes: Vec<Probe>,
        results: Vec<Observed>,
    ) -> Self {
        let observed = questions.answered(results.iter().map(Cell::from));
        let differences = predicted.differences(&observed);
        Self { probes, results, observed, predicted: predicted.clone(), differences }
    }

    pub(super) fn agrees(&self) -> bool {
        self.differences.is_empty()
    }

    /// Each block as it was observed, beside the same block as it was predicted; rows that differ are marked. Then all
    /// differences by name.
    pub(super) fn as_text(&self) -> String {
        let mut out = format!("{LEGEND}, ! broken\n# left: what packets did; right: what the rules say\n");
        for (observed, predicted) in self.observed.blocks().iter().zip(self.predicted.blocks()) {
            out.push('\n');
            let (left, right) = (observed.to_string(), predicted.to_string());
            let width = left.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            // Cells are the last columns: the names need not be read twice.
            let names = observed.rows().map(|(endpoint, _)| endpoint.to_string().len()).max().unwrap_or(0);
            let start = observed.endpoints().len().to_string().len() + 1 + names + 2;
            for (line, (left, right)) in left.lines().zip(right.lines()).enumerate() {
                let cells = if line == 0 { "" } else { right.get(start..).unwrap_or_default() };
                let mark = if left == right { "" } else { "   <- differs" };
                let text = format!("{left:width$}  |{cells}{mark}");
                out.push_str(if line == 0 { left } else { text.trim_end() });
                out.push('\n');
            }
        }
        let (pairs, differences) = (self.probes.len(), self.differences.len());
        writeln!(out, "\n{pairs} probes, {differences} differences")
            .expect("writing to a String cannot fail");
        for Difference { probe, expected, found } in &self.differences {
            let why = match self.result(probe) {
                Some(Observed::Broken(why)) => format!(" ({why})"),
                Some(Observed::Allowed | Observed::Denied) | None => String::new(),
            };
            let (expected, found) = (word(*expected), word(*found));
            writeln!(out, "  {probe}: {expected} by the rules, {found}{why} in fact")
                .expect("writing to a String cannot fail");
        }
        out
    }

    fn result(&self, probe: &Probe) -> Option<&Observed> {
        self.probes.iter().zip(&self.results).find(|(other, _)| *other == probe).map(|(_, result)| result)
    }

    pub(super) fn as_json(&self) -> String {
        let predicted: Vec<Cell> = self.predicted.cells().filter(|cell| *cell != Cell::NotAsked).collect();
        let probe = |((probe, result), predicted): ((&Probe, &Observed), &Cell)| {
            let mut json = serde_json::json!({
                "source": probe.source,
                "destination": probe.destination,
                "protocol": probe.service.protocol(),
                "port": probe.service.port(),
                "family": match probe.family { Family::V4 => 4, Family::V6 => 6 },
                "observed": word(Cell::from(result)),
                "predicted": word(*predicted),
            });
            if let Observed::Broken(why) = result {
                json["reason"] = why.as_str().into();
            }
            json
        };
        let probes: Vec<_> = self.probes.iter().zip(&self.results).zip(&predicted).map(probe).collect();
        format!("{}\n", serde_json::json!({ "probes": probes, "differences": self.differences.len() }))
    }
}

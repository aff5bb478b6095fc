//! One line a pair.

use std::collections::BTreeMap;

use chainmail_model::WorkloadRef;

use super::{Answer, Matrix};
use crate::query::{End, Who};

impl Matrix {
    /// The answers as lines: `shop/web -> shop/db  tcp/5432`, in columns. The pods of a workload are one end wherever all
    /// of them were asked about and are answered alike.
    #[must_use]
    pub fn list(&self) -> String {
        let mut lines: Vec<(String, String, String)> = Vec::new();
        let columns = self.by_workload(&self.destinations);
        for (row_name, row) in self.by_workload(&self.sources) {
            for (column_name, column) in &columns {
                let pairs = row.iter().flat_map(|row| column.iter().map(move |column| (*row, *column)));
                let asked: Vec<(usize, usize, &Answer)> = pairs
                    .map(|(row, column)| (row, column, self.answer(row, column)))
                    .filter(|(_, _, answer)| **answer != Answer::Itself)
                    .collect();
                let Some((_, _, first)) = asked.first() else { continue };
                if asked.iter().all(|(_, _, answer)| answer == first) {
                    lines.push((row_name.clone(), column_name.clone(), self.answer_words(first)));
                    continue;
                }
                for (row, column, answer) in asked {
                    let name = |end: &End| end.who.to_string();
                    let (row, column) = (name(&self.sources[row]), name(&self.destinations[column]));
                    lines.push((row, column, self.answer_words(answer)));
                }
            }
        }
        let width =
            |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text.len()).max().unwrap_or(0);
        let from = width(&mut lines.iter().map(|(from, _, _)| from));
        let to = width(&mut lines.iter().map(|(_, to, _)| to));
        lines
            .iter()
            .map(|(source, destination, words)| format!("{source:from$} -> {destination:to$}  {words}\n"))
            .collect()
    }

    fn answer_words(&self, answer: &Answer) -> String {
        match answer {
            Answer::Itself => "itself".to_owned(),
            Answer::Allowed(by_family) => self.words(by_family),
        }
    }

    /// Ends by name, in order of the first of each: all the pods of a workload together, every other one by itself.
    fn by_workload(&self, ends: &[End]) -> Vec<(String, Vec<usize>)> {
        let mut of: BTreeMap<&WorkloadRef, Vec<usize>> = BTreeMap::new();
        for (place, end) in ends.iter().enumerate() {
            if let Some((workload, _)) = self.workload(end) {
                of.entry(workload).or_default().push(place);
            }
        }
        let mut groups = Vec::new();
        for (place, end) in ends.iter().enumerate() {
            match self.workload(end).map(|(workload, pods)| (workload, pods, &of[workload])) {
                Some((workload, pods, places)) if pods > 1 && pods == places.len() => {
                    if places[0] == place {
                        groups.push((workload.to_string(), places.clone()));
                    }
                }
                Some(_) | None => groups.push((end.who.to_string(), vec![place])),
            }
        }
        groups
    }

    /// The workload of an end that is a pod, and how many pods it has.
    fn workload(&self, end: &End) -> Option<(&WorkloadRef, usize)> {
        match &end.who {
            Who::Pod(pod) => self.workloads.get(pod).map(|(workload, pods)| (workload, *pods)),
            Who::Assumed(_) | Who::Address(_) | Who::Outside(_) => None,
        }
    }
}

//! The answers for programs; `docs/explain.md` has the shape.

use serde::Serialize;

use super::{Allowed, Matrix, Question};
use crate::query::{End, Who};

const SCHEMA: &str = "chainmail.query/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    from: Vec<EndView>,
    to: Vec<EndView>,
    pairs: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct EndView {
    name: String,
    kind: &'static str,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    addresses_assumed: bool,
}

#[derive(Serialize)]
struct Pair<'a> {
    from: String,
    to: String,
    family: String,
    #[serde(flatten)]
    answer: AnswerView<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum AnswerView<'a> {
    Allowed(&'a Allowed),
    Verdict(&'static str),
}

impl From<&End> for EndView {
    fn from(end: &End) -> Self {
        let kind = match end.who {
            Who::Pod(_) => "pod",
            Who::Assumed(_) => "workload",
            Who::Address(_) => "address",
            Who::Outside(_) => "outside",
        };
        let addresses = end.addresses.iter().map(|address| address.to_string()).collect();
        let addresses_assumed = matches!(end.who, Who::Assumed(_));
        Self { name: end.who.to_string(), kind, addresses, addresses_assumed }
    }
}

impl Matrix {
    /// The answers as one JSON document, a pair and family an entry.
    #[must_use]
    pub fn json(&self) -> String {
        let mut pairs = Vec::new();
        for (source, destination, by_family) in self.pairs() {
            for (family, allowed) in by_family {
                let answer = match self.question {
                    Question::Services => AnswerView::Allowed(allowed),
                    Question::Service(_) if allowed.is_none() => AnswerView::Verdict("deny"),
                    Question::Service(_) => AnswerView::Verdict("allow"),
                };
                let (from, to) = (source.who.to_string(), destination.who.to_string());
                pairs.push(Pair { from, to, family: family.to_string(), answer });
            }
        }
        let service = match self.question {
            Question::Services => None,
            Question::Service(service) => Some(service.to_string()),
        };
        let views = |ends: &[End]| ends.iter().map(EndView::from).collect();
        let document = Document {
            schema: SCHEMA,
            service,
            from: views(&self.sources),
            to: views(&self.destinations),
            pairs,
        };
        chainmail_contract::escape::json(
            &serde_json::to_string_pretty(&document).expect("the answers have only string keys"),
        ) + "\n"
    }
}

//! Flow tests as they are meant: ends, services, and what is expected of them, each with its place.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use chainmail_findings::{Code, Diagnostic, FieldPath, Findings, Place, Places};
use chainmail_model::semantics::Verdict;
use chainmail_model::{FlowCase, FlowTest, Words};

use crate::query::{Allowed, Endpoint};

/// One entry of a flow test's `spec`.
#[derive(Debug, Clone)]
pub struct Case {
    /// The flow test's name.
    pub test: String,
    /// Who sends.
    pub from: Side,
    /// Who receives.
    pub to: Side,
    /// What is expected of every pair of them, never nothing.
    pub expected: Vec<Expectation>,
    /// Why, for whoever breaks it.
    pub why: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// `from` or `to`.
#[derive(Debug, Clone)]
pub struct Side {
    /// The ends that are named, each with its place; never none.
    pub ends: Vec<(Endpoint, Place)>,
}

impl Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ends: Vec<String> = self.ends.iter().map(|(end, _)| end.to_string()).collect();
        f.write_str(&ends.join(", "))
    }
}

/// One entry of `allow` or `deny`.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What is to become of them.
    pub want: Verdict,
    /// The services.
    pub services: Allowed,
    /// Where it stands.
    pub place: Place,
}

/// The cases of flow tests, and what is wrong with them.
#[must_use]
pub fn cases(tests: &[FlowTest], places: &dyn Places) -> (Vec<Case>, Findings) {
    let mut findings = Findings::default();
    let mut cases = Vec::new();
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    for test in tests {
        let mut scope = Scope { places, test, findings: &mut findings };
        let name_path = FieldPath::root().key("metadata").key("name");
        let name = test.name.as_str();
        if name.is_empty() {
            scope.report(Code::Required, &name_path, "the flow test has no metadata.name", None);
        } else if let Some(first) = seen.get(name) {
            let help = format!("the first one is at {first}; rename one of them");
            scope.report(
                Code::DuplicateObject,
                &name_path,
                format!("there are two flow tests {name}"),
                Some(help),
            );
        } else {
            seen.insert(name, places.place(test.at, &name_path));
        }
        let spec = FieldPath::root().key("spec");
        if test.cases.is_empty() {
            let help = "write `- from: …`, `to: …`, and `allow: …` or `deny: …`".to_owned();
            scope.report(Code::Required, &spec, "the flow test expects nothing", Some(help));
        }
        for (index, written) in test.cases.iter().enumerate() {
            cases.extend(scope.case(name, &spec.index(index), written));
        }
    }
    (cases, findings)
}

struct Scope<'a> {
    places: &'a dyn Places,
    test: &'a FlowTest,
    findings: &'a mut Findings,
}

impl Scope<'_> {
    fn place(&self, path: &FieldPath) -> Place {
        self.places.place(self.test.at, path)
    }

    fn report(&mut self, code: Code, path: &FieldPath, message: impl Into<String>, help: Option<String>) {
        let diagnostic = Diagnostic::new(code, Some(self.place(path)), message);
        self.findings.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    fn case(&mut self, test: &str, path: &FieldPath, written: &FlowCase) -> Option<Case> {
        let from = self.side(path, "from", written.from.as_ref());
        let to = self.side(path, "to", written.to.as_ref());
        let mut expected = Vec::new();
        for (field, words, want) in
            [("allow", &written.allow, Verdict::Allow), ("deny", &written.deny, Verdict::Deny)]
        {
            let Some(words) = words else { continue };
            let services = self.words::<Allowed>(&path.key(field), words);
            expected.extend(services.into_iter().map(|(services, place)| Expectation {
                want,
                services,
                place,
            }));
        }
        let says_nothing =
            |words: &Option<Words>| words.as_ref().is_none_or(|words| words.as_slice().is_empty());
        if says_nothing(&written.allow) && says_nothing(&written.deny) {
            let help = "write `allow: [tcp/80]` or `deny: all`".to_owned();
            self.report(Code::Required, path, "the case expects nothing", Some(help));
        }
        let why = written.why.clone();
        Some(Case { test: test.to_owned(), from: from?, to: to?, expected, why, place: self.place(path) })
    }

    fn side(&mut self, case: &FieldPath, field: &'static str, words: Option<&Words>) -> Option<Side> {
        let path = case.key(field);
        match words.filter(|words| !words.as_slice().is_empty()) {
            Some(words) => {
                let ends = self.words(&path, words);
                (!ends.is_empty()).then_some(Side { ends })
            }
            None => {
                self.report(Code::Required, &path, format!("the case has no `{field}`"), None);
                None
            }
        }
    }

    /// The words of a field that are what they should be; the others are reported.
    fn words<T: FromStr<Err: Display>>(&mut self, path: &FieldPath, words: &Words) -> Vec<(T, Place)> {
        let mut read = Vec::new();
        for (index, word) in words.as_slice().iter().enumerate() {
            let path = match words {
                Words::One(_) => path.clone(),
                Words::Many(_) => path.index(index),
            };
            match word.parse::<T>() {
                Ok(value) => read.push((value, self.place(&path))),
                Err(error) => self.report(Code::BadFlow, &path, error.to_string(), None),
            }
        }
        read
    }
}

//! Findings as values: what is wrong, where, and what to do about it. Sorted by place and printed all at once.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

mod agreed;
mod code;
mod field_path;
mod nearest;
mod object_ref;
mod places;
mod render;

use std::collections::BTreeMap;
use std::fmt;

pub use agreed::Agreed;
pub use code::Code;
pub use field_path::{FieldPath, Segment};
pub use nearest::nearest;
pub use object_ref::{FileId, Margin, ObjectRef, Spot};
pub use places::Places;
pub use render::{Style, render};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The input means nothing that may be enforced; nothing is written.
    Error,
    /// The input has one meaning, but probably not the author's.
    Warning,
    /// Worth knowing; never more than that, also under `--strict`.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// A line and column of a source file, with the line's text. Lines and columns count from 1; columns are characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the repository's root, with `/`.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// The line's text, where there is one.
    pub excerpt: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One finding. The order of fields is the order in which findings are printed: by place first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Where, unless the finding is about the input as a whole.
    pub place: Option<Place>,
    /// How bad.
    pub severity: Severity,
    /// Which kind of finding.
    pub code: Code,
    /// One terse sentence, without its full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What it is about, where that has a name of its own.
    pub subject: Option<Subject>,
    /// The exception that covers it: then it is told, and fails nothing.
    pub waived: Option<Agreed>,
}

/// What a finding is about, by names that stay when lines move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The object: kind, namespace and name.
    pub object: String,
    /// The path of its field.
    pub field: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object)?;
        if self.field.is_empty() { Ok(()) } else { write!(f, " {}", self.field) }
    }
}

impl Diagnostic {
    /// A finding of the code's own severity.
    #[must_use]
    pub fn new(code: Code, place: Option<Place>, message: impl Into<String>) -> Self {
        let message = shortened(message.into());
        Self { place, severity: code.severity(), code, message, help: None, subject: None, waived: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// Says what it is about.
    #[must_use]
    pub fn about(mut self, object: impl Into<String>, field: impl Into<String>) -> Self {
        self.subject = Some(Subject { object: object.into(), field: field.into() });
        self
    }

    /// What makes it the same finding in another revision: its code and what it is about, else its file and message.
    #[must_use]
    pub fn id(&self) -> String {
        match (&self.subject, &self.place) {
            (Some(subject), _) => format!("{} {subject}", self.code),
            (None, Some(place)) => format!("{} {} {}", self.code, place.file, self.message),
            (None, None) => format!("{} {}", self.code, self.message),
        }
    }
}

/// The longest message, in bytes: one quotes what stands in a manifest, which may be as long as it likes.
const MESSAGE_BYTES: usize = 500;

fn shortened(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
        text.push('…');
    }
    text
}

/// How many errors are told one by one. Who made more of them made one mistake many times.
const ERRORS: usize = 10_000;

/// Findings of one run, in order of places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    all: Vec<Diagnostic>,
    /// How many errors there were, told or not.
    errors: usize,
}

impl Findings {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
            if self.errors > ERRORS {
                if self.errors == ERRORS + 1 {
                    let message =
                        format!("there are more than {ERRORS} errors; from here on they are not told");
                    self.all.push(Diagnostic::new(Code::TooManyErrors, diagnostic.place, message));
                }
                return;
            }
        }
        self.all.push(diagnostic);
    }

    /// Adds the findings of another step.
    pub fn extend(&mut self, other: Findings) {
        // The one that says that no more are told stands for the first that was not.
        let untold = other.errors.saturating_sub(ERRORS + 1);
        for diagnostic in other.all {
            self.push(diagnostic);
        }
        self.errors += untold;
    }

    /// Whether any has this code.
    pub fn has(&self, code: Code) -> bool {
        self.all.iter().any(|d| d.code == code)
    }

    /// As findings about an object that is left out where it has errors: those are warnings that say what becomes of it,
    /// and where there are some nothing else is of interest.
    pub fn leaving_out(mut self, consequence: &str) -> Findings {
        if self.has_errors() {
            self.all.retain(|diagnostic| diagnostic.severity == Severity::Error);
            for diagnostic in &mut self.all {
                diagnostic.severity = Severity::Warning;
                diagnostic.message = format!("{}; {consequence}", diagnostic.message);
            }
        }
        self
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether any is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.all.iter().any(|d| d.severity == Severity::Error)
    }

    /// How many findings there are of a severity that no waiver covers, each counted once.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.sorted().iter().filter(|d| d.severity == severity && d.waived.is_none()).count()
    }

    /// How many waivers cover.
    #[must_use]
    pub fn waived(&self) -> usize {
        self.sorted().iter().filter(|d| d.waived.is_some()).count()
    }

    /// Whether any that no waiver covers has this severity or a worse one.
    #[must_use]
    pub fn reach(&self, severity: Severity) -> bool {
        self.all.iter().any(|d| d.severity <= severity && d.waived.is_none())
    }

    /// Turns every warning into an error; notes stay notes.
    pub fn make_strict(&mut self) {
        for diagnostic in &mut self.all {
            if diagnostic.severity == Severity::Warning {
                diagnostic.severity = Severity::Error;
            }
        }
    }

    /// The findings that another revision does not have, by [`Diagnostic::id`]; of several that are alike as many as there
    /// are more.
    #[must_use]
    pub fn not_in(&self, other: &Findings) -> Findings {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for finding in other.sorted() {
            *known.entry(finding.id()).or_default() += 1;
        }
        let mut is_new = |finding: &Diagnostic| match known.get_mut(&finding.id()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            Some(_) | None => true,
        };
        let mut all = Findings::default();
        for finding in self.sorted().into_iter().filter(|finding| is_new(finding)) {
            all.push(finding.clone());
        }
        all
    }

    /// Changes or drops findings one by one.
    pub fn retain_mut(&mut self, keep: impl FnMut(&mut Diagnostic) -> bool) {
        self.all.retain_mut(keep);
    }

    /// Leaves only what must be acted on.
    pub fn drop_notes(&mut self) {
        self.all.retain(|diagnostic| diagnostic.severity != Severity::Note);
    }

    /// The findings, sorted by place and each once.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.all.iter().collect();
        all.sort();
        all.dedup();
        all
    }
}

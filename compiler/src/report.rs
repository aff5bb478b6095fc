//! A review in the forms that other programs take: comments, annotations, and the schema of its JSON.

mod escape;
mod github;
mod markdown;
mod words;

pub use escape::line as one_line;
pub use github::github;
pub use markdown::{BUDGET, MARKER, markdown};

/// The JSON Schema of a review's JSON.
pub const DIFF_SCHEMA: &str = include_str!("report/diff.schema.json");

//! A review and findings in the forms that other programs take: comments, annotations, SARIF, and the schema of a review's
//! JSON.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

mod annotation;
mod escape;
pub mod findings;
mod github;
#[cfg(test)]
pub(crate) mod hostile;
mod links;
mod markdown;
mod words;

pub use annotation::inert;
pub use github::github;
pub use links::LinkBase;
pub use markdown::{BUDGET, MARKER, markdown};

/// The JSON Schema of a review's JSON.
pub const DIFF_SCHEMA: &str = include_str!("diff.schema.json");

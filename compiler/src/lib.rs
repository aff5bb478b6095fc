//! Compiles NetworkPolicy, Namespace, Pod and Node manifests to one kernel snapshot per node.
//!
//! ```text
//! source → manifest → cluster → policy → lower → netfilter → render → snapshot
//!                        └──► semantics (the API text, read naively) ──► query, explain, describe
//! ```
//!
//! Each step takes the type of the one before and returns the next; nothing flows back. Kubernetes words stand above
//! [`lower`], netfilter words below it, and only `lower` speaks both. Files and Git are read in [`source`] and files
//! written in [`write`](mod@write); everything between is pure.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

pub use chainmail_findings as diagnostic;
pub use chainmail_lower as lower;
pub use chainmail_lower::netfilter;
pub use chainmail_lower::policy;
pub use chainmail_lower::render;
pub use chainmail_manifest as manifest;
pub use chainmail_manifest::admission;
pub use chainmail_manifest::config;
pub use chainmail_manifest::source;
pub use chainmail_model as cluster;
pub use chainmail_model::enclosing as holders;
pub use chainmail_model::semantics;
pub use chainmail_pipeline as compile;
pub use chainmail_pipeline::write;
pub use chainmail_prove as prove;
pub use chainmail_report as report;
pub use chainmail_review::describe;
pub use chainmail_review::diff;
pub use chainmail_review::effort;
pub use chainmail_review::explain;
pub use chainmail_review::flows;
pub use chainmail_review::gate;
pub use chainmail_review::lint;
pub use chainmail_review::query;
pub use chainmail_review::waiver;

pub use compile::{Compiler, Loaded, check_questions, kernel_of, lint_all, load, load_with};

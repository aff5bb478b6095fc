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

pub mod cluster;
mod compile;
pub mod config;
pub mod describe;
pub mod diagnostic;
pub mod diff;
pub mod explain;
pub mod flows;
pub mod gate;
pub mod lint;
pub mod lower;
pub mod manifest;
pub mod netfilter;
pub mod policy;
pub mod prove;
pub mod query;
pub mod render;
pub mod report;
pub mod semantics;
pub mod source;
pub mod write;

pub use compile::{Compiler, Loaded, load, load_with};

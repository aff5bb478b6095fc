//! Compiles NetworkPolicy, Namespace, Pod and Node manifests to one kernel snapshot per node.
//!
//! ```text
//! manifest: files ─► model ─► lower: rules and sets ─► text ─► write
//!                      │                                │
//!                      │                                ▼
//!                      └──────► review, prove ◄──── verdict: kernels, read back
//! ```
//!
//! Each step takes the type of the one before and returns the next; nothing flows back. This crate alone knows the
//! writer of rules and the judge of them. Files are written in [`write`](mod@write).

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

mod compiler;
mod load;
pub mod write;

pub use compiler::{Compiler, kernel_of, lint_all};
pub use load::{Loaded, check_questions, load, load_with};

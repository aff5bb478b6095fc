//! What people ask of policies and of changes to them: who may talk to whom ([`query`]) and why ([`explain`]), what a
//! policy says ([`describe`]), whether expected flows hold ([`flows`]), what is probably not meant ([`lint`]), and what
//! changes between two revisions ([`diff`], with [`gate`] and [`waiver`]).
//!
//! It sees the model, the oracle, kernels that were read back and the proof, and nothing that makes rules.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

pub mod describe;
pub mod diff;
pub mod effort;
pub mod explain;
pub mod flows;
pub mod gate;
pub mod lint;
pub mod query;
pub mod waiver;

//! The pulling half of Chainmail: takes policies from Git, verifies them, and hands one node's snapshot over to the
//! half that applies it. It runs without any privilege.
//!
//! ```text
//! download   remote → repository → quarantine        user chainmail-download: network; writes the quarantine alone
//! verify     quarantine → mirror → trust → make → hold → spool     user chainmail-fetch: no network; writes the spool
//! probe      probes, remote → answer; metrics        user chainmail-probe: network; writes its answer alone
//! ```
//!
//! - [`remote`] asks what there is and copies new objects into a repository of the downloading user.
//! - [`download`] writes what the verifier needs of it into the [`quarantine`]: objects by value, and what the remote said.
//! - [`mirror`] takes them under the names that it computes, into a store that nothing else writes.
//! - [`trust`] says who answers for a revision, or why nobody does.
//! - [`make`] compiles the node's snapshot, or takes the committed one, and proves it against the policies.
//! - [`hold`] keeps back what would take away too much.
//! - [`spool`] writes the snapshot whole, then names it as the one that is to be in force.
//!
//! Live objects of this host's [`inventory`] stand beside the policies that are compiled.
//!
//! [`download::look`] and [`cycle`] do this once, in processes of their own ([`child`]): a remote that never answers is
//! given up by ending one, and what a large cluster took is given back. [`run`] says when, [`users`] as whom.
//!
//! What the applying half then brings into force is confirmed, or refused, by [`confirm`].
//!
//! Files, processes, sockets and the clock are met in few modules only; each says so at its head.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(
    clippy::panic,
    clippy::unreachable,
    clippy::get_unwrap,
    clippy::string_slice,
    clippy::indexing_slicing
)]

pub mod child;
pub mod cli;
pub mod config;
pub mod confirm;
pub mod cycle;
pub mod download;
pub mod hold;
pub mod hosts;
pub mod inputs;
pub mod inventory;
pub mod make;
pub mod metrics;
pub mod mirror;
pub mod paths;
pub mod quarantine;
pub mod remote;
pub mod run;
pub mod schedule;
pub mod spool;
pub mod state;
pub mod status;
pub mod trust;
pub mod users;

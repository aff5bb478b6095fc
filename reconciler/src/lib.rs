//! The applying half of Chainmail: brings one node's kernel to exactly what a snapshot says.
//!
//! ```text
//! snapshot → desired ─┐
//!                     ├→ plan → apply → kernel
//! kernel   → live   ──┘
//! ```
//!
//! - [`desired`] is a snapshot, verified to speak of our chains and sets only ([`grammar`]).
//! - [`live`] is what the kernel holds of ours, parsed from `iptables-save` and `ipset save`.
//! - [`plan`] compares both and says which [`step`]s lead from one to the other. It is pure.
//! - [`apply`] runs the steps on a [`kernel`], reads back, and undoes what it cannot finish.
//!
//! Around them: [`service`] watches the [`spool`] and keeps the kernel at it, with a [`journal`] for crashes and a
//! [`state`] folder for what was good.
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

pub mod apply;
pub mod audit;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod closed;
pub mod config;
pub mod cut;
pub mod denied;
pub mod desired;
pub mod doctor;
pub mod facts;
pub mod fight;
pub mod files;
pub mod flip;
pub mod flows;
pub mod journal;
pub mod kept;
pub mod kernel;
pub mod links;
pub mod live;
pub mod lock;
pub mod log;
pub mod members;
pub mod monitor;
pub mod nflog;
pub mod orders;
pub mod paths;
pub mod place;
pub mod plan;
pub mod preflight;
pub mod provenance;
pub mod report;
pub mod rules;
pub mod run;
pub mod sealed;
pub mod service;
pub mod set;
pub mod setback;
pub mod spool;
pub mod state;
pub mod status;
pub mod step;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod uninstall;
pub mod unit;
pub mod user;

pub use chainmail_contract::exit;

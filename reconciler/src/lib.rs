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
//! Files, processes and locks are met in [`kernel::command`], [`kernel::process`], [`preflight`] and [`lock`] only.

pub mod apply;
pub mod cli;
pub mod desired;
pub mod exit;
pub mod flip;
pub mod grammar;
pub mod kernel;
pub mod live;
pub mod lock;
pub mod plan;
pub mod preflight;
pub mod report;
pub mod save;
pub mod set;
pub mod step;
#[cfg(test)]
mod testing;
pub mod uninstall;

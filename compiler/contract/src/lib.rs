//! What a snapshot is: the contract that the compiler writes and every node reads.
//!
//! ```text
//! OUT/sets/<name>                     one distinct set, as `ipset restore` text, once for the fleet
//! OUT/nodes/<node>/rules.v4 rules.v6  `iptables-restore` text: table filter, our chains only
//! OUT/nodes/<node>/sets               the names of the sets the node needs, sorted, one a line
//! OUT/nodes/<node>/manifest.json      format, grammar level, node, sha256 of each part and set, one digest over all
//! OUT/nodes/<node>/provenance.json    which policy line each rule comes from; outside the digest
//! ```
//!
//! A node keeps the *joined* form, where the texts of its sets stand in one file, `ipsets`. Both forms of one
//! snapshot have the same digest. [`beneath`] and [`read`] are the only modules here that touch files; [`limits`] says how much
//! they read.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(
    clippy::panic,
    clippy::unreachable,
    clippy::get_unwrap,
    clippy::string_slice,
    clippy::indexing_slicing
)]

pub mod beneath;
mod capacity;
mod content;
mod date;
mod digest;
pub mod escape;
pub mod exit;
mod family;
mod grammar;
mod joined;
mod json;
pub mod limits;
mod manifest;
mod name;
mod node;
mod position;
pub mod read;

pub use capacity::{CUT_TIMEOUT, Capacity};
pub use content::{
    KernelAddress, Member, MemberError, MemberLines, SetKind, Transport, content_name, cut_set_name,
    is_cut_set,
};
pub use date::Date;
pub use digest::Sha256Hex;
pub use exit::Exit;
pub use family::Family;
pub use grammar::{Grammar, Level};
pub use joined::{Joined, SnapshotError};
pub use json::JsonProblem;
pub use manifest::{FORMAT_VERSION, Manifest, Parts};
pub use name::{
    CHAIN_NAME_MAX, CHAIN_PREFIX, COMMENT_MAX, ChainName, DENY_CHAIN, DENY_GROUP, DENY_PREFIX, FORWARD_CHAIN,
    INGRESS_CHAIN, MULTIPORT_SLOTS, NameError, NodeName, SET_NAME_MAX, SetName, is_our_chain, is_our_set,
};
pub use node::{NodeSnapshot, OriginText};
pub use position::{Lines, Position};

//! Reads kernel rule text and judges packets.
//!
//! ```text
//! iptables-save text ─► Table ─► Ruleset ─┐
//!                       lines    rules    ├─► Kernel ─► Walk
//! ipset save text ────────────► Sets ─────┘   linked    verdict and trace
//! ```
//!
//! [`Table`] knows lines only: which chain each rule stands in and its exact text. [`Ruleset`] knows what the rules
//! of our chains say; a match or target that cannot be judged there is an error with a line, never passed over.
//! Chains of others stay opaque, but for where they jump into ours. [`Kernel`] ties both families and the sets
//! together, refuses what the kernel would refuse or load with another meaning, and walks packets as netfilter does.
//!
//! [`record`] tells the records of a live text apart, whoever wrote them: it is the only reader of lines here, and of all
//! programs.
//!
//! The grammar is that of `iptables-restore(8)` and `ipset(8)`, read from the manuals. Nothing here is shared with
//! what writes such text, so that the one can testify about the other. The crate is pure: text in, values out.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

#[warn(clippy::indexing_slicing)]
mod before;
mod error;
mod eval;
pub mod exact;
mod kernel;
mod matches;
mod packet;
#[warn(clippy::indexing_slicing)]
mod parse;
mod paths;
mod ports;
#[warn(clippy::indexing_slicing)]
pub mod record;
mod ruleset;
#[warn(clippy::indexing_slicing)]
mod set;
#[warn(clippy::indexing_slicing)]
mod table;
mod walk;

pub use error::{FileKind, ParseError, Reason};
pub use kernel::{Kernel, Problem, ReadError};
pub use matches::{
    ConnStates, DstKinds, IcmpPattern, IfacePattern, Match, MultiportEnd, RateLimit, Sense, SetId, Test,
};
pub use packet::{ConnState, DstKind, IfaceName, Packet, PacketError, Payload};
pub use ports::{End, PortRange, Protocol, TcpFlags};
pub use ruleset::{
    Chain, ChainId, Condition, Denial, ForeignChain, ForeignRule, ForwardJump, Nflog, Reference, RejectWith,
    Rule, Ruleset, Target,
};
pub use set::{Flow, Members, NetMembers, Set, SetType, Sets};
pub use table::{Policy, Table, TableChain, TableRule};
pub use walk::{Crossed, Step, Verdict, Walk, WalkError};

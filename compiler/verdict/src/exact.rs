//! Exact sets of packets, and a walk that takes a whole set of them at once.
//!
//! ```text
//! Intervals ─► AddressSet, ServiceSet ─► Traffic   (peer, service) pairs, canonical
//! Modes ─────► ModeSet                             what else of a packet rules ask for, as a finite list
//! Kernel + Stretch ─► Piece                        where each part of all packets ends
//! ```
//!
//! Nothing here samples: each set is of all addresses of a family and all services, and its complement is as exact as
//! itself.

mod addresses;
mod differing;
mod intervals;
mod modes;
mod region;
mod services;
mod summary;
mod symbolic;
mod traffic;

pub use addresses::AddressSet;
pub use intervals::{Intervals, Point};
pub use modes::{Mode, ModeSet, Modes};
pub use region::{Part, split};
pub use services::{Service, ServiceSet};
pub use summary::{Summaries, Summary};
pub use symbolic::{Ending, Piece, Stretch, Unprovable};
pub use traffic::Traffic;

//! Expected flows: what policies are to let through and what not, written down beside them, and held against what they
//! do.
//!
//! Both engines answer, as for [`query`](crate::query), and failures are told of by [`explain`](crate::explain).

mod case;
mod contradiction;
mod json;
mod judge;
mod junit;
mod text;

pub use case::{Case, Expectation, Side, cases};
pub use contradiction::contradictions;
pub use json::json;
pub use judge::{Asked, Contrary, Outcome, Report, TestOutcome, ask, judge};
pub use junit::junit;
pub use text::text;

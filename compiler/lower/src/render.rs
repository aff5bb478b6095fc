//! Text: the only place that spells a rule or a set. It cannot fail, since every limit was met before.

mod ipset;
mod iptables;
mod node;

pub use ipset::{cut_set_text, set_text};
pub use iptables::rules_text;
pub use node::{Origins, SetTexts, node_snapshot};

//! From words to values: the grammar inside one line.

mod match_options;
mod rule;
mod target;
mod tokens;
mod values;

pub(crate) use rule::{RuleNames, parse_rule};
pub(crate) use tokens::{Tokens, skip_blanks};
pub(crate) use values::{address, network, number, port, transport};

//! What a chain is for, which its name says.

use std::fmt;

use chainmail_contract::{ChainName, DENY_CHAIN, FORWARD_CHAIN, INGRESS_CHAIN};

/// The chain that judges packets of isolated pods.
pub(super) const EGRESS_CHAIN: &str = "CM-EGRESS";
/// The chain of packets that conntrack cannot place.
pub(super) const INVALID_CHAIN: &str = "CM-INVALID";
/// How many hex digits of the digest of its rules the name of a class has.
const CLASS_DIGITS: usize = 16;

/// What a chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `CM-FORWARD`: what FORWARD jumps to.
    Forward,
    /// `CM-INVALID`: packets that conntrack cannot place.
    Invalid,
    /// `CM-EGRESS` or `CM-INGRESS`, or a chain below it, `…-0`: from an address to its pod's class.
    Dispatch(Direction),
    /// `CM-E-…` or `CM-I-…`: what a class of pods may do.
    Class(Direction),
    /// `CM-DENY`: denied packets are told of.
    Deny,
}

/// Whose policies a chain is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Those of the source.
    Egress,
    /// Those of the destination.
    Ingress,
}

impl Role {
    /// The role of a chain; nothing for a name that no rules have.
    #[must_use]
    pub fn of(chain: &ChainName) -> Option<Self> {
        let is_class = |digits: &str| {
            digits.len() == CLASS_DIGITS
                && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_below = |root: &str| {
            let below = chain.as_str().strip_prefix(root).and_then(|rest| rest.strip_prefix('-'));
            below.is_some_and(|path| path.split('-').all(is_number))
        };
        Some(match chain.as_str() {
            FORWARD_CHAIN => Role::Forward,
            INVALID_CHAIN => Role::Invalid,
            DENY_CHAIN => Role::Deny,
            EGRESS_CHAIN => Role::Dispatch(Direction::Egress),
            INGRESS_CHAIN => Role::Dispatch(Direction::Ingress),
            _ if is_below(EGRESS_CHAIN) => Role::Dispatch(Direction::Egress),
            _ if is_below(INGRESS_CHAIN) => Role::Dispatch(Direction::Ingress),
            name => match name
                .strip_prefix("CM-E-")
                .zip(Some(Direction::Egress))
                .or_else(|| name.strip_prefix("CM-I-").zip(Some(Direction::Ingress)))?
            {
                (digits, direction) if is_class(digits) => Role::Class(direction),
                _ => return None,
            },
        })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Forward => FORWARD_CHAIN,
            Role::Invalid => INVALID_CHAIN,
            Role::Dispatch(Direction::Egress) => "the dispatch of CM-EGRESS",
            Role::Dispatch(Direction::Ingress) => "the dispatch of CM-INGRESS",
            Role::Class(Direction::Egress) => "a class of egress",
            Role::Class(Direction::Ingress) => "a class of ingress",
            Role::Deny => DENY_CHAIN,
        })
    }
}

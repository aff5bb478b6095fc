//! Names that reach the kernel, and the limits it sets on them.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::Family;

/// Longest chain name in bytes: `XT_EXTENSION_MAXNAMELEN` (29) less the final NUL, as iptables checks it.
pub const CHAIN_NAME_MAX: usize = 28;
/// Longest set name in bytes: `IPSET_MAXNAMELEN` (32) less the final NUL.
pub const SET_NAME_MAX: usize = 31;
/// Longest rule comment in bytes. The kernel's own limit is 255 on legacy tables, 128 with the NUL on nft.
pub const COMMENT_MAX: usize = 120;
/// Slots of one `multiport` match (`XT_MULTI_PORTS`); a port takes one, a range two.
pub const MULTIPORT_SLOTS: usize = 15;
/// What every chain of ours begins with.
pub const CHAIN_PREFIX: &str = "CM-";
/// The chain that FORWARD jumps to, and the only way in.
pub const FORWARD_CHAIN: &str = "CM-FORWARD";
/// The chain that judges packets to isolated pods, the last thing that CM-FORWARD asks.
pub const INGRESS_CHAIN: &str = "CM-INGRESS";
/// The chain that tells of denied packets, where a node is to log or only to observe.
pub const DENY_CHAIN: &str = "CM-DENY";
/// The NFLOG group that denied packets are told to.
pub const DENY_GROUP: u16 = 67;
/// The NFLOG prefix by which denied packets are known.
pub const DENY_PREFIX: &str = "cm-deny";

/// A name that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// The name is empty or longer than its kind may be.
    #[error("{kind} name {name:?} has {len} bytes; 1 to {max} are allowed")]
    Length {
        /// What is named.
        kind: &'static str,
        /// The name.
        name: String,
        /// Its length in bytes.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The name has a byte that is not a letter, a digit, `-`, `_` or `.`, or lacks the kind's prefix.
    #[error("{kind} name {name:?} is not of the form {form}")]
    Form {
        /// What is named.
        kind: &'static str,
        /// The name.
        name: String,
        /// The form it should have.
        form: &'static str,
    },
}

fn checked(kind: &'static str, name: String, max: usize) -> Result<String, NameError> {
    if name.is_empty() || name.len() > max {
        return Err(NameError::Length { kind, len: name.len(), name, max });
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(NameError::Form { kind, name, form: "letters, digits, '-', '_', '.'" });
    }
    Ok(name)
}

/// Whether a chain name is in Chainmail's name space.
#[must_use]
pub fn is_our_chain(name: &str) -> bool {
    name.starts_with(CHAIN_PREFIX)
}

/// Whether a set name is in Chainmail's name space.
#[must_use]
pub fn is_our_set(name: &str) -> bool {
    Family::ALL.iter().any(|family| name.starts_with(family.set_prefix()))
}

/// The name of a chain of ours: `CM-…`, at most [`CHAIN_NAME_MAX`] bytes. Rules are full of names: a clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainName(Arc<str>);

impl TryFrom<String> for ChainName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        let name = checked("chain", name, CHAIN_NAME_MAX)?;
        if !is_our_chain(&name) {
            return Err(NameError::Form { kind: "chain", name, form: "CM-…" });
        }
        Ok(Self(name.into()))
    }
}

/// The name of a set of ours: `cm4-…` or `cm6-…`, at most [`SET_NAME_MAX`] bytes. A clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetName(Arc<str>);

impl TryFrom<String> for SetName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        let name = checked("set", name, SET_NAME_MAX)?;
        if !is_our_set(&name) {
            return Err(NameError::Form { kind: "set", name, form: "cm4-… or cm6-…" });
        }
        Ok(Self(name.into()))
    }
}

/// The name of a node: a DNS-1123 subdomain, as the API server demands, so that it is also a safe folder name. A
/// clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

impl TryFrom<String> for NodeName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        let name = checked("node", name, 253)?;
        let label_is_fine = |label: &str| {
            let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
            edge(label.as_bytes().first())
                && edge(label.as_bytes().last())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !name.split('.').all(label_is_fine) {
            return Err(NameError::Form { kind: "node", name, form: "a lowercase DNS subdomain" });
        }
        Ok(Self(name.into()))
    }
}

macro_rules! text_name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::try_from(name.to_owned())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::try_from(name).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_name!(ChainName);
text_name!(SetName);
text_name!(NodeName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_kernels_limits() {
        let rows: &[(bool, Result<(), NameError>)] = &[
            (true, "CM-FORWARD".parse::<ChainName>().map(drop)),
            (true, format!("CM-{}", "x".repeat(25)).parse::<ChainName>().map(drop)),
            (false, format!("CM-{}", "x".repeat(26)).parse::<ChainName>().map(drop)),
            (false, "cali-FORWARD".parse::<ChainName>().map(drop)),
            (false, "CM-a b".parse::<ChainName>().map(drop)),
            (true, format!("cm4-{}", "x".repeat(27)).parse::<SetName>().map(drop)),
            (false, format!("cm4-{}", "x".repeat(28)).parse::<SetName>().map(drop)),
            (false, "KUBE-SET".parse::<SetName>().map(drop)),
            (true, "n1.example.com".parse::<NodeName>().map(drop)),
            (false, "../etc".parse::<NodeName>().map(drop)),
            (false, "..".parse::<NodeName>().map(drop)),
            (false, "N1".parse::<NodeName>().map(drop)),
        ];
        for (row, (fits, result)) in rows.iter().enumerate() {
            assert_eq!(*fits, result.is_ok(), "row {row}: {result:?}");
        }
    }
}
